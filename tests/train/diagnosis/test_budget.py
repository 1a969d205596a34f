"""What the doctor's experiments may cost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sick_images import cells, masks
from sick_runs import cut, digits, network, patient

from gradloom import train
from gradloom.errors import OptionError
from gradloom.train.diagnosis.budget import Budget
from gradloom.train.diagnosis.images import light, place, reduced


def test_what_can_be_paid_for_is_granted():
    budget = Budget(10.0, spent=4.0)
    assert budget.grant("a test", 60, 0.1) == 60
    assert budget.notes == []


def test_what_is_too_dear_is_shortened_or_left_out_and_told():
    budget = Budget(10.0, spent=4.0)
    assert budget.grant("a test", 100, 0.1) == 60
    assert budget.grant("a curve", 100, 0.1, whole=True) == 0
    assert budget.grant("a long test", 1000, 0.1) == 0
    budget.spent = 11.0
    assert budget.grant("a late test", 1, 0.1) == 0
    assert budget.notes == [
        "Shortened to 60 steps: a test. 100 steps would take about 10 s, and 6 s of 10 s are left.",
        "Left out: a curve. 100 steps would take about 10 s, and 6 s of 10 s are left.",
        "Left out: a long test. 1000 steps would take about 1e+02 s, and 6 s of 10 s are left.",
        "Left out: a late test. Nothing is left of the budget of 10 s.",
    ]


def test_no_bound_is_never_left_out():
    assert Budget(math.inf, spent=1e9).grant("a test", 10**9, 1.0) == 10**9


def test_time_is_counted_even_where_an_experiment_fails():
    budget = Budget(10.0)
    with pytest.raises(ZeroDivisionError), budget.spending():
        divmod(1, 0)
    assert budget.spent > 0


def test_without_time_a_diagnosis_makes_no_experiment_and_says_so():
    data, validation = cut(digits(), 1400)
    run, data, more = patient(network(10, 32), data, validation=validation, lr=1e-4 / 2, epochs=8)
    found = train.diagnose(run, data, **more, budget=0)
    assert "learning_rate_too_low" not in {finding.name for finding in found.findings}
    assert "Left out: the range test of learning rates. Nothing is left of the budget of 0 s." in found.left_out
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
