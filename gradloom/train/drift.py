"""Detectors of drift: they are told an error after each update, and say when it has risen.

Both watch any error; neither needs to know what an error of the model is made of.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque

from gradloom import options


class DriftDetector(ABC):
    """Base: it is told errors one by one."""

    @abstractmethod
    def update(self, error: float) -> bool:
        """Take in an error.

        Args:
            error: the next one; smaller is better.

        Returns:
            Whether errors have risen.  What was seen before is forgotten then.
        """


class PageHinkley(DriftDetector):
    """Page's test for a rise of the mean.

    With x̄ᵢ the mean of the first i errors, mₜ = Σ_{i ≤ t} (xᵢ - x̄ᵢ - δ); a rise is told when mₜ - min mᵢ > λ.

    Args:
        delta: δ, the rise that does not matter.
        threshold: λ; larger ones tell later and err less often.  Where errors of variance σ² do not rise, what is held
            against it is of the size σ² / 2δ.
        least: errors to see before anything is told.

    Raises:
        OptionError: an option is out of range.

    Sources: Page, "Continuous inspection schemes" (1954); Gama et al., "A survey on concept drift adaptation" (2014).
    """

    def __init__(self, delta: float = 0.005, threshold: float = 50.0, *, least: int = 30) -> None:
        self.delta = options.number("PageHinkley", "delta", delta, low=0)
        self.threshold = options.number("PageHinkley", "threshold", threshold, low=0)
        self.least = options.whole("PageHinkley", "least", least)
        self._forget()

    def _forget(self) -> None:
        self._count, self._mean, self._sum, self._lowest = 0, 0.0, 0.0, 0.0

    def update(self, error: float) -> bool:
        """Take in an error; see :meth:`DriftDetector.update`."""
        self._count += 1
        self._mean += (error - self._mean) / self._count
        self._sum += error - self._mean - self.delta
        self._lowest = min(self._lowest, self._sum)
        has_risen = self._count >= self.least and self._sum - self._lowest > self.threshold
        if has_risen:
            self._forget()
        return has_risen


class Adwin(DriftDetector):
    """A window that is as long as its errors look alike.

    Wherever the window can be cut in two, of n₀ and n₁ errors with means μ₀ and μ₁, its older part is dropped if
    |μ₀ - μ₁| ≥ √(2/m σ² ln(2/δ′)) + 2/(3m) ln(2/δ′), where 1/m = 1/n₀ + 1/n₁, σ² is the variance of the window and
    δ′ = δ / ln n.  The window is kept as buckets of 1, 2, 4, ... errors, at most ``per_row`` of a size, so it takes
    memory and time that grow with the logarithm of its length, and cuts lie between buckets.

    Args:
        delta: δ, how likely a change may be told where there is none.
        per_row: buckets of a size.
        least: errors that each part of the window has.

    Raises:
        OptionError: an option is out of range.

    Differs from the paper: a rise of the error is told, a fall only shortens the window.

    Source: Bifet and Gavaldà, "Learning from time-changing data with adaptive windowing" (2007).  Errors should lie
    between 0 and 1.
    """

    def __init__(self, delta: float = 0.002, *, per_row: int = 5, least: int = 5) -> None:
        self.delta = options.number("Adwin", "delta", delta, low=0, high=1)
        self.per_row = options.whole("Adwin", "per_row", per_row, least=2)
        self.least = options.whole("Adwin", "least", least)
        self._buckets: deque[_Bucket] = deque()  # the oldest first

    @property
    def length(self) -> int:
        """Errors in the window."""
        return sum(b.count for b in self._buckets)

    @property
    def mean(self) -> float:
        """The mean of the window; 0 while it is empty."""
        return _joined(self._buckets).mean

    def update(self, error: float) -> bool:
        """Take in an error; see :meth:`DriftDetector.update`."""
        self._buckets.append(_Bucket(1, error, 0.0))
        self._compress()
        has_risen = False
        while (place := self._cut()) is not None:
            old = _joined([self._buckets.popleft() for _ in range(place)])
            has_risen |= self.mean > old.mean
        return has_risen

    def _compress(self) -> None:
        """Join the two oldest of each size that has too many."""
        size = 1
        while True:
            places = [i for i, b in enumerate(self._buckets) if b.count == size]
            if len(places) <= self.per_row:
                return
            first = places[0]
            self._buckets[first] = _joined([self._buckets[first], self._buckets[first + 1]])
            del self._buckets[first + 1]
            size *= 2

    def _cut(self) -> int | None:
        """Before which bucket the window falls apart, if anywhere."""
        whole = _joined(self._buckets)
        if whole.count < 2 * self.least:
            return None
        spread, logarithm = whole.squares / whole.count, math.log(2 * math.log(whole.count) / self.delta)
        count, total = 0, 0.0
        for place, bucket in enumerate(self._buckets, 1):
            count, total = count + bucket.count, total + bucket.count * bucket.mean
            rest = whole.count - count
            if rest < self.least:
                return None
            if count < self.least:
                continue
            share = 1 / count + 1 / rest
            bound = math.sqrt(2 * share * spread * logarithm) + 2 / 3 * share * logarithm
            if abs(total / count - (whole.count * whole.mean - total) / rest) >= bound:
                return place
        return None


class _Bucket:
    """Some errors: how many, their mean, and the sum of squares about it."""

    __slots__ = ("count", "mean", "squares")

    def __init__(self, count: int, mean: float, squares: float) -> None:
        self.count, self.mean, self.squares = count, mean, squares


def _joined(buckets: deque[_Bucket] | list[_Bucket]) -> _Bucket:
    """All of their errors in one (Chan, Golub and LeVeque, 1979)."""
    found = _Bucket(0, 0.0, 0.0)
    for b in buckets:
        count, apart = found.count + b.count, b.mean - found.mean
        found.squares += b.squares + apart * apart * found.count * b.count / count
        found.mean += apart * b.count / count
        found.count = count
    return found
