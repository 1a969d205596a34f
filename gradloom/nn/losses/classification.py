"""Losses for targets that are classes: cross-entropies and the focal loss, computed from logits.

A logit is what the last layer gives before any sigmoid or softmax.  From logits the logarithm and the exponential
cancel, so no probability ever rounds to 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import OptionError, ShapeError
from gradloom.ir.tensortype import finfo
from gradloom.nn.losses.base import mean_by_example
from gradloom.nn.losses.labels import ClassLoss, at_class
from gradloom.nn.losses.logits import refuse_probabilities
from gradloom.nn.pairs import scores
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor


@dataclass(frozen=True)
class BinaryCrossEntropy(ClassLoss):
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

    @property
    def kind(self) -> str:
        """What targets are."""
        return "binary"

    def by_position(self, outputs: Any, targets: Any, within: Tensor | None) -> Tensor:
        """The cross-entropy of each example, the mean over its outputs."""
        given, y, within = self.yes_or_no(outputs, targets, within)
        if self.from_logits:
            instead = "BinaryCrossEntropy(from_logits=False)"
            refuse_probabilities("BinaryCrossEntropy", given, applies="sigmoid", instead=instead)
            return mean_by_example(fn.softplus(given) - given * y, within)
        least = float(finfo(given.dtype).eps)
        p = fn.clip(given, least, 1 - least)
        return mean_by_example(-(y * fn.log(p) + (1 - y) * fn.log1p(-p)), within)


@dataclass(frozen=True)
class CrossEntropy(ClassLoss):
    """-Σ_j y_j log p_j with p the softmax of the logits; the derivative by the logits is p - y.

    Logits are (n, ..., classes).  Targets are class indices, integers (n, ...), or one-hot rows (more generally
    probabilities) in the shape of the logits.

    Args:
        label_smoothing: ε; the targets become (1 - ε) y + ε/k for k classes.
        groups: sizes of groups of outputs, each with a softmax of its own, for several choices at once (catalogue 55).
            The loss is the sum over the groups; targets are one class index for each group, shape (n, ..., groups),
            or rows in the shape of the logits.  ``nn.Softmax(groups=...)`` gives the probabilities.
    """

    label_smoothing: float = 0.0
    groups: Sequence[int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        fix = "Usual is 0.1; 0 does without it."
        options.number("CrossEntropy", "label_smoothing", self.label_smoothing, low=0, high=1, fix=fix)
        if self.groups is not None:
            sizes = tuple(options.whole("CrossEntropy", "a group", size, least=2) for size in self.groups)
            object.__setattr__(self, "groups", sizes)

    def by_position(self, outputs: Any, targets: Any, within: Tensor | None) -> Tensor:
        """The cross-entropy of each example, the mean over its positions."""
        if self.groups is not None:
            single = replace(self, groups=None)
            pairs = zip(*_grouped("CrossEntropy", outputs, targets, self.groups))
            return reduce(fn.add, (single.by_position(logits, wanted, within) for logits, wanted in pairs))
        logits, wanted, within = self.classes(outputs, targets, within)
        log_p = fn.log_softmax(logits)
        values = -_expected(log_p, wanted)
        if self.label_smoothing:
            values = (1 - self.label_smoothing) * values - self.label_smoothing * fn.mean(log_p, -1)
        return mean_by_example(values, within)

    def _for_one_output(self) -> str:
        return "BinaryCrossEntropy"


@dataclass(frozen=True)
class Focal(ClassLoss):
    """-α (1 - p_t)^γ log p_t with p_t the probability of the true class: what is easy counts little.

    With γ = 0 and without α it is the cross-entropy.  Targets are as for :class:`CrossEntropy`, or for
    :class:`BinaryCrossEntropy` where ``binary``; with rows of probabilities it is the expectation over the classes.

    Args:
        gamma: γ, how much less what is easy counts.
        alpha: α; a number weighs class 1 by α and class 0 by 1 - α where ``binary``, and all classes alike otherwise
            (as catalogues have it); one number for each class; or None.
        binary: whether each output is a yes or no of its own, by the sigmoid.

    Source: Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection" (2017).  They divide by
    the number of positive anchors, we take the mean over positions.
    """

    gamma: float = 2.0
    alpha: float | Sequence[float] | None = 0.25
    binary: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        options.not_negative("Focal", "gamma", self.gamma)
        is_binary = options.flag("Focal", "binary", self.binary)
        if isinstance(self.alpha, (list, tuple, np.ndarray)):
            checked = tuple(options.not_negative("Focal", "alpha", float(a)) for a in self.alpha)
            if is_binary:
                raise OptionError("Focal", rule="alpha is one number where binary", got=str(checked))
            object.__setattr__(self, "alpha", checked)
        elif self.alpha is not None:
            fix = "Usual is 0.25; None does without it."
            options.number("Focal", "alpha", self.alpha, low=0, high=1, fix=fix)

    @property
    def kind(self) -> str:
        """What targets are."""
        return "binary" if self.binary else "classes"

    def by_position(self, outputs: Any, targets: Any, within: Tensor | None) -> Tensor:
        """The focal loss of each example, the mean over its positions."""
        if self.binary:
            z, y, within = self.yes_or_no(outputs, targets, within)
            refuse_probabilities("Focal", z, applies="sigmoid")
            yes, no = self._of(-fn.softplus(-z)), self._of(-fn.softplus(z))
            a = 0.5 if self.alpha is None else float(self.alpha)  # type: ignore[arg-type]
            weighed = a * y * yes + (1 - a) * (1 - y) * no
            return mean_by_example(2 * weighed if self.alpha is None else weighed, within)
        logits, wanted, within = self.classes(outputs, targets, within)
        log_p = fn.log_softmax(logits)
        if wanted.ndim < logits.ndim:
            values = self._of(at_class(log_p, wanted)) * self._share(logits, wanted)
        else:
            values = fn.sum(wanted.astype(logits.dtype) * self._of(log_p) * self._share(logits), -1)
        return mean_by_example(values, within)

    def _of(self, log_p: Tensor) -> Tensor:
        """-(1 - p)^γ log p."""
        if not self.gamma:
            return -log_p
        # At p = 1 the derivative of a power with γ < 1 would be infinite; the least float keeps it finite, times 0.
        least = float(finfo(log_p.dtype).tiny)
        return -fn.power(fn.maximum(-fn.expm1(log_p), least), self.gamma) * log_p

    def _share(self, logits: Tensor, classes: Tensor | None = None) -> Tensor | float:
        """α of these classes, or of all, shape (k,)."""
        if not isinstance(self.alpha, tuple):
            return 1.0 if self.alpha is None else float(self.alpha)  # type: ignore[arg-type]
        if len(self.alpha) != logits.shape[-1]:
            got = f"{self.alpha} for {logits.shape[-1]} classes"
            raise ShapeError("Focal", rule="alpha has one number for each class", got=got)
        found = tensor(np.array(self.alpha, logits.dtype))
        return found if classes is None else fn.take(found, classes)


def _grouped(who: str, outputs: Any, targets: Any, groups: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
    """Logits and targets of each group.

    Raises:
        ShapeError: the groups do not cover the outputs, or the targets have neither form.
    """
    logits, wanted = scores(who, outputs), tensor(targets)
    if sum(groups) != logits.shape[-1]:
        got = f"groups {tuple(groups)} (together {sum(groups)}) for {logits.type}"
        fix = "Give the last layer one unit for each class of each group."
        raise ShapeError(who, rule="the groups must cover the last axis", got=got, fix=fix)
    refuse_probabilities(who, logits, applies="softmax")
    ends = [sum(groups[:i]) for i in range(1, len(groups))]
    if wanted.shape == logits.shape:
        return fn.split(logits, ends, axis=-1), fn.split(wanted, ends, axis=-1)
    if wanted.shape != (*logits.shape[:-1], len(groups)):
        raise ShapeError(
            who,
            rule="targets are one class index for each group, or rows as wide as the logits",
            got=f"logits {logits.type} in {len(groups)} groups and targets {wanted.type}",
            fix=f"Class indices have shape {(*logits.shape[:-1], len(groups))}.",
        )
    return fn.split(logits, ends, axis=-1), [wanted[..., place] for place in range(len(groups))]


def _expected(log_p: Tensor, targets: Tensor) -> Tensor:
    """Σ_j y_j log p_j; for class indices the log-probability at the index."""
    if targets.ndim == log_p.ndim:
        return fn.sum(targets.astype(log_p.dtype) * log_p, -1)
    return at_class(log_p, targets)
