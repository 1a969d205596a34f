"""Derivatives by differences: their orders of error, their shapes, and what is refused."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradloom as gl
from gradloom.autodiff import numerical
from gradloom.errors import DTypeError, OptionError, UnsupportedError

METHODS = ["one-sided", "two-sided", "richardson", "complex-step"]


def smooth(x):
    return np.exp(x) * np.sin(x)


def smooth_derivative(x: float) -> float:
    return math.exp(x) * (math.sin(x) + math.cos(x))


def slope(method: str, steps: np.ndarray, at: float = 0.9) -> float:
    """The slope of the error against the step, both logarithmic."""
    errors = [abs(numerical(smooth, method=method, step=h)(at) - smooth_derivative(at)) for h in steps]
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


@pytest.mark.parametrize(
    ("method", "order", "steps"),
    [
        ("one-sided", 1, np.geomspace(1e-5, 1e-2, 10)),
        ("two-sided", 2, np.geomspace(1e-4, 1e-2, 10)),
        ("richardson", 4, np.geomspace(1e-2, 1e-1, 10)),
        ("complex-step", 2, np.geomspace(1e-4, 1e-2, 10)),
    ],
)
def test_the_error_falls_with_the_order_of_the_method(method, order, steps):
    assert slope(method, steps) == pytest.approx(order, abs=0.05)


@pytest.mark.parametrize(
    ("method", "worst"), [("one-sided", 5e-7), ("two-sided", 5e-10), ("richardson", 5e-12), ("complex-step", 5e-15)]
)
@given(x=st.floats(-2, 2))
def test_default_steps_reach_the_accuracy_of_the_method(method, worst, x):
    assert numerical(smooth, method=method)(x) == pytest.approx(smooth_derivative(x), rel=worst, abs=10 * worst)


def test_the_complex_step_needs_no_care_for_its_step():
    exact = smooth_derivative(0.9)
    for h in (1e-8, 1e-50, 1e-200):
        assert numerical(smooth, method="complex-step", step=h)(0.9) == pytest.approx(exact, rel=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_a_gradient_a_jacobian_and_a_scalar(method):
    m = np.arange(6.0).reshape(2, 3)
    x = np.array([1.0, -2.0, 0.5])
    found = numerical(lambda v: (v * v).sum(), method=method)(x)
    np.testing.assert_allclose(found, 2 * x, atol=1e-6)
    assert found.dtype == np.float64
    np.testing.assert_allclose(numerical(lambda v: m @ v, method=method)(x), m, atol=1e-6)
    assert numerical(lambda a: m * a, method=method)(2.0).shape == (2, 3)
    assert isinstance(numerical(lambda a: a * a, method=method)(2.0), float)
    assert numerical(lambda a, b: np.outer(a, b), 1, method=method)(x, x[:2]).shape == (3, 2, 2)


def test_arguments_are_in_float64_whatever_they_were():
    seen = []

    def f(a, b, c, d, e):
        seen.append([np.asarray(v).dtype.name for v in (a, b, c["w"], d, e)])
        return gl.sum(a * b * c["w"]) * d

    found = numerical(f, (0, 2))(gl.ones(2), np.float32(2), {"w": np.ones(2, np.float32)}, 3, "name")
    assert seen[0][:3] == ["float64"] * 3
    assert seen[0][3].startswith("int")
    np.testing.assert_allclose(found[0], [6, 6], rtol=1e-9)
    np.testing.assert_allclose(found[1]["w"], [6, 6], rtol=1e-9)


def test_a_function_of_tensors_equals_its_gradient():
    def loss(w, x):
        return gl.mean(gl.tanh(x @ w) ** 2)

    rng = np.random.default_rng(0)
    w, x = rng.standard_normal(3), rng.standard_normal((5, 3))
    exact = gl.grad(loss)(gl.tensor(w), gl.tensor(x)).numpy()
    np.testing.assert_allclose(numerical(loss, method="richardson")(w, x), exact, rtol=1e-10)


def test_whole_numbers_are_points_too_and_empty_arrays_have_no_derivative():
    assert numerical(lambda x: x**3)(2) == pytest.approx(12)
    assert numerical(lambda x: 1.0 + x.sum())(np.zeros((0, 2))).shape == (0, 2)


def test_large_points_take_large_steps():
    assert numerical(lambda x: x * x)(1e8) == pytest.approx(2e8, rel=1e-9)


def test_the_complex_step_works_with_python_functions():
    assert numerical(cmath.exp, method="complex-step")(1.0) == pytest.approx(math.e, rel=1e-15)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: numerical(smooth, method="forward"), OptionError, "no such method"),
        (lambda: numerical(smooth, step=0.0), OptionError, "step is a finite number above 0"),
        (lambda: numerical(smooth, 2)(1.0), OptionError, "argnums counts the 1 arguments"),
        (lambda: numerical(smooth)("x"), DTypeError, "numbers alone"),
        (lambda: numerical(smooth)(np.array([True])), DTypeError, "numbers alone"),
        (lambda: numerical(abs, method="complex-step")(1.0), DTypeError, "complex results"),
        (lambda: numerical(gl.exp, method="complex-step")(1.0), UnsupportedError, "takes complex numbers"),
        (lambda: numerical(math.exp, method="complex-step")(1.0), UnsupportedError, "richardson"),
    ],
)
def test_refusals(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()


def test_errors_of_the_function_itself_come_through():
    def f(x):
        raise TypeError("of the function")

    with pytest.raises(TypeError, match="of the function"):
        numerical(f)(1.0)
