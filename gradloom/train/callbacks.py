"""What happens between epochs: stopping early, giving back the best weights, saving, a user's own functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from gradloom import options
from gradloom.errors import unknown_name
from gradloom.nn import Module
from gradloom.optim import Optimizer
from gradloom.train.history import History, is_better


class Run(Protocol):
    """What a callback may use of the trainer."""

    model: Module
    history: History
    optimizer: Optimizer
    batch_size: int | None
    rows: int | None

    def penalty(self) -> float:
        """What the penalties add to the loss."""
        ...

    def evaluate(self, data: Any) -> dict[str, Any]:
        """Loss and metrics on a data set."""
        ...

    def stop(self, reason: str) -> None:
        """End training after this epoch."""
        ...

    def falls(self, column: str) -> bool:
        """Whether a column of the history should fall (losses, errors) rather than rise."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """All that training changes, for :meth:`restore`."""
        ...

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot."""
        ...

    def save(self, path: str | Path) -> None:
        """Write the model file."""
        ...


class Callback:
    """Base: override what you need.  ``run`` is the trainer; call ``run.stop(reason)`` to end training."""

    def on_start(self, run: Run) -> None:
        """Before the first epoch."""

    def is_due(self) -> bool:
        """Asked once after each epoch: whether to call :meth:`on_epoch`."""
        return True

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        """After each epoch.

        Args:
            run: the trainer.
            row: the epoch's line of the history.
        """

    def on_end(self, run: Run) -> None:
        """After training, however it ended; ``run.history.stopped`` says how."""


def column_of(row: Mapping[str, float], name: str, who: str) -> float:
    """A value of a row of the history.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name not in row:
        error = unknown_name(who, "column of the history", name, row)
        error.fix += " Pass validation data to fit." if name.startswith("val_") else ""
        raise error
    return row[name]


class EarlyStopping(Callback):
    """Stop when a monitored quantity no longer improves, and give back the best weights, whatever ended training.

    With the weights come the state and the optimiser's state of the best epoch, so training can go on from there.

    Args:
        patience: stop after so many epochs without improvement.
        monitor: a column of the history, ``val_loss`` by default.
        margin: smaller changes do not count as improvement.
        warmup: epochs at the start during which training never stops.
        restore: which weights are given back: "best" for those of the best epoch; "best_gap" for those of the epoch
            with the smallest generalisation gap |E_out - E_in|, that is between ``val_loss`` and ``loss``, or
            ``val_<metric>`` and ``<metric>`` as ``monitor`` says (catalogue 154); "last" for the last ones.  Before
            training the gap is small too, so "best_gap" passes over the epochs of the warm-up.

    Raises:
        OptionError: an option is out of range.
        UnknownNameError: after the first epoch, if the history has no such column.

    Source: Prechelt, "Early stopping - but when?" (1998).
    """

    def __init__(
        self,
        patience: int = 5,
        *,
        monitor: str = "val_loss",
        margin: float = 0.0,
        warmup: int = 0,
        restore: str = "best",
    ) -> None:
        self.patience = options.whole("EarlyStopping", "patience", patience)
        self.monitor = monitor
        self.margin = options.number("EarlyStopping", "margin", margin, low=0)
        self.warmup = options.whole("EarlyStopping", "warmup", warmup, least=0)
        self.restore = options.choice("EarlyStopping", "restore", restore, ("best", "best_gap", "last"))

    def on_start(self, run: Run) -> None:
        """Forget what an earlier training kept."""
        self.best = math.inf if run.falls(self.monitor) else -math.inf
        self.smallest_gap = math.inf
        self.kept_epoch: int | None = None
        self.since = self.seen = 0
        self.kept: dict[str, Any] | None = None

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        """Keep the weights if they are the best so far; stop if none were for too long."""
        value = column_of(row, self.monitor, "EarlyStopping")
        self.seen += 1
        self.since += 1
        if is_better(value, self.best, falls=run.falls(self.monitor), margin=self.margin):
            self.best, self.since = value, 0
            if self.restore == "best":
                self._keep(run, row)
        if self.restore == "best_gap" and self.seen > self.warmup:
            gap = self._gap(row)
            if gap < self.smallest_gap:
                self.smallest_gap = gap
                self._keep(run, row)
        if self.since >= self.patience and self.seen > self.warmup:
            run.stop(f"{self.monitor} has not improved for {self.since} epochs")

    def on_end(self, run: Run) -> None:
        """Give the kept weights back; where no epoch was finished, the weights stay as they are."""
        if self.kept is not None:
            run.restore(self.kept)
            run.history.best_epoch, self.kept = self.kept_epoch, None

    def _keep(self, run: Run, row: dict[str, float]) -> None:
        self.kept, self.kept_epoch = run.snapshot(), int(row["epoch"])

    def _gap(self, row: dict[str, float]) -> float:
        """|E_out - E_in|."""
        name = self.monitor.removeprefix("val_")
        outside, inside = (column_of(row, column, "EarlyStopping") for column in (f"val_{name}", name))
        return abs(outside - inside)


class Checkpoint(Callback):
    """Save the run after every epoch; the file is replaced in one step, so it is never half written.

    It holds the run as it stands, so that training can go on exactly, not the best weights.

    Args:
        path: the model file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        """Replace the file."""
        run.save(self.path)
