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


def in_the_middle(outputs: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
    """Targets and weights of the pixels that there are outputs for, where a network takes off the borders of images.

    Masks as large as the images can be changed together with these; their middle is what a "valid" network answers for.

    Args:
        outputs: shape (n, h, w, channels).
        targets: shape (n, H, W) or (n, H, W, channels), larger by as much on either side; others stay as they are.
        weights: shape (n,), or a map of the targets' size.
    """
    if not isinstance(outputs, Tensor) or outputs.ndim != 4 or not isinstance(targets, Tensor) or targets.ndim < 3:
        return targets, weights
    size, found = targets.shape[1:3], outputs.shape[1:3]
    lost = [n - m for n, m in zip(size, found)]
    if not any(lost) or min(lost) < 0 or any(n % 2 for n in lost):
        return targets, weights
    (top, left), (height, width) = (n // 2 for n in lost), found
    rows, columns = slice(top, top + height), slice(left, left + width)
    is_map = weights.ndim > 2 and weights.shape[1:3] == size
    return targets[:, rows, columns], weights[:, rows, columns] if is_map else weights


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
