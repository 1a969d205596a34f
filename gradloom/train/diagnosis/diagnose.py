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
"""Seconds for experiments, if not said."""

CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    *(leakage, drift, scales, labels, structure, units, flow, rates, restraint, loss, bias_variance),
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
        budget: seconds that these may take together; None for no bound.  For what it does not suffice is shortened or
            left out, and ``Diagnosis.left_out`` says it.

    Raises:
        OptionError: the run has no parameters yet, or an option is out of range.
        DataError: the data cannot be used, or are not such as the run was trained on.
    """
    best = options.number("diagnose", "optimal_error", optimal_error, low=0)
    trying = options.flag("diagnose", "experiments", experiments)
    purse = Budget(math.inf if budget is None else options.number("diagnose", "budget", budget, low=0))
    settings = {"optimal_error": best, "experiments": trying, "budget": purse}
    case = as_case(run, data, validation=validation, test=test, **settings)
    findings = [finding for check in CHECKS for finding in check(case)]
    return Diagnosis(in_order(findings), verdict(case), case.errors, tuple(purse.notes))
