"""What was measured, and what was wanted."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measured:
    """The figures of one system at one piece of work.

    Attributes:
        values: seconds (or bytes), one for each round.
        problem: why there are none, or what is wrong with them.
    """

    values: tuple[float, ...] = ()
    problem: str = ""

    @property
    def median(self) -> float:
        """Of the rounds; NaN where there is none."""
        return statistics.median(self.values) if self.values else math.nan


Found = dict[str, dict[str, Measured]]
"""By name of work, then of system."""


def to_json(found: Found) -> dict[str, Any]:
    """For the file of results."""
    return {w: {s: {"values": m.values, "problem": m.problem} for s, m in row.items()} for w, row in found.items()}


def from_json(data: dict[str, Any]) -> Found:
    """What :func:`to_json` made."""
    return {w: {s: Measured(tuple(m["values"]), m["problem"]) for s, m in row.items()} for w, row in data.items()}


def against(measured: Measured, other: Measured) -> list[float]:
    """The ratio of each turn to the other's turn beside it, the least first.

    The machine's clock changes by up to two from one second to the next; turns of one round see much the same clock,
    so their ratio says more than that of two medians.
    """
    return sorted(a / b for a, b in zip(measured.values, other.values))


def middle(ratios: list[float]) -> tuple[float, float, float]:
    """The median of ratios, and between which lies the middle half of them."""
    if len(ratios) < 2:
        return (ratios * 3)[0], (ratios * 3)[0], (ratios * 3)[0]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return median, low, high


def ahead(found: Found, work: str, system: str, peer: str) -> float:
    """How many times as long as a system a peer takes: the median of the rounds' ratios; NaN where one is missing."""
    row = found.get(work, {})
    ratios = against(row.get(peer, Measured()), row.get(system, Measured()))
    return statistics.median(ratios) if ratios else math.nan


def median(found: Found, work: str, system: str) -> float:
    """The median of a system at some work; NaN where it was not measured."""
    return found.get(work, {}).get(system, Measured()).median


def best(found: Found, work: str, system: str, peers: Iterable[str]) -> tuple[str, float]:
    """The fastest of a system's peers, and how far the system is :func:`ahead` of it; ("", NaN) without a peer."""
    ratios = {p: r for p in peers if not math.isnan(r := ahead(found, work, system, p))}
    return min(ratios.items(), key=lambda item: item[1]) if ratios else ("", math.nan)


@dataclass(frozen=True)
class Goal:
    """Something that the measurements shall show.

    Attributes:
        number: of the goal in the list of goals.
        wanted: what.
        got: what was measured.
        met: whether it is so; None where it could not be measured.
    """

    number: int
    wanted: str
    got: str
    met: bool | None


def at_least(number: int, wanted: str, ratio: float, bound: float) -> Goal:
    """A goal that a ratio reaches a bound."""
    return Goal(
        number, wanted, "" if math.isnan(ratio) else f"{ratio:.2f}", None if math.isnan(ratio) else ratio >= bound
    )


def at_most(number: int, wanted: str, value: float, bound: float, shown: str) -> Goal:
    """A goal that a value stays below a bound."""
    return Goal(number, wanted, "" if math.isnan(value) else shown, None if math.isnan(value) else value <= bound)
