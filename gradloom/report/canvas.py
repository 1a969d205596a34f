"""What is drawn where: boxes, texts and images at places in pixels, which ``svg`` and ``png`` draw alike."""

from __future__ import annotations

from dataclasses import field

import numpy as np

from gradloom.records import dataclass

TEXT = 13.0
SMALL = 11.0
WIDE = 0.56
"""How wide a letter is, in its size, for leaving room."""


@dataclass(frozen=True)
class Box:
    """A rectangle.

    Attributes:
        colour: its name in the scheme.
        share: how much of the colour there is, from 0 (paper) to 1.
        line: the width of its outline alone; 0 to fill it.
    """

    x: float
    y: float
    width: float
    height: float
    colour: str
    share: float = 1.0
    line: float = 0.0


@dataclass(frozen=True)
class Text:
    """A line of text.

    Attributes:
        y: of the line that letters stand on.
        anchor: which part of it is at x: "start", "middle" or "end".
        colour: its name in the scheme.
    """

    x: float
    y: float
    text: str
    size: float = TEXT
    anchor: str = "start"
    colour: str = "ink"
    bold: bool = False


@dataclass(frozen=True)
class Bitmap:
    """An image, uint8 (H, W, 3), drawn into a rectangle."""

    x: float
    y: float
    width: float
    height: float
    pixels: np.ndarray = field(repr=False)
    about: str = ""


@dataclass
class Canvas:
    """A picture in the making.

    Attributes:
        title: what it shows, for those who do not see it.
        width: so far.
        height: so far.
        items: in the order in which they are drawn.
    """

    title: str
    width: float = 0.0
    height: float = 0.0
    items: list[Box | Text | Bitmap] = field(default_factory=list)

    def add(self, item: Box | Text | Bitmap) -> None:
        """Draw one thing more; the canvas grows with boxes and images."""
        self.items.append(item)
        if not isinstance(item, Text):
            self.width, self.height = max(self.width, item.x + item.width), max(self.height, item.y + item.height)


def fitting(text: str, width: float, size: float) -> str:
    """As much of a text as is about so wide."""
    most = max(int(width / (WIDE * size)), 1)
    return text if len(text) <= most else f"{text[: max(most - 2, 1)]}.."
