"""Networks with inputs of several kinds, such as an image beside the figures of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import OptionError, ShapeError
from gradloom.nn.module import Module
from gradloom.tensor import Tensor


class Branches(Module):
    """A hybrid network: each kind of input goes through a network of its own, and the results stand side by side.

    An example is one row that holds all its inputs, one after the other, so data, batches and model files are those of
    any network.  Rows are made with ``np.hstack([images.reshape(n, -1), table])``.

    Args:
        branches: a network for each kind of input, which gives (n, features).
        shapes: the shape that each kind has in an example, such as ``[(28, 28, 1), (5,)]``.

    Raises:
        OptionError: something else than modules, or not one shape for each.
        ShapeError: the rows have another length than the shapes together, or a branch gives something else.
    """

    def __init__(self, *branches: Module, shapes: Sequence[Sequence[int]]) -> None:
        if not branches or not all(isinstance(branch, Module) for branch in branches):
            got = f"{branches!r}"[:100]
            raise OptionError("Branches", rule="branches are modules", got=got, fix="Pass one network for each kind.")
        if len(shapes) != len(branches):
            got = f"{len(branches)} branches and {len(shapes)} shapes"
            raise OptionError("Branches", rule="each branch needs the shape of its input", got=got)
        self.branches = branches
        self.shapes = tuple(tuple(options.whole("Branches", "a size", n) for n in shape) for shape in shapes)

    def forward(self, x: Any) -> Tensor:
        """The features of all branches, shape (n, features)."""
        sizes = [math.prod(shape) for shape in self.shapes]
        if x.ndim != 2 or x.shape[1] != sum(sizes):
            raise ShapeError(
                "Branches",
                rule=f"an example is a row of {' + '.join(map(str, sizes))} = {sum(sizes)} numbers",
                got=str(x.type),
                fix="Put the inputs of an example side by side: np.hstack([first.reshape(n, -1), second]).",
            )
        ends = [sum(sizes[:i]) for i in range(1, len(sizes))]
        parts = fn.split(x, ends, axis=1) if ends else [x]
        found = [branch(part.reshape(-1, *shape)) for branch, part, shape in zip(self.branches, parts, self.shapes)]
        for y in found:
            if y.ndim != 2:
                fix = "End it with nn.Flatten() or nn.GlobalAvgPool()."
                raise ShapeError("Branches", rule="a branch gives (n, features)", got=str(y.type), fix=fix)
        return fn.concatenate(found, -1)
