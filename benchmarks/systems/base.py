"""What a system can be asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.work import Convolution, Derivative, Images, Network, Product


@dataclass(frozen=True)
class Job:
    """Work made ready.

    Attributes:
        run: does all of it, and returns when it is done.
        units: the time of a run is shared by so many (steps, products, rows).
        check: a number that every system must agree on after the first run, such as how far the weights have come.
        seconds: the seconds of a unit, for work that times itself.
    """

    run: Callable[[], object]
    units: int = 1
    check: Callable[[], float] | None = None
    seconds: Callable[[], float] | None = None


class System:
    """A library, used in one way.  What it does not offer raises NotImplementedError."""

    def train(self, network: Network) -> Job:
        """All steps of a run; training goes on from run to run."""
        raise NotImplementedError

    def fit(self, network: Network) -> Job:
        """The same through the library's own training loop: some epochs a run."""
        raise NotImplementedError

    def predict(self, network: Network) -> Job:
        """The outputs for one row, from NumPy to NumPy, many times in a run."""
        raise NotImplementedError

    def multiply(self, product: Product) -> Job:
        """Products of matrices that lie in memory, in whatever kind of array the library has."""
        raise NotImplementedError

    def differentiate(self, derivative: Derivative) -> Job:
        """A derivative, many times in a run, of data in whatever kind of array the library has."""
        raise NotImplementedError

    def train_images(self, images: Images) -> Job:
        """All steps of a run of a network for images."""
        raise NotImplementedError

    def convolve(self, convolution: Convolution) -> Job:
        """Convolutions of images that lie in memory, channels last; or their gradients."""
        raise NotImplementedError

    def first_step(self, network: Network | Images) -> None:
        """From nothing to the end of a run, as a user would write it."""
        (self.train_images(network) if isinstance(network, Images) else self.train(network)).run()


PREDICTIONS = 1000
"""Rows that a run of :meth:`System.predict` computes, one by one."""


def predictions(predict: Callable[[np.ndarray], np.ndarray], network: Network) -> Job:
    """A job that calls ``predict`` for one row again and again."""
    row = network.data()[0][0, :1]

    def run() -> None:
        for _ in range(PREDICTIONS):
            predict(row)

    return Job(run, PREDICTIONS, lambda: float(np.linalg.norm(predict(row))))


def derivatives(differentiate: Callable[[], Iterable[object]], derivative: Derivative) -> Job:
    """A job that calls ``differentiate``, which gives arrays, again and again."""
    count = 1 if derivative.name in ("hessian", "recurrent") else 10

    def run() -> None:
        for _ in range(count):
            differentiate()

    return Job(run, count, lambda: float(sum(np.square(np.asarray(a, np.float64)).sum() for a in differentiate())))


def distance(network: Network, first_weight: np.ndarray) -> float:
    """How far the weight of the first layer has come from where it began."""
    return float(np.linalg.norm(np.asarray(first_weight, np.float64) - network.weights()[0][0]))
