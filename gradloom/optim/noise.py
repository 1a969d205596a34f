"""Noise on gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Annotated, Any

from gradloom import options, random, tree
from gradloom.optim.piece import Hyper, Piece, State, Tensors, no_steps
from gradloom.options import NotNegative
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor


def _seed(who: str, name: str, value: object) -> int:
    return options.whole(who, name, value, least=0)


@dataclass(frozen=True)
class AddNoise(Piece):
    """u ↦ u + ε with ε from N(0, σ²/(1 + k)^γ) in step k: descent that does not stay in the first hollow.

    Args:
        std: σ.
        decay: γ; 0.55 in the source, 0 for noise that stays.
        seed: determines the noise.

    Source: Neelakantan et al., "Adding gradient noise improves learning for very deep networks" (2015).
    """

    std: NotNegative = 0.1
    decay: NotNegative = 0.55
    _: KW_ONLY
    seed: Annotated[int, _seed] = 0

    def hyperparameters(self) -> dict[str, float]:
        """``std`` and ``decay``; the seed is part of the program."""
        return {"std": self.std, "decay": self.decay}

    def init(self, parameters: Tensors) -> State:
        """The number of steps."""
        return {"step": no_steps()}

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """See the class."""
        values, step = self.values(hyper), state["step"]
        key = random.fold_in(random.key(self.seed), step)
        leaves, definition = tree.flatten(updates)
        noisy = [
            u + _size(values, step, u) * random.normal(random.fold_in(key, i), u.shape, u.dtype)
            for i, u in enumerate(leaves)
        ]
        return tree.unflatten(definition, noisy), {"step": step + 1}


def _size(values: Mapping[str, Any], step: Tensor, like: Tensor) -> Tensor:
    """σ / (1 + k)^(γ/2)."""
    std, decay = (tensor(values[name], like.dtype) for name in ("std", "decay"))
    return std / (1 + tensor(step, like.dtype)) ** (decay / 2)
