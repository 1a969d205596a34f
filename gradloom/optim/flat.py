"""Parameters as one vector, which is what methods with matrices over all parameters work on."""

from __future__ import annotations

from functools import reduce

import numpy as np

from gradloom import functional as fn
from gradloom import tree
from gradloom.ir.tensortype import DEFAULT_FLOAT, TensorType, promote
from gradloom.optim.piece import Tensors
from gradloom.records import dataclass
from gradloom.tensor import Tensor


@dataclass(frozen=True)
class Flat:
    """How nested parameters lie in one vector, one after the other in the order of :func:`gradloom.tree.leaves`.

    Attributes:
        definition: how they are nested.
        types: of the leaves.
    """

    definition: tree.TreeDef
    types: tuple[TensorType, ...]

    @staticmethod
    def of(parameters: Tensors) -> Flat:
        """The layout of such parameters."""
        leaves, definition = tree.flatten(parameters)
        return Flat(definition, tuple(leaf.type for leaf in leaves))

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(kind.size for kind in self.types)

    @property
    def dtype(self) -> np.dtype:
        """Of the vector: the widest of the leaves', and no less than float32."""
        return reduce(promote, (kind.dtype for kind in self.types), np.dtype(DEFAULT_FLOAT))

    def ravel(self, parameters: Tensors) -> Tensor:
        """The vector of nested parameters."""
        parts = [leaf.reshape(-1).astype(self.dtype) for leaf in tree.leaves(parameters)]
        return fn.concatenate(parts) if parts else fn.zeros(0, self.dtype)

    def unravel(self, vector: Tensor) -> Tensors:
        """The nested parameters of a vector."""
        ends = np.cumsum([kind.size for kind in self.types])
        parts = [vector[end - kind.size : end] for kind, end in zip(self.types, ends.tolist())]
        return tree.unflatten(
            self.definition, [part.reshape(kind.shape).astype(kind.dtype) for part, kind in zip(parts, self.types)]
        )
