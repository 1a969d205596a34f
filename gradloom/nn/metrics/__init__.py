"""Metrics: how good a model is, in terms that people read."""

from __future__ import annotations

from collections.abc import Mapping

from gradloom import description, options
from gradloom.description import Description
from gradloom.equations import written_in
from gradloom.later import Table
from gradloom.nn.metrics.base import Metric, StreamingMetric, WholeSetMetric
from gradloom.nn.metrics.classification import F1, Accuracy, ConfusionMatrix, ErrorRate, Precision, Recall, TopK
from gradloom.nn.metrics.overlap import ClassDice, ClassIoU, Dice, IoU, MeanIoU
from gradloom.nn.metrics.ranking import RocAuc
from gradloom.nn.metrics.regression import MAE, MSE, R2, RMSE

written_in("gradloom.nn.metrics.formulas")

__all__ = [
    "F1",
    "MAE",
    "MSE",
    "NAMES",
    "R2",
    "RMSE",
    "Accuracy",
    "ClassDice",
    "ClassIoU",
    "ConfusionMatrix",
    "Dice",
    "ErrorRate",
    "IoU",
    "MeanIoU",
    "Metric",
    "Precision",
    "Recall",
    "RocAuc",
    "StreamingMetric",
    "TopK",
    "WholeSetMetric",
    "build",
    "describe",
    "get",
]

_OF_CLASSES = (Accuracy, ErrorRate, TopK, Precision, Recall, F1, ConfusionMatrix, RocAuc)
_OF_REGIONS = (IoU, MeanIoU, Dice, ClassIoU, ClassDice)
CLASSES = (*_OF_CLASSES, *_OF_REGIONS, MSE, RMSE, MAE, R2)
_TABLE = description.table_of(CLASSES)

NAMES: Mapping[str, Metric] = Table[Metric](
    {
        "accuracy": Accuracy,
        "error_rate": ErrorRate,
        "top_3": lambda: TopK(3),
        "top_5": lambda: TopK(5),
        "precision": Precision,
        "recall": Recall,
        "f1": F1,
        "confusion_matrix": ConfusionMatrix,
        "iou": IoU,
        "mean_iou": MeanIoU,
        "dice": Dice,
        "class_iou": ClassIoU,
        "class_dice": ClassDice,
        "mse": MSE,
        "rmse": RMSE,
        "mae": MAE,
        "r2": R2,
        "roc_auc": RocAuc,
    }
)


def get(metric: str | Metric) -> Metric:
    """The metric of a name, such as "accuracy"; a metric is returned as it is.

    Raises:
        UnknownNameError: no metric has this name.
    """
    return metric if isinstance(metric, Metric) else options.named("metrics.get", "metric", metric, NAMES)


def describe(metric: Metric) -> Description:
    """A metric as JSON."""
    return description.encode(metric, _TABLE)


def build(described: object) -> Metric:
    """The metric of a description.

    Raises:
        ModelFileError: the description is damaged or names a metric that is not known.
    """
    return description.decode(described, _TABLE, Metric)
