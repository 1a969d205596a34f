"""When to stop, and what must hold meanwhile: callbacks that look at the cost and at the weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from gradloom import options, tree
from gradloom.errors import OptionError, TrainingError
from gradloom.optim.optimizers import NamedOptimizer
from gradloom.train.callbacks import Callback, Run, column_of
from gradloom.train.history import is_better


class StopAtTarget(Callback):
    """Stop when a quantity is good enough (catalogue 126).

    Args:
        target: the acceptable value; reached from above by losses and errors, from below by scores.
        monitor: a column of the history.

    Raises:
        OptionError: the target is no finite number.
        UnknownNameError: after the first epoch, if the history has no such column.
    """

    def __init__(self, target: float, *, monitor: str = "loss") -> None:
        self.target, self.monitor = options.number("StopAtTarget", "target", target), monitor

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        """Compare."""
        value = column_of(row, self.monitor, "StopAtTarget")
        if value <= self.target if run.falls(self.monitor) else value >= self.target:
            run.stop(f"{self.monitor} has reached {self.target:g}")


class StopAtRest(Callback):
    """Stop when an epoch moves the weights by less than ε, ‖w_t - w_{t-1}‖ < ε (catalogue 125).

    On all examples at once an epoch is an update.  The norm is that of all parameters as one vector.

    Args:
        eps: ε.

    Raises:
        OptionError: ε is not positive.
    """

    def __init__(self, eps: float = 1e-6) -> None:
        self.eps = options.epsilon("StopAtRest", "eps", eps)

    def on_start(self, run: Run) -> None:
        """Remember where it begins."""
        self.before = _arrays(run)

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        """Measure the way."""
        after = _arrays(run)
        way = math.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(after, self.before)))
        self.before = after
        if way < self.eps:
            run.stop(f"an epoch moved the weights by {way:.2g}, less than {self.eps:g}")


class AssertMonotone(Callback):
    """See that the cost falls in every iteration of gradient descent on all examples; if not, there is a mistake.

    The cost is the loss before each update with the penalties (catalogue 127).  Dropout has no fixed cost: check with a
    rate of 0 first (catalogue 150).  It begins anew with each ``fit``.

    Args:
        tolerance: by which part of itself a cost may rise, for rounding.

    Raises:
        OptionError: batches are not of all examples.
        TrainingError: the cost has risen.
    """

    def __init__(self, *, tolerance: float = 1e-5) -> None:
        self.tolerance = options.not_negative("AssertMonotone", "tolerance", tolerance)

    def on_start(self, run: Run) -> None:
        """Forget what an earlier training measured."""
        if run.batch_size != run.rows:
            raise OptionError(
                "AssertMonotone",
                rule="only the cost of all examples falls in every iteration, that of batches is noisy",
                got=f"batches of {run.batch_size} of {run.rows} examples",
                fix="Fit with batch_size=len(x).",
            )
        self.cost, self.penalty = math.inf, run.penalty()

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        """Compare with the iteration before."""
        cost = row["loss"] + self.penalty  # both of the weights before the update
        if cost > self.cost + self.tolerance * abs(self.cost):
            raise TrainingError(
                "AssertMonotone",
                rule="the cost of all examples falls in every iteration",
                got=f"{cost:.6g} after {self.cost:.6g} in epoch {row['epoch']:.0f}",
                fix="Take a smaller learning rate, set the rates of dropout to 0, and ask run.check_gradients.",
            )
        self.cost, self.penalty = cost, run.penalty()


class Generalization(Callback):
    """Adds E_in, E_out and E_gen = E_out - E_in (catalogue 78) to the history, as ``e_in``, ``e_out`` and ``e_gen``.

    Put it in front of callbacks that use these columns.

    Args:
        data: on which E_in is measured after each epoch in predict mode, usually those of training; without, it is the
            loss measured while training, which is that of the weights before, with dropout on.
        monitor: what the errors are, "loss" or the name of a metric.

    Raises:
        UnknownNameError: after the first epoch, if there is no such column; pass validation data.
    """

    def __init__(self, data: Any = None, *, monitor: str = "loss") -> None:
        self.data, self.monitor = data, monitor

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        """Measure and note."""
        inside = row if self.data is None else run.evaluate(self.data)
        e_in = column_of(inside, self.monitor, "Generalization")
        e_out = column_of(row, f"val_{self.monitor}", "Generalization")
        row |= {"e_in": float(e_in), "e_out": e_out, "e_gen": e_out - float(e_in)}


class ReduceOnPlateau(Callback):
    """Multiply the learning rate by a factor when a quantity no longer improves; compiles nothing.

    Args:
        factor: of the learning rate, below 1.
        patience: epochs without improvement, counted anew after each reduction.
        monitor: a column of the history.
        margin: smaller changes do not count as improvement.
        least: the learning rate does not fall below.

    Raises:
        OptionError: an option is out of range, or the optimiser's learning rate is a schedule.
        UnknownNameError: after the first epoch, if the history has no such column.
    """

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 5,
        *,
        monitor: str = "val_loss",
        margin: float = 0.0,
        least: float = 0.0,
    ) -> None:
        self.factor = options.share("ReduceOnPlateau", "factor", factor)
        self.patience = options.whole("ReduceOnPlateau", "patience", patience)
        self.monitor = monitor
        self.margin = options.not_negative("ReduceOnPlateau", "margin", margin)
        self.least = options.not_negative("ReduceOnPlateau", "least", least)

    def on_start(self, run: Run) -> None:
        """Forget what an earlier training measured."""
        _rate_of(run)
        self.best, self.since = math.inf if run.falls(self.monitor) else -math.inf, 0

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        """Count the epochs without improvement."""
        value = column_of(row, self.monitor, "ReduceOnPlateau")
        self.since += 1
        if is_better(value, self.best, falls=run.falls(self.monitor), margin=self.margin):
            self.best, self.since = value, 0
        optimizer, rate = _rate_of(run)
        if self.since >= self.patience and rate > self.least:
            run.optimizer = replace(optimizer, lr=max(rate * self.factor, self.least))
            self.since = 0


def _rate_of(run: Run) -> tuple[NamedOptimizer, float]:
    found = run.optimizer
    if not isinstance(found, NamedOptimizer) or not isinstance(found.lr, float):
        raise OptionError(
            "ReduceOnPlateau",
            rule="it multiplies a learning rate that is a number",
            got=repr(found)[:100],
            fix="Such as optim.Adam(1e-3).",
        )
    return found, found.lr


def _arrays(run: Run) -> list[np.ndarray]:
    return [leaf.numpy().astype(np.float64) for leaf in tree.leaves(run.model.parameters())]
