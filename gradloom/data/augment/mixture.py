"""How the examples of a batch were mixed, for whatever belongs to them to be mixed alike."""

from __future__ import annotations

from gradloom import functional as gl
from gradloom.records import dataclass
from gradloom.tensor import Tensor


@dataclass(frozen=True)
class Mixture:
    """Every example is mixed with the next one of its batch, the last with the first.

    Attributes:
        share: what stays of each example, shape (n,), from 1/2 to 1.
    """

    share: Tensor

    def of(self, values: Tensor) -> Tensor:
        """share · value + (1 - share) · value of the next example.

        Args:
            values: floats, shape (n, ...).
        """
        share = gl.cast(self.share, values.dtype).reshape(-1, *(1,) * (values.ndim - 1))
        return values * share + gl.roll(values, -1, 0) * (1 - share)
