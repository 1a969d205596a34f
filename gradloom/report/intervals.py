"""How sure a figure is: 95% confidence intervals of what was measured on some examples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Interval = tuple[float, float]

Z = 1.959963984540054
"""The 97.5% point of the normal distribution, so that all intervals here hold 95%."""
_DRAWS, _FEWER, _MANY = 1000, 200, 20_000
"""How often examples are drawn anew; fewer times where there are many examples, for then single ones matter less."""


def wilson(successes: int, trials: int) -> Interval:
    """Wilson's interval of a share, here p = successes / trials.

        (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n)

    It stays within [0, 1], and is of some width even at 0 and 1, where p ± z √(p(1 - p)/n) is none.

    Args:
        successes: how often it was so.
        trials: n, at least 1.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """
    share, square = successes / trials, Z * Z / trials
    middle = share + square / 2
    room = Z * np.sqrt(share * (1 - share) / trials + square / (4 * trials))
    low, high = float((middle - room) / (1 + square)), float((middle + room) / (1 + square))
    return low if successes else 0.0, high if successes < trials else 1.0  # there without rounding


def bootstrap(measure: Callable[[np.ndarray], float], examples: int, *, seed: int = 0) -> Interval:
    """The percentile interval of the bootstrap: from the 2.5% to the 97.5% point of the figure on examples drawn anew.

    Draws on which the figure is not known (NaN) take no part.

    Args:
        measure: the figure on the examples of these numbers, which may come more than once.
        examples: how many there are.
        seed: of the draws.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    random = np.random.default_rng(seed)
    draws = _DRAWS if examples <= _MANY else _FEWER
    found = np.array([measure(random.integers(0, examples, examples)) for _ in range(draws)])
    known = found[np.isfinite(found)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)
