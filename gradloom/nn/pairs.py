"""Outputs beside targets: the shape rules that losses and metrics share.

Nothing broadcasts here: (n, 1) beside (n,) would compare every output with every target and train to a wrong
answer without a word.
"""

from __future__ import annotations

from typing import Any

from gradloom import functional as fn
from gradloom.errors import DTypeError, IndexRangeError, ShapeError
from gradloom.tensor import Tensor, tensor


def scores(who: str, outputs: Any) -> Tensor:
    """Outputs, which must be floats with an axis of examples."""
    found = tensor(outputs)
    if not found.type.is_float:
        fix = "Pass what the model gives, before it is rounded to classes."
        raise DTypeError(who, rule="outputs are floats", got=str(found.type), fix=fix)
    if not found.shape:
        fix = "The first axis counts examples: reshape a single one to (1,)."
        raise ShapeError(who, rule="outputs need an axis of examples", got=str(found.type), fix=fix)
    return found


def paired(who: str, outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
    """Outputs and targets of one shape, the targets in the data type of the outputs.

    Raises:
        ShapeError: their shapes differ, be it only by axes of size 1.
        DTypeError: the outputs are not floats.
    """
    given, wanted = scores(who, outputs), tensor(targets)
    if given.shape != wanted.shape:
        raise ShapeError(
            who,
            rule="outputs and targets must have one shape; they do not broadcast",
            got=f"outputs {given.type} and targets {wanted.type}",
            fix=_remedy(given, wanted),
        )
    return given, wanted.astype(given.dtype)


def _remedy(outputs: Tensor, targets: Tensor) -> str:
    if [n for n in outputs.shape if n != 1] == [n for n in targets.shape if n != 1]:
        return f"Reshape the targets to {outputs.shape}, or the outputs to {targets.shape}."
    if outputs.shape[:1] != targets.shape[:1]:
        return "Both need one row an example."
    return "Give the last layer one unit for each column of the targets."


def class_targets(who: str, logits: Tensor, targets: Any) -> Tensor:
    """Targets of a choice between classes: indices of shape (n, ...), or one row of probabilities each (n, ..., k).

    Args:
        who: for messages.
        logits: shape (n, ..., k).
        targets: integers with one axis less than the logits, or numbers in their shape.

    Raises:
        ShapeError: the shapes fit neither form.
        DTypeError: indices are not integers.
        IndexRangeError: an index that is known lies outside the classes.
    """
    found = tensor(targets)
    if found.shape == logits.shape:
        return found
    if found.shape != logits.shape[:-1]:
        fix = f"Class indices have shape {logits.shape[:-1]}, one-hot targets {logits.shape}"
        raise ShapeError(
            who,
            rule="targets are class indices or one-hot rows as wide as the logits",
            got=f"logits {logits.type} and targets {found.type}",
            fix=f"{fix}: the last layer needs one unit for each class.",
        )
    if found.dtype.kind not in "iu":
        fix = "Convert them with gl.cast(targets, 'int64'), or pass one-hot rows."
        raise DTypeError(who, rule="class indices are integers", got=str(found.type), fix=fix)
    _check_classes(who, found, logits)
    return found


def _check_classes(who: str, indices: Tensor, logits: Tensor) -> None:
    """Refuse classes that have no logit.  Where the indices are symbolic, the step that is compiled checks them."""
    if indices.is_symbolic:
        return
    values, classes = indices.numpy(), logits.shape[-1]
    outside = values[(values < 0) | (values >= classes)]
    if outside.size:
        raise IndexRangeError(
            who,
            rule=f"class indices go from 0 to {classes - 1}",
            got=f"{outside[0]} for logits {logits.type}",
            fix="Count classes from 0, and give the last layer one unit for each.",
        )


def example_weights(who: str, weights: Any, count: int, dtype: Any) -> Tensor:
    """One weight for each example; 1 each by default.

    Raises:
        ShapeError: the weights are not of shape (count,).
    """
    if weights is None:
        return fn.ones(count, dtype)
    found = tensor(weights)
    if found.shape != (count,):
        raise ShapeError(
            who, rule="there must be one weight for each example", got=f"weights {found.type} for {count} examples"
        )
    return found.astype(dtype)


def map_means(weights: Tensor) -> Tensor:
    """How much each example counts: its weight, or the mean of the weights of its positions; shape (n,)."""
    return fn.mean(weights, tuple(range(1, weights.ndim)))


def position_weights(who: str, weights: Any, positions: tuple[int, ...], dtype: Any) -> Tensor:
    """One weight for each position of each example: a map as it is, the weight of an example at all its positions.

    Raises:
        ShapeError: the weights are neither of shape (n,) nor of that of the positions.
    """
    found = None if weights is None else tensor(weights)
    if found is not None and found.ndim > 1 and found.shape == positions:
        return found.astype(dtype)
    each = example_weights(who, found, positions[0], dtype)
    return fn.broadcast_to(each.reshape(-1, *[1] * (len(positions) - 1)), positions)
