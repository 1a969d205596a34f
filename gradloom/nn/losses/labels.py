"""What losses for targets that are classes share: which targets they take, and which positions they leave out."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import ShapeError
from gradloom.nn.losses.base import MappedLoss, check_map
from gradloom.nn.losses.logits import refuse_probabilities
from gradloom.nn.pairs import class_targets, paired, scores
from gradloom.ops import index
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor


@dataclass(frozen=True)
class ClassLoss(MappedLoss):
    """Base of losses for classes.

    Args:
        ignore: a label whose positions do not count, such as 255 at the unclear borders of a mask.
    """

    ignore: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        options.label(type(self).__name__, "ignore", self.ignore)

    @property
    def kind(self) -> str:
        """What targets are."""
        return "classes"

    def classes(self, outputs: Any, targets: Any, within: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits (n, ..., k), class indices (n, ...) or rows (n, ..., k), and the weights of the positions.

        Raises:
            ShapeError: there are not two classes at least, or targets or weights do not fit.
            OptionError: the outputs are probabilities.
        """
        who = type(self).__name__
        logits = scores(who, outputs)
        if logits.ndim < 2 or logits.shape[-1] < 2:
            raise ShapeError(
                who,
                rule="logits are (examples, classes) with at least 2 classes",
                got=str(logits.type),
                fix=f"For two classes and a single output use {self._for_one_output()}.",
            )
        refuse_probabilities(who, logits, applies="softmax")
        within = check_map(who, within, logits.shape[:-1], logits.dtype)
        if tensor(targets).shape != logits.shape:
            targets, within = self._kept(targets, within, logits.dtype)
        return logits, class_targets(who, logits, targets), within

    def yes_or_no(self, outputs: Any, targets: Any, within: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits and targets from 0 to 1 of one shape, and the weights of the positions.

        Raises:
            ShapeError: the shapes differ.
        """
        who = type(self).__name__
        given, _ = paired(who, outputs, targets)
        within = check_map(who, within, given.shape, given.dtype)
        wanted, within = self._kept(targets, within, given.dtype)
        return given, wanted.astype(given.dtype), within

    def _kept(self, targets: Any, within: Tensor | None, dtype: Any) -> tuple[Tensor, Tensor | None]:
        """Targets with 0 in place of the label to ignore, and weights that are 0 there."""
        found = tensor(targets)
        if self.ignore is None:
            return found, within
        wide = found if found.type.is_float else found.astype("int64")  # 255 - 256 = -1 must not be mistaken for 255
        counts = wide != self.ignore
        mask = counts.astype(dtype)
        return fn.where(counts, wide, 0), mask if within is None else mask * within

    def _for_one_output(self) -> str:
        return f"{type(self).__name__}(binary=True)"


def at_class(values: Tensor, classes: Tensor) -> Tensor:
    """Of each row of values that of a class, shape (n, ...) of (n, ..., k)."""
    # The primitive itself, since gl.take_along_axis would count negative classes from the end.
    chosen = index.take_along(values.node, fn.expand_dims(classes, -1).node, axis=values.ndim - 1)
    return Tensor(chosen).reshape(classes.shape)
