"""Every planted sickness is the first finding; healthy runs get a clean bill."""

from __future__ import annotations

import pytest
from sick_images import HEALTHY_IMAGES, SICK_IMAGES
from sick_runs import HEALTHY, SICK

from gradloom import train
from gradloom.train.diagnosis.causes import BRINGS_ABOUT, ROOTS_FIRST

ALL_SICK = {**SICK, **{f"{name} (images)": make for name, make in SICK_IMAGES.items()}}
ALL_HEALTHY = {**HEALTHY, **HEALTHY_IMAGES}


@pytest.mark.parametrize("name", ALL_SICK)
def test_a_planted_sickness_is_the_first_finding(name: str):
    run, data, more = ALL_SICK[name]()
    found = train.diagnose(run, data, **more, budget=None)
    assert found.first is not None
    assert found.first.name == name.partition(":")[0].partition(" ")[0], str(found)
    assert all((found.first.measured, found.first.why, found.first.what_to_do))


@pytest.mark.parametrize("name", ALL_HEALTHY)
def test_a_healthy_run_gets_a_clean_bill(name: str):
    run, data, more = ALL_HEALTHY[name]()
    found = train.diagnose(run, data, **more, budget=None)
    assert found.is_healthy, str(found)
    assert found.first is None


def test_there_are_twenty_sicknesses_and_ten_healthy_runs():
    assert len({name.partition(":")[0] for name in SICK}) >= 20
    assert len(HEALTHY) >= 10


def test_a_cause_stands_before_what_it_brings_about():
    for cause, effects in BRINGS_ABOUT.items():
        assert all(ROOTS_FIRST.index(cause) < ROOTS_FIRST.index(effect) for effect in effects), cause
