"""From logits to classes: which class a model chose and which it should have chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gradloom import functional as fn
from gradloom.errors import ShapeError
from gradloom.nn.metrics.base import EXACT
from gradloom.nn.pairs import class_targets, example_weights, scores
from gradloom.tensor import Tensor, tensor


@dataclass(frozen=True)
class Decisions:
    """Classes as int64 vectors, one entry for each position of each example.

    Attributes:
        chosen: what the model says.
        actual: what is so.
        weights: float64, those of the examples.
        classes: how many there are.
    """

    chosen: Tensor
    actual: Tensor
    weights: Tensor
    classes: int

    @staticmethod
    def of(who: str, outputs: Any, targets: Any, weights: Any, threshold: float = 0.5) -> Decisions:
        """The decisions of a model.

        Args:
            who: for messages.
            outputs: one logit an example, shape (n,) or (n, 1), or one for each class, (n, ..., classes).
            targets: 0 or 1 each, or class indices, or one-hot rows.
            weights: of the examples, or None.
            threshold: for a single logit, the probability from which on class 1 is chosen.

        Raises:
            ShapeError: outputs and targets do not fit.
        """
        logits = scores(who, outputs)
        if logits.ndim == 1 or logits.shape == (logits.shape[0], 1):
            return _binary(who, logits, tensor(targets), weights, threshold)
        actual = class_targets(who, logits, targets)
        if actual.ndim == logits.ndim:
            actual = fn.argmax(actual, -1)
        w = example_weights(who, weights, logits.shape[0], EXACT)
        positions = math.prod(logits.shape[1:-1])
        spread = fn.broadcast_to(w.reshape(-1, 1), (logits.shape[0], positions))
        chosen, known = fn.argmax(logits, -1).reshape(-1), actual.astype("int64").reshape(-1)
        return Decisions(chosen, known, spread.reshape(-1), logits.shape[-1])


def _binary(who: str, logits: Tensor, targets: Tensor, weights: Any, threshold: float) -> Decisions:
    count = logits.shape[0]
    if targets.shape not in ((count,), (count, 1)):
        raise ShapeError(
            who,
            rule="one logit an example needs one target an example",
            got=f"outputs {logits.type} and targets {targets.type}",
            fix="Targets are 0 or 1, shape (n,) or (n, 1).",
        )
    least = math.log(threshold / (1 - threshold))  # σ(z) ≥ t where z ≥ log(t/(1 - t))
    chosen = (logits.reshape(-1) >= least).astype("int64")
    actual = (targets.reshape(-1) > 0).astype("int64")
    return Decisions(chosen, actual, example_weights(who, weights, count, EXACT), 2)
