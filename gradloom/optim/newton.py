"""Newton's method, with the whole Hessian or with products of it alone."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np

from gradloom import functional as fn
from gradloom.jacobians import hessian
from gradloom.optim.piece import Hyper, State
from gradloom.optim.second_order import (
    FlatLoss,
    Point,
    SecondOrder,
    choose,
    evaluated,
    hessian_product,
    repeat,
    rounding,
)
from gradloom.options import NotNegative, Positive, Steps, words
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor

Method = Annotated[Literal["auto", "full", "cg"], words("auto", "full", "cg")]

_FULL_UP_TO = 300
"""Parameters for which "auto" takes the whole Hessian: up to here its factors cost less than products with it."""
_ATTEMPTS = 40
"""Values of λ that a step tries: from a thousandth of the Hessian's largest entry on, 10³⁶ times as much."""
_LEAST_DAMPING = 1e-3
_ENOUGH, _POOR, _GOOD = 1e-4, 0.25, 0.75
"""Shares of the predicted fall: what a step needs, and what makes the model trusted less (below) or more (above)."""


@dataclass(frozen=True)
class Newton(SecondOrder):
    """θ += p, where p minimises the quadratic model m(p) = L + gᵀp + ½ pᵀHp (catalogue 121).

    On a quadratic with a minimum one step is enough, and near a minimum the number of right digits doubles with each
    step.  Bare, θ -= H⁻¹g goes to saddles and maxima just as well, and too far elsewhere.  Two remedies, by method:

    - "full" makes the whole Hessian and solves (H + λI) p = -g by Cholesky's factors (Levenberg, 1944; Marquardt,
      1963).  λ begins at ``damping``.  It grows tenfold while H + λI is not positive definite or the loss falls by
      too little of what the model predicts, and shrinks again, to 0, where the model is good.
    - "cg" never makes the matrix: conjugate gradients on Hp = -g with Hessian-vector products, stopped at the edge of
      a trust region ‖p‖ ≤ Δ and, along the direction itself, where the curvature is negative (Steihaug, 1983; Toint,
      1981).  So saddles are left, not sought.  Δ begins at ``radius`` and follows how good the model is.

    A step that does not lower the loss is not taken.

    Args:
        method: "full", "cg", or "auto": full for up to 300 parameters.
        damping: λ to begin with.
        radius: Δ to begin with.
        products: Hessian-vector products of a step at most.
    """

    method: Method = "auto"
    damping: NotNegative = 0.0
    radius: Positive = 1.0
    products: Steps = 100

    def hyperparameters(self) -> dict[str, float]:
        """What λ and Δ begin with is part of the state; no other number is."""
        return {}

    def is_full(self, size: int) -> bool:
        """Whether so many parameters get the whole Hessian."""
        return self.method == "full" or (self.method == "auto" and size <= _FULL_UP_TO)

    def memory(self, x: Tensor) -> State:
        """λ or Δ."""
        name, start = ("damping", self.damping) if self.is_full(x.size) else ("radius", self.radius)
        return {name: tensor(start, x.dtype)}

    def advance(self, loss: FlatLoss, at: Point, state: State, hyper: Hyper) -> tuple[Point, State]:
        """See the class."""
        if self.is_full(at.x.size):
            to, tried, memory = _damped_step(loss, at, state["damping"])
        else:
            to, tried, memory = _region_step(loss, at, state["radius"], min(self.products, at.x.size))
        return to, {**state, "evaluations": state["evaluations"] + tried, **memory}


Step = tuple[Point, Tensor, State]
"""The next point, how often the loss was computed, and what is remembered."""


def _trust(at: Point, to: Point, predicted: Tensor) -> Tensor:
    """How much of the predicted fall of the loss came true.

    Where both are no more than rounding, it is 1 if the gradient has become shorter, and else -1; NaN is -1 as well.
    """
    fall, slack = at.value - to.value, rounding(at.value)
    is_rounding = fn.logical_and(fn.abs(predicted) <= slack, fn.abs(fall) <= slack)
    is_shorter = fn.dot(to.gradient, to.gradient) < fn.dot(at.gradient, at.gradient)
    ratio = fall / fn.where(is_rounding, 1, predicted)
    return fn.where(is_rounding, fn.where(is_shorter, 1, -1), fn.where(fn.isfinite(ratio), ratio, -1))


# The whole Hessian ----------------------------------------------------------------------------------------------


class _Damped(NamedTuple):
    """Where the search for λ stands: the λ to try, and what the last one gave."""

    damping: Tensor
    to: Point
    tried: Tensor
    trust: Tensor


def _damped_step(loss: FlatLoss, at: Point, damping: Tensor) -> Step:
    """-(H + λI)⁻¹ g with the first λ, of the last step's, 10 times as much and so on, that lessens the loss."""
    matrix = hessian(loss)(at.x)
    unit = fn.eye(at.x.size, dtype=at.x.dtype)
    least = _LEAST_DAMPING * fn.maximum(fn.max(fn.abs(matrix)), float(np.finfo(at.x.dtype).tiny) * 1e6)

    def attempt(now: _Damped) -> _Damped:
        factor = fn.cholesky(matrix + now.damping * unit)  # NaN unless positive definite
        half = fn.triangular_solve(factor, -at.gradient[:, None], lower=True)
        step = fn.triangular_solve(factor, half, lower=True, transposed=True)[:, 0]
        predicted = -(fn.dot(at.gradient, step) + fn.dot(step, matrix @ step) / 2)
        to = evaluated(loss, at.x + step)
        trust = _trust(at, to, predicted)
        grown = fn.maximum(10 * now.damping, least)
        return _Damped(fn.where(trust > _ENOUGH, now.damping, grown), to, now.tried + 1, trust)

    nothing = _Damped(damping, at, tensor(0, "int64"), fn.full((), -1, at.x.dtype))
    end = repeat(attempt, nothing, _ATTEMPTS, lambda now: now.trust > _ENOUGH)
    has_moved = end.trust > _ENOUGH
    lessened = fn.where(end.damping > least, end.damping / 10, 0)
    kept = fn.where(
        end.trust > _GOOD, lessened, fn.where(end.trust < _POOR, fn.maximum(2 * end.damping, least), end.damping)
    )
    memory = {"damping": fn.where(has_moved, kept, 0), "stuck": fn.logical_not(has_moved)}
    return choose(has_moved, end.to, at), end.tried, memory


# Products with the Hessian --------------------------------------------------------------------------------------


class _Conjugate(NamedTuple):
    """Conjugate gradients on H p = -g: the step p, the residual r = g + H p, and the next direction."""

    step: Tensor
    residual: Tensor
    direction: Tensor
    is_done: Tensor


def _region_step(loss: FlatLoss, at: Point, radius: Tensor, most: int) -> Step:
    """A step within the trust region, and the region for the next one."""
    end = _conjugate_step(loss, at, radius, most)
    step = end.step
    size = fn.sqrt(fn.dot(step, step))
    predicted = -(fn.dot(at.gradient, step) + fn.dot(step, end.residual - at.gradient) / 2)
    to = evaluated(loss, at.x + step)
    trust = _trust(at, to, predicted)
    has_moved = trust > _ENOUGH
    is_at_edge = size >= 0.99 * radius
    widened = fn.where(fn.logical_and(trust > _GOOD, is_at_edge), 2 * radius, radius)
    adapted = fn.where(trust < _POOR, size / 4, widened)
    least = float(np.finfo(radius.dtype).eps) * (1 + fn.sqrt(fn.dot(at.x, at.x)))
    memory = {"radius": fn.maximum(adapted, least), "stuck": fn.logical_and(adapted < least, fn.logical_not(has_moved))}
    return choose(has_moved, to, at), tensor(1, "int64"), memory


def _conjugate_step(loss: FlatLoss, at: Point, radius: Tensor, most: int) -> _Conjugate:
    """Steihaug's conjugate gradients: until the residual is small, the edge is reached, or the curvature negative."""
    squared = fn.dot(at.gradient, at.gradient)
    enough = squared * fn.minimum(0.25, fn.sqrt(squared))  # of the residual's square: the last steps are quadratic

    def turn(now: _Conjugate) -> _Conjugate:
        product = hessian_product(loss, at.x, now.direction)
        curvature = fn.dot(now.direction, product)
        square = fn.dot(now.residual, now.residual)
        to_edge = _to_edge(now.step, now.direction, radius)
        is_curved = curvature > 0
        length = square / fn.where(is_curved, curvature, 1)
        goes_out = fn.logical_not(fn.logical_and(is_curved, length < to_edge))
        length = fn.where(goes_out, to_edge, length)
        residual = now.residual + length * product
        left = fn.dot(residual, residual)
        direction = left / square * now.direction - residual
        return _Conjugate(
            now.step + length * now.direction, residual, direction, fn.logical_or(goes_out, left <= enough)
        )

    start = _Conjugate(fn.zeros_like(at.x), at.gradient, -at.gradient, fn.equal(squared, 0))
    return repeat(turn, start, most, lambda now: now.is_done)


def _to_edge(step: Tensor, direction: Tensor, radius: Tensor) -> Tensor:
    """The positive τ with ‖p + τ d‖ = Δ."""
    a, b, c = fn.dot(direction, direction), fn.dot(step, direction), fn.dot(step, step) - radius * radius
    root = fn.sqrt(fn.maximum(b * b - a * c, 0))
    return fn.maximum(-c, 0) / (b + root)
