"""Figures of a rated part, each with its 95% confidence interval."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from gradloom.records import dataclass
from gradloom.report.intervals import Interval, bootstrap, wilson
from gradloom.report.rating import Rated

WILSON, BOOTSTRAP = "Wilson", "bootstrap"
_TINY = np.finfo(np.float64).tiny

Measure = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Score:
    """One figure.

    Attributes:
        name: what it is, in words.
        value: what was measured.
        interval: where it lies with a confidence of 95%.
        method: how the interval was found: "Wilson", or "bootstrap" over examples.
    """

    name: str
    value: float
    interval: Interval
    method: str


def scores(rated: Rated, *, seed: int = 0) -> list[Score]:
    """The figures, the first of which is the one to show alone.

    Classes: accuracy; mean of recalls, precisions and F1 over the classes; cross-entropy; Brier's score.  Pixels:
    accuracy, the mean over the classes of intersection over union, and of Dice.  Numbers: R², root mean squared error,
    mean absolute error.

    Args:
        rated: answers beside the truth.
        seed: of the bootstrap.
    """
    if rated.kind == "classes":
        hits = int((rated.chosen == rated.truth).sum())
        first = Score("accuracy", hits / len(rated), wilson(hits, len(rated)), WILSON)
        return [first, *_bootstrapped(_of_classes(rated), len(rated), seed)]
    return _bootstrapped(_of_pixels(rated) if rated.kind == "pixels" else _of_numbers(rated), len(rated), seed)


def _bootstrapped(measures: dict[str, Measure], count: int, seed: int) -> list[Score]:
    everything = np.arange(count)
    return [
        Score(name, measure(everything), bootstrap(measure, count, seed=seed), BOOTSTRAP)
        for name, measure in measures.items()
    ]


def confusion(rated: Rated) -> np.ndarray:
    """Examples (or pixels) by true and chosen class, shape (classes, classes)."""
    return _confusion(_pairs(rated.truth, rated.chosen, len(rated.classes)), len(rated.classes))


def _pairs(truth: np.ndarray, chosen: np.ndarray, classes: int) -> np.ndarray:
    """A number for each pair of true and chosen class, where the truth counts."""
    counts = truth >= 0
    return truth[counts] * classes + chosen[counts]


def _confusion(pairs: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _of_classes(rated: Rated) -> dict[str, Measure]:
    k = len(rated.classes)
    pairs = rated.truth * k + rated.chosen
    likely = rated.said[np.arange(len(rated)), rated.truth]
    entropy = -np.log(np.maximum(likely, _TINY))
    brier = ((rated.said - np.eye(k)[rated.truth]) ** 2).sum(1)
    return {
        "mean recall": lambda rows: _mean_recall(_confusion(pairs[rows], k)),
        "mean precision": lambda rows: _mean_recall(_confusion(pairs[rows], k).T),
        "mean F1": lambda rows: mean_f1(_confusion(pairs[rows], k)),
        "cross-entropy": lambda rows: float(entropy[rows].mean()),
        "Brier score": lambda rows: float(brier[rows].mean()),
    }


def _mean_recall(counts: np.ndarray) -> float:
    """The mean over the classes that occur, in the truth or among answers, of the share of a row that is right."""
    present = counts.sum(0) + counts.sum(1) > 0
    return float((np.diag(counts)[present] / np.maximum(counts.sum(1)[present], 1)).mean())


def mean_f1(counts: np.ndarray) -> float:
    """The mean over the classes that occur, in the truth or among answers, of 2 both / (true + chosen).

    Args:
        counts: the confusion matrix.
    """
    both, sizes = np.diag(counts), counts.sum(0) + counts.sum(1)
    return float((2 * both[sizes > 0] / sizes[sizes > 0]).mean())


def _of_pixels(rated: Rated) -> dict[str, Measure]:
    """Over images drawn anew, for the pixels of one image are not independent of each other."""
    k = len(rated.classes)
    each = np.stack([_confusion(_pairs(t, c, k), k) for t, c in zip(rated.truth, rated.chosen)])
    measures: dict[str, Measure] = {
        "accuracy": lambda counts: float(np.trace(counts) / counts.sum()),
        "mean IoU": mean_iou,
        "mean Dice": mean_f1,
    }
    return {name: partial(_of_images, each, measure) for name, measure in measures.items()}


def _of_images(each: np.ndarray, measure: Measure, rows: np.ndarray) -> float:
    """A figure of the confusion matrix of some images; NaN where none of their pixels counts."""
    counts = each[rows].sum(0)
    return measure(counts) if counts.any() else float("nan")


def mean_iou(counts: np.ndarray) -> float:
    """The mean over the classes that occur of intersection over union.

    Args:
        counts: the confusion matrix.
    """
    both = np.diag(counts)
    either = counts.sum(0) + counts.sum(1) - both
    return float((both[either > 0] / either[either > 0]).mean())


def _of_numbers(rated: Rated) -> dict[str, Measure]:
    errors = rated.said - rated.truth
    return {
        "R²": lambda rows: _r2(errors[rows], rated.truth[rows]),
        "root mean squared error": lambda rows: float(np.sqrt((errors[rows] ** 2).mean())),
        "mean absolute error": lambda rows: float(np.abs(errors[rows]).mean()),
    }


def _r2(errors: np.ndarray, truth: np.ndarray) -> float:
    spread = ((truth - truth.mean()) ** 2).sum()
    return float(1 - (errors**2).sum() / spread) if spread > 0 else float("nan")
