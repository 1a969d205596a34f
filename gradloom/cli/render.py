"""What the commands print: sentences and tables, set by rich on a terminal, plain text elsewhere; or JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from gradloom.drawing.chart import finite
from gradloom.records import dataclass

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Screen:
    """Standard output as the user wants it.

    Attributes:
        as_json: print JSON alone.
        quiet: print results alone.
    """

    as_json: bool = False
    quiet: bool = False

    def note(self, sentence: str) -> None:
        """Something that a user may want to know on the way."""
        if not self.as_json and not self.quiet:
            _write(sentence)

    def result(self, sentence: str) -> None:
        """Something that the command was called for."""
        if not self.as_json:
            _write(sentence)

    def table(self, title: str, head: Sequence[str], rows: Rows, *, texts: int = 1) -> None:
        """A table; its first ``texts`` columns are text, the others figures, which are set flush right."""
        if self.as_json:
            return
        if sys.stdout.isatty():
            _write_rich(title, head, rows, texts)
        else:
            _write(plain_table(title, head, rows, texts))

    def json(self, value: dict[str, Any]) -> None:
        """The one JSON object, where it was asked for."""
        if self.as_json:
            _write(json.dumps(finite(value)))


def plain_table(title: str, head: Sequence[str], rows: Rows, texts: int = 1) -> str:
    """Columns aligned by spaces."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(w) if i < texts else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))
        ).rstrip()
        for row in (head, *rows)
    ]
    rule = "  ".join("-" * w for w in widths)
    return "\n".join([*filter(None, [title]), lines[0], rule, *lines[1:]])


def number(value: float | None) -> str:
    """A figure for people: four significant digits, and all digits before the point."""
    if value is None or math.isnan(value):
        return "-"
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if 0 < abs(value) < 1 else f"{value:.4g}"


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names with commas between them, the first ones where there are more than ``most``, and how many there are."""
    return ", ".join(names[:most]) + (f", ... ({len(names)})" if len(names) > most else "")


def _write(text: str) -> None:
    print(text, flush=True)  # noqa: T201  at once, also into a pipe


def _write_rich(title: str, head: Sequence[str], rows: Rows, texts: int) -> None:
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for i, name in enumerate(head):
        table.add_column(Text(name), justify="left" if i < texts else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
