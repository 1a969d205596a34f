"""Measuring what goes on in the layers while a network trains."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gradloom import options
from gradloom.drawing.chart import Chart
from gradloom.tensor import tensor
from gradloom.train.callbacks import Callback
from gradloom.train.diagnosis.courses import recipe_of
from gradloom.train.diagnosis.probe import Layer, Measured, Probe, Weights
from gradloom.train.diagnosis.units import dead, saturated
from gradloom.train.examples import as_examples


class Watch(Callback):
    """Measures activations, gradients and updates of each layer between epochs, on the same examples each time.

    One measurement is about one training step more, in a compiled program of its own.  It is made before the first
    epoch, and then after as many epochs as keep its share of the time below ``share``; training itself is the same bit
    by bit.  Between measurements nothing is done.

    Args:
        data: examples to measure on, such as the training data.
        every: measure after every so many epochs, whatever that costs; None follows ``share``.
        share: the greatest share of the time of training.
        rows: how many of the examples to take, drawn at random.

    Raises:
        OptionError: an option is out of range.
        DataError: the data cannot be used.

    Attributes:
        epochs: after which it was measured.
        measured: what was found each time.
        compiling: seconds that the first measurement took, in which its program is compiled.
    """

    def __init__(self, data: Any, *, every: int | None = None, share: float = 0.03, rows: int = 64) -> None:
        self.every = None if every is None else options.whole("Watch", "every", every)
        self.share = options.number("Watch", "share", share, low=0, high=1)
        self._data, self._rows = data, options.whole("Watch", "rows", rows)
        self.epochs: list[int] = []
        self.measured: list[Measured] = []
        self.compiling = 0.0
        self._seen, self._spent, self._last, self._whole = 0, 0.0, 0.0, 0.0

    @property
    def cost(self) -> float:
        """The share of the time of training that measuring took, without compiling."""
        return self._spent / self._whole if self._whole else 0.0

    def on_start(self, run: Any) -> None:
        """Compile the program and measure at the weights that training starts with."""
        examples = as_examples(self._data, "Watch", run.dtype)
        rows = np.sort(np.random.default_rng(0).permutation(len(examples))[: self._rows])
        recipe = recipe_of(run)
        numbers = {k: tensor(v, "float64") for k, v in recipe.hyperparameters(run.l1, run.l2).items()}
        self._probe, self._batch, self._hyper = Probe(recipe, run.executor), examples.take(rows), numbers
        self.epochs, self.measured, self._seen, self._spent = [], [], 0, 0.0
        begun = time.perf_counter()
        self._measure(run)
        again = time.perf_counter()
        self._probe(run.snapshot(), self._batch, self._hyper)  # this one shows what a measurement costs
        self._last = time.perf_counter() - again
        self.compiling = time.perf_counter() - begun
        self._begun = time.perf_counter()

    def is_due(self) -> bool:
        """Whether to measure after this epoch."""
        self._seen += 1
        self._asked = time.perf_counter()  # what is due costs more than itself: the trainer has to catch up with it
        if self.every is not None:
            return self._seen % self.every == 0
        return self.share * (self._asked - self._begun) >= self._spent + self._last

    def on_epoch(self, run: Any, row: dict[str, float]) -> None:
        """Measure."""
        self._measure(run)
        self._last = time.perf_counter() - self._asked
        self._spent += self._last

    def on_end(self, run: Any) -> None:
        """Take the time."""
        self._whole = time.perf_counter() - self._begun

    def charts(self) -> list[Chart]:
        """The course of all that was measured, a curve a layer."""
        return [
            self._of_layers("Deviation of the activations", lambda layer: layer.std),
            self._of_weights("Gradient relative to the weights", lambda w: w.gradient / w.size if w.size else np.nan),
            self._of_weights("Update relative to the weights", lambda w: w.update / w.size if w.size else np.nan),
            self._chart("Share of dead units", [dead(m) for m in self.measured], log=False),
            self._chart("Share at the ends of the range", [saturated(m) for m in self.measured], log=False),
        ]

    def _measure(self, run: Any) -> None:
        self.measured.append(self._probe(run.snapshot(), self._batch, self._hyper))
        self.epochs.append(run.epoch)

    def _of_layers(self, title: str, value: Callable[[Layer], float]) -> Chart:
        return self._chart(title, [{x.path: value(x) for x in m.weighted} for m in self.measured])

    def _of_weights(self, title: str, value: Callable[[Weights], float]) -> Chart:
        return self._chart(title, [{w.path: value(w) for w in m.weights} for m in self.measured])

    def _chart(self, title: str, rows: list[dict[str, float]], *, log: bool = True) -> Chart:
        names = list(rows[0]) if rows else []
        curves = {name: [(float(e), row[name]) for e, row in zip(self.epochs, rows)] for name in names}
        return Chart(title, "epoch", "", curves=curves, log_y=log)
