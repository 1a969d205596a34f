"""Gradient checks: mistakes are found, and what is right is not blamed."""

from __future__ import annotations

import pytest
from planted import PLANTED, RIGHT

import gradloom as gl

check = gl.autodiff.check_gradients


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str):
    f, _, wrong, args = PLANTED[name]
    report = check(gl.custom_derivative(f, backward=wrong), *args)
    assert not report.passed, report
    assert report.verdict == ("look" if "float32" in name else "fail")


@pytest.mark.parametrize("name", PLANTED)
def test_the_right_rule_passes(name: str):
    f, right, _, args = PLANTED[name]
    report = check(gl.custom_derivative(f, backward=right), *args)
    assert report.passed, report
    assert report.ratio < 1e-7


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_not_blamed(name: str):
    f, args = RIGHT[name]
    report = check(f, *args)
    assert report.passed, report
