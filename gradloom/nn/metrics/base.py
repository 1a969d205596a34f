"""What a metric is: something to look at, not to minimise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from gradloom import functional as fn
from gradloom.equations import Described
from gradloom.tensor import Tensor

Value = TypeVar("Value")

EXACT = "float64"  # sums over many batches keep counts whole and small differences of large sums


class Metric(Described, ABC):
    """Base of metrics.

    Attributes:
        name: what it is called in histories and reports.
        higher_is_better: whether larger values are better.
        of_classes: whether it compares decisions between classes; it then takes a single logit a position with its
            axis, (n, ..., 1), and cannot mistake the last axis of a mask for classes.
    """

    name: ClassVar[str]
    higher_is_better: ClassVar[bool]
    of_classes: ClassVar[bool] = False


class StreamingMetric(Metric, Generic[Value]):
    """A metric that is computed from sums over examples.

    The sums are part of the compiled step, batch by batch; :meth:`finish` turns their total into the value.
    """

    @abstractmethod
    def sums(self, outputs: Any, targets: Any, weights: Any = None) -> Tensor:
        """What the examples of a batch add up to; sums of batches are the sums of the whole.

        Args:
            outputs: what the model gives, examples along the first axis.
            targets: what it should give.
            weights: of the examples, shape (n,); 1 each by default.

        Returns:
            A vector of float64, of the same length for every batch.

        Raises:
            ShapeError: outputs, targets and weights do not fit together.
        """

    @abstractmethod
    def finish(self, sums: np.ndarray) -> Value:
        """The metric from the sums over all batches; NaN where their total weight is 0."""

    def compute(self, outputs: Any, targets: Any, weights: Any = None) -> Value:
        """The metric of one batch."""
        return self.finish(self.sums(outputs, targets, weights).numpy())


class WholeSetMetric(Metric):
    """A metric that needs all outputs at once, since it ranks them."""

    @abstractmethod
    def compute(self, outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> float:
        """The metric of a whole data set.

        Args:
            outputs: what the model gives for every example.
            targets: what it should give.
            weights: of the examples; 1 each by default.
        """


def weighted_mean_sums(values: Tensor, weights: Tensor) -> Tensor:
    """(Σ w v, Σ w): the sums behind a weighted mean."""
    return fn.stack([fn.sum(values.astype(EXACT) * weights), fn.sum(weights)])


def ratio(numerator: Any, denominator: Any) -> float:
    """The quotient, NaN where it is not defined."""
    return float(numerator / denominator) if denominator else float("nan")
