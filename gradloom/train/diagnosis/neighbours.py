"""The nearest neighbours of training examples: what their targets tell without any network.

It is a second opinion on what can be learned from the inputs: where neighbours answer better than the network, the
network is to blame; where even they are no better than chance, the data may be.
"""

from __future__ import annotations

import math

import numpy as np

from gradloom.records import dataclass

MOST_ROWS = 2000
"""So many examples are looked at, drawn at random, for distances are as many as their square."""
NEIGHBOURS = 10


@dataclass(frozen=True)
class Opinion:
    """What the neighbours say.

    Attributes:
        error: share of wrong answers of a vote (or, of numbers, of the variance that their mean leaves unexplained).
        chance: the error of the answer that looks at no input.
        balanced: of classes, the mean over them of the share that a vote gets wrong in which rare classes count more.
        spread: the standard error of ``balanced`` (of ``error``, for numbers) if there was nothing to be learned.
        contradicted: share of examples at which eight of ten neighbours or more agree on another label.
        classes: how many there are; 0 for numbers.
    """

    error: float
    chance: float
    balanced: float
    spread: float
    contradicted: float
    classes: int

    @property
    def is_lost(self) -> bool:
        """Whether neighbours know no more than chance does."""
        by_chance = 1 - 1 / self.classes if self.classes else 1.0
        return self.balanced > by_chance - 3 * self.spread


def ask(inputs: np.ndarray, labels: np.ndarray, *, is_classes: bool, seed: int = 0) -> Opinion | None:
    """Ask the neighbours of each example, without itself.

    Args:
        inputs: shape (n, ...), of numbers; columns are standardised first.
        labels: classes, or values, shape (n,).
        is_classes: which of the two.
        seed: of the draw, where there are more than ``MOST_ROWS``.

    Returns:
        None for fewer than 20 examples.
    """
    if len(inputs) < 20:
        return None
    draw = np.random.default_rng(seed)
    chosen = draw.permutation(len(inputs))[:MOST_ROWS]
    x = inputs[chosen].reshape(len(chosen), -1).astype(np.float64)
    y = labels[chosen]
    near = _nearest(_standardised(x), min(NEIGHBOURS, len(x) // 4))
    if not is_classes:
        spread = float(np.var(y)) or 1.0
        error = float(np.mean((y[near].mean(1) - y) ** 2)) / spread
        return Opinion(error, 1.0, error, math.sqrt(2 / len(y)), 0.0, 0)
    return _vote(y, near)


def _vote(y: np.ndarray, near: np.ndarray) -> Opinion:
    names, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    votes = np.zeros((len(y), len(names)), np.int64)
    for column in near.T:
        votes[np.arange(len(y)), index[column]] += 1
    vote = votes.argmax(1)
    is_sure = votes.max(1) >= 0.8 * near.shape[1]
    chance = 1 - float(counts.max()) / len(y)
    wrong = vote != index
    missed = (votes / counts).argmax(1) != index
    balanced = float(np.mean(np.bincount(index, missed) / counts))
    by_chance = 1 / len(names)
    spread = math.sqrt(by_chance * (1 - by_chance) * float(np.sum(1 / counts))) / len(names)
    contradicted = float((wrong & is_sure).mean())
    return Opinion(float(wrong.mean()), chance, balanced, spread, contradicted, len(names))


def _standardised(x: np.ndarray) -> np.ndarray:
    """Columns around 0 with deviation 1; values beyond 5 deviations are set there, so that none rules a distance."""
    deviation = x.std(0)
    return np.clip((x - x.mean(0)) / np.where(deviation > 0, deviation, 1), -5, 5)


def _nearest(x: np.ndarray, count: int) -> np.ndarray:
    squares = np.einsum("ij,ij->i", x, x)
    distances = squares[:, None] + squares - 2 * x @ x.T
    np.fill_diagonal(distances, np.inf)
    return np.argpartition(distances, count, axis=1)[:, :count]
