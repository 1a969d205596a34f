"""Examples drawn by chance: those of large weight often, those of small weight rarely (catalogue 156)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gradloom import options, random
from gradloom.errors import OptionError
from gradloom.records import dataclass
from gradloom.tensor import Tensor
from gradloom.train.batches import Batches
from gradloom.train.source import Order, Portion, Resident, Source

_CHANCE = 1
"""Folded into an epoch's key, so that the draws are not those of its order."""


@dataclass(frozen=True)
class WeightedSampling:
    """How an epoch draws its examples, each with a probability that is its share of all weights.

    Weights of classes count as well, so with ``class_weight="balanced"`` all classes come equally often.

    Args:
        replacement: whether an example may be drawn again; without, the drawn ones are left out from the next draws.
        draws: examples an epoch; by default as many as there are, or without replacement as have a weight above 0.

    Raises:
        OptionError: an option is of the wrong kind.

    Source: without replacement Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
    """

    replacement: bool = True
    draws: int | None = None

    def __post_init__(self) -> None:
        options.flag("WeightedSampling", "replacement", self.replacement)
        if self.draws is not None:
            options.whole("WeightedSampling", "draws", self.draws)

    def count(self, weights: np.ndarray) -> int:
        """How many are drawn.

        Raises:
            OptionError: there are not so many to draw without replacement.
        """
        most = len(weights) if self.replacement else int((weights > 0).sum())
        if not self.replacement and self.draws is not None and self.draws > most:
            fix = "Draw fewer, or with replacement."
            raise OptionError(
                "WeightedSampling", rule=f"{most} examples have a weight above 0", got=f"{self.draws} draws", fix=fix
            )
        return most if self.draws is None else self.draws

    def drawn(self, key: Tensor, weights: np.ndarray) -> np.ndarray:
        """The rows of an epoch's examples, in the order in which they are drawn.

        With replacement each comes from where a uniform number falls among the sums of the weights.  Without, the
        rows are sorted by exponential times E/w: the least of such is row i with probability wᵢ / Σ w, and so on.

        Args:
            key: determines them.
            weights: of the examples, not negative.
        """
        count, weights = self.count(weights), weights.astype(np.float64)
        if self.replacement:
            sums = np.cumsum(weights)
            found = np.searchsorted(sums, _uniform(key, count) * sums[-1], side="right")
            return np.minimum(found, np.flatnonzero(weights)[-1])
        with np.errstate(divide="ignore"):
            times = -np.log1p(-_uniform(key, len(weights))) / weights
        return np.argsort(np.where(weights > 0, times, np.inf), kind="stable")[:count]


def sampled(source: Source, sampling: str | WeightedSampling | None) -> Source:
    """A data set whose epochs are drawn, if that is asked for.

    Raises:
        OptionError: the sampling is neither None, "weights" nor a ``WeightedSampling``, or the data do not lie in
            memory with one weight an example.
    """
    if sampling is None:
        return source
    if not isinstance(sampling, WeightedSampling):
        options.choice("fit", "sampling", sampling, ("weights",))
        sampling = WeightedSampling()
    if not isinstance(source, Resident) or source.examples.weights.ndim != 1:
        got = "maps of weights" if isinstance(source, Resident) else "a stream"
        raise OptionError("fit", rule="examples are drawn from data in memory with one weight each", got=got)
    return Drawn(source.examples, sampling)


@dataclass(frozen=True)
class Drawn(Resident):
    """A data set in memory of which each epoch draws; what is drawn counts as 1."""

    sampling: WeightedSampling

    @property
    def rows(self) -> int:
        """Examples of an epoch."""
        return self.sampling.count(self.examples.weights)

    def epoch(self, key: Tensor, number: int, size: int, shuffle: bool) -> Iterator[Portion]:
        """The portions of an epoch."""
        order = Order(key, number, shuffle)
        batches = Batches(self.rows, size)
        drawn = self.sampling.drawn(random.fold_in(random.fold_in(key, number), _CHANCE), self.examples.weights)
        rows = drawn[batches.rows(None, 0, len(batches)).numpy()]
        alike = replace(self.examples, weights=np.ones_like(self.examples.weights))
        yield Portion(alike, batches, order, rows, origin=(number, 0), usual=len(batches))


def _uniform(key: Tensor, count: int) -> np.ndarray:
    return random.uniform(key, (count,), dtype="float64").numpy()
