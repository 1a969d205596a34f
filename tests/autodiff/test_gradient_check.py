"""Gradient checks: mistakes are found, and what is right is not blamed."""

from __future__ import annotations

import numpy as np
import pytest
from planted import PLANTED, RIGHT

import gradloom as gl
from gradloom.errors import DTypeError, OptionError

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


@pytest.mark.parametrize(
    "name", ["wrong at one element", "transposed", "softmax without its cross terms", "stale cache"]
)
def test_random_directions_find_mistakes_too(name: str):
    f, right, wrong, args = PLANTED[name]
    assert check(gl.custom_derivative(f, backward=right), *args, elements=0).passed
    assert not check(gl.custom_derivative(f, backward=wrong), *args, elements=0).passed


def test_of_a_large_array_the_wrong_element_is_found_by_halving():
    def rule(ct, y, x):
        return (2 * x * ct * gl.where(gl.arange(4000).reshape(40, 100) == 1234, -1.0, 1.0),)

    x = np.random.default_rng(0).standard_normal((40, 100))
    report = check(gl.custom_derivative(lambda x: x * x, backward=rule), x, elements=100)
    ((name, worst),) = report.worst(1)
    assert (name, worst.index) == ("x", (12, 34))
    assert worst.slope.value == pytest.approx(-worst.gradient, rel=1e-9)
    assert "5 random directions" in str(report)
    assert "worst: at [12, 34]" in str(report)


def test_the_ratio_is_that_of_the_notes():
    doubled = gl.custom_derivative(lambda x: x**2, backward=lambda ct, y, x: (4 * x * ct,))
    report = check(lambda x: gl.sum(doubled(x)), np.array([3.0, 4.0]))
    assert report.ratio == pytest.approx(10 / 30, rel=1e-9)  # |20 - 10| / (20 + 10) of the norms
    assert report.verdict == "fail"


@pytest.mark.parametrize(("error", "verdict"), [(1e-11, "pass"), (1e-8, "look"), (4e-6, "look"), (1e-4, "fail")])
def test_the_bands(error: float, verdict: str):
    off = gl.custom_derivative(gl.sin, backward=lambda ct, y, x: (ct * gl.cos(x) * (1 + error),))
    report = check(off, np.array([0.3, 1.0]))
    assert report.verdict == verdict
    assert report.passed == (verdict == "pass")
    assert report.ratio == pytest.approx(error / 2, rel=0.3, abs=1e-11)


def test_a_gradient_beyond_the_slopes_of_both_sides_is_wrong_at_a_kink_too():
    # Where the function is smooth nearby but the rule is wrong there as well, no kink excuses it.
    wrong = gl.custom_derivative(gl.abs, backward=lambda ct, y, x: (ct * 5,))
    assert check(wrong, np.array([0.0, 1.0])).rows[0].of_kind("wrong")
    right = check(gl.relu, np.array([0.0, 1.0])).rows[0].of_kind("kink")
    assert [c.index for c in right] == [(0,)]
    low, high = sorted(right[0].sides or ())
    assert (low == 0) != (high == 0)


def test_gradients_that_are_not_finite_fail():
    report = check(lambda x: gl.sum(gl.sqrt(x)), np.array([0.0, 1.0]))
    assert report.verdict == "fail"
    assert "the gradient is inf" in str(report)
    nan = gl.custom_derivative(gl.sin, backward=lambda ct, y, x: (ct * np.nan,))
    assert check(nan, 1.0).verdict == "fail"


def test_arguments_are_nested_and_named_and_only_floats_are_checked():
    def f(p, ids, x):
        return {"y": gl.take(p["table"], ids, 0) * x, "n": gl.sum(ids)}

    given = {"table": np.ones((3, 2), "float32"), "free": [2.0]}
    assert [row.name for row in check(f, given, np.array([0, 2]), 3.0).rows] == ["p.free.0", "p.table", "x"]
    assert [row.name for row in check(f, given, np.array([0, 2]), 3.0, argnums=2).rows] == ["x"]


def test_what_computes_in_float32_is_noted():
    report = check(lambda x: gl.cast(gl.exp(gl.cast(x, "float32")), "float64"), 0.3)
    assert "computes in float32" in str(report)


def test_the_native_executor_gives_the_same_verdict():
    f, right, wrong, args = PLANTED["batch norm without the mean"]
    assert check(gl.custom_derivative(f, backward=right), *args, executor="native").passed
    assert not check(gl.custom_derivative(f, backward=wrong), *args, executor="native").passed


def test_how_likely_a_mistake_escapes_is_as_often_as_it_does():
    """A rule that is off by e in one element of many, with directions drawn anew: it is noticed as often as stated."""
    n, size, runs = 400, 3e-9, 60
    x = np.random.default_rng(1).standard_normal(n)
    off = np.zeros(n)
    off[7] = size * np.linalg.norm(np.cos(x))
    rule = gl.custom_derivative(lambda x: gl.sum(gl.sin(x)), backward=lambda ct, y, x: (ct * (gl.cos(x) + off),))
    reports = [check(rule, x, elements=0, directions=1, seed=seed) for seed in range(runs)]
    escaped = np.mean([report.passed for report in reports])
    assert escaped <= np.mean([report.escape(size) for report in reports]) + 3 * np.sqrt(0.25 / runs)
    assert 0 < escaped < 1


def test_refusals():
    with pytest.raises(DTypeError, match="no argument holds any"):
        check(lambda n: n * 2, 3)
    with pytest.raises(DTypeError, match="no result holds any"):
        check(lambda x: x > 0, 3.0)
    with pytest.raises(OptionError, match="directions"):
        check(gl.sin, 3.0, directions=0)
