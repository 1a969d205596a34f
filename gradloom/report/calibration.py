"""Whether probabilities are what they say: of what is called 80% sure, 80% should be right."""

from __future__ import annotations

import numpy as np

from gradloom.records import dataclass
from gradloom.report.intervals import Interval, wilson
from gradloom.report.rating import Rated

BINS = 10
_MOST_PIXELS = 200_000


@dataclass(frozen=True)
class Bin:
    """Answers of about the same confidence.

    Attributes:
        low: the least confidence of the bin.
        high: the greatest.
        count: how many answers there are.
        confidence: their mean.
        accuracy: the share of them that is right.
        interval: where that share lies, 95%.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class Calibration:
    """The bins that hold answers, and how far confidence is from accuracy.

    Attributes:
        bins: of equal width over [0, 1], those that are not empty.
        error: the expected calibration error, Σ n_b/n |accuracy_b - confidence_b|.
    """

    bins: tuple[Bin, ...]
    error: float


def calibration(rated: Rated) -> Calibration:
    """How the probability of the chosen class stands to how often it is right.

    A confidence c falls into the bin (low, high] that holds it.  Of very many pixels some are taken, evenly.

    Args:
        rated: classes, of examples or of pixels.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks" (2017).
    """
    counts = rated.truth >= 0
    confidence = (rated.said.max(-1) if rated.confidence is None else rated.confidence)[counts]
    right = (rated.chosen == rated.truth)[counts]
    if len(right) > _MOST_PIXELS:
        some = np.arange(0, len(right), -(-len(right) // _MOST_PIXELS))
        confidence, right = confidence[some], right[some]
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for number in range(BINS):
        inside = place == number
        count, hits = int(inside.sum()), int(right[inside].sum())
        if count:
            mean = float(confidence[inside].mean())
            bins.append(Bin(number / BINS, (number + 1) / BINS, count, mean, hits / count, wilson(hits, count)))
    error = sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / len(right)
    return Calibration(tuple(bins), float(error))
