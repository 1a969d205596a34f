"""What a picture consists of, before anything has a place."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from gradloom.records import dataclass

FONT_SIZE, LABEL_SIZE = 12, 10.5
_CHARACTER = 0.62
"""Width of a character of a monospaced font, as a share of its size: no common font has wider ones."""
_LINE = 1.35
_PADDING_X, _PADDING_Y = 10.0, 6.0


@dataclass(frozen=True)
class Box:
    """Some lines of text in a frame.

    Attributes:
        name: of the box, unique in its picture.
        lines: its text.
        kind: how it looks, see svg.py; a ``label`` has no frame and stands on the arrows that pass through it.
        hint: more text, shown when one points at it.
        link: the name of a picture that shows what is inside.
    """

    name: str
    lines: tuple[str, ...]
    kind: str = "operation"
    hint: str = ""
    link: str = ""

    @property
    def is_label(self) -> bool:
        """Whether it is text on an arrow."""
        return self.kind.startswith("label")

    @property
    def font_size(self) -> float:
        """Size of its text."""
        return LABEL_SIZE if self.is_label else FONT_SIZE

    @property
    def line_height(self) -> float:
        """From one line to the next."""
        return self.font_size * _LINE

    @property
    def width(self) -> float:
        """Room for its longest line."""
        padding = 3.0 if self.is_label else _PADDING_X
        return max(map(columns, self.lines), default=0) * _CHARACTER * self.font_size + 2 * padding

    @property
    def height(self) -> float:
        """Room for its lines."""
        return len(self.lines) * self.line_height + 2 * (1.0 if self.is_label else _PADDING_Y)


@dataclass(frozen=True)
class Arrow:
    """From one box to another, by their names.

    Attributes:
        source: where it begins.
        target: where it ends.
        kind: how it looks, see svg.py.
    """

    source: str
    target: str
    kind: str = ""


@dataclass(frozen=True)
class Picture:
    """Boxes and arrows.

    Attributes:
        name: for links to it, unique in a page.
        title: what it shows.
        boxes: in an order in which most arrows go forward.
        arrows: between boxes.
        parent: the name of the picture that this one is a part of.
    """

    name: str
    title: str
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    parent: str = ""


def columns(text: str) -> int:
    """How many characters wide a text is; those of East Asia take two."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def shortened(text: str, most: int, *, at_end: bool = False) -> str:
    """A text of at most so many columns, with … in place of its middle, or of its end."""
    if columns(text) <= most:
        return text
    tail = "" if at_end else text[-((most - 1) // 2) :]
    head = text[: most - 1 - len(tail)]
    while columns(head) + columns(tail) >= most:  # wide characters
        head, tail = head[:-1], tail[1:]
    return f"{head}…{tail}"
