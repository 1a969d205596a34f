"""How long the doctor may take, and what it looks at."""

from __future__ import annotations

import importlib
import math
from functools import partial

import numpy as np
import pytest
from sick_images import cells, masks
from sick_runs import cut, digits, network, patient

from gradloom import train
from gradloom.errors import OptionError
from gradloom.train.diagnosis.budget import Budget
from gradloom.train.diagnosis.courses import Courses, recipe_of
from gradloom.train.diagnosis.images import light, place, reduced


class Clock:
    """A clock that stands still until it is set, or goes on by so much each time it is looked at."""

    def __init__(self, now: float = 0.0, tick: float = 0.0) -> None:
        self.now, self.tick = now, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


def after(seconds: float, of: float) -> tuple[Budget, Clock]:
    """A budget of which so much is spent."""
    clock = Clock()
    budget = Budget(of, clock)
    clock.now = seconds
    return budget, clock


def test_what_can_be_paid_for_is_granted():
    budget, _ = after(4.0, of=10.0)
    assert budget.grant("a test", 60, 0.1) == 60
    assert budget.notes == []


def test_what_is_too_dear_is_shortened_or_left_out_and_told():
    budget, clock = after(4.0, of=10.0)
    assert budget.grant("a test", 100, 0.1) == 60
    assert budget.grant("a curve", 100, 0.1, whole=True) == 0
    assert budget.grant("a long test", 1000, 0.1) == 0
    clock.now = 11.0
    assert budget.grant("a late test", 1, 0.1) == 0
    assert budget.notes == [
        "Shortened to 60 steps: a test. 100 steps would take about 10 s, and 6 s of 10 s are left.",
        "Left out: a curve. 100 steps would take about 10 s, and 6 s of 10 s are left.",
        "Left out: a long test. 1000 steps would take about 1e+02 s, and 6 s of 10 s are left.",
        "Left out: a late test. Nothing is left of the budget of 10 s.",
    ]


def test_no_bound_is_never_left_out():
    assert after(1e9, of=math.inf)[0].grant("a test", 10**9, 1.0) == 10**9


def test_an_experiment_is_broken_off_when_the_time_is_up():
    data, _ = cut(digits(), 600)
    run, data, _ = patient(network(10, 8), data, epochs=1)
    clock = Clock()
    budget = Budget(10.0, clock)
    arrays = data[0], data[1], np.ones(len(data[1]), np.float32)
    courses = Courses(recipe_of(run), arrays, 50, "reference", budget)
    carry = run.snapshot()
    assert courses.granted("a training", 40, carry) == 40  # a step takes no time on a clock that stands
    whole = courses(carry, np.full(40, 0.01), {})
    clock.tick = 4.0
    assert budget.tried("a training", lambda: [courses(carry, np.full(40, 0.01), {}) for _ in range(9)]) is None
    assert budget.notes == ["Left out: a training. It was broken off when the budget of 10 s was spent."]
    assert courses.granted("another", 40, carry) == 0
    courses._seconds = 0.1  # so that calls are of a few steps each
    clock.tick, clock.now = 0.0, 0.0
    np.testing.assert_array_equal(courses(carry, np.full(40, 0.01), {}).losses, whole.losses)


def test_a_diagnosis_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch):
    """Each look at the clock is a second: after some checks the others are left out, whatever they would find."""
    data, validation = cut(digits(), 1400)
    run, data, more = patient(network(10, 32), data, validation=validation, lr=1e-4 / 2, epochs=2)
    module = importlib.import_module("gradloom.train.diagnosis.diagnose")
    monkeypatch.setattr(module, "Budget", partial(Budget, clock=Clock(tick=1.0)))
    found = train.diagnose(run, data, **more, budget=4.5)
    (late,) = (note for note in found.left_out if "is spent" in note)
    assert late.startswith("Left out: ")
    assert late.endswith("flow, rates, restraint, loss. The budget of 4.5 s is spent.")
    assert set(found.errors) == {"training", "validation"}
    assert found.first is not None


def test_without_time_a_diagnosis_tells_the_errors_alone_and_says_so():
    data, validation = cut(digits(), 1400)
    run, data, more = patient(network(10, 32), data, validation=validation, lr=1e-4 / 2, epochs=8)
    found = train.diagnose(run, data, **more, budget=0)
    assert {finding.name for finding in found.findings} <= {"training_too_short", "high_bias", "no_test"}
    checks = "leakage, drift, scales, labels, structure, units, flow, rates, restraint, loss"
    assert found.left_out == (f"Left out: {checks}. The budget of 0 s is spent.",)
    assert found.left_out[0] in str(found)
    assert found.to_dict()["left_out"] == list(found.left_out)
    with_time = train.diagnose(run, data, **more, budget=None)
    assert with_time.first is not None
    assert with_time.first.name == "learning_rate_too_low"
    assert with_time.left_out == ()
    with pytest.raises(OptionError, match="budget"):
        train.diagnose(run, data, budget=-1)


def test_what_cannot_be_asked_of_masks_is_told():
    run, data, more = masks(*cut(cells(), 120))
    (said,) = train.diagnose(run, data, **more).left_out
    assert said.startswith("Left out: label noise and unrelated targets. Neighbours are asked where each example has")


# Images ---------------------------------------------------------------------------------------------------------


def test_large_images_are_averaged_over_squares():
    images = np.arange(2 * 70 * 65 * 3).reshape(2, 70, 65, 3)
    found = reduced(images)
    assert found.shape == (2, 23, 21, 3)
    assert found[1, 4, 5, 2] == pytest.approx(images[1, 12:15, 15:18, 2].mean())
    assert reduced(images[:, :32, :32]).shape == (2, 32, 32, 3)


def test_light_by_hand():
    image = np.array([[[[0], [100]], [[0], [100]]]], np.uint8)
    assert {name: float(value[0]) for name, value in light(image).items()} == {"brightness": 50, "contrast": 50}


def test_a_pixel_has_a_place():
    assert place(7, (2, 3, 2)) == "pixel (1, 0) of channel 1"
    assert place(4, (2, 3, 1)) == "pixel (1, 1)"
    assert place(4, (9,)) == "input 4"
