"""L-BFGS: the inverse of the Hessian from the last few steps."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from gradloom import functional as fn
from gradloom.loops import scan
from gradloom.optim.line_search import Rules, search
from gradloom.optim.piece import Hyper, State
from gradloom.optim.second_order import FlatLoss, Point, SecondOrder
from gradloom.options import Fraction, Share, Steps, words
from gradloom.records import dataclass
from gradloom.tensor import Tensor

LineSearch = Annotated[Literal["wolfe", "backtracking"], words("wolfe", "backtracking")]


@dataclass(frozen=True)
class LBFGS(SecondOrder):
    """θ += a d with d = -Hₖ g, where Hₖ is made of the last steps s = Δθ and changes of the gradient y = Δg.

    Hₖ is the BFGS inverse of the Hessian begun at (sᵀy / yᵀy) I; the two loops of Liu and Nocedal, "On the limited
    memory BFGS method for large scale optimization", 1989, give Hₖ g without the matrix.  y is always a difference of
    two gradients of one batch.  Where the search finds nothing lower, the memory is emptied and the next step
    goes down the gradient itself.

    Args:
        history: how many steps are remembered.
        line_search: "wolfe" for the strong Wolfe conditions (optim/line_search.py), which keep sᵀy positive;
            "backtracking" asks for less, that the loss falls enough, and leaves out steps with sᵀy ≤ 0.
        armijo: c₁, how much of the fall that the slope promises is enough.
        wolfe: c₂, how much of the slope may be left.
        evaluations: of loss and gradient in one search, at most.
    """

    history: Steps = 10
    line_search: LineSearch = "wolfe"
    armijo: Share = 1e-4
    wolfe: Fraction = 0.9
    evaluations: Steps = 20

    def hyperparameters(self) -> dict[str, float]:
        """c₁ and c₂."""
        return {"armijo": self.armijo, "wolfe": self.wolfe}

    def memory(self, x: Tensor) -> State:
        """No steps: those that are missing have the weight 1 / sᵀy = 0."""
        rows = (self.history, x.size)
        return {
            "steps": fn.zeros(rows, x.dtype),
            "changes": fn.zeros(rows, x.dtype),
            "weights": fn.zeros(self.history, x.dtype),
        }

    def advance(self, loss: FlatLoss, at: Point, state: State, hyper: Hyper) -> tuple[Point, State]:
        """See the class."""
        is_first = fn.equal(state["weights"][-1], 0)
        direction = -inverse_product(state, at.gradient)
        # Rounding can spoil the product of nearly dependent steps; down the gradient it is always down.
        is_down = fn.dot(direction, at.gradient) < 0
        direction = fn.where(is_down, direction, -at.gradient)
        length = fn.sqrt(fn.dot(direction, direction))
        first = fn.where(fn.logical_and(is_down, fn.logical_not(is_first)), 1.0, fn.minimum(1.0, 1 / length))
        armijo, wolfe = (self.number(name, hyper, at.x) for name in ("armijo", "wolfe"))
        rules = Rules(armijo, wolfe, strong=self.line_search == "wolfe")
        to, evaluations, moved = search(loss, at, direction, first, rules, self.evaluations)
        new = _remembered(state, to.x - at.x, to.gradient - at.gradient)
        new["weights"] = fn.where(moved, new["weights"], 0)
        counted = {"step": state["step"], "evaluations": state["evaluations"] + evaluations}
        return to, {**counted, "stuck": fn.logical_and(is_first, fn.logical_not(moved)), **new}


def inverse_product(state: State, gradient: Tensor) -> Tensor:
    """Hₖ g by two loops over the memory, from the latest step to the oldest and back."""
    memory = (state["steps"], state["changes"], state["weights"])

    def down(q: Tensor, row: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        step, change, weight = row
        part = weight * fn.dot(step, q)
        return q - part * change, part

    def up(r: Tensor, row: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, None]:
        step, change, weight, part = row
        return r + (part - weight * fn.dot(change, r)) * step, None

    q, parts = scan(down, gradient, memory, reverse=True)
    change, weight = state["changes"][-1], state["weights"][-1]
    squares = fn.dot(change, change)
    is_known = weight > 0
    scale = fn.where(is_known, 1 / fn.where(is_known, weight * squares, 1), 1)
    return scan(up, scale * q, (*memory, parts))[0]


def _remembered(state: State, step: Tensor, change: Tensor) -> State:
    """The memory with one more step, in which the oldest is forgotten; as it was where the step shows no curvature."""
    curvature = fn.dot(step, change)
    is_curved = curvature > float(np.finfo(step.dtype).eps) * fn.dot(change, change)
    weight = fn.where(is_curved, 1 / fn.where(is_curved, curvature, 1), 0)
    news = {"steps": step, "changes": change, "weights": weight}
    return {
        name: fn.where(is_curved, fn.concatenate([state[name][1:], value[None]]), state[name])
        for name, value in news.items()
    }
