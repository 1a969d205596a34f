"""The learning rate: a range test, and short trainings that prove what another rate would do (catalogue 124).

In a range test the rate grows by the same factor at every step.  The loss falls where the rate is useful and rises
where it is too large; a tenth of the rate at which it is down is a good choice.  (Not of that at which it is least:
what is learned during the test stays learned, and an easy task is at a loss of 0 until the rate breaks it.)
Source: Smith, "Cyclical learning rates for training neural networks" (2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gradloom.drawing.chart import Chart
from gradloom.records import dataclass
from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.courses import STEPS
from gradloom.train.diagnosis.finding import SERIOUS, Finding

LEAST, GREATEST = 1e-6, 10.0
_NEAR = 0.02
"""Down is where this share of the whole fall is left."""
FAR = 20.0
"""A rate so many times below the one of the range test is looked at more closely."""


@dataclass(frozen=True)
class RangeTest:
    """What a range test showed.

    Attributes:
        rates: of the steps.
        losses: smoothed; not finite from where training broke down.
        best: a tenth of the rate at which the loss was nearly least.
    """

    rates: np.ndarray
    losses: np.ndarray
    best: float

    def chart(self, own: float) -> Chart:
        """The loss over the rate, and where the run's own rate lies."""
        curve = list(zip(self.rates.tolist(), self.losses.tolist()))
        least = float(np.nanmin(self.losses))
        kept = [(x, min(y, 4 * self.losses[0] + least)) for x, y in curve]
        return Chart("Range test", "learning rate", "loss", curves={"loss": kept}, log_x=True, limit=own)


def rates(case: Case) -> Iterator[Finding]:
    """``learning_rate_too_high`` and ``learning_rate_too_low``; only where training is not as good as it could be."""
    own, begin = case.rate, case.start or case.now
    if not case.has_bias or not case.experiments or own is None:
        return
    test = range_test(case)
    if test is None or FAR * own >= test.best >= own / FAR:
        return
    steps = case.courses.granted("trainings at another learning rate", 8 * STEPS, begin) // 2
    if not steps:
        return
    both = case.budget.tried(
        "trainings at another learning rate",
        lambda: [case.courses(begin, np.full(steps, rate), case.hyper) for rate in (own, test.best)],
    )
    if both is None:
        return
    mine, other = both
    if not math.isfinite(other.end) or other.losses[0] - other.end <= 0.2 * other.losses[0]:
        return
    proof = (
        f"{steps} steps from the start lead to a loss of {mine.end:.3g} at the run's rate of {own:.3g}, and to "
        f"{other.end:.3g} at {test.best:.1g}."
    )
    gained, possible = mine.losses[0] - mine.end, other.losses[0] - other.end
    if own > test.best and gained < 0.7 * possible:
        yield Finding(
            "learning_rate_too_high",
            SERIOUS,
            proof,
            "Steps overshoot: the loss jumps, units die, or numbers leave their range.",
            f"Train anew with a rate near {test.best:.1g}; a warm-up or clip_norm allows somewhat more.",
            test.chart(own),
        )
    if own < test.best and gained < 0.5 * possible:
        yield Finding(
            "learning_rate_too_low",
            SERIOUS,
            proof,
            "Steps are so short that the epochs do not suffice.",
            f"Train with a rate near {test.best:.1g}, and let it fall towards the end.",
            test.chart(own),
        )


def range_test(case: Case) -> RangeTest | None:
    """The range test from the first weights; None without a learning rate, a fall of the loss, or the time."""
    own = case.rate
    if own is None:
        return None
    greatest, begin = max(GREATEST, 10 * own), case.start or case.now
    steps = case.courses.granted("the range test of learning rates", 2 * STEPS, begin)
    if not steps:
        return None
    tried = np.geomspace(LEAST, greatest, steps)
    course = case.budget.tried("the range test of learning rates", lambda: case.courses(begin, tried, case.hyper))
    losses = np.empty(0) if course is None else smoothed(course.losses)
    if not np.isfinite(losses).any():
        return None
    finite = np.where(np.isfinite(losses), losses, np.inf)
    reached = int(np.argmax(finite <= finite.min() + _NEAR * (finite[0] - finite.min())))
    return RangeTest(tried, losses, float(tried[reached]) / 10)


def smoothed(losses: np.ndarray, keep: float = 0.9) -> np.ndarray:
    """An exponential average, corrected for its start: m_k = keep m_(k-1) + (1 - keep) l_k, over 1 - keep^k."""
    found, average = np.empty(len(losses)), 0.0
    for k, loss in enumerate(losses):
        average = keep * average + (1 - keep) * loss
        found[k] = average / (1 - keep ** (k + 1))
    return found
