"""Metrics of segmentation: how much the region that a model marks overlaps the true one.

All come from three sums over the positions of all examples, for each class: the intersection, what was marked and what
is true.  These are added up over batches, so the value is that of the whole data set at once, not a mean over images.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from gradloom.nn.metrics.classification import F1, AverageScore, ClassScores, quotients
from gradloom.records import dataclass


def _iou(right: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
    return quotients(right, chosen + actual - right)


@dataclass(frozen=True)
class IoU(AverageScore):
    """Intersection over union, Jaccard's index: of class 1 where there are two classes, else the mean over them."""

    name: ClassVar[str] = "iou"

    def _scores(self, right: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        return _iou(right, chosen, actual)


@dataclass(frozen=True)
class MeanIoU(IoU):
    """The mean of intersection over union over the classes that occur, the background among them."""

    average: str = "macro"
    name: ClassVar[str] = "mean_iou"


@dataclass(frozen=True)
class Dice(F1):
    """2 · intersection / (marked + true), which is F1: of class 1 where there are two classes, else the mean."""

    name: ClassVar[str] = "dice"


@dataclass(frozen=True)
class _EachClass(ClassScores[np.ndarray]):
    def finish(self, sums: np.ndarray) -> np.ndarray:
        """The scores, shape (classes,); NaN for a class that is neither there nor marked."""
        by_class, occurs = self._by_class(sums)
        return np.where(occurs, by_class, np.nan)


@dataclass(frozen=True)
class ClassIoU(_EachClass):
    """Intersection over union of each class."""

    name: ClassVar[str] = "class_iou"

    def _scores(self, right: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        return _iou(right, chosen, actual)


@dataclass(frozen=True)
class ClassDice(_EachClass):
    """Dice's score of each class."""

    name: ClassVar[str] = "class_dice"

    def _scores(self, right: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        return quotients(2 * right, chosen + actual)
