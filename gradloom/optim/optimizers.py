"""The optimisers that have names: each is a chain of pieces."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import KW_ONLY
from functools import cached_property
from typing import Annotated, Literal

from gradloom.errors import OptionError
from gradloom.optim.adaptive import (
    AdamEpsMode,
    BiasCorrection,
    EpsMode,
    ScaleByAdaDelta,
    ScaleByAdaGrad,
    ScaleByAdam,
    ScaleByRms,
    Squares,
)
from gradloom.optim.base import FirstOrder, as_parameters
from gradloom.optim.chain import Chain, chain
from gradloom.optim.clipping import ClipByNorm, ClipByValue
from gradloom.optim.decay import AddDecayedWeights
from gradloom.optim.learning_rate import ScaleByLearningRate
from gradloom.optim.momentum import ScaleByMomentum, Start
from gradloom.optim.piece import Hyper, Piece, State, Tensors, add, zeros_like
from gradloom.optim.schedules import LearningRate
from gradloom.options import (
    Epsilon,
    Flag,
    Fraction,
    MaybeFraction,
    MaybePositive,
    NotNegative,
    Share,
    words,
)
from gradloom.records import dataclass

Nesterov = Annotated[Literal[False, True, "reparametrised"], words(False, True, "reparametrised")]
MomentumForm = Annotated[Literal["outside", "inside", "ewma"], words("outside", "inside", "ewma")]


@dataclass(frozen=True)
class Composed(FirstOrder):
    """An optimiser of your own from pieces.

    ``Composed(chain(ClipByValue(1.0), ScaleByAdam(), ScaleByLearningRate(0.001)))`` is Adam with clipped gradients.

    Args:
        piece: turns gradients into what is added to the parameters; usually a chain.
    """

    piece: Piece

    def __post_init__(self) -> None:
        if not isinstance(self.piece, Piece):
            raise OptionError("Composed", rule="it takes one piece", got=repr(self.piece)[:100], fix="Use optim.chain.")

    def pieces(self) -> tuple[Piece, ...]:
        """The piece."""
        return (self.piece,)


@dataclass(frozen=True)
class NamedOptimizer(FirstOrder):
    """What the named optimisers have in common.

    Args:
        lr: learning rate η, a number or a schedule (optim.schedules).
        weight_decay: λ; λθ is added to the gradient, as by a penalty (λ/2) ‖θ‖².  At 0 it is left out of the step.
        decay_bias: whether vectors and scalars decay too.
        clip_norm: the largest norm of all gradients together (before decay); None sets no bound.
        clip_value: the largest absolute value of an element of a gradient; None sets no bound.
    """

    lr: LearningRate
    _: KW_ONLY
    weight_decay: NotNegative = 0.0
    decay_bias: Flag = True
    clip_norm: MaybePositive = None
    clip_value: MaybePositive = None

    def pieces(self) -> tuple[Piece, ...]:
        """Bounds and decay of the gradient, the method itself, the learning rate."""
        return (*self._bounds(), *self._decay(), *self._method(), ScaleByLearningRate(self.lr))

    @abstractmethod
    def _method(self) -> tuple[Piece, ...]:
        """What is between the gradient and the learning rate."""

    def _bounds(self) -> tuple[Piece, ...]:
        by_value = () if self.clip_value is None else (ClipByValue(self.clip_value),)
        by_norm = () if self.clip_norm is None else (ClipByNorm(self.clip_norm),)
        return (*by_value, *by_norm)

    def _decay(self) -> tuple[Piece, ...]:
        return (AddDecayedWeights(self.weight_decay, self.decay_bias),) if self.weight_decay else ()


@dataclass(frozen=True)
class SGD(NamedOptimizer):
    """Gradient descent, θ -= η g, with momentum on request (catalogue 98-110).

    Args:
        lr: learning rate η.
        momentum: μ; 0 does without.
        nesterov: take the gradient at the point that momentum alone would lead to (Nesterov, 1983; Sutskever and
            others, 2013).  "reparametrised" instead keeps that point as the parameters, as common libraries do; the
            two are one, but for "outside" where η changes.
        momentum_form: "outside" for v = μv + g, θ -= ηv; "inside" for v = μv + ηg, θ -= v; "ewma" for
            v = μv + (1 - μ)g, θ -= ηv.  The first two differ only where η changes.
        start: of the average in "ewma": at "zero" or at the first "gradient".
        weight_decay: λ of L2 in the gradient.
        decay_bias: whether vectors and scalars decay too.
        clip_norm: the largest norm of all gradients together.
        clip_value: the largest element of a gradient.
    """

    lr: LearningRate = 0.01
    momentum: Fraction = 0.0
    nesterov: Nesterov = False
    _: KW_ONLY
    momentum_form: MomentumForm = "outside"
    start: Start = "zero"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, standard in (("nesterov", False), ("momentum_form", "outside"), ("start", "zero")):
            if self.momentum == 0 and getattr(self, name) != standard:
                raise OptionError(
                    "SGD",
                    rule=f"{name} needs momentum",
                    got=f"momentum=0, {name}={getattr(self, name)!r}",
                    fix="Set momentum, e.g. to 0.9.",
                )
        self._method()  # refuses a start that does not fit the form

    def pieces(self) -> tuple[Piece, ...]:
        """Bounds and decay of the gradient, then momentum and learning rate in the order of the form."""
        return (*self._bounds(), *self._decay(), *self._motion.pieces)

    def _method(self) -> tuple[Piece, ...]:
        if self.momentum == 0:
            return ()
        is_average, is_reparametrised = self.momentum_form == "ewma", self.nesterov == "reparametrised"
        return (ScaleByMomentum(self.momentum, is_average, self.start, is_reparametrised),)

    @cached_property
    def _motion(self) -> Chain:
        rate = ScaleByLearningRate(self.lr)
        return chain(rate, *self._method()) if self.momentum_form == "inside" else chain(*self._method(), rate)

    @property
    def looks_ahead(self) -> bool:
        """If ``nesterov`` is True."""
        return self.nesterov is True

    def lookahead(self, parameters: Tensors, state: State, hyper: Hyper | None = None) -> Tensors:
        """Where a zero gradient would lead, if ``nesterov`` is True: θ - ημv."""
        if not self.looks_ahead:
            return parameters
        now = as_parameters("SGD", parameters)
        coasting, _ = self._motion.update(zeros_like(now), state, now, hyper or {})
        return add(now, coasting)


@dataclass(frozen=True)
class AdaGrad(NamedOptimizer):
    """G += g², θ -= η g / √(G + ε); suits sparse features, and slows down as G grows (catalogue 112-114).

    Args:
        lr: learning rate η.
        decay: how much of G is kept from step to step.
        eps: ε.
        eps_mode: "inside" for √(G + ε), "outside" for √G + ε, "none" for √G.
        initial: what G begins at; more than 0 shortens the first steps.
        weight_decay: λ of L2 in the gradient.
        decay_bias: whether vectors and scalars decay too.
        clip_norm: the largest norm of all gradients together.
        clip_value: the largest element of a gradient.
    """

    lr: LearningRate = 0.01
    decay: Share = 1.0
    eps: Epsilon = 1e-6
    _: KW_ONLY
    eps_mode: EpsMode = "inside"
    initial: NotNegative = 0.0

    def _method(self) -> tuple[Piece, ...]:
        return (ScaleByAdaGrad(self.decay, self.eps, self.eps_mode, self.initial),)


@dataclass(frozen=True)
class AdaDelta(NamedOptimizer):
    """Steps in the units of the parameters, from the sizes of the steps before (catalogue 115).

    s = ρs + (1-ρ)g², g' = √(d + ε)/√(s + ε) · g, d = γd + (1-γ)g'², θ -= η g'.

    Args:
        lr: η; the paper has none, which is 1.
        rho: ρ.
        eps: ε; it also sets the size of the first steps.
        rho_updates: γ; the same as ρ by default.
        weight_decay: λ of L2 in the gradient.
        decay_bias: whether vectors and scalars decay too.
        clip_norm: the largest norm of all gradients together.
        clip_value: the largest element of a gradient.
    """

    lr: LearningRate = 1.0
    rho: Fraction = 0.9
    eps: Epsilon = 1e-6
    _: KW_ONLY
    rho_updates: MaybeFraction = None

    def _method(self) -> tuple[Piece, ...]:
        return (ScaleByAdaDelta(self.rho, self.eps, self.rho_updates),)


@dataclass(frozen=True)
class RMSProp(NamedOptimizer):
    """s = ρs + (1-ρ)g², θ -= η g / √(s + ε) (catalogue 116).

    Args:
        lr: learning rate η.
        rho: ρ.
        eps: ε.
        momentum: μ of a momentum on the scaled gradients, v = μv + g / √(s + ε), θ -= ηv; 0 does without.
        eps_mode: "inside" for √(s + ε), "outside" for √s + ε, "none" for √s.
        weight_decay: λ of L2 in the gradient.
        decay_bias: whether vectors and scalars decay too.
        clip_norm: the largest norm of all gradients together.
        clip_value: the largest element of a gradient.
    """

    lr: LearningRate = 0.001
    rho: Fraction = 0.9
    eps: Epsilon = 1e-6
    momentum: Fraction = 0.0
    _: KW_ONLY
    eps_mode: EpsMode = "inside"

    def _method(self) -> tuple[Piece, ...]:
        momentum = (ScaleByMomentum(self.momentum),) if self.momentum else ()
        return (ScaleByRms(self.rho, self.eps, self.eps_mode), *momentum)


@dataclass(frozen=True)
class Adam(NamedOptimizer):
    """Averages of gradients over averages of their squares: θ -= η m̂ / (√v̂ + ε) (catalogue 117-119).

    Args:
        lr: learning rate η.
        beta1: β₁ of the average of gradients.
        beta2: β₂ of the average of their squares.
        eps: ε.
        eps_mode: "inside" for √(v̂ + ε), "outside" for √v̂ + ε, "none" for √v̂, "uncorrected" for √v̂ + ε / √(1 - β₂ᵗ),
            which is m̂ √(1 - β₂ᵗ) / (√v + ε), the paper's shorter form.
        bias_correction: whether the averages are freed of the pull to zero; "recursive" averages on with the freed
            ones, a slip in part of the notes.
        squares: "smoothed" averages the squares of the averages, "gradient" those of the gradients.
        weight_decay: λ of L2 in the gradient; see :class:`AdamW` for decoupled decay.
        decay_bias: whether vectors and scalars decay too.
        clip_norm: the largest norm of all gradients together.
        clip_value: the largest element of a gradient.
    """

    lr: LearningRate = 0.001
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Epsilon = 1e-8
    _: KW_ONLY
    eps_mode: AdamEpsMode = "outside"
    bias_correction: BiasCorrection = True
    squares: Squares = "gradient"

    def _method(self) -> tuple[Piece, ...]:
        return (ScaleByAdam(self.beta1, self.beta2, self.eps, self.eps_mode, self.bias_correction, self.squares),)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: θ -= η (m̂ / (√v̂ + ε) + λθ).

    From Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.  The arguments are those of
    :class:`Adam`; ``weight_decay`` is λ.
    """

    _: KW_ONLY
    weight_decay: NotNegative = 0.01

    def pieces(self) -> tuple[Piece, ...]:
        """As in Adam, but with the decay behind the scaling."""
        return (*self._bounds(), *self._method(), *self._decay(), ScaleByLearningRate(self.lr))
