"""Tables in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from benchmarks.measured import Found, Measured, ahead, best
from benchmarks.systems import NATIVE


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under a header."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(measured: Measured, scale: float) -> str:
    """Least to most."""
    low, high = (f(measured.values) * scale for f in (min, max))
    return f"{number(low)} - {number(high)}"


def number(value: float) -> str:
    """Three or four digits that count."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def by_system(found: Found, unit: str, scale: float, against: str = NATIVE) -> str:
    """A table for each piece of work, a line for each system, with its ratio to one of them.

    Args:
        found: what was measured.
        unit: heads the column of medians.
        scale: from seconds or bytes to the unit.
        against: the system that others are held against.
    """
    parts = []
    for work, systems in found.items():
        rows = [
            _line(system, measured, scale, ahead(found, work, against, system)) for system, measured in systems.items()
        ]
        parts.append(f"### {work}\n\n{table(('system', unit, 'least - most', f'against {against}'), rows)}")
    return "\n\n".join(parts)


def _line(system: str, measured: Measured, scale: float, ratio: float) -> list[str]:
    if not measured.values:
        return [system, f"not measured: {measured.problem}", "", ""]
    note = f" ({measured.problem})" if measured.problem else ""
    times = "" if math.isnan(ratio) else f"{ratio:.2f}"
    return [system + note, number(measured.median * scale), spread(measured, scale), times]


def by_work(found: Found, unit: str, scale: float, first: str) -> str:
    """One table: a line for each piece of work, a column for each system, and the best peer's time against ours."""
    systems = list(dict.fromkeys(system for row in found.values() for system in row))
    peers = [system for system in systems if system != NATIVE]
    rows = []
    for work in found:
        cells = [cell(found[work].get(system, Measured()), scale) for system in systems]
        name, ratio = best(found, work, NATIVE, peers)
        rows.append([work, *cells, "" if math.isnan(ratio) else f"{ratio:.2f} ({name})"])
    heads = [f"{system}, {unit}" for system in systems]
    return table((first, *heads, f"best peer against {NATIVE}"), rows)


def cell(measured: Measured, scale: float) -> str:
    """Median and spread in one cell, or what went wrong."""
    if not measured.values:
        return measured.problem
    return f"{number(measured.median * scale)} ({spread(measured, scale)})"
