"""Schedules against their formulas."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

import gradloom as gl
from gradloom import optim
from gradloom.errors import OptionError
from gradloom.optim import Schedule, registry, schedules

CASES: dict[str, tuple[Schedule, Callable[[int], float]]] = {
    "constant": (schedules.Constant(0.3), lambda k: 0.3),
    "step": (schedules.StepDecay(0.5, 0.1, 4), lambda k: 0.5 * 0.1 ** (k // 4)),
    "exponential": (schedules.Exponential(0.5, 0.9, 3), lambda k: 0.5 * 0.9 ** (k / 3)),
    "inverse time": (schedules.InverseTime(0.5, 0.2), lambda k: 0.5 / (1 + 0.2 * k)),
    "linear": (schedules.Linear(0.1, 0.7, 8), lambda k: 0.1 + 0.6 * min(k / 8, 1)),
    "cosine": (schedules.Cosine(0.5, 8), lambda k: 0.25 * (1 + math.cos(math.pi * min(k / 8, 1)))),
    "cosine restarts": (
        schedules.Cosine(0.5, 8, 0.1, restarts=True),
        lambda k: 0.1 + 0.2 * (1 + math.cos(math.pi * (k % 8) / 8)),
    ),
    "polynomial": (schedules.Polynomial(0.5, 8, 3.0, 0.1), lambda k: 0.1 + 0.4 * (1 - min(k / 8, 1)) ** 3),
    "inverse square root": (schedules.InverseSquareRoot(0.5, 4), lambda k: 0.5 if k < 4 else 0.5 * math.sqrt(4 / k)),
    "cyclical": (
        schedules.Cyclical(0.1, 0.5, 4),
        lambda k: [0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2][k % 8],
    ),
    "triangular2": (
        schedules.Cyclical(0.1, 0.5, 2, 0.5),
        lambda k: 0.1 + [0.0, 0.2, 0.4, 0.2][k % 4] * 0.5 ** (k // 4),
    ),
    "one cycle": (
        schedules.OneCycle(0.5, 8, 0.1, 0.05, 0.25),
        lambda k: [0.1, 0.3, 0.5][k] if k < 3 else max(0.5 - 0.45 * (k - 2) / 6, 0.05),
    ),
    "warm-up": (schedules.WarmUp(0.5, 4), lambda k: [0.1, 0.2, 0.3, 0.4][k] if k < 4 else 0.5),
    "warm-up, then linear": (
        schedules.WarmUp(schedules.Linear(0.5, 0.1, 4), 3, start=0.1),
        lambda k: [0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2][k] if k < 7 else 0.1,
    ),
    "piecewise": (schedules.Piecewise((3, 5), (0.5, 0.2, 0.1)), lambda k: 0.5 if k < 3 else 0.2 if k < 5 else 0.1),
    "piecewise, one piece": (schedules.Piecewise((), (0.5,)), lambda k: 0.5),
}

every_schedule = pytest.mark.parametrize(("schedule", "formula"), CASES.values(), ids=CASES.keys())


def test_every_schedule_has_a_case() -> None:
    assert {type(schedule) for schedule, _ in CASES.values()} == set(registry.SCHEDULES)


@every_schedule
def test_formula(schedule: Schedule, formula: Callable[[int], float]) -> None:
    expected = [formula(k) for k in range(20)]
    np.testing.assert_allclose(schedule(gl.arange(20)).numpy(), expected, rtol=1e-14, atol=1e-16)
    assert schedule(5).shape == ()
    assert schedule(5).item() == pytest.approx(expected[5], rel=1e-14)


@every_schedule
def test_numbers_are_inputs(schedule: Schedule, formula: Callable[[int], float]) -> None:
    rate = gl.jit(lambda step, hyper: schedule(step, hyper), executor="reference")
    exact = {name: gl.tensor(value, "float64") for name, value in schedule.hyperparameters().items()}
    for k in range(12):
        assert rate(k, exact).item() == schedule(k).item()
    assert len(rate.programs) == 1
    values = [
        name
        for name in exact
        if name.split(".")[0]
        in ("", "value", "initial", "final", "floor", "start", "rates", "after", "low", "high", "peak")
    ]
    doubled = {name: value * 2 if name in values and "steps" not in name else value for name, value in exact.items()}
    assert rate(6, doubled).item() == pytest.approx(2 * formula(6), rel=1e-14)
    assert len(rate.programs) == 1


@every_schedule
def test_precision_is_that_of_the_hyperparameters(schedule: Schedule, formula: Callable[[int], float]) -> None:
    single = {name: gl.tensor(value, "float32") for name, value in schedule.hyperparameters().items()}
    assert schedule(3, single).dtype == np.float32
    assert schedule(3, single).item() == pytest.approx(formula(3), rel=1e-6)
    assert schedule(3).dtype == np.float64


@every_schedule
def test_description_round_trip(schedule: Schedule, formula: Callable[[int], float]) -> None:
    described = json.loads(json.dumps(optim.describe(optim.SGD(schedule))))
    assert optim.build(described) == optim.SGD(schedule)


def test_names_in_an_optimizer() -> None:
    nested = optim.SGD(schedules.WarmUp(schedules.Cosine(0.5, 8), 4))
    assert nested.hyperparameters() == {
        "lr.steps": 4.0,
        "lr.start": 0.0,
        "lr.after.initial": 0.5,
        "lr.after.steps": 8.0,
        "lr.after.floor": 0.0,
    }
    assert optim.SGD(schedules.WarmUp(0.5, 4)).hyperparameters()["lr.after"] == 0.5
    assert optim.SGD(0.5).hyperparameters() == {"lr": 0.5}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.Constant(-0.1), "Constant: value is a finite number not below 0; got value=-0.1"),
        (lambda: schedules.StepDecay(0.1, 0.0), r"StepDecay: factor lies in \(0, 1\]; got factor=0.0"),
        (lambda: schedules.StepDecay(0.1, 0.5, 0), "StepDecay: every is a whole number from 1 to 2⁵³; got every=0"),
        (lambda: schedules.Linear(0.1, 0.0, 2.5), "Linear: steps is a whole number from 1 to 2⁵³; got steps=2.5"),  # type: ignore[arg-type]
        (lambda: schedules.Linear(0.1, 0.0, 10**400), "Linear: steps is a whole number from 1 to 2⁵³; got steps=1000"),
        (lambda: schedules.Cosine(0.1, 5, restarts="yes"), "Cosine: restarts is True or False"),  # type: ignore[arg-type]
        (lambda: schedules.WarmUp("fast", 5), "WarmUp: after is a finite number"),  # type: ignore[arg-type]
        (lambda: schedules.Exponential(float("nan")), "Exponential: initial is a finite number"),
        (lambda: schedules.InverseTime(10**400), "InverseTime: initial is a finite number"),
        (lambda: schedules.Piecewise((1,), (0.1,)), "Piecewise: there is one rate more .* 1 rates, 1 boundaries"),
        (lambda: schedules.Piecewise((3, 3), (0.1, 0.2, 0.3)), r"Piecewise: boundaries rise; got boundaries=\(3, 3\)"),
        (lambda: schedules.Piecewise((3,), (0.1, -0.2)), r"Piecewise: rates\[1\] is a finite number not below 0"),
        (lambda: schedules.Piecewise(3, (0.1,)), "Piecewise: boundaries is a list of numbers; got boundaries=3"),  # type: ignore[arg-type]
    ],
)
def test_options_out_of_range(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()
