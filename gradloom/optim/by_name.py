"""Parameters that learn faster or slower than the rest."""

from __future__ import annotations

from typing import Annotated

from gradloom import tree
from gradloom.errors import OptionError
from gradloom.optim.piece import Hyper, Piece, State, Tensors
from gradloom.options import NotNegative
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor


def _word(who: str, name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise OptionError(who, rule=f"{name} is the name of a parameter", got=repr(value), fix="Such as 'bias'.")
    return value


@dataclass(frozen=True)
class ScaleByName(Piece):
    """u ↦ factor · u for the parameters of one name, such as all that layers call ``bias``; u for all others.

    At the head of plain gradient descent with momentum it multiplies their learning rate; a piece of decay behind it
    is not multiplied.

    Args:
        parameter: the last part of the parameter's path, which is the attribute of its layer.
        factor: 0 keeps them as they are.
    """

    parameter: Annotated[str, _word]
    factor: NotNegative

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """See the class."""
        return self._scaled(updates, hyper), state

    def step_sizes(self, sizes: Tensors, state: State, hyper: Hyper) -> Tensors:
        """Scaled likewise."""
        return self._scaled(sizes, hyper)

    def _scaled(self, updates: Tensors, hyper: Hyper) -> Tensors:
        factor = self.values(hyper)["factor"]
        leaves, definition = tree.flatten(updates)

        def scaled(u: Tensor, path: tree.Path) -> Tensor:
            return tensor(factor, u.dtype) * u if path and path[-1] == self.parameter else u

        return tree.unflatten(definition, map(scaled, leaves, tree.paths(definition)))
