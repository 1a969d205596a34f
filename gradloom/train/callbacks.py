"""What happens between epochs: stopping early, giving back the best weights, saving, a user's own functions."""

from __future__ import annotations

import math
from typing import Any, Protocol

from gradloom.errors import OptionError, unknown_name
from gradloom.nn import Module
from gradloom.train.history import History, is_better


class Run(Protocol):
    """What a callback may use of the trainer."""

    model: Module
    history: History

    def stop(self, reason: str) -> None:
        """End training after this epoch."""
        ...

    def falls(self, column: str) -> bool:
        """Whether a column of the history should fall (losses, errors) rather than rise."""
        ...

    def save(self, path: Any) -> None:
        """Write the model file."""
        ...


class Callback:
    """Base: override what you need.  ``run`` is the trainer; call ``run.stop(reason)`` to end training."""

    def on_start(self, run: Run) -> None:
        """Before the first epoch."""

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        """After each epoch; ``row`` is its line of the history."""

    def on_end(self, run: Run) -> None:
        """After training, however it ended."""


class EarlyStopping(Callback):
    """Stop when a monitored quantity no longer improves, and always give back the best weights.

    Args:
        monitor: a column of the history, ``val_loss`` by default.
        patience: stop after so many epochs without improvement.
        margin: smaller changes do not count as improvement.
        warmup: epochs at the start during which training never stops.
    """

    def __init__(self, patience: int = 5, *, monitor: str = "val_loss", margin: float = 0.0, warmup: int = 0) -> None:
        if patience < 1:
            raise OptionError("EarlyStopping", rule="patience is a whole number of epochs from 1", got=str(patience))
        self.patience, self.monitor, self.margin, self.warmup = patience, monitor, margin, warmup

    def on_start(self, run: Run) -> None:
        self.best = math.inf if run.falls(self.monitor) else -math.inf
        self.best_epoch: int | None = None
        self.since = self.seen = 0
        self.kept: Any = None

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        if self.monitor not in row:
            fix = "" if not self.monitor.startswith("val_") else " Pass validation data to fit."
            error = unknown_name("EarlyStopping", "column of the history", self.monitor, row)
            error.fix += fix
            raise error
        value = row[self.monitor]
        self.seen += 1
        self.since += 1
        if is_better(value, self.best, falls=run.falls(self.monitor), margin=self.margin):
            self.best, self.best_epoch, self.since = value, int(row["epoch"]), 0
            self.kept = run.model.parameters(), run.model.state()
        if self.since >= self.patience and self.seen > self.warmup:
            run.stop(f"{self.monitor} has not improved for {self.patience} epochs")

    def on_end(self, run: Run) -> None:
        if self.kept is not None and math.isfinite(self.best):
            run.model.load(*self.kept)
            run.history.best_epoch = self.best_epoch
            self.kept = None


class Checkpoint(Callback):
    """Save the run after every epoch; the file is replaced in one step, so it is never half written.

    Args:
        path: the model file.
    """

    def __init__(self, path: Any) -> None:
        self.path = path

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        run.save(self.path)
