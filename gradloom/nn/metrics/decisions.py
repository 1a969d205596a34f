"""From logits to classes: which class a model chose and which it should have chosen."""

from __future__ import annotations

import math
from typing import Any

from gradloom import functional as fn
from gradloom.errors import ShapeError
from gradloom.nn.metrics.base import EXACT
from gradloom.nn.pairs import class_targets, position_weights, scores
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor


@dataclass(frozen=True)
class Decisions:
    """Classes as int64 vectors, one entry for each position of each example.

    Attributes:
        chosen: what the model says.
        actual: what is so.
        weights: float64, those of the examples, or of the positions.
        classes: how many there are.
    """

    chosen: Tensor
    actual: Tensor
    weights: Tensor
    classes: int

    @staticmethod
    def of(
        who: str, outputs: Any, targets: Any, weights: Any, threshold: float = 0.5, ignore: int | None = None
    ) -> Decisions:
        """The decisions of a model.

        Args:
            who: for messages.
            outputs: one logit an example or a position, shape (n,) or (n, ..., 1), or one for each class,
                (n, ..., classes).
            targets: 0 or 1 each, or class indices, or one-hot rows.
            weights: of the examples, or of the positions, or None.
            threshold: for a single logit, the probability from which on class 1 is chosen.
            ignore: a label whose positions weigh 0.

        Raises:
            ShapeError: outputs and targets do not fit.
        """
        logits, wanted = scores(who, outputs), tensor(targets)
        counts = None
        if ignore is not None and wanted.shape != logits.shape:
            wide = wanted.astype("int64")
            counts, wanted = wide != ignore, fn.where(wide != ignore, wide, 0)
        if logits.ndim == 1 or logits.shape[-1] == 1:
            chosen, actual, classes = (*_binary(who, logits, wanted, threshold), 2)
        else:
            actual = class_targets(who, logits, wanted)
            actual = fn.argmax(actual, -1) if actual.ndim == logits.ndim else actual.astype("int64")
            chosen, classes = fn.argmax(logits, -1), logits.shape[-1]
        w = position_weights(who, weights, actual.shape, EXACT)
        if counts is not None:
            w = w * counts.reshape(*w.shape).astype(EXACT)
        return Decisions(chosen.reshape(-1), actual.reshape(-1), w.reshape(-1), classes)


def _binary(who: str, logits: Tensor, targets: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    positions = logits.shape if logits.ndim == 1 else logits.shape[:-1]
    if targets.shape not in (positions, (*positions, 1)):
        raise ShapeError(
            who,
            rule="one logit an example needs one target an example",
            got=f"outputs {logits.type} and targets {targets.type}",
            fix=f"Targets are 0 or 1, shape {_sizes(positions)} or {_sizes((*positions, 1))}.",
        )
    least = math.log(threshold / (1 - threshold))  # σ(z) ≥ t where z ≥ log(t/(1 - t))
    return (logits.reshape(*positions) >= least).astype("int64"), (targets.reshape(*positions) > 0).astype("int64")


def _sizes(shape: tuple[int, ...]) -> str:
    """A shape with n examples, as (n, 1)."""
    return f"(n{',' if len(shape) == 1 else ''}{''.join(f', {size}' for size in shape[1:])})"
