"""A canvas as SVG: one element that stands for itself, in light and dark; images are inside as PNG."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from gradloom.drawing.svg import clean
from gradloom.report.canvas import Bitmap, Box, Canvas, Text
from gradloom.report.colours import DARK, LIGHT


def _variables(scheme: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in scheme.items())


_STYLE = f"""
.see {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ .see {{ {_variables(DARK)} }} }}
svg.see {{ background: var(--paper); font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }}
.see image {{ image-rendering: pixelated; }}
"""


def to_svg(canvas: Canvas) -> str:
    """A canvas as an ``<svg>`` element."""
    width, height = canvas.width, canvas.height
    return "\n".join(
        [
            f'<svg class="see" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{clean(canvas.title)}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">',
            f"<style>{_STYLE}</style>",
            *map(_element, canvas.items),
            "</svg>",
        ]
    )


def png_bytes(pixels: np.ndarray) -> bytes:
    """An image, uint8 (H, W, 3), as a PNG file: RFC 2083 without anything that is optional."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with the number of its filter, 0 for none
    rows[:, 1:] = pixels.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _element(item: Box | Text | Bitmap) -> str:
    if isinstance(item, Text):
        bold = ' font-weight="600"' if item.bold else ""
        return (
            f'<text x="{item.x:.1f}" y="{item.y:.1f}" font-size="{item.size:g}" text-anchor="{item.anchor}"{bold} '
            f'style="fill: {_paint(item.colour)}">{clean(item.text)}</text>'
        )
    place = f'x="{item.x:.1f}" y="{item.y:.1f}" width="{item.width:.1f}" height="{item.height:.1f}"'
    if isinstance(item, Bitmap):
        data = base64.b64encode(png_bytes(item.pixels)).decode()
        about = f"<title>{clean(item.about)}</title>" if item.about else ""
        return f'<image {place} preserveAspectRatio="none" href="data:image/png;base64,{data}">{about}</image>'
    if item.line:
        return f'<rect {place} style="fill: none; stroke: {_paint(item.colour)}; stroke-width: {item.line:g}"/>'
    return f'<rect {place} style="fill: {_paint(item.colour)}; fill-opacity: {item.share:.3f}"/>'


def _paint(colour: str) -> str:
    return f"var(--{colour})" if colour in LIGHT else colour
