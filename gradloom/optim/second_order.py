"""What optimisers that use curvature have in common: they see parameters as one vector and evaluate the loss anew."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from gradloom import functional as fn
from gradloom import tree
from gradloom.derivatives import grad, jvp, value_and_grad
from gradloom.errors import ShapeError
from gradloom.ir.graph import scope
from gradloom.ir.tensortype import finfo
from gradloom.loops import cond, scan
from gradloom.optim.base import Loss, Optimizer, as_parameters
from gradloom.optim.flat import Flat
from gradloom.optim.piece import Hyper, State, Tensors, no_steps
from gradloom.tensor import Tensor, tensor

FlatLoss = Callable[[Tensor], Tensor]
"""From the vector of all parameters to the loss."""

Carry = TypeVar("Carry")


class Point(NamedTuple):
    """A place and what is known of the loss there."""

    x: Tensor
    value: Tensor
    gradient: Tensor


class SecondOrder(Optimizer):
    """An optimiser that evaluates the loss several times a step.

    Its state holds, beside what its method remembers, ``step``, the number of steps, ``evaluations``, the number of
    times that loss and gradient were computed, and ``stuck``, whether the last step found nothing lower.

    A step compares losses, so they must be comparable: use it on all examples (the trainer's ``batch_size="auto"``
    does), or on batches so large that their losses hardly differ.
    """

    @property
    def wants_all_examples(self) -> bool:
        """Yes: from batch to batch the noise of the gradient would be taken for curvature."""
        return True

    @abstractmethod
    def memory(self, x: Tensor) -> State:
        """What the method remembers before its first step from the vector ``x``."""

    @abstractmethod
    def advance(self, loss: FlatLoss, at: Point, state: State, hyper: Hyper) -> tuple[Point, State]:
        """One step from a point whose value and gradient are known, to the next such point.

        Args:
            loss: to be lessened.
            at: where the step begins.
            state: see the class.
            hyper: see :meth:`Optimizer.step`.
        """

    def init(self, parameters: Tensors) -> State:
        """The state before the first step, see :meth:`Optimizer.init`."""
        found = as_parameters(type(self).__name__, parameters)
        counters = {"step": no_steps(), "evaluations": no_steps(), "stuck": tensor(False)}
        return {**counters, **self.memory(Flat.of(found).ravel(found))}

    def step(
        self, loss: Loss, parameters: Tensors, state: State, hyper: Hyper | None = None
    ) -> tuple[Tensors, State, Any]:
        """One step down a loss, see :meth:`Optimizer.step`."""
        who = type(self).__name__
        found = as_parameters(who, parameters)
        flat = Flat.of(found)
        _check_state(who, state, self.init(found))
        (value, aux), gradient = value_and_grad(loss, has_aux=True)(found)
        at = Point(flat.ravel(found), fn.cast(value, flat.dtype), flat.ravel(gradient))
        state = {**state, "evaluations": state["evaluations"] + 1}
        with scope("update"):
            if flat.size:
                at, state = self.advance(lambda x: flat_loss(loss, flat, x), at, state, hyper or {})
        return flat.unravel(at.x), {**state, "step": state["step"] + 1}, aux

    def number(self, name: str, hyper: Hyper, like: Tensor) -> Tensor:
        """A hyperparameter as it stands in ``hyper``, or as the option has it."""
        return tensor(hyper.get(name, self.hyperparameters()[name]), like.dtype)


def flat_loss(loss: Loss, flat: Flat, x: Tensor) -> Tensor:
    """The value of a loss that gives (loss, anything else), at a vector."""
    return fn.cast(loss(flat.unravel(x))[0], flat.dtype)


def _check_state(who: str, state: Any, wanted: State) -> None:
    """See that the state was made for such parameters."""
    kinds = [(tree.flatten(s)[1], [tensor(leaf).type for leaf in tree.leaves(s)]) for s in (state, wanted)]
    if kinds[0] != kinds[1]:
        raise ShapeError(
            who,
            rule="the state must be the one that this optimiser made for these parameters",
            got=f"{', '.join(map(str, kinds[0][1]))} in place of {', '.join(map(str, kinds[1][1]))}"[:200],
            fix="Make it with init(parameters).",
        )


def evaluated(loss: FlatLoss, x: Tensor) -> Point:
    """Value and gradient at a vector."""
    return Point(x, *value_and_grad(loss)(x))


def hessian_product(loss: FlatLoss, x: Tensor, direction: Tensor) -> Tensor:
    """H v, the Hessian times a direction, by forward over reverse mode: the cost of a few gradients, no matrix."""
    return jvp(grad(loss), (x,), (direction,))[1]


def repeat(body: Callable[[Carry], Carry], carry: Carry, most: int, is_done: Callable[[Carry], Tensor]) -> Carry:
    """``carry = body(carry)`` until it is done, at most so many times; the turns left over compute nothing."""

    def turn(now: Carry, _: Any) -> tuple[Carry, None]:
        return cond(is_done(now), lambda same: same, body, now), None

    return scan(turn, carry, length=most)[0]


def choose(condition: Tensor, first: Carry, second: Carry) -> Carry:
    """One of two nested values of the same types."""
    return tree.map(lambda a, b: fn.where(condition, a, b), first, second)


def rounding(value: Tensor) -> Tensor:
    """By how much values near this one may differ from rounding alone."""
    return 4 * float(finfo(value.dtype).eps) * fn.abs(value)
