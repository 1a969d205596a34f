"""How long the doctor may take, and what was left out or shortened for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import field
from typing import TypeVar

from gradloom.records import dataclass

Result = TypeVar("Result")

LEAST = 0.25
"""An experiment that can have no more than this share of its steps is left out: it would prove nothing."""


class TimeIsUp(Exception):
    """An experiment was under way when the budget was spent."""


@dataclass
class Budget:
    """Seconds for a diagnosis, from now on.

    Attributes:
        seconds: that may be spent; infinite for no bound.
        clock: tells the time in seconds.
        notes: what was left out or shortened, a sentence each.
    """

    seconds: float = math.inf
    clock: Callable[[], float] = time.perf_counter
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._started = self.clock()

    @property
    def left(self) -> float:
        """Seconds that may still be spent."""
        return max(self.seconds - (self.clock() - self._started), 0.0)

    def check(self) -> None:
        """See that there is time to go on.

        Raises:
            TimeIsUp: there is none.
        """
        if not self.left:
            raise TimeIsUp

    def tried(self, what: str, experiment: Callable[[], Result]) -> Result | None:
        """What an experiment finds; None where the time is up before it ends, which is noted.

        Args:
            what: its name, for the note.
            experiment: asks :meth:`check` now and then.
        """
        try:
            return experiment()
        except TimeIsUp:
            self.skip(what, f"It was broken off when the budget of {self.seconds:g} s was spent.")
            return None

    def grant(self, what: str, steps: int, seconds: float, *, whole: bool = False) -> int:
        """How many steps an experiment may take; 0 if it must be left out.

        Args:
            what: its name, for the note.
            steps: that it would take.
            seconds: that one of these costs.
            whole: whether fewer steps are of no use.
        """
        cost, left = steps * seconds, self.left
        if cost <= left and left:
            return steps
        if not left:
            self.skip(what, f"Nothing is left of the budget of {self.seconds:g} s.")
            return 0
        granted = int(left / seconds)
        means = f"{steps} steps would take about {cost:.2g} s, and {left:.2g} s of {self.seconds:g} s are left"
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
