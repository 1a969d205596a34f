"""What a section of the page consists of; the template knows how each kind looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import ClassVar

from gradloom.drawing.plot import Plot
from gradloom.records import dataclass


@dataclass(frozen=True)
class Paragraph:
    """A sentence or some."""

    text: str
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Cell:
    """A cell of a table that shows more than text.

    Attributes:
        text: what it says.
        bar: the length of a bar behind it, from 0 to 1.
    """

    text: str
    bar: float


@dataclass(frozen=True)
class Table:
    """Rows of cells; on narrow screens it scrolls.

    Attributes:
        head: names of the columns.
        rows: texts, or cells with bars.
        texts: so many columns are texts, the others figures, which are set flush right.
        caption: what the table shows.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    texts: int = 1
    caption: str = ""
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Picture:
    """A drawing.

    Attributes:
        svg: one ``<svg>`` element that names itself.
        caption: what can be seen.
        wide: whether it may scroll rather than shrink.
    """

    svg: str
    caption: str = ""
    wide: bool = False
    kind: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Code:
    """Text to be copied."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Folded:
    """Blocks that show when one asks for them.

    Attributes:
        title: what is inside.
        blocks: the blocks.
        name: for links that open it.
    """

    title: str
    blocks: Sequence[Block]
    name: str = ""
    kind: ClassVar[str] = "folded"


@dataclass(frozen=True)
class Tile:
    """A figure to be seen at first glance: what it is, its value, and what more there is to say."""

    name: str
    value: str
    more: str = ""


@dataclass(frozen=True)
class Tiles:
    """Figures side by side."""

    tiles: Sequence[Tile]
    kind: ClassVar[str] = "tiles"


@dataclass(frozen=True)
class Advice:
    """A finding: how serious, what was measured, why it matters, what to do, a picture if there is one."""

    severity: str
    title: str
    measured: str
    why: str
    what_to_do: str
    svg: str = ""
    kind: ClassVar[str] = "advice"


Block = Paragraph | Table | Picture | Code | Folded | Tiles | Advice


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        name: for links to it.
        title: its heading.
        blocks: what is in it.
    """

    name: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def drawn(plot: Plot, caption: str = "") -> Picture:
    """A plot; its style stands once in the page."""
    return Picture(plot.to_svg(style=False), caption)


def figure(value: float | None) -> str:
    """A number in four digits, and in all before the point; a dash where it is not known."""
    if value is None or value != value:
        return "–"
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    if value == round(value):
        return f"{value:.0f}"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1 else f"{value:#.4g}".rstrip(".")


def worded(name: str) -> str:
    """The name of a metric as it is read, ``val_mean_iou`` as "validation mean IoU"."""
    words = {"val": "validation", "iou": "IoU"}
    return " ".join(words.get(part, part) for part in name.split("_"))
