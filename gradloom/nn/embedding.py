"""Vectors for words, categories, users: anything that is numbered."""

from __future__ import annotations

from gradloom import options
from gradloom.errors import DTypeError
from gradloom.ir.tensortype import TensorType
from gradloom.nn.init import Initializer, Normal
from gradloom.nn.init import get as initializer
from gradloom.nn.module import Module
from gradloom.ops import index
from gradloom.tensor import Tensor

_SMALL = Normal(0.05)


class Embedding(Module):
    """One trained vector for each index: integers of any shape S give floats of shape S + (size,).

    Args:
        count: number of indices, 0 to count - 1.
        size: length of each vector.
        init: name or function of the initialiser of the table, shape (count, size).

    Raises:
        DTypeError: the input is not of integers.
        IndexRangeError: an index lies outside (negative ones too).
    """

    weight: Tensor

    def __init__(self, count: int, size: int, *, init: str | Initializer = _SMALL) -> None:
        self.count = options.whole("Embedding", "count", count)
        self.size = options.whole("Embedding", "size", size)
        initializer(init)  # refuse unknown names now
        self.init = init

    def build(self, x: TensorType) -> None:
        """Make the table."""
        self.add_parameter("weight", (self.count, self.size), initializer(self.init))

    def forward(self, x: Tensor) -> Tensor:
        """The vectors at the indices x."""
        if x.dtype.kind not in "iu":
            raise DTypeError(
                "Embedding", rule="indices are integers", got=str(x.type), fix="Convert them with gl.cast(x, 'int64')."
            )
        # The primitive itself, since gl.take would count negative indices from the end.
        return Tensor(index.take(self.weight.node, x.node, axis=0))
