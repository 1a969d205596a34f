"""A picture as SVG: one element that stands for itself, in light and dark, without anything from elsewhere."""

from __future__ import annotations

import re
from html import escape
from itertools import pairwise

from gradloom.drawing.layout import Layout, Rectangle, lay_out
from gradloom.drawing.picture import FONT_SIZE, LABEL_SIZE, Box, Picture

STYLE = f"""
.gl {{ color-scheme: light dark; --paper: #ffffff; --ink: #1d2330; --faint: #69707f; --line: #8a93a5;
  --operation: #f3f5f9; --edge: #c3cad8; --input: #dcebff; --input-edge: #6ea0e8; --output: #d8f3e1;
  --output-edge: #47a46d; --group: #fff3d6; --group-edge: #d9a437; --backward: #f8e3f0; --backward-edge: #c774a6;
  --update: #e4f4ef; --update-edge: #55ab94; --mark: #c2410c; }}
@media (prefers-color-scheme: dark) {{ .gl {{ --paper: #14171e; --ink: #e8ebf2; --faint: #98a1b3; --line: #6b7588;
  --operation: #222733; --edge: #3e4758; --input: #1b3050; --input-edge: #4c7fc9; --output: #173826;
  --output-edge: #3f9362; --group: #3b3017; --group-edge: #b5882e; --backward: #3b2233; --backward-edge: #a85b89;
  --update: #17352e; --update-edge: #3f8a77; --mark: #fb923c; }} }}
svg.gl {{ background: var(--paper); font: {FONT_SIZE}px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono",
  monospace; }}
.gl rect {{ fill: var(--operation); stroke: var(--edge); }}
.gl text {{ fill: var(--ink); text-anchor: middle; }}
.gl .more {{ fill: var(--faint); }}
.gl .first {{ font-weight: 600; }}
.gl .input rect {{ fill: var(--input); stroke: var(--input-edge); }}
.gl .output rect {{ fill: var(--output); stroke: var(--output-edge); stroke-width: 1.6; }}
.gl .backward rect {{ fill: var(--backward); stroke: var(--backward-edge); }}
.gl .update rect {{ fill: var(--update); stroke: var(--update-edge); }}
.gl .folded rect {{ stroke-width: 1.6; }}
.gl .group rect {{ fill: var(--group); stroke: var(--group-edge); }}
.gl .outside rect {{ fill: none; stroke-dasharray: 4 3; }}
.gl .quiet {{ opacity: 0.55; }}
.gl .label text {{ font-size: {LABEL_SIZE}px; fill: var(--faint); }}
.gl .label .first {{ font-weight: 400; }}
.gl .mark text, .gl .mark .more {{ fill: var(--mark); }}
.gl .label rect {{ fill: var(--paper); stroke: none; }}
.gl path {{ fill: none; stroke: var(--line); stroke-width: 1.3; }}
.gl path.mark {{ stroke: var(--mark); }}
.gl path.quiet {{ stroke-dasharray: 3 3; }}
.gl path.head {{ fill: var(--line); stroke: none; }}
.gl path.head.mark {{ fill: var(--mark); }}
.gl a {{ cursor: pointer; text-decoration: none; }}
.gl a:hover rect, .gl a:focus rect {{ stroke: var(--mark); }}
"""

_ARROW = 7.0
_READABLE = 0.72
"""How far a picture may shrink with the window, so that it can still be read."""
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_svg(picture: Picture, *, style: bool = True) -> str:
    """A picture as an ``<svg>`` element.

    Args:
        picture: boxes and arrows.
        style: whether the style stands inside, as it must where the page has none.
    """
    found = lay_out(picture)
    width, height = found.width, found.height
    return "\n".join(
        [
            f'<svg class="gl" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{clean(picture.title)}" '
            f'viewBox="0 0 {width:.1f} {height:.1f}" width="{width:.0f}" height="{height:.0f}" '
            f'style="min-width:{_READABLE * width:.0f}px">',
            *([f"<style>{STYLE}</style>"] if style else []),
            *_arrows(picture, found),
            *(_box(box, found.places[box.name]) for box in picture.boxes),
            "</svg>",
        ]
    )


def clean(text: str) -> str:
    """Text as it may stand in XML, in attributes as well; characters that may not are replaced."""
    return escape(cleaned(text))


def cleaned(text: str) -> str:
    """Text without characters that no document may hold, such as the halves that names of files can have."""
    return _NOT_IN_XML.sub("\ufffd", text)


def _arrows(picture: Picture, found: Layout) -> list[str]:
    """All lines, then the heads; stretches that arrows share are drawn once, and a label has no head at it."""
    labels = {box.name for box in picture.boxes if box.is_label}
    lines: dict[tuple[str, str], None] = {}
    heads = []
    for arrow, route in zip(picture.arrows, found.routes):
        kind = f' class="{arrow.kind}"' if arrow.kind else ""
        lines.update(((kind, stretch), None) for stretch in _stretches(route))
        if route and arrow.target not in labels:
            (x, y), (_, before) = route[-1], route[-2]
            size = _ARROW if y >= before else -_ARROW
            heads.append(
                f'<path class="head{" " + arrow.kind if arrow.kind else ""}" '
                f'd="M{x:.1f},{y:.1f}l{-size / 2:.1f},{-size:.1f}h{size:.1f}z"/>'
            )
    return [*(f'<path{kind} d="{stretch}"/>' for kind, stretch in lines), *dict.fromkeys(heads)]


def _stretches(route: list[tuple[float, float]]) -> list[str]:
    """The straight pieces and the curves between them."""
    pieces = []
    for i, ((x, y), (u, v)) in enumerate(pairwise(route)):
        middle = (y + v) / 2
        curve = f"C{x:.1f},{middle:.1f} {u:.1f},{middle:.1f} {u:.1f},{v:.1f}" if i % 2 else f"L{u:.1f},{v:.1f}"
        if (x, y) != (u, v):
            pieces.append(f"M{x:.1f},{y:.1f}{curve}")
    return pieces


def _box(box: Box, place: Rectangle) -> str:
    middle, first = place.x + place.width / 2, place.y + (place.height - len(box.lines) * box.line_height) / 2
    rounded = 6 if not box.is_label else 2
    corner = f'x="{place.x:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" rx="{rounded}"'
    lines = [
        f'<text class="{"more" if i else "first"}" x="{middle:.1f}" '
        f'y="{first + (i + 0.76) * box.line_height:.1f}">{clean(line)}</text>'
        for i, line in enumerate(box.lines)
    ]
    hint = f"<title>{clean(box.hint)}</title>" if box.hint else ""
    inside = f'<g class="box {box.kind}" data-box="{clean(box.name)}">{hint}<rect {corner}/>{"".join(lines)}</g>'
    return f'<a href="#{clean(box.link)}">{inside}</a>' if box.link else inside
