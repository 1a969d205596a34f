"""What an optimiser is, and what the pieces are that it is chained of.

Both are pure: they hold no tensors, only options.  What changes from step to step is a *state* that goes in and
comes out, so that a training step is one graph.  Numbers among the options are *hyperparameters*: they enter that
graph as inputs (``hyper``), and another learning rate compiles nothing anew.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from gradloom import functional as fn
from gradloom import tree
from gradloom.errors import DTypeError, ShapeError
from gradloom.optim.options import Options
from gradloom.tensor import Tensor, tensor

Tensors = Any  # nested dicts of tensors
State = dict[str, Any]  # likewise, always with the same structure and types
Hyper = Mapping[str, Any]  # numbers or scalar tensors by name


class Piece(Options, ABC):
    """One rule that turns updates into better updates; the first piece of a chain is given the gradients.

    For one of your own, write a frozen dataclass with :meth:`update`, and :meth:`init` where it has a state.
    """

    @property
    def name(self) -> str:
        """Under which a chain keeps its state."""
        return type(self).__name__

    def hyperparameters(self) -> dict[str, float]:
        """Numbers that are inputs of a compiled step, by name: the numbers among the options."""
        return self.numbers()

    def values(self, hyper: Hyper) -> dict[str, Any]:
        """The hyperparameters as they stand in ``hyper``; one that is missing there has the value of its option."""
        return {**self.hyperparameters(), **hyper}

    def init(self, parameters: Tensors) -> State:
        """The state before the first step; none by default."""
        return {}

    @abstractmethod
    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """The new updates and the new state.

        Args:
            updates: nested and shaped as the parameters.
            state: as :meth:`init` or the last call gave it.
            parameters: where the step begins.
            hyper: see :meth:`hyperparameters`.
        """


class Optimizer(Options, ABC):
    """How parameters move, given gradients of the loss.

    A training step asks :meth:`lookahead` where to take the gradient, then calls :meth:`update`.
    """

    @property
    @abstractmethod
    def chain(self) -> Piece:
        """What makes updates, which are added to the parameters, of gradients."""

    def hyperparameters(self) -> dict[str, float]:
        """Numbers that are inputs of a training step, by name, e.g. ``{"lr": 0.001, "beta1": 0.9}``.

        Those of a schedule are named after it: ``"lr.initial"``.
        """
        return self.chain.hyperparameters()

    def init(self, parameters: Tensors) -> State:
        """The state before the first step, with the number of steps made so far in it.

        Raises:
            DTypeError: a parameter is not of floats.
        """
        return self.chain.init(as_parameters(type(self).__name__, parameters))

    def lookahead(self, parameters: Tensors, state: State, hyper: Hyper | None = None) -> Tensors:
        """Where the gradient of the next step is taken: at the parameters, but for Nesterov's method."""
        return parameters

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
            ShapeError: gradients and parameters are not nested and shaped alike, or the state belongs to others.
            DTypeError: a parameter is not of floats.
        """
        who = type(self).__name__
        now = as_parameters(who, parameters)
        updates, new_state = self.chain.update(_as_gradients(who, gradients, now), state, now, hyper or {})
        return add(now, updates), new_state


# Trees of tensors -----------------------------------------------------------------------------------------------


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


def zeros_like(parameters: Tensors) -> Tensors:
    """Zeros of the types of the parameters."""
    return tree.map(fn.zeros_like, parameters)


def add(parameters: Tensors, updates: Tensors) -> Tensors:
    """Parameters plus updates."""
    return tree.map(lambda p, u: p + u, parameters, updates)


def blend(old: Tensors, new: Tensors, beta: Any) -> Tensors:
    """β · old + (1 - β) · new, the step of an exponentially weighted average."""

    def blended(x: Tensor, y: Tensor) -> Tensor:
        b = tensor(beta, x.dtype)
        return b * x + (1 - b) * y

    return tree.map(blended, old, new)


def no_steps() -> Tensor:
    """The number of steps before the first."""
    return tensor(0, "int64")
