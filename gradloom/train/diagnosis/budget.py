"""What the doctor's experiments may cost, and what was left out or shortened for it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field

from gradloom.records import dataclass

LEAST = 0.25
"""An experiment that can have no more than this share of its steps is left out: it would prove nothing."""


@dataclass
class Budget:
    """Seconds for short trainings, counted while they run, compiling included.

    Attributes:
        seconds: that may be spent; infinite for no bound.
        spent: so far.
        notes: what was left out or shortened, a sentence each.
    """

    seconds: float = math.inf
    spent: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds that may still be spent."""
        return max(self.seconds - self.spent, 0.0)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Count the time of what runs inside."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.spent += time.perf_counter() - started

    def grant(self, what: str, steps: int, seconds: float, *, whole: bool = False) -> int:
        """How many steps an experiment may take; 0 if it must be left out.

        Args:
            what: its name, for the note.
            steps: that it would take.
            seconds: that one of these costs.
            whole: whether fewer steps are of no use.
        """
        cost = steps * seconds
        if cost <= self.left and self.left:
            return steps
        if not self.left:
            self.skip(what, f"Nothing is left of the budget of {self.seconds:g} s.")
            return 0
        granted = int(self.left / seconds)
        means = f"{steps} steps would take about {cost:.2g} s, and {self.left:.2g} s of {self.seconds:g} s are left"
        if whole or granted < LEAST * steps:
            self.skip(what, f"{means}.")
            return 0
        self.notes.append(f"Shortened to {granted} steps: {what}. {means}.")
        return granted

    def skip(self, what: str, why: str) -> None:
        """Note what cannot be examined here.

        Args:
            what: a check.
            why: a sentence.
        """
        self.notes.append(f"Left out: {what}. {why}")
