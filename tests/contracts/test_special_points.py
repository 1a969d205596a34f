"""Derivatives where a function has a kink, a tie or a boundary: what the library promises there."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl

INF, NAN = np.inf, np.nan


def both_modes(f, x: np.ndarray) -> np.ndarray:
    """The gradient of Σ f, by reverse mode and by forward mode, which agree."""
    reverse = gl.grad(lambda v: gl.sum(f(v)))(x).numpy()
    forward = [gl.jvp(lambda v: gl.sum(f(v)), (x,), (d,))[1].item() for d in np.eye(x.size).reshape(x.size, *x.shape)]
    np.testing.assert_array_equal(np.reshape(forward, x.shape), reverse)
    return reverse


KINKS = {
    "abs at 0": (gl.abs, [-1, 0, 2], [-1, 0, 1]),
    "relu at 0": (gl.relu, [-1, 0, 2], [0, 0, 1]),
    "relu of NaN": (gl.relu, [NAN], [0]),
    "sign": (gl.sign, [-1, 0, 2], [0, 0, 0]),
    "floor at a whole number": (gl.floor, [1, 1.5], [0, 0]),
    "clip at its bounds": (lambda x: gl.clip(x, -1, 1), [-2, -1, 0, 1, 2], [0, 0.5, 1, 0.5, 0]),
    "clip with one bound": (lambda x: gl.clip(x, None, 1), [-9, 3], [1, 0]),
    "maximum, tie": (lambda x: gl.maximum(x, 1.0), [0, 1, 2], [0, 0.5, 1]),
    "minimum, tie": (lambda x: gl.minimum(1.0, x), [0, 1, 2], [1, 0.5, 0]),
    "maximum of x and x": (lambda x: gl.maximum(x, x), [3], [1]),
    "max, ties share": (gl.max, [2, 1, 2, 2], [1 / 3, 0, 1 / 3, 1 / 3]),
    "min, ties share": (gl.min, [1, 1], [0.5, 0.5]),
    "max of infinities": (gl.max, [-INF, -INF], [0.5, 0.5]),
    "sort, ties": (lambda x: gl.sort(x) * np.array([1.0, 2.0, 4.0]), [5, 3, 3], [4, 1, 2]),
    "top_k, ties": (lambda x: gl.top_k(x, 1)[0], [3, 5, 5], [0, 1, 0]),
    "x^2 at 0": (lambda x: x**2, [0, 3], [0, 6]),
    "x^1 at 0": (lambda x: x**1, [0], [1]),
    "x^0 at 0": (lambda x: x**0, [0], [0]),
    "x^2.0 at 0": (lambda x: x**2.0, [0, -3], [0, -6]),
    "x^1.0 at 0": (lambda x: x**1.0, [0], [1]),
    "x^0.0 at 0": (lambda x: x**0.0, [0, 2], [0, 0]),
    "0^y": (lambda y: gl.power(0.0, y), [1, 2], [0, 0]),
    "sqrt at 0": (gl.sqrt, [0], [INF]),
    "log at 0": (gl.log, [0], [INF]),
    "log1p at -1": (gl.log1p, [-1], [INF]),
    "asin at 1": (gl.asin, [1], [INF]),
    "prod with one zero": (gl.prod, [2, 0, 5], [0, 10, 0]),
    "prod with two zeros": (gl.prod, [0, 0, 5], [0, 0, 0]),
    "logsumexp with -inf": (gl.logsumexp, [-INF, 0], [0, 1]),
    "softplus far out": (gl.softplus, [-800, 0, 800], [0, 0.5, 1]),
    "sigmoid far out": (gl.sigmoid, [-800, 0, 800], [0, 0.25, 0]),
    "tanh far out": (gl.tanh, [-800, 800], [0, 0]),
    "where keeps the other branch's NaN out of values": (lambda x: gl.where(x > 0, x, 0.0), [0, 1], [0, 1]),
    "stop_gradient": (lambda x: x * gl.stop_gradient(x), [3], [3]),
    "cast there and back": (lambda x: gl.cast(gl.cast(x, "float32"), "float64") * 2, [3], [2]),
    "through integers": (lambda x: gl.cast(gl.cast(x, "int64"), "float64") * x, [3.5], [3]),
    "no elements": (gl.sum, [], []),
}  # fmt: skip


@pytest.mark.parametrize("name", KINKS)
def test_derivative(name: str):
    f, x, wanted = KINKS[name]
    np.testing.assert_allclose(both_modes(f, np.array(x, float)), wanted, rtol=1e-15)


def test_second_derivatives_at_zero():
    at_zero = np.array(0.0)
    for f, wanted in [(lambda x: x**3, 0), (lambda x: x**2, 2), (lambda x: x**2.0, 2), (gl.tanh, 0), (gl.abs, 0)]:
        assert gl.grad(gl.grad(f))(at_zero).item() == wanted


def test_mixed_derivative_of_power_at_exponent_zero():
    """∂²(x^y)/∂x∂y = x^(y-1) (1 + y log x), which is 1/x at y = 0."""
    mixed = gl.grad(gl.grad(gl.power, 0), 1)
    assert mixed(np.array(4.0), np.array(0.0)).item() == 0.25


def test_a_size_of_one_gathers_the_derivative_of_all_its_copies():
    x, y = np.ones((3, 1)), np.arange(12.0).reshape(3, 4)
    assert gl.grad(lambda a: gl.sum(a * y))(x).tolist() == y.sum(1, keepdims=True).tolist()
    assert gl.grad(lambda a: gl.sum(a * y))(np.ones(())).item() == y.sum()
    assert gl.grad(lambda a: gl.sum(a + y))(np.ones((1, 4))).tolist() == [[3] * 4]
