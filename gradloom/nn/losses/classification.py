"""Losses for targets that are classes: cross-entropies, computed from logits.

A logit is what the last layer gives before any sigmoid or softmax.  From logits the logarithm and the exponential
cancel, so no probability ever rounds to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import ShapeError
from gradloom.nn.losses.base import Loss, mean_by_example
from gradloom.nn.losses.logits import refuse_probabilities
from gradloom.nn.pairs import class_targets, paired, scores
from gradloom.ops import index
from gradloom.tensor import Tensor


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """-(y log p + (1 - y) log(1 - p)) for targets y in [0, 1] and p = σ(z).

    From logits z it is max(z, 0) - z y + log(1 + e^-|z|), which is softplus(z) - z y; the derivative is p - y.

    Args:
        from_logits: whether outputs are logits z (recommended) or probabilities p; these are kept at the distance
            of the data type's precision from 0 and 1.
    """

    from_logits: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        options.flag("BinaryCrossEntropy", "from_logits", self.from_logits)

    def per_example(self, outputs: Any, targets: Any) -> Tensor:
        """The cross-entropy of each example, the mean over its outputs."""
        given, y = paired("BinaryCrossEntropy", outputs, targets)
        if self.from_logits:
            refuse_probabilities("BinaryCrossEntropy", given, instead="BinaryCrossEntropy(from_logits=False)")
            return mean_by_example(fn.softplus(given) - given * y)
        least = float(np.finfo(given.dtype).eps)
        p = fn.clip(given, least, 1 - least)
        return mean_by_example(-(y * fn.log(p) + (1 - y) * fn.log1p(-p)))


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """-Σ_j y_j log p_j with p the softmax of the logits; the derivative by the logits is p - y.

    Logits are (n, ..., classes).  Targets are class indices, integers (n, ...), or one-hot rows (more generally
    probabilities) in the shape of the logits.

    Args:
        label_smoothing: ε; the targets become (1 - ε) y + ε/k for k classes.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        fix = "Usual is 0.1; 0 does without it."
        options.number("CrossEntropy", "label_smoothing", self.label_smoothing, low=0, high=1, fix=fix)

    def per_example(self, outputs: Any, targets: Any) -> Tensor:
        """The cross-entropy of each example, the mean over its positions."""
        logits = scores("CrossEntropy", outputs)
        if logits.ndim < 2 or logits.shape[-1] < 2:
            raise ShapeError(
                "CrossEntropy",
                rule="logits are (examples, classes) with at least 2 classes",
                got=str(logits.type),
                fix="For two classes and a single output use BinaryCrossEntropy.",
            )
        wanted = class_targets("CrossEntropy", logits, targets)
        refuse_probabilities("CrossEntropy", logits)
        log_p = fn.log_softmax(logits)
        values = -_expected(log_p, wanted)
        if self.label_smoothing:
            values = (1 - self.label_smoothing) * values - self.label_smoothing * fn.mean(log_p, -1)
        return mean_by_example(values)


def _expected(log_p: Tensor, targets: Tensor) -> Tensor:
    """Σ_j y_j log p_j; for class indices the log-probability at the index."""
    if targets.ndim == log_p.ndim:
        return fn.sum(targets.astype(log_p.dtype) * log_p, -1)
    # The primitive itself, since gl.take_along_axis would count negative classes from the end.
    chosen = index.take_along(log_p.node, fn.expand_dims(targets, -1).node, axis=log_p.ndim - 1)
    return Tensor(chosen).reshape(targets.shape)
