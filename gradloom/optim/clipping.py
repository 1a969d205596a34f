"""Gradients kept within bounds."""

from __future__ import annotations

from functools import reduce

from gradloom import functional as fn
from gradloom import tree
from gradloom.optim.piece import Hyper, Piece, State, Tensors
from gradloom.options import Positive
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor


def global_norm(tensors: Tensors) -> Tensor:
    """√ Σ x² over all elements of all tensors, as if they were one vector; 0 with derivative 0 for zeros."""
    squares = [fn.sum(fn.square(leaf)) for leaf in tree.leaves(tensors)]
    total = reduce(fn.add, squares) if squares else fn.zeros(())
    return fn.where(total > 0, fn.sqrt(fn.where(total > 0, total, 1)), total)


@dataclass(frozen=True)
class ClipByNorm(Piece):
    """u ↦ u · min(1, clip_norm / ‖u‖) with the norm over all parameters together, so that the direction is kept.

    From Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.
    """

    clip_norm: Positive

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """See the class."""
        norm = global_norm(updates)
        limit = tensor(self.values(hyper)["clip_norm"], norm.dtype)
        factor = limit / fn.maximum(norm, limit)
        return tree.map(lambda u: tensor(factor, u.dtype) * u, updates), state


@dataclass(frozen=True)
class ClipByValue(Piece):
    """u ↦ min(max(u, -clip_value), clip_value), element by element."""

    clip_value: Positive

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """See the class."""
        limit = self.values(hyper)["clip_value"]

        def clipped(u: Tensor) -> Tensor:
            bound = tensor(limit, u.dtype)
            return fn.minimum(fn.maximum(u, -bound), bound)

        return tree.map(clipped, updates), state
