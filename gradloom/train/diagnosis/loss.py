"""Does the loss fall at all?  With dropout off and one batch again and again it must (catalogue 127, 150)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradloom.drawing.chart import Chart
from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.courses import STEPS
from gradloom.train.diagnosis.finding import NOTE, SERIOUS, Finding


def loss(case: Case) -> Iterator[Finding]:
    """``loss_does_not_fall`` on one batch at a tenth of the run's rate, without dropout; ``loss_is_not_monotone``."""
    if not case.has_bias or not case.experiments or case.rate is None:
        return
    rate = case.rate / 10
    begin, courses = case.start or case.now, case.courses_without_dropout
    steps = courses.granted("one batch again and again", 2 * STEPS, begin)
    if not steps:
        return
    course = case.budget.tried(
        "one batch again and again", lambda: courses(begin, np.full(steps, rate), case.hyper, fixed=True)
    )
    if course is None:
        return
    chart = Chart("One batch, no dropout", "step", "loss", curves={"loss": list(enumerate(course.losses))})
    rises = int(np.sum(np.diff(course.losses) > 1e-3 * np.abs(course.losses[:-1])))
    if not course.end < 0.98 * course.losses[0]:
        yield Finding(
            "loss_does_not_fall",
            SERIOUS,
            f"{len(course.losses)} steps on one batch with dropout off at a tenth of the learning rate take the loss "
            f"from {course.losses[0]:.4g} to {course.end:.4g}.",
            "Any network can fit one batch; if it does not, loss, gradient or network has a fault.",
            "Check the gradient (run.check_gradients), whether the loss fits the last layer (logits or probabilities), "
            "and what goes on in each layer.",
            chart,
        )
    elif rises > len(course.losses) // 10:
        yield Finding(
            "loss_is_not_monotone",
            NOTE,
            f"On one batch with dropout off the loss rises at {rises} of {len(course.losses)} steps.",
            "On a fixed batch a small enough step always leads down.",
            "Lower the learning rate until it falls at every step; then raise it again, and turn dropout on.",
            chart,
        )
