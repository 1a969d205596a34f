"""How much a model relies on each column: what is lost when its values are shuffled among the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gradloom.records import dataclass


@dataclass(frozen=True)
class Importance:
    """What shuffling one column costs.

    Attributes:
        name: the column.
        drops: by how much the score fell, for each time the column was shuffled.
    """

    name: str
    drops: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The fall on average."""
        return float(np.mean(self.drops))

    @property
    def deviation(self) -> float:
        """How much it varies, √(Σ(d - mean)² / (n - 1))."""
        return float(np.std(self.drops, ddof=1)) if len(self.drops) > 1 else float("nan")


def permutation_importance(
    score: Callable[[np.ndarray], float],
    inputs: np.ndarray,
    groups: Mapping[str, Sequence[int]],
    *,
    repeats: int = 5,
    seed: int = 0,
) -> list[Importance]:
    """The fall of a score when features are shuffled among the examples, one group at a time, most important first.

    Features of a group keep together, so that what was made of one column of a table is shuffled as that column.  A
    column that another one can stand in for loses little, though the two together may matter much.

    Args:
        score: of the model on inputs; more is better.
        inputs: shape (n, features); they stay as they are.
        groups: columns of ``inputs`` by name.
        repeats: how often each group is shuffled.
        seed: of the orders.

    Source: Breiman, "Random forests" (2001), section 10; Fisher, Rudin and Dominici (2019) for any model.
    """
    random, whole = np.random.default_rng(seed), score(inputs)
    found = []
    for name, places in groups.items():
        drops = []
        for _ in range(repeats):
            shuffled = inputs.copy()
            shuffled[:, list(places)] = inputs[random.permutation(len(inputs))][:, list(places)]
            drops.append(whole - score(shuffled))
        found.append(Importance(name, tuple(drops)))
    return sorted(found, key=lambda one: -one.mean)
