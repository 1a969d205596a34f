"""What functions of this room give: the numbers, and a picture of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np

from gradloom import saving
from gradloom.errors import OptionError
from gradloom.records import dataclass
from gradloom.report.canvas import SMALL, TEXT, Bitmap, Box, Canvas, Text, fitting
from gradloom.report.png import to_png
from gradloom.report.svg import to_svg

_GAP, _EDGE, _LINE = 12.0, 16.0, 15.0
_LEAST, _MOST = 96, 320
"""The sides that images are drawn with at least, where nothing else is said, and at most, in pixels."""


@dataclass(frozen=True)
class Figure:
    """Numbers with a picture of them; in a notebook it shows itself.

    Attributes:
        data: the numbers, as the function that made the figure says.
        canvas: the picture.
    """

    data: Any
    canvas: Canvas = field(repr=False)

    def to_svg(self) -> str:
        """The picture as SVG, which follows the light or dark scheme of whoever looks at it."""
        return to_svg(self.canvas)

    def to_png(self, *, dark: bool = False, scale: int = 2) -> bytes:
        """The picture as a PNG file.

        Args:
            dark: on dark paper.
            scale: pixels of the file to one of the picture.

        Raises:
            MissingPackageError: Pillow is not installed.
        """
        return to_png(self.canvas, dark=dark, scale=scale)

    def save(self, path: str | Path, **options: Any) -> None:
        """Write the picture to a file, by its ending .svg or .png.

        Args:
            path: where to.
            options: those of :meth:`to_png`.

        Raises:
            OptionError: the file has another ending.
            WriteError: it cannot be written; an old file is kept.
            MissingPackageError: Pillow is not installed, which .png needs.
        """
        file = Path(path)
        if file.suffix not in (".svg", ".png"):
            raise OptionError("Figure.save", rule="the file ends in .svg or .png", got=repr(str(path)))
        drawn = self.to_png(**options) if file.suffix == ".png" else self.to_svg().encode()
        saving.save(file, drawn, rule="the picture cannot be written")

    def _repr_svg_(self) -> str:
        return self.to_svg()


@dataclass(frozen=True)
class Panel:
    """An image with words below it.

    Attributes:
        pixels: uint8 (H, W, 3).
        caption: a line or two.
        frame: the name of a colour, or "".
    """

    pixels: np.ndarray
    caption: tuple[str, ...] = ()
    frame: str = ""


def grid(
    title: str,
    panels: Sequence[Panel],
    *,
    columns: int,
    heads: Sequence[str] = (),
    note: str = "",
    least: int = _LEAST,
) -> Canvas:
    """Images row by row.

    Args:
        title: stands above.
        panels: the images.
        columns: how many stand in a row.
        heads: what the columns are called.
        note: a line below the title.
        least: the longer side of an image is drawn at least so long.
    """
    canvas = Canvas(title)
    tallest = max(p.pixels.shape[0] for p in panels)
    widest = max(p.pixels.shape[1] for p in panels)
    factor = _factor(max(widest, tallest), least)
    width, height = factor * widest, factor * tallest
    lines = max(len(p.caption) for p in panels)
    top = _headed(canvas, title, note)
    for column, head in enumerate(heads):
        canvas.add(Text(_EDGE + column * (width + _GAP) + width / 2, top + SMALL, head, SMALL, "middle", "faint"))
    top += _LINE + 2 if heads else 0
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        x, y = _EDGE + column * (width + _GAP), top + row * (height + _GAP + _LINE * lines)
        own = factor * panel.pixels.shape[1], factor * panel.pixels.shape[0]
        canvas.add(Bitmap(x, y, *own, panel.pixels, ", ".join(panel.caption)))
        if panel.frame:
            canvas.add(Box(x - 2, y - 2, own[0] + 4, own[1] + 4, panel.frame, line=2))
        for line, text in enumerate(panel.caption):
            colour = panel.frame if panel.frame and not line else "ink" if not line else "faint"
            canvas.add(
                Text(
                    x, y + own[1] + _LINE * (line + 1) - 2, fitting(text, width + _GAP / 2, SMALL), SMALL, colour=colour
                )
            )
    canvas.height += _EDGE + _LINE * lines
    canvas.width = max(canvas.width + _EDGE, _EDGE * 2 + 0.56 * TEXT * len(title), _EDGE * 2 + 0.5 * SMALL * len(note))
    return canvas


def _headed(canvas: Canvas, title: str, note: str) -> float:
    """Write the title and the note; where the rest begins."""
    canvas.add(Text(_EDGE, _EDGE + TEXT, title, TEXT, bold=True))
    if note:
        canvas.add(Text(_EDGE, _EDGE + TEXT + _LINE + 2, note, SMALL, colour="faint"))
    return _EDGE + TEXT + (_LINE + 2 if note else 0) + _GAP


def _factor(side: int, least: int) -> float:
    """By how much images are made larger, whole where they are small, so that every pixel is as large as the next."""
    if side > _MOST:
        return _MOST / side
    return float(max(1, -(-least // side)))
