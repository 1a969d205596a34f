"""The diagnosis of a run: all checks, and their findings in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from gradloom import options
from gradloom.train.diagnosis.bias_variance import bias_variance, verdict
from gradloom.train.diagnosis.budget import Budget
from gradloom.train.diagnosis.case import Case, as_case
from gradloom.train.diagnosis.causes import in_order
from gradloom.train.diagnosis.drift import drift
from gradloom.train.diagnosis.finding import Diagnosis, Finding
from gradloom.train.diagnosis.flow import flow
from gradloom.train.diagnosis.labels import labels
from gradloom.train.diagnosis.leakage import leakage
from gradloom.train.diagnosis.loss import loss
from gradloom.train.diagnosis.rates import rates
from gradloom.train.diagnosis.restraint import restraint
from gradloom.train.diagnosis.scales import scales
from gradloom.train.diagnosis.structure import structure
from gradloom.train.diagnosis.units import units
from gradloom.train.trainer import Trainer

BUDGET = 60.0
"""Seconds, if not said."""

CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    *(leakage, drift, scales, labels, structure, units, flow, rates, restraint, loss),
)


def diagnose(
    run: Trainer,
    data: Any,
    *,
    validation: Any = None,
    test: Any = None,
    optimal_error: float = 0.0,
    experiments: bool = True,
    budget: float | None = BUDGET,
) -> Diagnosis:
    """Find out what ails a run.  The trainer and its model stay as they are.

    Errors are shares of wrong answers where targets are classes, else shares of variance that is not explained, 1 - R².

    Args:
        run: a trainer that was fitted, also one whose training broke off.
        data: what it was trained on, as ``fit`` takes it, in memory.
        validation: likewise; or the share that ``fit`` held out.
        test: data that were used for nothing yet.
        optimal_error: the error of the best that can be hoped for, such as that of people.
        experiments: make short trainings where there is trouble that they can explain: a range test, some hundred steps
            with another learning rate, without penalties, without dropout, on fewer examples.
        budget: seconds that all of it may take; None for no bound.  The errors of the parts are always measured.  Once
            the time is spent an experiment is broken off and no other check begun; ``Diagnosis.left_out`` says which.
            What can be foreseen not to suffice for an experiment shortens it.

    Raises:
        OptionError: the run has no parameters yet, or an option is out of range.
        DataError: the data cannot be used, or are not such as the run was trained on.
    """
    best = options.number("diagnose", "optimal_error", optimal_error, low=0)
    trying = options.flag("diagnose", "experiments", experiments)
    purse = Budget(math.inf if budget is None else options.number("diagnose", "budget", budget, low=0))
    settings = {"optimal_error": best, "experiments": trying, "budget": purse}
    case = as_case(run, data, validation=validation, test=test, **settings)
    found = verdict(case)  # measures the errors
    findings = list(_findings(case))
    return Diagnosis(in_order(findings), found, case.errors, tuple(purse.notes))


def _findings(case: Case) -> Iterator[Finding]:
    """What the checks find for which there is time, and what the errors say."""
    late = []
    for check in CHECKS:
        if case.budget.left:
            yield from check(case)
        else:
            late.append(check.__name__)
    if late:
        case.budget.skip(", ".join(late), f"The budget of {case.budget.seconds:g} s is spent.")
    yield from bias_variance(case)
