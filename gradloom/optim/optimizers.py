"""The optimisers: named chains of pieces (optim/pieces.py).

An optimiser holds numbers and names only.  What it remembers, its state, goes into :meth:`Optimizer.update` and comes
out; so does every hyperparameter, under its name.  A whole training step is therefore one pure function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from gradloom import functional as gl
from gradloom import tree
from gradloom.optim import pieces
from gradloom.optim.pieces import EpsMode, Piece, Step, Tensors, like
from gradloom.optim.schedules import Constant, Hyper, Schedule, check, double
from gradloom.tensor import Tensor

Rate = float | Schedule


@dataclass(frozen=True)
class Optimizer:
    """Base: subclasses say which pieces they are chained from."""

    def chain(self) -> Sequence[Piece]:
        """The pieces, from the gradient to the step."""
        raise NotImplementedError

    def hyperparameters(self) -> dict[str, float]:
        """All numbers that :meth:`update` looks up, by name."""
        return {name: float(value) for piece in self.chain() for name, value in piece.numbers.items()}

    def init(self, parameters: Tensors) -> dict[str, Any]:
        """The state before the first update: the count of updates and each piece's memory."""
        memories = {str(i): piece.init(parameters) for i, piece in enumerate(self.chain())}
        return {"count": gl.zeros((), "int64"), **{name: memory for name, memory in memories.items() if memory}}

    def lookahead(self, parameters: Tensors, state: dict[str, Any], hyper: Hyper) -> Tensors:
        """Where the gradient is taken: the parameters themselves, except in Nesterov's method."""
        return parameters

    def update(
        self, gradients: Tensors, state: dict[str, Any], parameters: Tensors, hyper: Hyper | None = None
    ) -> tuple[Tensors, dict[str, Any]]:
        """One update.

        Args:
            gradients: nested as the parameters.
            state: as :meth:`init` or the last update gave it.
            parameters: where they stand.
            hyper: numbers by name; the optimiser's own where None.

        Returns:
            ``(new parameters, new state)`` of the same types.
        """
        step = Step(double(state["count"]), parameters, self.hyperparameters() if hyper is None else hyper)
        new_state: dict[str, Any] = {"count": state["count"] + 1}
        updates = gradients
        for i, piece in enumerate(self.chain()):
            updates, memory = piece.update(updates, state.get(str(i), {}), step)
            if memory:
                new_state[str(i)] = memory
        return tree.map(lambda w, u: w + u, parameters, updates), new_state


def _schedule(lr: Rate) -> Schedule:
    return lr if isinstance(lr, Schedule) else Constant(float(lr))


def _check_common(optimizer: Any) -> None:
    """Rules for options that several optimisers share."""
    who = type(optimizer).__name__
    for f in fields(optimizer):
        value = getattr(optimizer, f.name)
        if f.name == "lr" and not isinstance(value, Schedule):
            ok = isinstance(value, (int, float)) and math.isfinite(value) and value >= 0
            check(who, "the learning rate is a finite number not below 0, or a schedule", ok, repr(value))
        elif f.name in ("momentum", "beta1", "beta2", "rho"):
            check(who, f"{f.name} lies in [0, 1)", 0 <= value < 1, value)
        elif f.name == "eps":
            check(who, "eps is above 0", value > 0, value)
        elif f.name == "eps_mode":
            check(who, "eps_mode is 'outside', 'inside' or 'none'", value in ("outside", "inside", "none"), repr(value))
        elif f.name in ("clip_norm", "clip_value") and value is not None:
            check(who, f"{f.name} is above 0, or None", value > 0, value)
        elif f.name == "weight_decay":
            check(who, "weight_decay is not negative", value >= 0, value)


@dataclass(frozen=True)
class _Common(Optimizer):
    """Options that all optimisers have, and the pieces in front of the method itself.

    Args of every optimiser:
        lr: learning rate η, or a schedule of it.
        weight_decay: λ added to the gradient as λ w (in AdamW: decoupled).
        clip_norm: largest norm of the whole gradient, None for no limit.
        clip_value: largest element of the gradient, None for no limit.
    """

    lr: Rate = 0.01
    weight_decay: float = 0.0
    clip_norm: float | None = None
    clip_value: float | None = None

    def __post_init__(self) -> None:
        _check_common(self)

    def method(self) -> list[Piece]:
        """What the optimiser does between the gradient and the learning rate."""
        return []

    def _gradient(self) -> list[Piece]:
        found = []
        if self.clip_value is not None:
            found.append(pieces.clip_by_value(self.clip_value))
        if self.clip_norm is not None:
            found.append(pieces.clip_by_norm(self.clip_norm))
        if self.weight_decay:
            found.append(pieces.add_decayed_weights(self.weight_decay))
        return found

    def chain(self) -> Sequence[Piece]:
        """Gradient, method, learning rate."""
        return [*self._gradient(), *self.method(), pieces.scale_by_learning_rate(_schedule(self.lr))]


@dataclass(frozen=True)
class SGD(_Common):
    """Gradient descent, with momentum and Nesterov's look-ahead where asked.

    w ← w - η v with v = β v + g.

    Args:
        lr: η.
        momentum: β; 0 for plain descent.
        nesterov: take the gradient where momentum alone would lead, w - η β v (True), or use the same method written
            with the gradient at w (``"one_gradient"``).
        form: where the learning rate stands: "outside" v = βv + g, w ← w - ηv; "inside" v = βv + ηg, w ← w - v (the
            same while η is constant); "average" v = βv + (1-β)g.
        start: the first velocity, "zero" or the first "gradient".

    Source: Polyak (1964), Nesterov (1983); the forms are those of the course notes (S0, S1, S3, S4).
    """

    momentum: float = 0.0
    nesterov: bool | Literal["one_gradient"] = False
    form: Literal["outside", "inside", "average"] = "outside"
    start: Literal["zero", "gradient"] = "zero"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            "SGD", "form is 'outside', 'inside' or 'average'", self.form in ("outside", "inside", "average"), self.form
        )
        check("SGD", "start is 'zero' or 'gradient'", self.start in ("zero", "gradient"), self.start)
        check(
            "SGD",
            "nesterov is True, False or 'one_gradient'",
            self.nesterov in (True, False, "one_gradient"),
            self.nesterov,
        )
        check("SGD", "nesterov needs a momentum above 0", not self.nesterov or self.momentum > 0, self.momentum)

    def chain(self) -> Sequence[Piece]:
        """The learning rate stands behind the momentum, or in front of it ("inside")."""
        rate = pieces.scale_by_learning_rate(_schedule(self.lr))
        if not self.momentum:
            return [*self._gradient(), rate]
        momentum = pieces.accumulate(
            self.momentum,
            average=self.form == "average",
            start_at_gradient=self.start == "gradient",
            ahead=self.nesterov == "one_gradient",
        )
        return [*self._gradient(), *([rate, momentum] if self.form == "inside" else [momentum, rate])]

    def lookahead(self, parameters: Tensors, state: dict[str, Any], hyper: Hyper) -> Tensors:
        """w - η β v for Nesterov's method."""
        if self.nesterov is not True:
            return parameters
        chain = self.chain()
        place = next(i for i, piece in enumerate(chain) if "momentum" in piece.numbers)
        drift = tree.map(lambda v: like(hyper["momentum"], v) * v, state[str(place)]["velocity"])
        if self.form != "inside":
            step = Step(double(state["count"]), parameters, hyper)
            drift, _ = chain[-1].update(drift, {}, step)
        return tree.map(lambda w, d: w + d, parameters, drift)


@dataclass(frozen=True)
class AdaGrad(_Common):
    """w ← w - η g/√(Σ g²): rarely touched parameters keep a large rate (Duchi et al., 2011).

    Args:
        eps: ε against division by 0.
        eps_mode: "outside" √s + ε, "inside" √(s + ε), "none".
        decay: d of s = d s + g²; 1 is AdaGrad itself, less is a variant in the notes (S4).
    """

    eps: float = 1e-8
    eps_mode: EpsMode = "outside"
    decay: float = 1.0

    def method(self) -> list[Piece]:
        """Division by the root of the sum of squares."""
        return [pieces.scale_by_sum_of_squares(self.eps, self.eps_mode, self.decay)]


@dataclass(frozen=True)
class RMSProp(_Common):
    """w ← w - η g/√s with s = ρ s + (1 - ρ) g² (Tieleman and Hinton, 2012).

    Args:
        lr: η.
        rho: ρ; the average remembers about 1/(1 - ρ) updates.
        eps: ε against division by 0.
        eps_mode: as in AdaGrad.
        momentum: β of a velocity over the scaled gradient, 0 for none.
    """

    lr: Rate = 0.001
    rho: float = 0.9
    eps: float = 1e-8
    eps_mode: EpsMode = "outside"
    momentum: float = 0.0

    def method(self) -> list[Piece]:
        """Division by the root of the mean square, then momentum."""
        scaled = pieces.scale_by_mean_square(self.rho, self.eps, self.eps_mode)
        return [scaled, pieces.accumulate(self.momentum)] if self.momentum else [scaled]


@dataclass(frozen=True)
class AdaDelta(_Common):
    """w ← w - √(d + ε)/√(s + ε) g, where d averages squared changes (Zeiler, 2012): no learning rate to choose.

    Args:
        lr: a factor, 1 in the paper.
        rho: ρ of both averages.
        eps: ε.
        rho_updates: a second ρ for the average of changes (S4 of the notes), None for the same.
    """

    lr: Rate = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    rho_updates: float | None = None

    def method(self) -> list[Piece]:
        """The ratio of two running roots."""
        return [pieces.scale_by_adadelta(self.rho, self.eps, self.rho_updates)]


@dataclass(frozen=True)
class Adam(_Common):
    """w ← w - η m̂/(√v̂ + ε) (Kingma and Ba, 2015).

    Args:
        lr: η.
        beta1: β₁ of the mean gradient.
        beta2: β₂ of the mean square.
        eps: ε.
        eps_mode: as in AdaGrad; "outside" is the paper's.
        bias_correction: divide by 1 - βᵗ; False is a variant in the notes (S1).
    """

    lr: Rate = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    eps_mode: EpsMode = "outside"
    bias_correction: bool = True

    def method(self) -> list[Piece]:
        """The ratio of mean and root mean square."""
        return [pieces.scale_by_adam(self.beta1, self.beta2, self.eps, self.eps_mode, self.bias_correction)]


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: w ← w - η (m̂/(√v̂ + ε) + λ w) (Loshchilov and Hutter, 2019).

    Args:
        weight_decay: λ; applied to weights, not to biases and scales.
    """

    weight_decay: float = 0.01

    def chain(self) -> Sequence[Piece]:
        """The decay stands behind the method."""
        *front, rate = super().chain()
        decay = [p for p in front if "weight_decay" in p.numbers]
        return [*(p for p in front if "weight_decay" not in p.numbers), *decay, rate]


def exponential_average(values: Any, weight: float = 0.9, *, bias_correction: bool = False) -> Tensor:
    """v = β v + (1 - β) θ along the first axis, v₀ = 0; remembers about 1/(1 - β) values.

    Args:
        values: (n, ...).
        weight: β.
        bias_correction: divide the k-th average (from 1) by 1 - βᵏ, which removes the pull to 0 at the start.
    """
    check("exponential_average", "weight lies in [0, 1)", 0 <= weight < 1, weight)
    averages, total = [], None
    for k, value in enumerate(values, 1):
        part = (1 - weight) * value
        total = part if total is None else weight * total + part
        averages.append(total / (1 - weight**k) if bias_correction else total)
    return gl.stack(averages)
