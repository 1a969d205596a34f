"""Pieces that give every parameter a step size of its own, from the squares of its gradients."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

import numpy as np

from gradloom import functional as fn
from gradloom import tree
from gradloom.errors import OptionError
from gradloom.optim.piece import Hyper, Piece, State, Tensors, blend, no_steps, zeros_like
from gradloom.options import Epsilon, Fraction, MaybeFraction, NotNegative, Share, words
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor

EpsMode = Annotated[Literal["inside", "outside", "none"], words("inside", "outside", "none")]


def divide_by_root(u: Tensor, square: Tensor, eps: Any, mode: EpsMode) -> Tensor:
    """u / √(s + ε) ("inside"), u / (√s + ε) ("outside") or u / √s ("none").

    Where s is 0 the root has no derivative, and u / √s no value.  A parameter without gradients must not spoil
    derivatives of whole training runs with NaN, so the root of 0 is given the derivative 0, and in the last mode
    u is not divided (it is 0 as well).
    """
    e = tensor(eps, u.dtype)
    if mode == "inside":
        return u / fn.sqrt(square + e)
    is_positive = square > 0
    root = fn.sqrt(fn.where(is_positive, square, 1))
    return u / root if mode == "none" else u / (fn.where(is_positive, root, 0) + e)


def _divided(sizes: Tensors, square: Tensors, eps: Any, mode: EpsMode) -> Tensors:
    return tree.map(lambda u, s: divide_by_root(u, s, eps, mode), sizes, square)


def _squares(tensors: Tensors) -> Tensors:
    return tree.map(fn.square, tensors)


@dataclass(frozen=True)
class ScaleByAdaGrad(Piece):
    """G = decay · G + u², u ↦ u / √(G + ε).

    From Duchi, Hazan and Singer, "Adaptive subgradient methods", 2011; there ``decay`` is 1.

    Args:
        decay: how much of the old sum is kept.
        eps: ε.
        eps_mode: where ε stands, see :func:`divide_by_root`.
        initial: what G begins at.
    """

    decay: Share = 1.0
    eps: Epsilon = 1e-6
    eps_mode: EpsMode = "inside"
    initial: NotNegative = 0.0

    def init(self, parameters: Tensors) -> State:
        """The sum G."""
        return {"square": tree.map(lambda p: fn.full(p.shape, self.initial, p.dtype), parameters)}

    def hyperparameters(self) -> dict[str, float]:
        """Those of a step, which ``initial`` is not."""
        return {name: value for name, value in self.numbers().items() if name != "initial"}

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """See the class."""
        values = self.values(hyper)
        square = tree.map(lambda s, u: tensor(values["decay"], u.dtype) * s + fn.square(u), state["square"], updates)
        scaled = tree.map(lambda u, s: divide_by_root(u, s, values["eps"], self.eps_mode), updates, square)
        return scaled, {"square": square}

    def step_sizes(self, sizes: Tensors, state: State, hyper: Hyper) -> Tensors:
        """Divided by the root."""
        return _divided(sizes, state["square"], self.values(hyper)["eps"], self.eps_mode)


@dataclass(frozen=True)
class ScaleByRms(Piece):
    """s = ρ s + (1 - ρ) u², u ↦ u / √(s + ε).

    From Tieleman and Hinton, "Lecture 6.5: rmsprop", 2012.

    Args:
        rho: ρ; about 1 / (1 - ρ) steps are remembered.
        eps: ε.
        eps_mode: where ε stands, see :func:`divide_by_root`.
    """

    rho: Fraction = 0.9
    eps: Epsilon = 1e-6
    eps_mode: EpsMode = "inside"

    def init(self, parameters: Tensors) -> State:
        """The average s."""
        return {"square": zeros_like(parameters)}

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """See the class."""
        values = self.values(hyper)
        square = blend(state["square"], _squares(updates), values["rho"])
        scaled = tree.map(lambda u, s: divide_by_root(u, s, values["eps"], self.eps_mode), updates, square)
        return scaled, {"square": square}

    def step_sizes(self, sizes: Tensors, state: State, hyper: Hyper) -> Tensors:
        """Divided by the root."""
        return _divided(sizes, state["square"], self.values(hyper)["eps"], self.eps_mode)


@dataclass(frozen=True)
class ScaleByAdaDelta(Piece):
    """s = ρ s + (1 - ρ) u², u' = √(d + ε) / √(s + ε) · u, d = γ d + (1 - γ) u'², u ↦ u'.

    From Zeiler, "ADADELTA: an adaptive learning rate method", 2012.

    Args:
        rho: ρ.
        eps: ε; it also sets the size of the first steps.
        rho_updates: γ; the same as ρ by default.
    """

    rho: Fraction = 0.9
    eps: Epsilon = 1e-6
    rho_updates: MaybeFraction = None

    def init(self, parameters: Tensors) -> State:
        """The averages s of squared gradients and d of squared updates."""
        return {"square": zeros_like(parameters), "updates": zeros_like(parameters)}

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """See the class."""
        values = self.values(hyper)
        square = blend(state["square"], _squares(updates), values["rho"])
        scaled = _in_units_of_updates(updates, square, state["updates"], values["eps"])
        rho_updates = values["rho" if self.rho_updates is None else "rho_updates"]
        return scaled, {"square": square, "updates": blend(state["updates"], _squares(scaled), rho_updates)}

    def step_sizes(self, sizes: Tensors, state: State, hyper: Hyper) -> Tensors:
        """Scaled likewise."""
        return _in_units_of_updates(sizes, state["square"], state["updates"], self.values(hyper)["eps"])


def _in_units_of_updates(updates: Tensors, square: Tensors, before: Tensors, eps: Any) -> Tensors:
    """√(d + ε) / √(s + ε) · u."""

    def scale(u: Tensor, s: Tensor, d: Tensor) -> Tensor:
        e = tensor(eps, u.dtype)
        return fn.sqrt(d + e) / fn.sqrt(s + e) * u

    return tree.map(scale, updates, square, before)


Squares = Annotated[Literal["gradient", "smoothed"], words("gradient", "smoothed")]
AdamEpsMode = Annotated[
    Literal["inside", "outside", "none", "uncorrected"], words("inside", "outside", "none", "uncorrected")
]
BiasCorrection = Annotated[Literal[True, False, "recursive"], words(True, False, "recursive")]


@dataclass(frozen=True)
class ScaleByAdam(Piece):
    """m = β₁ m + (1 - β₁) u, v = β₂ v + (1 - β₂) u², u ↦ m̂ / (√v̂ + ε) with m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ).

    The corrections take away the pull of m and v to the zero that they begin at.
    From Kingma and Ba, "Adam: a method for stochastic optimization", 2015.

    Args:
        beta1: β₁.
        beta2: β₂.
        eps: ε.
        eps_mode: where ε stands, see :func:`divide_by_root`; "uncorrected" adds it to the root of the uncorrected
            average, so that it is ε / √(1 - β₂ᵗ) beside √v̂: the paper's shorter form, that of Keras and scikit-learn.
        bias_correction: whether m and v are corrected; without it the first steps are 1 - β₁ over √(1 - β₂) times
            as long.  "recursive" goes on from the corrected averages, a slip in part of the notes (catalogue T5).
        squares: "smoothed" averages m² in place of u² ("RMSProp with momentum", catalogue 118).
    """

    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Epsilon = 1e-8
    eps_mode: AdamEpsMode = "outside"
    bias_correction: BiasCorrection = True
    squares: Squares = "gradient"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps_mode == "uncorrected" and self.bias_correction is not True:
            raise OptionError(
                type(self).__name__,
                rule="eps_mode='uncorrected' is for averages that are corrected",
                got=f"bias_correction={self.bias_correction!r}",
                fix="Use eps_mode='outside', which is the same without correction.",
            )

    def init(self, parameters: Tensors) -> State:
        """The averages m and v and the number of steps."""
        return {"step": no_steps(), "mean": zeros_like(parameters), "square": zeros_like(parameters)}

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """See the class."""
        values, step = self.values(hyper), state["step"] + 1
        mean = blend(state["mean"], updates, values["beta1"])
        squared = _squares(updates if self.squares == "gradient" else mean)
        square = blend(state["square"], squared, values["beta2"])

        m, v = mean, square
        if self.bias_correction:
            m, v = unbiased(m, values["beta1"], step), unbiased(v, values["beta2"], step)
        if self.bias_correction == "recursive":
            mean, square = m, v
        return _divided(m, v, *self._eps(values, step)), {"step": step, "mean": mean, "square": square}

    def step_sizes(self, sizes: Tensors, state: State, hyper: Hyper) -> Tensors:
        """Divided by the root, as corrected in the last step."""
        values, square = self.values(hyper), state["square"]
        if self.bias_correction is True:  # in the recursion the state itself is corrected
            square = unbiased(square, values["beta2"], state["step"])
        return _divided(sizes, square, *self._eps(values, state["step"]))

    def _eps(self, values: Hyper, step: Tensor) -> tuple[Any, EpsMode]:
        """ε and where it stands beside the corrected averages."""
        if self.eps_mode != "uncorrected":
            return values["eps"], self.eps_mode
        return values["eps"] / fn.sqrt(total_weight(values["beta2"], step, np.float64)), "outside"


def unbiased(averages: Tensors, beta: Any, step: Tensor) -> Tensors:
    """Exponentially weighted averages of ``step`` values that began at 0, divided by their total weight 1 - βᵗ."""

    @cache
    def inverse(dtype: np.dtype) -> Tensor:
        # One division for all tensors, for a division takes as long as ten multiplications.
        return 1 / total_weight(beta, step, dtype)

    return tree.map(lambda average: average * inverse(average.dtype), averages)


def total_weight(beta: Any, step: Tensor, dtype: Any) -> Tensor:
    """1 - βᵗ, the weight of t values in an average that began at 0."""
    return 1 - tensor(beta, dtype) ** step.astype(dtype)
