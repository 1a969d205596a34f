"""What a regulariser is: something that keeps parameters simple, beside the loss that fits them to the data.

There are two ways.  A *penalty* λ R(w) is added to the loss and acts through its gradient.  A *move* comes after each
update of the optimiser: a projection brings the parameters back to R(w) ≤ C, and a proximal step lessens λ R(w) where
R has a kink that no gradient sees, so that weights become exactly 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Annotated, Any

from gradloom import functional as fn
from gradloom import tree
from gradloom.errors import OptionError, unknown_name
from gradloom.options import Flag, Options
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor

Tensors = Any  # nested dicts of tensors
Values = Mapping[str, Any]  # numbers or scalar tensors by name


def _place(who: str, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise OptionError(who, rule=f"{name} is the path of a layer or parameter", got=repr(value)[:100])
    return value


@dataclass(frozen=True)
class Regularizer(Options, ABC):
    """Base of regularisers, frozen dataclasses of options.  Their numbers are inputs of a compiled step.

    Args:
        bias: whether it acts on vectors and scalars (biases, scales of normalisation) too (catalogue 142).
        at: the path of a layer or parameter, such as "layers.0", to act on it alone; "" acts on all.
    """

    _: KW_ONLY
    bias: Flag = False
    at: Annotated[str, _place] = ""

    @property
    def moves(self) -> bool:
        """Whether it acts by :meth:`moved` after each update, instead of as a :meth:`penalty` within the loss."""
        return False

    def hyperparameters(self) -> dict[str, float]:
        """Numbers that are inputs of a compiled step, by name: the numbers among the options."""
        return self.numbers()

    def penalty(self, parameters: Tensors, examples: Any = None, hyper: Values | None = None) -> Tensor:
        """λ R(w), a scalar; 0 for those that have no such form.

        Args:
            parameters: a nested dict of tensors.
            examples: how many the loss is the mean of; only penalties that are divided by it ask.
            hyper: hyperparameters by name; those that are missing have the values of the options.
        """
        return fn.zeros(())

    def moved(
        self, parameters: Tensors, sizes: Any = 1.0, examples: Any = None, hyper: Values | None = None
    ) -> Tensors:
        """The parameters after a proximal step or a projection; as they are where it is a penalty alone.

        Args:
            parameters: as an update of the optimiser left them.
            sizes: how far a gradient of 1 that lasts moves each parameter, nested like the parameters, or one number;
                for plain gradient descent the learning rate.  Projections do not ask.
            examples: as for :meth:`penalty`.
            hyper: likewise.
        """
        return parameters

    def chosen(self, parameters: Tensors) -> list[bool]:
        """Which leaves of the parameters it acts on.

        Raises:
            UnknownNameError: there is nothing at the path ``at``.
        """
        leaves, definition = tree.flatten(parameters)
        paths = [".".join(map(str, path)) for path in tree.paths(definition)]
        if self.at and not any(_lies_in(path, self.at) for path in paths):
            raise unknown_name(type(self).__name__, "layer or parameter", self.at, paths)
        return [
            path == self.at or (_lies_in(path, self.at) and (self.bias or leaf.ndim >= 2))
            for path, leaf in zip(paths, leaves)
        ]

    def values(self, hyper: Values | None) -> dict[str, Any]:
        """The hyperparameters as they stand in ``hyper``, or as the options have them."""
        return {name: (hyper or {}).get(name, value) for name, value in self.hyperparameters().items()}


@dataclass(frozen=True)
class Penalty(Regularizer):
    """Base of penalties that are a sum over parameters.  For one of your own, write :meth:`of` in a frozen dataclass;
    its numbers come as scalars in ``values``."""

    @abstractmethod
    def of(self, parameter: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """What one parameter adds, a scalar."""

    def penalty(self, parameters: Tensors, examples: Any = None, hyper: Values | None = None) -> Tensor:
        """The sum over the chosen parameters, see :meth:`Regularizer.penalty`."""
        leaves, values = tree.leaves(parameters), self.scaled(self.values(hyper), examples)
        total: Any = fn.zeros(())
        for leaf, is_chosen in zip(leaves, self.chosen(parameters)):
            if is_chosen:
                total = total + self.of(leaf, {name: tensor(value, leaf.dtype) for name, value in values.items()})
        return total

    def scaled(self, values: Values, examples: Any) -> dict[str, Any]:
        """The hyperparameters as they multiply R."""
        return dict(values)


@dataclass(frozen=True)
class Constraint(Regularizer):
    """Base of constraints R(w) ≤ C: after each update the parameters are projected onto the set, which is the nearest
    point of it.  For one of your own, write :meth:`project` in a frozen dataclass.

    Source: the projected gradient method, Bertsekas, "Nonlinear programming" (catalogue 129).
    """

    @property
    def moves(self) -> bool:
        """Yes."""
        return True

    @abstractmethod
    def project(self, parameter: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """The nearest point of the set to one parameter."""

    def moved(
        self, parameters: Tensors, sizes: Any = 1.0, examples: Any = None, hyper: Values | None = None
    ) -> Tensors:
        """The chosen parameters projected, see :meth:`Regularizer.moved`."""
        leaves, definition = tree.flatten(parameters)
        values = self.values(hyper)
        moved = [
            self.project(leaf, {name: tensor(v, leaf.dtype) for name, v in values.items()}) if is_chosen else leaf
            for leaf, is_chosen in zip(leaves, self.chosen(parameters))
        ]
        return tree.unflatten(definition, moved)


def _lies_in(path: str, place: str) -> bool:
    return not place or path == place or path.startswith(f"{place}.")
