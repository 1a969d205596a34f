"""Weight decay."""

from __future__ import annotations

from gradloom import tree
from gradloom.optim.piece import Hyper, Piece, State, Tensors
from gradloom.options import Flag, NotNegative
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor


@dataclass(frozen=True)
class AddDecayedWeights(Piece):
    """u ↦ u + λ θ.

    At the head of a chain, where u is the gradient, this is the penalty (λ/2) ‖θ‖².  Behind an adaptive piece it is
    decoupled weight decay (AdamW), which that piece does not scale.  In plain gradient descent the two are one:
    each step multiplies the parameters by 1 - η λ (catalogue 134, 135).

    Args:
        weight_decay: λ.
        decay_bias: whether vectors and scalars (biases, scales of normalisation) decay too (catalogue 142).
    """

    weight_decay: NotNegative
    decay_bias: Flag = True

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """See the class."""
        rate = self.values(hyper)["weight_decay"]

        def decayed(u: Tensor, parameter: Tensor) -> Tensor:
            return u + tensor(rate, u.dtype) * parameter if self.decay_bias or parameter.ndim >= 2 else u

        return tree.map(decayed, updates, parameters), state
