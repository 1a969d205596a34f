"""Mixup: two examples in one, with both their targets."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated

from gradloom import functional as gl
from gradloom import random
from gradloom.data.augment.base import Part, Pictures, Run, as_float
from gradloom.data.augment.mixture import Mixture
from gradloom.options import not_negative
from gradloom.records import dataclass
from gradloom.tensor import Tensor


@dataclass(frozen=True)
class Mixup(Part):
    """λ x_i + (1 - λ) x_j for images, and the same for targets, with λ from Beta(α, α).

    The partner j is the next example of the batch, so unlike everything else that is drawn it depends on the batch,
    which is in random order.  The greater of λ and 1 - λ is that of i: the mixtures are the same, and every example
    keeps the greater part of itself, its weight, and the target that metrics look at.

    Args:
        alpha: α; 0 mixes nothing, 1 draws all shares alike.

    Source: Zhang, Cissé, Dauphin and Lopez-Paz, "mixup: beyond empirical risk minimization" (2018).
    """

    alpha: Annotated[float, not_negative] = 0.2

    def apply(self, pictures: Pictures, run: Run) -> Pictures:
        """The images mixed, and how."""
        mixture = Mixture(self.share(run[0][1]))
        return replace(pictures, images=mixture.of(as_float(pictures.images)), mixture=mixture)

    def share(self, keys: Tensor) -> Tensor:
        """max(λ, 1 - λ) for each example, shape (n,).

        With u and v uniform, c = (u^(-1/α) - 1) cos² 2πv and a random sign, 1/2 ± 1/2 √(c / (1 + c)) is distributed
        as Beta(α, α); the sign is what the maximum does away with.

        Source: Devroye, "Random variate generation in one line of code" (1996), after Bailey (1994).
        """
        if not self.alpha:
            return gl.ones(keys.shape[0])
        drawn = random.uniform(keys, (2,))
        least = (1 - drawn[:, 0]) ** (1 / self.alpha)
        beside = (1 - least) * gl.square(gl.cos(drawn[:, 1] * (2 * math.pi)))
        whole = least + beside
        return 0.5 + 0.5 * gl.sqrt(beside / gl.where(whole > 0, whole, 1))
