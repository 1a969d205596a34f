"""Noise on every pixel."""

from __future__ import annotations

from typing import Annotated

from gradloom import random
from gradloom.data.augment.base import Recolouring
from gradloom.options import not_negative
from gradloom.records import dataclass
from gradloom.tensor import Tensor
from gradloom.transforms import vmap


@dataclass(frozen=True)
class Noise(Recolouring):
    """Gaussian noise, drawn for every element.

    Args:
        sd: standard deviation, in the unit of the images.
    """

    sd: Annotated[float, not_negative] = 0.05

    def recolour(self, images: Tensor, keys: Tensor) -> Tensor:
        """x + sd · z."""
        noise = vmap(lambda key: random.normal(key, images.shape[1:]))(keys)
        return images + (noise * self.sd).astype(images.dtype)
