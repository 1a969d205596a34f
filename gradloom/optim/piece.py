"""What a piece is: one rule of an optimiser.

Pieces are pure: they hold no tensors, only options.  What changes from step to step is a *state* that goes in and
comes out, so that a training step is one graph.  Numbers among the options are *hyperparameters*: they enter that
graph as inputs (``hyper``), and another learning rate compiles nothing anew.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from gradloom import functional as fn
from gradloom import tree
from gradloom.errors import ShapeError
from gradloom.options import Options
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
        """The hyperparameters as they stand in ``hyper``; one that is missing there has the value of its option.

        Raises:
            ShapeError: one is not a single number, and would be broadcast over the parameters.
        """
        found = {name: hyper.get(name, value) for name, value in self.hyperparameters().items()}
        for name, value in found.items():
            kind = tensor(value).type
            if kind.shape:
                fix = "Use gl.vmap to train with several values at once."
                raise ShapeError(self.name, rule=f"{name} is a single number", got=str(kind), fix=fix)
        return found

    def init(self, parameters: Tensors) -> State:
        """The state before the first step; none by default."""
        return {}

    @abstractmethod
    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """The new updates and the new state.

        Args:
            updates: nested and shaped as the parameters.
            state: as :meth:`init` or the last call gave it.
            parameters: where the gradient was taken.
            hyper: see :meth:`hyperparameters`.
        """

    def step_sizes(self, sizes: Tensors, state: State, hyper: Hyper) -> Tensors:
        """How far an update of 1 that lasts ends up moving each parameter; a piece that scales nothing leaves them.

        Args:
            sizes: nested as the parameters, a scalar or a tensor of the shape of each, by the pieces before.
            state: as :meth:`update` left it.
            hyper: see :meth:`hyperparameters`.
        """
        return sizes


# Trees of tensors -----------------------------------------------------------------------------------------------


def zeros_like(parameters: Tensors) -> Tensors:
    """Zeros of the types of the parameters."""
    return tree.map(fn.zeros_like, parameters)


def add(parameters: Tensors, updates: Tensors) -> Tensors:
    """Parameters plus updates."""
    return tree.map(lambda p, u: p + u, parameters, updates)


def blend(old: Tensors, new: Tensors, beta: Any) -> Tensors:
    """β · old + (1 - β) · new, the step of an exponentially weighted average."""

    @cache
    def shares(dtype: np.dtype) -> tuple[Tensor, Tensor]:
        b = tensor(beta, dtype)
        return b, 1 - b

    def blended(x: Tensor, y: Tensor) -> Tensor:
        kept, added = shares(x.dtype)
        return kept * x + added * y

    return tree.map(blended, old, new)


def no_steps() -> Tensor:
    """The number of steps before the first."""
    return tensor(0, "int64")
