"""Restraint that is too strong: penalties on weights, dropout.  Short trainings without it show the difference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradloom.drawing.chart import Chart
from gradloom.tensor import tensor
from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.courses import STEPS, Course
from gradloom.train.diagnosis.finding import SERIOUS, Finding
from gradloom.train.diagnosis.probe import paths
from gradloom.train.diagnosis.rates import smoothed

_PENALTIES = ("l1", "l2", "weight_decay")


def restraint(case: Case) -> Iterator[Finding]:
    """``too_much_regularisation`` and ``too_much_dropout``; only where the training error is high."""
    if not case.has_bias or case.has_failed or not case.experiments or case.rate is None:
        return
    yield from _penalties(case)
    yield from _dropout(case)


def _penalties(case: Case) -> Iterator[Finding]:
    strong = {name: float(case.hyper[name].item()) for name in _PENALTIES if name in case.hyper}
    strong = {name: value for name, value in strong.items() if value}
    more = case.run.regularizers
    if not (strong or more) or case.rate is None:
        return
    free = {**case.hyper, **{name: tensor(0.0, "float64") for name in strong}}
    begin = case.start or case.now
    steps = case.courses.granted("trainings without penalties", 8 * STEPS, begin) // 2
    if not steps:
        return
    rates = np.full(steps, case.rate)
    both = case.budget.tried(
        "trainings without penalties",
        lambda: (case.courses(begin, rates, case.hyper), case.courses_without_regularizers(begin, rates, free)),
    )
    if both is None:
        return
    kept, freed = both
    if freed.end < 0.6 * kept.end:
        names = [*strong, *(type(regularizer).__name__ for regularizer in more)]
        shown = ", ".join([*(f"{name} {value:g}" for name, value in strong.items()), *map(str, more)])
        yield Finding(
            "too_much_regularisation",
            SERIOUS,
            f"{len(rates)} steps lead to a loss of {freed.end:.3g} without penalties, and to {kept.end:.3g} with "
            f"{shown}.",
            "The penalty holds the weights where they cannot fit even the training data: it buys variance with bias.",
            f"Divide {' and '.join(names)} by 10 or 100, and choose by the error on the validation part.",
            _chart("without penalties", freed, "with", kept),
        )


def _dropout(case: Case) -> Iterator[Finding]:
    dropping: list[Any] = [m for m in paths(case.run.model) if "Drop" in type(m).__name__ and getattr(m, "rate", 0)]
    if not dropping or case.rate is None:
        return
    begin = case.start or case.now
    steps = case.courses.granted("trainings without dropout", 8 * STEPS, begin) // 2
    if not steps:
        return
    rates = np.full(steps, case.rate)
    both = case.budget.tried(
        "trainings without dropout",
        lambda: [courses(begin, rates, case.hyper) for courses in (case.courses, case.courses_without_dropout)],
    )
    if both is None:
        return
    kept, freed = both
    if freed.end < 0.4 * kept.end:
        strongest = max(m.rate for m in dropping)
        yield Finding(
            "too_much_dropout",
            SERIOUS,
            f"{len(rates)} steps lead to a loss of {freed.end:.3g} without dropout, and to {kept.end:.3g} with it "
            f"(rates up to {strongest:g}).",
            "What is left of the units cannot carry what is to be learned: the training error itself is high.",
            "Lower the rates (0.5 for wide layers, 0.1 or 0 for narrow ones), or widen the layers.",
            _chart("without dropout", freed, "with", kept),
        )


def _chart(first: str, freed: Course, second: str, kept: Course) -> Chart:
    curves = {name: list(enumerate(smoothed(course.losses))) for name, course in ((first, freed), (second, kept))}
    return Chart("Training from the start", "step", "loss", curves=curves)
