"""A canvas as a PNG file, drawn by Pillow."""

from __future__ import annotations

import io

from gradloom.errors import MissingPackageError
from gradloom.report.canvas import Bitmap, Box, Canvas, Text
from gradloom.report.colours import DARK, LIGHT, Rgb, rgb

_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def to_png(canvas: Canvas, *, dark: bool = False, scale: int = 2) -> bytes:
    """A canvas as a PNG file.

    Args:
        canvas: what to draw.
        dark: on dark paper.
        scale: pixels of the file to one of the canvas.

    Raises:
        MissingPackageError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415
    except ImportError:
        raise MissingPackageError(
            "to_png",
            rule="drawing PNG files needs Pillow",
            got="an installation without it",
            fix="Run: pip install 'gradloom[images]', or save as .svg, which needs nothing.",
        ) from None
    scheme = {name: rgb(colour) for name, colour in (DARK if dark else LIGHT).items()}
    size = round(canvas.width * scale), round(canvas.height * scale)
    page = Image.new("RGB", size, scheme["paper"])
    pen = ImageDraw.Draw(page)
    for item in canvas.items:
        if isinstance(item, Text):
            font = ImageFont.load_default(item.size * scale)
            colour = scheme.get(item.colour) or rgb(item.colour)
            stroke = scale * 0.35 if item.bold else 0
            place = item.x * scale, item.y * scale
            pen.text(place, item.text, colour, font, _ANCHORS[item.anchor], stroke_width=stroke, stroke_fill=colour)
            continue
        left, top = round(item.x * scale), round(item.y * scale)
        right, bottom = round((item.x + item.width) * scale), round((item.y + item.height) * scale)
        if isinstance(item, Bitmap):
            shrinks = item.pixels.shape[1] > right - left
            method = Image.Resampling.BOX if shrinks else Image.Resampling.NEAREST
            drawn = Image.fromarray(item.pixels).resize((right - left, bottom - top), method)
            page.paste(drawn, (left, top))
        elif item.line:
            pen.rectangle((left, top, right - 1, bottom - 1), None, scheme[item.colour], round(item.line * scale))
        else:
            pen.rectangle((left, top, right - 1, bottom - 1), _mixed(item, scheme))
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def _mixed(box: Box, scheme: dict[str, Rgb]) -> Rgb:
    """A box's colour on the paper."""
    paper, colour = scheme["paper"], scheme[box.colour]
    red, green, blue = (round((1 - box.share) * p + box.share * c) for p, c in zip(paper, colour))
    return red, green, blue
