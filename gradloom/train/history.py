"""What happened epoch by epoch: a table of losses and metrics, kept with the model."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np

from gradloom import options, saving
from gradloom.errors import unknown_name
from gradloom.records import dataclass


def is_better(new: float, old: float, *, falls: bool, margin: float = 0.0) -> bool:
    """Whether a value is an improvement: of a quantity that should fall (a loss), or rise (an accuracy)."""
    if math.isnan(new):
        return False
    return new < old - margin if falls else new > old + margin


def reason_of(problem: BaseException) -> str:
    """Why training ended before its time."""
    is_interrupt = isinstance(problem, KeyboardInterrupt)
    return "interrupted by Ctrl-C" if is_interrupt else f"an error ({type(problem).__name__})"


def _plain(value: float) -> float:
    """A number that JSON can hold; callbacks may put NumPy's into a row."""
    return value if type(value) is int else float(value)


@dataclass
class History:
    """The course of training.

    Attributes:
        rows: one dict an epoch: ``epoch``, ``loss``, the metrics, and the same with ``val_`` in front.
        best_epoch: the epoch whose weights the model has where the best were given back, else None.
        stopped: why training ended, as a sentence.
        costs: the mean loss of the examples of each update since the run was made or loaded, before the update.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    stopped: str = ""

    def __post_init__(self) -> None:
        self._sums: list[Sequence[np.ndarray]] = []  # of this process: no field, and not saved

    @property
    def costs(self) -> np.ndarray:
        """See the class; shape (updates,)."""
        if not self._sums:
            return np.zeros(0)
        weights, losses = (np.concatenate(parts, dtype=np.float64) for parts in zip(*self._sums))
        return losses / np.where(weights > 0, weights, 1)

    def note(self, sums: Sequence[np.ndarray]) -> None:
        """Keep the losses of some updates: their total weights and sums of losses, each of shape (updates,)."""
        self._sums.append(sums[:2])

    def running_average(self, last: int = 1000) -> np.ndarray:
        """The cost averaged over the last iterations, at each iteration (catalogue 128): whether descent by noisy
        batches converges is seen by this curve.

        Args:
            last: over how many; at the beginning over as many as there are.

        Returns:
            Shape (updates,).
        """
        count = options.whole("running_average", "last", last)
        sums = np.concatenate([[0.0], np.cumsum(self.costs)])
        ends = np.arange(1, len(sums))
        starts = np.maximum(ends - count, 0)
        return (sums[ends] - sums[starts]) / (ends - starts)

    def column(self, name: str) -> list[float]:
        """One quantity over the epochs.

        Args:
            name: ``loss``, ``val_loss``, a metric's name.

        Returns:
            Its values; an epoch without one is left out.

        Raises:
            UnknownNameError: no epoch has it.
        """
        if self.rows and not any(name in row for row in self.rows):
            raise unknown_name("History", "column", name, self.rows[-1])
        return [row[name] for row in self.rows if name in row]

    def as_json(self) -> dict[str, Any]:
        """For the header of a model file."""
        rows = [{name: _plain(value) for name, value in row.items()} for row in self.rows]
        return {"rows": rows, "best_epoch": self.best_epoch, "stopped": self.stopped}

    def write_csv(self, path: str | Path) -> None:
        """One line an epoch."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, names)
        writer.writeheader()
        writer.writerows(self.rows)
        saving.save(path, text.getvalue())

    def write_json(self, path: str | Path) -> None:
        """All of it."""
        saving.save(path, json.dumps(self.as_json(), indent=1))
