"""Do targets fit the outputs of a model?  Checked once by their types and values, before a step is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.errors import DataError, ShapeError
from gradloom.ir.tensortype import TensorType
from gradloom.nn.losses import ClassLoss, Loss
from gradloom.tensor import Tensor


def match_targets(outputs: Any, targets: Any) -> Any:
    """Outputs of shape (n, 1) for targets of shape (n,) lose their last axis; nothing else is adapted.

    Raises:
        ShapeError: outputs and targets hold different numbers of examples.
    """
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
        return outputs
    if outputs.shape[:1] != targets.shape[:1]:
        raise ShapeError(
            "train", rule="the model must give one output an example", got=f"{outputs.type} for targets {targets.type}"
        )
    return outputs.reshape(*targets.shape) if outputs.shape == (*targets.shape, 1) else outputs


def check_targets(targets: np.ndarray, outputs: TensorType, loss: Loss, who: str) -> None:
    """Refuse class labels that the model has no output for, which a compiled step could only stumble over.

    Args:
        targets: of a data set.
        outputs: what the model gives for a batch.
        loss: what compares the two; losses of numbers take any.
        who: for messages.

    Raises:
        DataError: a label is out of range.
    """
    if loss.kind == "classes" and targets.ndim == outputs.rank - 1 and targets.dtype.kind in "iu":
        least, most = 0, outputs.shape[-1] - 1
        fix = "Count classes from 0, and give the last layer one unit for each."
        rule = f"class indices go from 0 to {most}, for the model has {most + 1} outputs"
    elif loss.kind == "binary":
        least, most = 0, 1
        rule, fix = "binary targets are 0 or 1", "For more classes use the loss 'cross_entropy'."
    else:
        return
    outside = (targets < least) | (targets > most)
    if isinstance(loss, ClassLoss) and loss.ignore is not None:
        outside &= targets != loss.ignore
    if outside.any():
        place = tuple(int(i) for i in np.argwhere(outside)[0])
        index = str(place[0]) if len(place) == 1 else str(place)
        raise DataError(f"{who} targets", rule=rule, got=f"{targets[place]} at index {index}", fix=fix)
