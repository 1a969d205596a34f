"""L1, L2 and both together: penalties on the size of weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Annotated, Any, Literal

from gradloom import functional as fn
from gradloom import tree
from gradloom.errors import OptionError
from gradloom.nn.regularizers.base import Penalty, Tensors, Values
from gradloom.options import Flag, NotNegative, words
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor

Scale = Annotated[
    Literal["plain", "half", "per_example", "half_per_example"],
    words("plain", "half", "per_example", "half_per_example"),
]


@dataclass(frozen=True)
class Scaled(Penalty):
    """Base of penalties that the literature writes with different factors (catalogue A-V 7).

    Args:
        scale: "plain" for λ R, "half" for (λ/2) R, "per_example" for (λ/m) R and "half_per_example" for (λ/2m) R,
            where m is the sum of the weights of the batch, so the number of its examples where none are given.
    """

    _: KW_ONLY
    scale: Scale = "plain"

    def scaled(self, values: Values, examples: Any) -> dict[str, Any]:
        """The rates as they multiply R.

        Raises:
            OptionError: the scale asks for the number of examples, and none is given.
        """
        factor: Any = 0.5 if self.scale.startswith("half") else 1.0
        if self.scale.endswith("per_example"):
            if examples is None:
                who, rule = type(self).__name__, f"scale={self.scale!r} divides by the number of examples"
                raise OptionError(who, rule=rule, got="none", fix="Pass examples=.")
            count = tensor(examples, "float64")
            factor = factor / fn.where(count > 0, count, 1)
        return dict(values) if self.scale == "plain" else {name: factor * rate for name, rate in values.items()}


@dataclass(frozen=True)
class L2(Scaled):
    """λ Σ w²; its gradient 2λw pulls every weight towards 0, the more the larger it is (catalogue 134-137).

    With ``scale="half"`` each step of gradient descent multiplies the weights by 1 - ηλ, with "half_per_example" by
    1 - ηλ/m.

    Args:
        rate: λ.
        scale: see :class:`Scaled`.
        bias: whether vectors and scalars count too.
        at: a layer or parameter to act on alone.
    """

    rate: NotNegative = 0.01

    def of(self, parameter: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """λ Σ w²."""
        return values["rate"] * fn.sum(parameter * parameter)


@dataclass(frozen=True)
class Proximal(Scaled):
    """Base of penalties that may act by a proximal step instead of their gradient.

    The step gives each parameter w the u that makes (u - w)²/(2s) + λ R(u) least, with s the distance that a lasting
    gradient of 1 moves the parameter: the learning rate η; η/(1 - μ) with momentum; η/(√v̂ + ε) with Adam, for each
    parameter its own.  So the steps come to rest where loss + λ R is least, for any of these optimisers.  Clipping
    of gradients and decoupled weight decay are not counted into s.

    Source: Parikh and Boyd, "Proximal algorithms" (2014); for adaptive steps Duchi, Hazan and Singer, "Adaptive
    subgradient methods" (2011).
    """

    _: KW_ONLY
    proximal: Flag = False

    @property
    def moves(self) -> bool:
        """Whether the proximal step is asked for."""
        return self.proximal

    @abstractmethod
    def proximal_step(self, parameter: Tensor, size: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """The u of the class for one parameter."""

    def moved(
        self, parameters: Tensors, sizes: Any = 1.0, examples: Any = None, hyper: Values | None = None
    ) -> Tensors:
        """The chosen parameters after the proximal step, see :meth:`Regularizer.moved`."""
        if not self.proximal:
            return parameters
        leaves, definition = tree.flatten(parameters)
        values = self.scaled(self.values(hyper), examples)
        each = [sizes] * len(leaves) if isinstance(sizes, (int, float, Tensor)) else tree.leaves(sizes)
        moved = [
            self.proximal_step(w, tensor(s, w.dtype), {n: tensor(v, w.dtype) for n, v in values.items()})
            if is_in
            else w
            for w, s, is_in in zip(leaves, each, self.chosen(parameters))
        ]
        return tree.unflatten(definition, moved)


def soft_threshold(w: Tensor, threshold: Tensor) -> Tensor:
    """sign(w) · max(|w| - threshold, 0): exactly 0 for all that is small."""
    return fn.where(w > threshold, w - threshold, fn.where(w < -threshold, w + threshold, fn.zeros_like(w)))


@dataclass(frozen=True)
class L1(Proximal):
    """λ Σ |w|, which drives weights to 0 one after the other (catalogue 138-140).

    Its gradient λ sign(w) leaves weights trembling about 0.  The proximal step is the soft threshold
    w ← sign(w) · max(|w| - sλ, 0), after which they are exactly 0.

    Args:
        rate: λ.
        scale: see :class:`Scaled`.
        proximal: act by the proximal step; see :class:`Proximal` for s.
        bias: whether vectors and scalars count too.
        at: a layer or parameter to act on alone.

    Source: Tibshirani, "Regression shrinkage and selection via the lasso" (1996).
    """

    rate: NotNegative = 0.01

    def of(self, parameter: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """λ Σ |w|."""
        return values["rate"] * fn.sum(fn.abs(parameter))

    def proximal_step(self, parameter: Tensor, size: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """The soft threshold."""
        return soft_threshold(parameter, size * values["rate"])


@dataclass(frozen=True)
class Elastic(Proximal):
    """λ₁ Σ |w| + λ₂ Σ w²: zeros as from L1, but of weights that do the same work all or none.

    The proximal step is the soft threshold by sλ₁, divided by 1 + 2sλ₂.

    Args:
        l1: λ₁.
        l2: λ₂.
        scale: of both, see :class:`Scaled`.
        proximal: act by the proximal step; see :class:`Proximal` for s.
        bias: whether vectors and scalars count too.
        at: a layer or parameter to act on alone.

    Source: Zou and Hastie, "Regularization and variable selection via the elastic net" (2005), the naive form.
    """

    l1: NotNegative = 0.01
    l2: NotNegative = 0.01

    def of(self, parameter: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """λ₁ Σ |w| + λ₂ Σ w²."""
        return values["l1"] * fn.sum(fn.abs(parameter)) + values["l2"] * fn.sum(parameter * parameter)

    def proximal_step(self, parameter: Tensor, size: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """The soft threshold, then shrunk."""
        return soft_threshold(parameter, size * values["l1"]) / (1 + 2 * size * values["l2"])
