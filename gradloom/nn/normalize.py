"""The first layer of networks for images: pixels as they are in files become numbers around 0."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gradloom.errors import OptionError, ShapeError
from gradloom.ir.tensortype import is_float
from gradloom.nn.module import Module, current_call
from gradloom.tensor import Tensor, tensor


class Normalize(Module):
    """Each channel less its mean, divided by its deviation: y = (x - μ) / σ.

    μ and σ are options, not parameters: they are measured once, by ``Images.statistics()``, and are saved with the
    network.  Images can thus stay bytes in memory, and a step of training makes floats of one batch at a time.

    Args:
        mean: μ, one number for each channel on the last axis.
        deviation: σ, likewise, above 0.

    Raises:
        OptionError: the numbers are not finite, a deviation is not above 0, or there are not as many of both.
        ShapeError: the input has another number of channels.
    """

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        self.mean, self.deviation = tuple(map(float, mean)), tuple(map(float, deviation))
        numbers = (*self.mean, *self.deviation)
        fine = bool(numbers) and all(map(math.isfinite, numbers)) and min(self.deviation, default=0) > 0
        if not fine or len(self.mean) != len(self.deviation):
            raise OptionError(
                "Normalize",
                rule="there is a finite mean and a deviation above 0 for each channel",
                got=f"mean={self.mean}, deviation={self.deviation}",
            )

    def forward(self, x: Tensor) -> Tensor:
        """The normalised x; whole numbers become float32, or the type in which the call computes."""
        if x.shape[-1:] != (len(self.mean),):
            rule = f"expected {len(self.mean)} channels on the last axis"
            raise ShapeError("Normalize", rule=rule, got=str(x.type))
        floats = x if is_float(x.dtype) else x.astype(current_call().floats)
        mean, factor = np.array(self.mean, floats.dtype), (1 / np.array(self.deviation)).astype(floats.dtype)
        return (floats - tensor(mean)) * tensor(factor)
