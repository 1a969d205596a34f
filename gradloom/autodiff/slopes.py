"""The slope of a function of one number at 0, by differences over many steps, with how far it can be trusted.

Truncation makes a difference wrong where the step is long, rounding where it is short; between them lies a plateau.
:func:`sweep` walks from long steps to short ones, extrapolates each two neighbours (Richardson), and takes the place
where three neighbours differ least.  How much they differ, and the rounding there, is the uncertainty.

The same is done for each side alone.  Where the two sides have slopes of their own, there is a kink.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from gradloom.autodiff.differences import Array, one_sided, richardson, two_sided
from gradloom.records import dataclass

Line = Callable[[float], Array]
"""The values of a function along a line, at a distance from the point."""

_RATIO = 8.0
_ROUNDOFF = float(np.finfo(np.float64).eps)
_QUICK = _ROUNDOFF ** (1 / 5)
_INSIDE = 1e4 * _ROUNDOFF  # the rounding of numbers inside a function, if they are not above 1e4


@dataclass(frozen=True)
class Slope:
    """A slope by differences.

    Attributes:
        value: the slope.
        uncertainty: how far it may be off.
    """

    value: float
    uncertainty: float


@dataclass(frozen=True)
class Slopes:
    """What a sweep finds.

    Attributes:
        both: by two-sided differences; where the function has values on one side alone, that side's.
        left: of the left side.
        right: of the right side.
        is_jump: whether the function itself jumps.
    """

    both: Slope
    left: Slope
    right: Slope
    is_jump: bool

    @property
    def is_kink(self) -> bool:
        """Whether the two sides have slopes that differ by more than their uncertainty."""
        gap = abs(self.right.value - self.left.value)
        doubt = 10 * (self.left.uncertainty + self.right.uncertainty)
        return gap > doubt + 1e-6 * (abs(self.left.value) + abs(self.right.value))

    def brackets(self, slope: float) -> bool:
        """Whether a slope lies between those of the two sides."""
        low, high = sorted((self.left, self.right), key=lambda side: side.value)
        doubt = 1e-6 * (abs(low.value) + abs(high.value))
        return low.value - low.uncertainty - doubt <= slope <= high.value + high.uncertainty + doubt


def quick(line: Line, weights: Array, scale: float) -> Slope:
    """The slope of Σ weights·values by one extrapolated difference; its uncertainty counts rounding alone.

    Args:
        line: the function along the line.
        weights: of its values; the difference is taken before the sum, so that constants among them cost no digits.
        scale: the length over which the function is thought to change.
    """
    line, h = cache(line), _QUICK * scale
    found = richardson(line, _AT, _ALONG, h)  # type: ignore[arg-type]
    return Slope(float(weights @ found), 8 * _noise(line, weights) / h)


def sweep(line: Line, weights: Array, scale: float, least: float) -> Slopes:
    """The slopes of Σ weights·values at 0; see the head of this file.

    Args:
        line: the function along the line.
        weights: of its values.
        scale: the longest length over which the function may change.
        least: the shortest, and the size of the point, whose rounding moves the step.
    """
    line = cache(line)
    count = 12 + min(12, math.ceil(math.log(scale / least, _RATIO)))
    steps = 0.1 * scale * _RATIO ** -np.arange(float(count))

    def plateau(formula: Callable[..., Array], order: int, sign: float = 1.0) -> Slope:
        with np.errstate(all="ignore"):
            raw = np.array([weights @ formula(line, _AT, _ALONG, sign * h) for h in steps])
        noise = _noise(line, weights)
        if not raw.any():  # not a bit has changed: what there is lies below rounding, perhaps inside the function
            return Slope(0.0, (noise + _ROUNDOFF) / float(steps[0]))
        noise = max(noise, _quantum(np.abs(raw) * steps, scale))
        return _flattest(raw, order, steps, noise + _ROUNDOFF * least * np.abs(raw[1:]))

    left, right = plateau(one_sided, 1, -1.0), plateau(one_sided, 1)
    both = plateau(two_sided, 2)
    if not np.isfinite(both.value):
        both = min(left, right, key=lambda side: side.uncertainty)
    return Slopes(both, left, right, any(_jumps(line, weights, sign * steps) for sign in (-1, 1)))


_AT, _ALONG = 0.0, 1.0


def _noise(line: Line, weights: Array) -> float:
    """The rounding error of the weighted sum of values."""
    return _ROUNDOFF * float(np.abs(weights) @ np.abs(line(0.0)))


def _quantum(changes: Array, scale: float) -> float:
    """The least change of the values, where shorter steps change none: inside the function numbers were larger."""
    least = float(np.min(changes[changes > 0], initial=np.inf))
    return least if (changes == 0).any() and least < _INSIDE * scale else 0.0


def _flattest(raw: Array, order: int, steps: Array, noise: Array) -> Slope:
    """Differences extrapolated, and of those the one that its two neighbours agree with best.

    Args:
        raw: differences at these steps.
        order: of their error.
        steps: from long to short.
        noise: of the values, and of the point, which rounding moves, for all steps but the first.
    """
    factor = _RATIO**order
    better = (factor * raw[1:] - raw[:-1]) / (factor - 1)
    apart = np.abs(np.diff(better))
    # Where rounding rules, neighbours are apart by the noise over the step; there may be more of it than estimated.
    seen = np.median((apart * steps[2:])[-4:])
    rounding = np.fmax(noise[1:], seen) / steps[2:]
    doubt = np.maximum(apart[:-1], apart[1:]) + 4 * rounding[:-1]
    # Neighbours that come apart, although it is not for rounding, are on no plateau.
    doubt[(apart[1:] > apart[:-1]) & (apart[1:] > 8 * rounding[1:])] = np.inf
    doubt[~np.isfinite(doubt)] = np.inf
    best = int(np.argmin(doubt))
    return Slope(float(better[best + 1]), float(doubt[best]))


def _jumps(line: Line, weights: Array, steps: Array) -> bool:
    """Whether the values do not come nearer to that at 0 while the steps get 512 times shorter."""
    far, near = (float(np.abs(weights @ (line(h) - line(0.0)))) for h in (steps[-4], steps[-1]))
    return near > 1e3 * _noise(line, weights) and near > far / 8
