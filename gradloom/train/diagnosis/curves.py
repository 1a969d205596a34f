"""The learning curve: the error on new data over the number of training examples.  Would more data help?

The network is trained anew on a quarter and on half of the examples, for as many steps as the run.  If errors at n/4,
n/2 and n lie on e(n) = a + b n^-c, their differences shrink by one ratio r = 2^-c each time the data double, so the
next error is e(n) - r (e(n/2) - e(n)), and the limit a = e(n) - r/(1 - r) (e(n/2) - e(n)) (Aitken's rule).
"""

from __future__ import annotations

import numpy as np

from gradloom.drawing.chart import Chart
from gradloom.records import dataclass
from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.courses import STEPS

MOST_STEPS = 1000
SHARES = (0.25, 0.5)


@dataclass(frozen=True)
class LearningCurve:
    """Errors on new data.

    Attributes:
        counts: examples, the run's own number last.
        errors: with so many.
    """

    counts: tuple[int, ...]
    errors: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """By which the gain shrinks each time the data double, from 0 to 1."""
        first, second, third = self.errors
        if first <= second or second <= third:
            return 1.0 if second > third else 0.0
        return min((second - third) / (first - second), 1.0)

    @property
    def gain(self) -> float:
        """By how much the error would fall with twice the data."""
        return max((self.errors[1] - self.errors[2]) * self.ratio, 0.0)

    @property
    def next(self) -> float:
        """The error with twice the data."""
        return max(self.errors[2] - self.gain, 0.0)

    @property
    def limit(self) -> float:
        """The error that ever more data would lead to; 0 where the curve does not bend."""
        return max(self.errors[2] - self.gain / (1 - self.ratio), 0.0) if self.ratio < 1 else 0.0

    @property
    def told(self) -> str:
        """The errors with fewer examples, in words."""
        return ", ".join(f"{e:.3g} with {n}" for n, e in zip(self.counts[:-1], self.errors))

    def chart(self) -> Chart:
        """The curve, and where it leads."""
        found = list(zip(map(float, self.counts), self.errors))
        ahead = [found[-1], (2.0 * self.counts[-1], self.next)]
        curves = {"measured": found, "extrapolated": ahead}
        return Chart("Learning curve", "training examples", "error on new data", curves=curves, log_x=True)


def learning_curve(case: Case) -> LearningCurve | None:
    """Train on parts of the data; None where that cannot be done (no validation, no learning rate, or time)."""
    rows = len(case.training)
    if "validation" not in case.parts or case.rate is None or case.start is None or rows < 16:
        return None
    steps = min(max(case.run.step, STEPS), MOST_STEPS)
    if not case.courses.granted("the learning curve", len(SHARES) * steps, case.start, whole=True):
        return None
    counts = [max(int(share * rows), 2) for share in SHARES]
    errors = case.budget.tried("the learning curve", lambda: [_error_with(case, count, steps) for count in counts])
    return None if errors is None else LearningCurve((*counts, rows), (*errors, case.errors["validation"]))


def _error_with(case: Case, count: int, steps: int) -> float:
    """The error on the validation part after training on so many examples."""
    assert case.start is not None, "the network can be made anew"
    taken = np.random.default_rng(0).permutation(len(case.training))[:count]
    course = case.courses(case.start, np.full(steps, case.rate), case.hyper, rows=taken)
    return case.error("validation", case.forward(course.carry, case.parts["validation"].inputs))
