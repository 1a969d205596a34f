"""The template filled in: everything is escaped but pictures, which escape what they write themselves."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

import gradloom
from gradloom.drawing import plot, svg
from gradloom.drawing.svg import cleaned
from gradloom.errors import MissingPackageError
from gradloom.report.html.blocks import Section


def render(title: str, sections: Sequence[Section]) -> str:
    """The document.

    Args:
        title: of the page.
        sections: in order.

    Raises:
        MissingPackageError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined  # noqa: PLC0415
    except ImportError:
        raise MissingPackageError(
            "report",
            rule="pages are made with Jinja2",
            got="an installation without it",
            fix="Run: pip install 'gradloom[report]'.",
        ) from None
    folder = resources.files(__package__ or "gradloom.report.html")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((folder / "page.html").read_text("utf-8"))
    style = (folder / "page.css").read_text("utf-8")
    drawings = plot.STYLE + svg.STYLE
    text = template.render(title=title, sections=sections, style=style + drawings, version=gradloom.__version__)
    return cleaned(text) + "\n"
