"""Constraints R(w) ≤ C: balls, boxes and spheres, each with its projection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY
from typing import Annotated, Literal

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import OptionError
from gradloom.nn.regularizers.base import Constraint
from gradloom.options import Positive, words
from gradloom.records import dataclass
from gradloom.tensor import Tensor

Over = Annotated[Literal["unit", "parameter"], words("unit", "parameter")]
MaybeBound = Annotated[float | None, options.optional(options.number_where(lambda x: True, "is a finite number"))]


@dataclass(frozen=True)
class Normed(Constraint):
    """Base of constraints on a norm.

    Args:
        c: the bound C.
        over: "unit" for the weights that come into each unit or channel, which are all axes of a parameter but its
            last; "parameter" for all numbers of a parameter together.  The numbers of a vector are always together.
    """

    c: Positive = 3.0
    _: KW_ONLY
    over: Over = "unit"

    def _by_unit(self, w: Tensor, project: Callable[[Tensor], Tensor]) -> Tensor:
        """Each column of the weights as a matrix (weights, units) projected."""
        units = w.shape[-1] if self.over == "unit" and w.ndim >= 2 else 1
        return project(w.reshape(w.size // units, units)).reshape(*w.shape) if w.size else w


@dataclass(frozen=True)
class MaxNorm(Normed):
    """‖w‖₂ ≤ C for the weights of each unit: w ← w · min(1, C / ‖w‖) (catalogue 129).

    It lets a network with dropout learn at high rates without its weights running away.

    Args:
        c: C; from 2 to 4 is usual.
        over: see :class:`Normed`; "parameter" is the ball of a whole matrix.
        bias: whether vectors are kept in a ball as well.
        at: a layer or parameter to act on alone.

    Source: Srebro and Shraibman, "Rank, trace-norm and max-norm" (2005); with dropout Srivastava et al. (2014).
    """

    def project(self, parameter: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Longer columns are shortened to C."""

        def shortened(w: Tensor) -> Tensor:
            square, c = fn.sum(w * w, 0, keepdims=True), values["c"]
            is_long = square > c * c
            return w * fn.where(is_long, c / fn.sqrt(fn.where(is_long, square, 1)), 1)

        return self._by_unit(parameter, shortened)


@dataclass(frozen=True)
class UnitNorm(Normed):
    """‖w‖₂ = C for the weights of each unit: w ← w · C / ‖w‖, so that only their direction is learned.

    Args:
        c: C.
        over: see :class:`Normed`.
        bias: whether vectors are kept on a sphere as well.
        at: a layer or parameter to act on alone.
    """

    c: Positive = 1.0

    def project(self, parameter: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Columns of length C; those of zeros, which have no direction, stay."""

        def scaled(w: Tensor) -> Tensor:
            square = fn.sum(w * w, 0, keepdims=True)
            return w * (values["c"] / fn.sqrt(fn.where(square > 0, square, 1)))

        return self._by_unit(parameter, scaled)


@dataclass(frozen=True)
class L1Ball(Normed):
    """Σ |w| ≤ C for the weights of each unit; the projection makes weights exactly 0.

    It is the soft threshold by the t at which Σ max(|w| - t, 0) = C, found by sorting.

    Args:
        c: C.
        over: see :class:`Normed`.
        bias: whether vectors are kept in a ball as well.
        at: a layer or parameter to act on alone.

    Source: Duchi, Shalev-Shwartz, Singer and Chandra, "Efficient projections onto the l1-ball" (2008).
    """

    def project(self, parameter: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """The nearest point with Σ |w| ≤ C, column by column."""

        def thresholded(w: Tensor) -> Tensor:
            sizes, c = fn.abs(w), values["c"]
            falling = -fn.sort(-sizes, 0)
            excess = fn.cumsum(falling, 0) - c
            counts = fn.arange(1, w.shape[0] + 1).astype(w.dtype).reshape(-1, 1)
            # (Σ of the k largest - C) / k rises as long as the k-th is above it, and falls from then on.
            threshold = fn.maximum(fn.max(excess / counts, 0, keepdims=True), 0)
            return fn.where(sizes > threshold, w - fn.sign(w) * threshold, fn.zeros_like(w))

        return self._by_unit(parameter, thresholded)


@dataclass(frozen=True)
class Box(Constraint):
    """low ≤ w ≤ high, number by number.

    Args:
        low: the least value; None for none.
        high: the largest; None for none.
        bias: whether vectors and scalars are kept in it as well.
        at: a layer or parameter to act on alone.

    Raises:
        OptionError: low lies above high, or both are None.
    """

    low: MaybeBound = None
    high: MaybeBound = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.low is None and self.high is None) or (None not in (self.low, self.high) and self.low > self.high):  # type: ignore[operator]
            raise OptionError(
                "Box", rule="low lies below high, and one of them is given", got=f"{self.low}, {self.high}"
            )

    def project(self, parameter: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """What lies outside is put onto the border."""
        found = parameter if self.low is None else fn.maximum(parameter, values["low"])
        return found if self.high is None else fn.minimum(found, values["high"])


@dataclass(frozen=True)
class NonNegative(Constraint):
    """w ≥ 0: negative weights become 0.

    Args:
        bias: whether vectors and scalars are kept from being negative as well.
        at: a layer or parameter to act on alone.
    """

    def project(self, parameter: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """max(w, 0)."""
        return fn.maximum(parameter, 0)
