"""Metrics of numbers.  Outputs and targets have one shape, (n,) or (n, outputs)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from gradloom import functional as fn
from gradloom.nn.metrics.base import EXACT, StreamingMetric, ratio, weighted_mean_sums
from gradloom.nn.pairs import example_weights, paired
from gradloom.records import dataclass
from gradloom.tensor import Tensor


def _columns(who: str, outputs: Any, targets: Any, weights: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs and targets as (n, outputs) and weights (n,), all in float64."""
    given, wanted = paired(who, outputs, targets)
    shape = (given.shape[0], math.prod(given.shape[1:]))
    w = example_weights(who, weights, shape[0], EXACT)
    return given.astype(EXACT).reshape(shape), wanted.astype(EXACT).reshape(shape), w


@dataclass(frozen=True)
class MSE(StreamingMetric[float]):
    """The mean of (y - ŷ)²."""

    name: ClassVar[str] = "mse"
    higher_is_better: ClassVar[bool] = False

    def sums(self, outputs: Any, targets: Any, weights: Any = None) -> Tensor:
        """(Σ w e², Σ w)."""
        given, wanted, w = _columns(type(self).__name__, outputs, targets, weights)
        return weighted_mean_sums(fn.mean(fn.square(given - wanted), 1), w)

    def finish(self, sums: np.ndarray) -> float:
        """The first over the second."""
        return ratio(sums[0], sums[1])


@dataclass(frozen=True)
class RMSE(MSE):
    """The square root of the mean of (y - ŷ)², in the unit of the target."""

    name: ClassVar[str] = "rmse"

    def finish(self, sums: np.ndarray) -> float:
        """√mse."""
        return math.sqrt(ratio(sums[0], sums[1]))


@dataclass(frozen=True)
class MAE(StreamingMetric[float]):
    """The mean of |y - ŷ|, in the unit of the target."""

    name: ClassVar[str] = "mae"
    higher_is_better: ClassVar[bool] = False

    def sums(self, outputs: Any, targets: Any, weights: Any = None) -> Tensor:
        """(Σ w |e|, Σ w)."""
        given, wanted, w = _columns("MAE", outputs, targets, weights)
        return weighted_mean_sums(fn.mean(fn.abs(given - wanted), 1), w)

    def finish(self, sums: np.ndarray) -> float:
        """The first over the second."""
        return ratio(sums[0], sums[1])


@dataclass(frozen=True)
class R2(StreamingMetric[float]):
    """1 - Σ(y - ŷ)²/Σ(y - ȳ)², the share of the target's variance that is explained; the mean over outputs.

    A target without variance scores 1 if it is met exactly and 0 otherwise.

    The variance comes from Σy² and Σy, which can be added up over batches; its relative error is about
    10⁻¹⁶ (ȳ/σ)².  Below 10⁻¹² Σy² it would be rounding alone, and counts as none.
    """

    name: ClassVar[str] = "r2"
    higher_is_better: ClassVar[bool] = True

    def sums(self, outputs: Any, targets: Any, weights: Any = None) -> Tensor:
        """Σ w, then for each output Σ w y, Σ w y², Σ w (y - ŷ)²."""
        given, wanted, w = _columns("R2", outputs, targets, weights)
        columns = (wanted, fn.square(wanted), fn.square(wanted - given))
        return fn.concatenate([fn.sum(w, keepdims=True), *(w @ column for column in columns)])

    def finish(self, sums: np.ndarray) -> float:
        """The mean of 1 - residual/variance over the outputs."""
        mass, (first, second, residual) = float(sums[0]), np.asarray(sums[1:], np.float64).reshape(3, -1)
        if not mass:
            return float("nan")
        spread = second - first**2 / mass
        is_constant = spread <= 1e-12 * second
        unexplained = np.divide(residual, spread, out=(residual > 0).astype(float), where=~is_constant)
        return float((1 - unexplained).mean())
