"""The pieces that optimisers are chained from.

A piece turns updates into updates: the first is given the gradient, the last gives what is added to the parameters.
It is pure: its memory goes in and comes out.  Parameters, updates and memories are nested dicts of tensors.

Every number a piece works with is a hyperparameter by name, looked up in ``hyper``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gradloom import functional as gl
from gradloom import tree
from gradloom.optim.schedules import Hyper, Schedule, double
from gradloom.tensor import Tensor

Tensors = Any  # nested dicts of tensors
EpsMode = Literal["outside", "inside", "none"]


@dataclass(frozen=True)
class Step:
    """What a piece may know of the update that is being made.

    Attributes:
        count: updates made before this one, float64 scalar.
        parameters: where they stand.
        hyper: numbers by name.
    """

    count: Tensor
    parameters: Tensors
    hyper: Hyper


@dataclass(frozen=True)
class Piece:
    """A link of a chain.

    Attributes:
        init: parameters → memory (a dict, empty for pieces without any).
        update: (updates, memory, step) → (updates, memory).
        numbers: the hyperparameters that it adds.
    """

    init: Callable[[Tensors], dict[str, Any]]
    update: Callable[[Tensors, dict[str, Any], Step], tuple[Tensors, dict[str, Any]]]
    numbers: Mapping[str, float]


def like(number: Any, leaf: Tensor) -> Tensor:
    """A hyperparameter in the data type of a parameter, so that it never widens one."""
    return gl.cast(double(number), leaf.dtype)


def _stateless(update: Callable[[Tensors, Step], Tensors], numbers: Mapping[str, float]) -> Piece:
    return Piece(lambda parameters: {}, lambda updates, memory, step: (update(updates, step), memory), numbers)


def _zeros(parameters: Tensors) -> Tensors:
    return tree.map(gl.zeros_like, parameters)


def global_norm(tensors: Tensors) -> Tensor:
    """The Euclidean norm of all elements of nested tensors together; float32 or wider."""
    total: Any = gl.zeros(())
    for leaf in tree.leaves(tensors):
        total = total + gl.sum(leaf * leaf)
    return gl.sqrt(total)


# Gradients ------------------------------------------------------------------------------------------------------


def clip_by_norm(limit: float) -> Piece:
    """Scale all updates together so that their norm is at most ``limit`` (Pascanu et al., 2013)."""

    def update(updates: Tensors, step: Step) -> Tensors:
        norm = global_norm(updates)
        allowed = like(step.hyper["clip_norm"], norm)
        factor = allowed / gl.maximum(norm, allowed)
        return tree.map(lambda g: g * gl.cast(factor, g.dtype), updates)

    return _stateless(update, {"clip_norm": limit})


def clip_by_value(limit: float) -> Piece:
    """Bring every element into [-limit, limit]."""

    def update(updates: Tensors, step: Step) -> Tensors:
        return tree.map(
            lambda g: gl.clip(g, -like(step.hyper["clip_value"], g), like(step.hyper["clip_value"], g)), updates
        )

    return _stateless(update, {"clip_value": limit})


def add_decayed_weights(rate: float) -> Piece:
    """u + λ w for weights, not for biases and scales (tensors of fewer than two axes).

    In front of an adaptive piece this is the gradient of ½ λ ‖w‖²; behind it the decay is decoupled, as in AdamW
    (Loshchilov and Hutter, 2019).
    """

    def update(updates: Tensors, step: Step) -> Tensors:
        def decayed(u: Tensor, w: Tensor) -> Tensor:
            return u + like(step.hyper["weight_decay"], w) * w if w.ndim >= 2 else u

        return tree.map(decayed, updates, step.parameters)

    return _stateless(update, {"weight_decay": rate})


# Momentum -------------------------------------------------------------------------------------------------------


def accumulate(
    momentum: float, *, average: bool = False, start_at_gradient: bool = False, ahead: bool = False
) -> Piece:
    """v = β v + g, or with ``average`` v = β v + (1 - β) g; gives v.

    Args:
        momentum: β.
        average: weigh the gradient with 1 - β (an exponentially weighted average).
        start_at_gradient: begin with v = g at the first update instead of 0.
        ahead: give g + β v, Nesterov's method written with one gradient at the look-ahead point itself.
    """

    def init(parameters: Tensors) -> dict[str, Any]:
        return {"velocity": _zeros(parameters)}

    def update(updates: Tensors, memory: dict[str, Any], step: Step) -> tuple[Tensors, dict[str, Any]]:
        def moved(v: Tensor, g: Tensor) -> Tensor:
            beta = like(step.hyper["momentum"], g)
            before = gl.where(step.count == 0.0, g, v) if start_at_gradient else v
            return beta * before + ((1 - beta) * g if average else g)

        velocity = tree.map(moved, memory["velocity"], updates)
        given = tree.map(lambda g, v: g + like(step.hyper["momentum"], g) * v, updates, velocity) if ahead else velocity
        return given, {"velocity": velocity}

    return Piece(init, update, {"momentum": momentum})


# Adaptive rates -------------------------------------------------------------------------------------------------


def _divided(u: Tensor, square: Tensor, eps: Tensor, mode: EpsMode) -> Tensor:
    """u/√(s + ε), u/(√s + ε), or u/√s (0 where s is 0)."""
    if mode == "inside":
        return u / gl.sqrt(square + eps)
    if mode == "outside":
        return u / (gl.sqrt(square) + eps)
    nothing = square == 0
    return gl.where(nothing, gl.zeros_like(u), u / gl.sqrt(gl.where(nothing, gl.ones_like(u), square)))


def scale_by_sum_of_squares(eps: float, eps_mode: EpsMode, decay: float) -> Piece:
    """s = d s + g²; gives g/√s (AdaGrad: Duchi et al., 2011, with d = 1)."""

    def init(parameters: Tensors) -> dict[str, Any]:
        return {"squares": _zeros(parameters)}

    def update(updates: Tensors, memory: dict[str, Any], step: Step) -> tuple[Tensors, dict[str, Any]]:
        squares = tree.map(lambda s, g: like(step.hyper["decay"], g) * s + g * g, memory["squares"], updates)
        given = tree.map(lambda g, s: _divided(g, s, like(step.hyper["eps"], g), eps_mode), updates, squares)
        return given, {"squares": squares}

    return Piece(init, update, {"eps": eps, "decay": decay})


def scale_by_mean_square(rho: float, eps: float, eps_mode: EpsMode) -> Piece:
    """s = ρ s + (1 - ρ) g²; gives g/√s (RMSProp: Tieleman and Hinton, 2012)."""

    def init(parameters: Tensors) -> dict[str, Any]:
        return {"squares": _zeros(parameters)}

    def update(updates: Tensors, memory: dict[str, Any], step: Step) -> tuple[Tensors, dict[str, Any]]:
        squares = tree.map(lambda s, g: _average(s, g * g, step.hyper["rho"]), memory["squares"], updates)
        given = tree.map(lambda g, s: _divided(g, s, like(step.hyper["eps"], g), eps_mode), updates, squares)
        return given, {"squares": squares}

    return Piece(init, update, {"rho": rho, "eps": eps})


def _average(old: Tensor, new: Tensor, weight: Any) -> Tensor:
    """w old + (1 - w) new, with 1 - w taken before w is rounded to the parameter's type."""
    return like(weight, old) * old + like(1.0 - double(weight), old) * new


def scale_by_adadelta(rho: float, eps: float, rho_updates: float | None) -> Piece:
    """s = ρ s + (1 - ρ) g²; u = √(d + ε)/√(s + ε) g; d = ρ d + (1 - ρ) u²; gives u (Zeiler, 2012).

    ``rho_updates`` is the second decay that one of the notes uses for d; None for the same.
    """
    second = "rho" if rho_updates is None else "rho_updates"

    def init(parameters: Tensors) -> dict[str, Any]:
        return {"squares": _zeros(parameters), "changes": _zeros(parameters)}

    def update(updates: Tensors, memory: dict[str, Any], step: Step) -> tuple[Tensors, dict[str, Any]]:
        hyper = step.hyper
        squares = tree.map(lambda s, g: _average(s, g * g, hyper["rho"]), memory["squares"], updates)

        def scaled(g: Tensor, s: Tensor, d: Tensor) -> Tensor:
            eps = like(hyper["eps"], g)
            return gl.sqrt(d + eps) / gl.sqrt(s + eps) * g

        given = tree.map(scaled, updates, squares, memory["changes"])
        changes = tree.map(lambda d, u: _average(d, u * u, hyper[second]), memory["changes"], given)
        return given, {"squares": squares, "changes": changes}

    numbers = {"rho": rho, "eps": eps, **({} if rho_updates is None else {"rho_updates": rho_updates})}
    return Piece(init, update, numbers)


def scale_by_adam(beta1: float, beta2: float, eps: float, eps_mode: EpsMode, bias_correction: bool) -> Piece:
    """m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²; gives m̂/(√v̂ + ε) with m̂ = m/(1 - β₁ᵗ), v̂ = v/(1 - β₂ᵗ).

    Source: Kingma and Ba (2015).  ``eps_mode`` and ``bias_correction`` give the variants of the course notes.
    """

    def init(parameters: Tensors) -> dict[str, Any]:
        return {"mean": _zeros(parameters), "squares": _zeros(parameters)}

    def update(updates: Tensors, memory: dict[str, Any], step: Step) -> tuple[Tensors, dict[str, Any]]:
        hyper = step.hyper
        mean = tree.map(lambda m, g: _average(m, g, hyper["beta1"]), memory["mean"], updates)
        squares = tree.map(lambda v, g: _average(v, g * g, hyper["beta2"]), memory["squares"], updates)
        first, second = (_correction(hyper[name], step.count, bias_correction) for name in ("beta1", "beta2"))

        def scaled(m: Tensor, v: Tensor) -> Tensor:
            return _divided(m / like(first, m), v / like(second, v), like(hyper["eps"], m), eps_mode)

        return tree.map(scaled, mean, squares), {"mean": mean, "squares": squares}

    return Piece(init, update, {"beta1": beta1, "beta2": beta2, "eps": eps})


def _correction(beta: Any, count: Tensor, wanted: bool) -> Tensor:
    """1 - βᵗ for the update number t = count + 1, in float64."""
    return 1.0 - double(beta) ** (count + 1.0) if wanted else double(1.0)


# The step -------------------------------------------------------------------------------------------------------


def scale_by_learning_rate(schedule: Schedule) -> Piece:
    """-η u with the rate that the schedule gives."""
    numbers = schedule.hyperparameters()
    names = {name: "lr" if name == "initial" else f"lr.{name}" for name in numbers}

    def update(updates: Tensors, step: Step) -> Tensors:
        rate = schedule.rate(step.count, {name: step.hyper[public] for name, public in names.items()})
        return tree.map(lambda u: -like(rate, u) * u, updates)

    return _stateless(update, {names[name]: value for name, value in numbers.items()})
