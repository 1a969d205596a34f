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


def median(found: Found, work: str, system: str) -> float:
    """The median of a system at some work; NaN where it was not measured."""
    return found.get(work, {}).get(system, Measured()).median


def best(found: Found, work: str, systems: Iterable[str]) -> tuple[str, float]:
    """The system with the least median, and that median; ("", NaN) where none was measured."""
    medians = {s: m for s in systems if not math.isnan(m := median(found, work, s))}
    return min(medians.items(), key=lambda item: item[1]) if medians else ("", math.nan)


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
