"""Minimising a function: steps of a second-order method until the gradient vanishes, as one program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, NamedTuple

import numpy as np

from gradloom import executors, options
from gradloom import functional as fn
from gradloom.compiling import jit
from gradloom.errors import NonFiniteError, OptionError
from gradloom.loops import cond, scan
from gradloom.optim.base import as_parameters
from gradloom.optim.flat import Flat
from gradloom.optim.lbfgs import LBFGS
from gradloom.optim.piece import State, Tensors
from gradloom.optim.second_order import FlatLoss, Point, SecondOrder, evaluated
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor

_STEPS_A_CALL = 16
"""Between calls of the program Ctrl-C is heard."""


@dataclass(frozen=True)
class Minimum:
    """Where a search for a minimum ended; the lowest point that it met.

    Attributes:
        parameters: nested as those it began from.
        value: the function there.
        gradient_norm: the largest element of the gradient there, in absolute value.
        converged: whether that is no larger than the tolerance.
        reason: why the search ended.
        steps: how many it made.
        evaluations: how often the function was computed; a gradient comes with most.
        values: the function before the first step and after each.
    """

    parameters: Tensors = field(repr=False)
    value: float
    gradient_norm: float
    converged: bool
    reason: str
    steps: int
    evaluations: int
    values: np.ndarray = field(repr=False)

    def __str__(self) -> str:
        work = f"steps {self.steps}, evaluations {self.evaluations}"
        return f"{self.value:.6g} ({work}): {self.reason}, the largest slope is {self.gradient_norm:.2g}"


class _Run(NamedTuple):
    """What goes from step to step."""

    at: Point
    state: State
    is_done: Tensor


class Minimizer:
    """A function to be minimised, compiled once for all starts and data of the same types.

    Args:
        loss: ``loss(parameters, *args)``, a scalar.
        method: ``optim.LBFGS(...)`` or ``optim.Newton(...)``.
        executor: what runs the program.

    Raises:
        OptionError: the method is none of these.
    """

    def __init__(
        self, loss: Callable[..., Any], method: SecondOrder | None = None, *, executor: str = executors.DEFAULT
    ) -> None:
        self.loss, self.method = loss, LBFGS() if method is None else method
        if not isinstance(self.method, SecondOrder):
            raise OptionError(
                "minimize",
                rule="the method evaluates the function itself",
                got=type(method).__name__,
                fix="Use optim.LBFGS() or optim.Newton(); others take step(...) in a loop of your own.",
            )
        self._begin = jit(self._first, executor)
        self._go_on = jit(self._next, executor)

    @property
    def programs(self) -> int:
        """How many programs were compiled so far."""
        return len(self._begin.programs) + len(self._go_on.programs)

    def __call__(self, parameters: Tensors, *args: Any, steps: int = 500, tolerance: float = 1e-6) -> Minimum:
        """Minimise from a start.

        Args:
            parameters: the start, a nested value of floats.
            args: further arguments of the loss, such as data.
            steps: at most.
            tolerance: how large an element of the gradient may be at a minimum.

        Raises:
            ShapeError: the loss is not a scalar.
            DTypeError: a parameter is not of floats.
            NonFiniteError: the loss or its gradient is NaN or infinite at the start.
        """
        steps = options.whole("minimize", "steps", steps)
        limit = options.not_negative("minimize", "tolerance", tolerance)
        found = as_parameters("minimize", parameters)
        flat = Flat.of(found)
        bound = tensor(limit, flat.dtype)
        run = self._begin(found, bound, *args)
        values, slopes = [run.at.value.numpy()[None]], _largest(run.at.gradient).item()
        if not np.isfinite([values[0][0], slopes]).all():
            raise NonFiniteError(
                "minimize",
                rule="loss and gradient must be finite at the start",
                got=f"a loss of {values[0][0]:g} and a largest slope of {slopes:g}",
                fix="Start elsewhere; gl.debug names the primitive where NaN and infinity come from.",
            )
        while run.state["step"].item() < steps and not run.is_done.item():
            turns = min(steps - run.state["step"].item(), _STEPS_A_CALL)
            before = run.state["step"].item()
            run, more = self._go_on(found, run, bound, turns, *args)
            values.append(more.numpy()[: run.state["step"].item() - before])
        return self._minimum(flat, run, limit, np.concatenate(values))

    def _minimum(self, flat: Flat, run: _Run, tolerance: float, values: np.ndarray) -> Minimum:
        slope = _largest(run.at.gradient).item()
        made, evaluations = (int(run.state[name].item()) for name in ("step", "evaluations"))
        converged = slope <= tolerance
        reason = "no steps are left"
        if converged:
            reason = "the gradient has vanished"
        elif run.state["stuck"].item():
            reason = "no step lowers the loss any more"
        parameters = flat.unravel(run.at.x)
        return Minimum(parameters, run.at.value.item(), slope, converged, reason, made, evaluations, values)

    def _flat_loss(self, parameters: Tensors, args: tuple[Any, ...]) -> FlatLoss:
        flat = Flat.of(parameters)
        return lambda x: fn.cast(self.loss(flat.unravel(x), *args), flat.dtype)

    def _first(self, parameters: Tensors, tolerance: Tensor, *args: Any) -> _Run:
        at = evaluated(self._flat_loss(parameters, args), Flat.of(parameters).ravel(parameters))
        state = {**self.method.init(parameters), "evaluations": tensor(1, "int64")}
        return _Run(at, state, _largest(at.gradient) <= tolerance)

    def _next(
        self, parameters: Tensors, run: _Run, tolerance: Tensor, turns: Tensor, *args: Any
    ) -> tuple[_Run, Tensor]:
        """Some steps more; ``parameters`` are there for their types alone."""
        loss = self._flat_loss(parameters, args)

        def step(now: _Run) -> _Run:
            at, state = self.method.advance(loss, now.at, now.state, {})
            is_done = fn.logical_or(state["stuck"], _largest(at.gradient) <= tolerance)
            return _Run(at, {**state, "step": state["step"] + 1}, is_done)

        def turn(now: _Run, _: Any) -> tuple[_Run, Tensor]:
            after = cond(now.is_done, lambda same: same, step, now)
            return after, after.at.value

        return scan(turn, run, length=_STEPS_A_CALL, turns=turns)


def _largest(gradient: Tensor) -> Tensor:
    return fn.max(fn.abs(gradient)) if gradient.size else fn.zeros((), gradient.dtype)


def minimize(
    loss: Callable[..., Any],
    parameters: Tensors,
    *args: Any,
    method: SecondOrder | None = None,
    steps: int = 500,
    tolerance: float = 1e-6,
    executor: str = executors.DEFAULT,
) -> Minimum:
    """The minimum of a function near a start; see :class:`Minimizer` to compile once and start often.

    Args:
        loss: ``loss(parameters, *args)``, a scalar.
        parameters: the start, a nested value of floats.
        args: further arguments of the loss, such as data.
        method: ``optim.LBFGS()``, which is the default, or ``optim.Newton()``.
        steps: at most.
        tolerance: how large an element of the gradient may be at a minimum.
        executor: what runs the program.

    Returns:
        A :class:`Minimum`: ``.parameters``, ``.value``, ``.converged``, ``.reason`` and more.

    Raises:
        ShapeError: the loss is not a scalar.
        NonFiniteError: the loss or its gradient is NaN or infinite at the start.
    """
    return Minimizer(loss, method, executor=executor)(parameters, *args, steps=steps, tolerance=tolerance)
