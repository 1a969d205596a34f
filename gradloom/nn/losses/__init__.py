"""Losses: what training makes small."""

from __future__ import annotations

from collections.abc import Mapping

from gradloom import description, options
from gradloom.description import Description
from gradloom.equations import written_in
from gradloom.later import Table
from gradloom.nn.losses.base import Loss, MappedLoss
from gradloom.nn.losses.classification import BinaryCrossEntropy, CrossEntropy, Focal
from gradloom.nn.losses.custom import Custom, Function
from gradloom.nn.losses.labels import ClassLoss
from gradloom.nn.losses.overlap import Dice, IoU, OverlapLoss, Tversky
from gradloom.nn.losses.regression import AbsoluteError, Huber, SquaredError

written_in("gradloom.nn.losses.formulas")

__all__ = [
    "NAMES",
    "AbsoluteError",
    "BinaryCrossEntropy",
    "ClassLoss",
    "CrossEntropy",
    "Custom",
    "Dice",
    "Focal",
    "Huber",
    "IoU",
    "Loss",
    "MappedLoss",
    "OverlapLoss",
    "SquaredError",
    "Tversky",
    "build",
    "describe",
    "get",
]

_TABLE = description.table_of(
    (SquaredError, AbsoluteError, Huber, BinaryCrossEntropy, CrossEntropy, Focal, Dice, IoU, Tversky)
)

NAMES: Mapping[str, Loss] = Table[Loss](
    {
        "squared_error": SquaredError,
        "half_squared_error": lambda: SquaredError("half"),
        "sum_squared_error": lambda: SquaredError("sum"),
        "mse": SquaredError,
        "absolute_error": AbsoluteError,
        "mae": AbsoluteError,
        "huber": Huber,
        "binary_cross_entropy": BinaryCrossEntropy,
        "cross_entropy": CrossEntropy,
        "focal": Focal,
        "binary_focal": lambda: Focal(binary=True),
        "dice": Dice,
        "binary_dice": lambda: Dice(binary=True),
        "iou": IoU,
        "binary_iou": lambda: IoU(binary=True),
        "tversky": Tversky,
        "binary_tversky": lambda: Tversky(binary=True),
    }
)


def get(loss: str | Loss | Function) -> Loss:
    """The loss of a name, such as "cross_entropy"; a loss is returned as it is, and a function becomes a loss.

    Raises:
        UnknownNameError: no loss has this name.
    """
    if isinstance(loss, Loss):
        return loss
    return Custom(loss) if callable(loss) else options.named("losses.get", "loss", loss, NAMES)


def describe(loss: Loss) -> Description:
    """A loss as JSON."""
    return description.encode(loss, _TABLE)


def build(described: object) -> Loss:
    """The loss of a description.

    Raises:
        ModelFileError: the description is damaged or names a loss that is not known.
    """
    return description.decode(described, _TABLE, Loss)
