"""Metrics of decisions between classes.

Outputs are logits: one an example (two classes, class 1 from a probability ``threshold`` on) or one for each class
(the largest wins).  Targets are class indices or one-hot rows.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import field
from typing import Any, ClassVar

import numpy as np

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import OptionError, ShapeError
from gradloom.nn.metrics.base import EXACT, StreamingMetric, Value, ratio, weighted_mean_sums
from gradloom.nn.metrics.decisions import Decisions
from gradloom.nn.pairs import class_targets, example_weights, scores
from gradloom.records import dataclass
from gradloom.tensor import Tensor


def check_decision(who: str, threshold: float, ignore: int | None) -> None:
    """Refuse a threshold that is not a probability inside (0, 1), and a label to ignore that is none."""
    options.label(who, "ignore", ignore)
    if not 0 < options.number(who, "threshold", threshold, low=0, high=1) < 1:
        raise OptionError(who, rule="threshold lies between 0 and 1", got=repr(threshold))


@dataclass(frozen=True)
class Accuracy(StreamingMetric[float]):
    """The share of examples whose class is right; of masks that of pixels.

    Args:
        threshold: see the head of this file.
        ignore: a label whose positions do not count.
    """

    threshold: float = 0.5
    ignore: int | None = None
    name: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True
    of_classes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_decision(type(self).__name__, self.threshold, self.ignore)

    def sums(self, outputs: Any, targets: Any, weights: Any = None) -> Tensor:
        """(weight of the right ones, weight of all)."""
        found = Decisions.of(type(self).__name__, outputs, targets, weights, self.threshold, self.ignore)
        return weighted_mean_sums(found.chosen == found.actual, found.weights)

    def finish(self, sums: np.ndarray) -> float:
        """The first over the second."""
        return ratio(sums[0], sums[1])


@dataclass(frozen=True)
class ErrorRate(Accuracy):
    """The share of examples whose class is wrong: 1 - accuracy, the mean of the 0-1 loss; of masks the pixel error."""

    name: ClassVar[str] = "error_rate"
    higher_is_better: ClassVar[bool] = False

    def finish(self, sums: np.ndarray) -> float:
        """1 - accuracy."""
        return 1 - ratio(sums[0], sums[1])


@dataclass(frozen=True)
class TopK(StreamingMetric[float]):
    """The share of examples whose class is among the ``k`` with the largest logits."""

    k: int = 5
    higher_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        options.whole("TopK", "k", self.k)

    @property
    def name(self) -> str:  # type: ignore[override]
        """Such as top_5."""
        return f"top_{self.k}"

    def sums(self, outputs: Any, targets: Any, weights: Any = None) -> Tensor:
        """(weight of the right ones, weight of all)."""
        logits = scores("TopK", outputs)
        if logits.ndim != 2 or logits.shape[1] < self.k:
            fix = f"Use a smaller k than {self.k}." if logits.ndim == 2 else "Outputs are (examples, classes)."
            raise ShapeError("TopK", rule="there must be at least k classes", got=str(logits.type), fix=fix)
        actual = class_targets("TopK", logits, targets)
        if actual.ndim == 2:
            actual = fn.argmax(actual, -1)
        _, places = fn.top_k(logits, self.k)
        right = fn.any(places == fn.expand_dims(actual, -1), -1)
        return weighted_mean_sums(right, example_weights("TopK", weights, logits.shape[0], EXACT))

    def finish(self, sums: np.ndarray) -> float:
        """The first over the second."""
        return ratio(sums[0], sums[1])


def _counts(found: Decisions) -> Tensor:
    """Weights counted by (actual, chosen) class, shape (k, k)."""
    actual = fn.one_hot(found.actual, found.classes, EXACT)
    chosen = fn.one_hot(found.chosen, found.classes, EXACT)
    return actual.T @ (chosen * found.weights.reshape(-1, 1))


@dataclass(frozen=True)
class ConfusionMatrix(StreamingMetric[np.ndarray]):
    """How often (by weight) class i was taken for class j: rows are actual classes, columns chosen ones."""

    threshold: float = 0.5
    ignore: int | None = None
    name: ClassVar[str] = "confusion_matrix"
    higher_is_better: ClassVar[bool] = True
    of_classes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_decision("ConfusionMatrix", self.threshold, self.ignore)

    def sums(self, outputs: Any, targets: Any, weights: Any = None) -> Tensor:
        """The matrix, row by row."""
        found = Decisions.of("ConfusionMatrix", outputs, targets, weights, self.threshold, self.ignore)
        return _counts(found).reshape(-1)

    def finish(self, sums: np.ndarray) -> np.ndarray:
        """The matrix (classes, classes)."""
        side = math.isqrt(len(sums))
        return np.asarray(sums).reshape(side, side)


@dataclass(frozen=True)
class ClassScores(StreamingMetric[Value]):
    """Base of scores of each class, made of what is right, what was chosen and what is actual.

    Args:
        threshold: see the head of this file.
        ignore: a label whose positions do not count.
    """

    threshold: float = field(default=0.5, kw_only=True)
    ignore: int | None = field(default=None, kw_only=True)
    higher_is_better: ClassVar[bool] = True
    of_classes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_decision(type(self).__name__, self.threshold, self.ignore)

    def sums(self, outputs: Any, targets: Any, weights: Any = None) -> Tensor:
        """For each class the weight of what is right, what was chosen, what is actual; one row after the other."""
        found = Decisions.of(type(self).__name__, outputs, targets, weights, self.threshold, self.ignore)
        self._check(found.classes)
        chosen = fn.one_hot(found.chosen, found.classes, EXACT) * found.weights.reshape(-1, 1)
        actual = fn.one_hot(found.actual, found.classes, EXACT)
        held = actual * found.weights.reshape(-1, 1)
        return fn.concatenate([fn.sum(column, 0) for column in (chosen * actual, chosen, held)])

    def _by_class(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The scores, and whether each class occurs in targets or outputs."""
        right, chosen, actual = np.asarray(sums, np.float64).reshape(3, -1)
        return self._scores(right, chosen, actual), chosen + actual > 0

    def _check(self, classes: int) -> None:
        """Refuse so many classes."""

    @abstractmethod
    def _scores(self, right: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """The score of each class, from what is right, what was chosen and what is actual."""


@dataclass(frozen=True)
class AverageScore(ClassScores[float]):
    """A score of each class, reduced to one number.

    Args:
        average: "binary" for the score of class 1, "macro" for the mean over the classes that occur in targets or
            outputs, "auto" for binary where there are two classes.
        threshold: see the head of this file.
        ignore: a label whose positions do not count.
    """

    average: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        options.choice(type(self).__name__, "average", self.average, ("auto", "binary", "macro"))

    def finish(self, sums: np.ndarray) -> float:
        """The score of class 1, or the mean of the scores."""
        by_class, occurs = self._by_class(sums)
        if self.average == "binary" or (self.average == "auto" and len(by_class) == 2):
            return float(by_class[1])
        return float(by_class[occurs].mean()) if occurs.any() else float("nan")

    def _check(self, classes: int) -> None:
        if self.average == "binary" and classes != 2:
            fix = "Use average='macro'."
            raise OptionError(type(self).__name__, rule="a binary average needs 2 classes", got=str(classes), fix=fix)


def quotients(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """0 where nothing was counted."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


@dataclass(frozen=True)
class Precision(AverageScore):
    """How much of what was taken for a class is of it; 0 if nothing was."""

    name: ClassVar[str] = "precision"

    def _scores(self, right: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        return quotients(right, chosen)


@dataclass(frozen=True)
class Recall(AverageScore):
    """How much of a class was found; 0 if there is none of it."""

    name: ClassVar[str] = "recall"

    def _scores(self, right: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        return quotients(right, actual)


@dataclass(frozen=True)
class F1(AverageScore):
    """The harmonic mean of precision and recall: 2 right / (chosen + actual)."""

    name: ClassVar[str] = "f1"

    def _scores(self, right: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        return quotients(2 * right, chosen + actual)
