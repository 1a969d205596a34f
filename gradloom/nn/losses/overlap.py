"""Losses of regions: how much the region that a model marks overlaps the true one.

All are built on three sums over the positions of an example, for each class: what both have, I = Σ p g; what the
model marks, P = Σ p; and what is true, G = Σ g, with probabilities p and truth g.  Unlike a mean over pixels they do
not care how much of the image is background.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import field
from typing import Any

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import OptionError
from gradloom.nn.losses.labels import ClassLoss
from gradloom.nn.losses.logits import refuse_probabilities
from gradloom.records import dataclass
from gradloom.tensor import Tensor


@dataclass(frozen=True)
class OverlapLoss(ClassLoss):
    """1 - overlap, the mean over the classes.

    Targets are class indices (n, ...) or one-hot rows for logits (n, ..., k), through the softmax; or 0 and 1 in the
    shape of the logits, through the sigmoid, where ``binary``: then all positions are one region.

    Args:
        smooth: s, added above and below, so that of a class that is not there little is lost where little is marked;
            with s = 0 all is lost as soon as anything is.
        squared: P = Σ p² and G = Σ g² in place of Σ p and Σ g, as the V-Net has them.
        binary: whether each output is a yes or no of its own, by the sigmoid.
        background: whether class 0 counts as well.
    """

    smooth: float = 1.0
    squared: bool = field(default=False, kw_only=True)
    binary: bool = field(default=False, kw_only=True)
    background: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        who = type(self).__name__
        options.not_negative(who, "smooth", self.smooth)
        for name in ("squared", "binary", "background"):
            options.flag(who, name, getattr(self, name))
        if self.binary and not self.background:
            fix = "A single output marks class 1 alone."
            raise OptionError(who, rule="background is for losses of several classes", got="binary=True", fix=fix)

    @property
    def kind(self) -> str:
        """What targets are."""
        return "binary" if self.binary else "classes"

    def by_position(self, outputs: Any, targets: Any, within: Tensor | None) -> Tensor:
        """1 - overlap of each example, the mean over its classes."""
        p, g, within = self._regions(outputs, targets, within)
        weight = 1.0 if within is None else fn.expand_dims(within, -1)
        square = fn.square if self.squared else lambda x: x
        places = tuple(range(1, p.ndim - 1))
        both, marked, true = (fn.sum(weight * x, places) for x in (p * g, square(p), square(g)))
        above, below = self._parts(both, marked, true)
        overlap = fn.where(below > 0, above / fn.where(below > 0, below, 1), 1)
        return fn.mean(1 - overlap, -1)

    @abstractmethod
    def _parts(self, both: Tensor, marked: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Numerator and denominator of the overlap, from I, P and G."""

    def _regions(self, outputs: Any, targets: Any, within: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Probabilities and truth, shape (n, ..., classes), and the weights of the positions (n, ...)."""
        if self.binary:
            z, y, within = self.yes_or_no(outputs, targets, within)
            refuse_probabilities(type(self).__name__, z, applies="sigmoid")
            return fn.expand_dims(fn.sigmoid(z), -1), fn.expand_dims(y, -1), within
        logits, wanted, within = self.classes(outputs, targets, within)
        k = logits.shape[-1]
        truth = wanted.astype(logits.dtype) if wanted.ndim == logits.ndim else fn.one_hot(wanted, k, logits.dtype)
        p = fn.softmax(logits)
        return (p, truth, within) if self.background else (p[..., 1:], truth[..., 1:], within)


@dataclass(frozen=True)
class Dice(OverlapLoss):
    """1 - (2 I + s) / (P + G + s), one minus the F1 score of the region in its soft form.

    Source: Milletari, Navab and Ahmadi, "V-Net" (2016), whose sums are ``squared``; Sørensen (1948), Dice (1945).
    """

    def _parts(self, both: Tensor, marked: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * both + self.smooth, marked + true + self.smooth


@dataclass(frozen=True)
class IoU(OverlapLoss):
    """1 - (I + s) / (P + G - I + s), intersection over union (Jaccard's index) in its soft form.

    Source: Rahman and Wang, "Optimizing intersection-over-union in deep neural networks" (2016), who have no s.
    """

    def _parts(self, both: Tensor, marked: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        return both + self.smooth, marked + true - both + self.smooth


@dataclass(frozen=True)
class Tversky(OverlapLoss):
    """1 - (I + s) / (I + α (P - I) + β (G - I) + s): α weighs what is marked wrongly, β what is missed.

    α = β = ½ is Dice (with half its s), α = β = 1 is IoU.

    Args:
        alpha: α.
        beta: β.

    Source: Salehi, Erdogmus and Gholipour, "Tversky loss function for image segmentation" (2017).
    """

    alpha: float = field(default=0.3, kw_only=True)
    beta: float = field(default=0.7, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        options.not_negative("Tversky", "alpha", self.alpha)
        options.not_negative("Tversky", "beta", self.beta)

    def _parts(self, both: Tensor, marked: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        wrong, missed = marked - both, true - both
        return both + self.smooth, both + self.alpha * wrong + self.beta * missed + self.smooth
