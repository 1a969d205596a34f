"""What an optimiser is: something that moves parameters to lessen a loss.

Those of first order ask for nothing but a gradient; they are chains of pieces (optim/piece.py) whose last word is
added to the parameters.  Those of second order (optim/second_order.py) ask for the loss itself, again and again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

from gradloom import tree
from gradloom.derivatives import value_and_grad
from gradloom.errors import DTypeError, ShapeError
from gradloom.ir.graph import scope
from gradloom.optim.chain import Chain, chain
from gradloom.optim.piece import Hyper, Piece, State, Tensors, add
from gradloom.options import Options
from gradloom.tensor import Tensor, tensor

Loss = Callable[[Tensors], Any]
"""From parameters to the loss, or to (loss, anything else)."""


class Optimizer(Options, ABC):
    """How parameters move to lessen a loss; a training step calls :meth:`step`."""

    @property
    def wants_all_examples(self) -> bool:
        """Whether a step should see all examples, and batches are a compromise."""
        return False

    @abstractmethod
    def hyperparameters(self) -> dict[str, float]:
        """Numbers that are inputs of a training step, by name, e.g. ``{"lr": 0.001, "beta1": 0.9}``."""

    @abstractmethod
    def init(self, parameters: Tensors) -> State:
        """The state before the first step, with the number of steps made so far in it.

        Raises:
            DTypeError: a parameter is not of floats.
        """

    @abstractmethod
    def step(
        self, loss: Loss, parameters: Tensors, state: State, hyper: Hyper | None = None
    ) -> tuple[Tensors, State, Any]:
        """One step down a loss.

        Args:
            loss: a function of the parameters that gives (loss, anything else); the loss is a scalar.
            parameters: a nested dict of tensors of floats.
            state: as :meth:`init` or the last step gave it.
            hyper: hyperparameters by name, as numbers or scalar tensors; those that are missing have the values of
                the options.  Others are ignored, so one dict can serve a whole training step.

        Returns:
            ``(new parameters, new state, what the loss gave beside its value before the step)``.

        Raises:
            ShapeError: the loss is not a scalar, or the state belongs to others.
            DTypeError: a parameter is not of floats.
        """


class FirstOrder(Optimizer):
    """How parameters move, given gradients of the loss.

    A step asks :meth:`lookahead` where to take the gradient, then calls :meth:`update`.
    """

    @abstractmethod
    def pieces(self) -> tuple[Piece, ...]:
        """What makes of gradients the updates that are added to the parameters, in order."""

    @cached_property
    def chain(self) -> Chain:
        """The pieces, one after the other."""
        return chain(*self.pieces())

    def hyperparameters(self) -> dict[str, float]:
        """Those of the pieces; those of a schedule are named after it: ``"lr.initial"``."""
        return self.chain.hyperparameters()

    def init(self, parameters: Tensors) -> State:
        """The state before the first step, see :meth:`Optimizer.init`."""
        return self.chain.init(as_parameters(type(self).__name__, parameters))

    @property
    def looks_ahead(self) -> bool:
        """Whether :meth:`lookahead` leads away from the parameters."""
        return False

    def lookahead(self, parameters: Tensors, state: State, hyper: Hyper | None = None) -> Tensors:
        """Where the gradient of the next step is taken: at the parameters, but for Nesterov's method."""
        return parameters

    def step(
        self, loss: Loss, parameters: Tensors, state: State, hyper: Hyper | None = None
    ) -> tuple[Tensors, State, Any]:
        """One step down a loss by its gradient, see :meth:`Optimizer.step`."""
        ahead = self.lookahead(parameters, state, hyper)
        (_, aux), gradients = value_and_grad(loss, has_aux=True)(ahead)
        with scope("update"):
            parameters, state = self.update(gradients, state, parameters, hyper)
        return parameters, state, aux

    def update(
        self, gradients: Tensors, state: State, parameters: Tensors, hyper: Hyper | None = None
    ) -> tuple[Tensors, State]:
        """One step.

        Args:
            gradients: of the loss, nested and shaped as the parameters.
            state: as :meth:`init` or the last step gave it.
            parameters: a nested dict of tensors of floats.
            hyper: hyperparameters by name, as numbers or scalar tensors; those that are missing have the values of
                the options.  Others are ignored, so one dict can serve a whole training step.

        Returns:
            ``(new parameters, new state)``, of unchanged types.

        Raises:
            ShapeError: gradients and parameters are not nested and shaped alike, the state belongs to others, or a
                hyperparameter is not a single number.
            DTypeError: a parameter is not of floats.
        """
        who = type(self).__name__
        now = as_parameters(who, parameters)
        at = self.lookahead(now, state, hyper)  # where weight decay, a part of the gradient, belongs too
        updates, new_state = self.chain.update(_as_gradients(who, gradients, now), state, at, hyper or {})
        return add(now, updates), new_state

    def step_sizes(self, parameters: Tensors, state: State, hyper: Hyper | None = None) -> Tensors:
        """How far a gradient of 1 that lasts moves each parameter: what a proximal step after the update goes by.

        For plain descent that is η, with momentum η/(1 - μ), for Adam η/(√v̂ + ε).  Bounds on gradients and weight
        decay are not counted.

        Args:
            parameters: for their data types.
            state: after the update.
            hyper: as for :meth:`update`.

        Returns:
            Nested as the parameters, a scalar or a tensor of the shape of each.
        """
        ones = tree.map(lambda p: tensor(1, tensor(p).dtype), parameters)
        return self.chain.step_sizes(ones, state, hyper or {})


def as_parameters(who: str, parameters: Tensors) -> Tensors:
    """The parameters as tensors.

    Raises:
        DTypeError: one is not of floats.
    """
    found = tree.map(tensor, parameters)
    for leaf in tree.leaves(found):
        if not leaf.type.is_float:
            raise DTypeError(
                who, rule="parameters are floats", got=str(leaf.type), fix="Convert them with gl.cast(x, 'float32')."
            )
    return found


def _as_gradients(who: str, gradients: Tensors, parameters: Tensors) -> Tensors:
    """The gradients as tensors of the data types of the parameters; nothing is broadcast."""

    def matched(gradient: Any, parameter: Tensor) -> Tensor:
        found = tensor(gradient, parameter.dtype)
        if found.shape != parameter.shape:
            raise ShapeError(
                who,
                rule="each gradient must have the shape of its parameter",
                got=f"{found.type} for {parameter.type}",
            )
        return found

    return tree.map(matched, gradients, parameters)
