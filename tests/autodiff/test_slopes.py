"""Slopes by differences over many steps: the value lies within the uncertainty, which is small where it can be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gradloom.autodiff.slopes import Slopes, quick, sweep

ONE = np.ones(1)


def swept(f: Callable[[float], float], x: float) -> Slopes:
    return sweep(lambda t: np.atleast_1d(f(x + t)), ONE, max(1.0, abs(x)), abs(x) or 1.0)


SMOOTH: dict[str, tuple[Callable[[float], float], float, float, float]] = {
    "sine": (np.sin, 0.7, np.cos(0.7), 3e-11),
    "a fast wave": (lambda x: np.sin(1e4 * x), 0.3, 1e4 * np.cos(3e3), 1e-7),
    "a steep exponential": (np.exp, 30.0, np.exp(30.0), 1e-9),
    "a logarithm near 0": (np.log, 1e-8, 1e8, 1e-7),
    "a square root near 0": (np.sqrt, 1e-9, 0.5 * 1e-9**-0.5, 1e-6),
    "a large constant beside": (lambda x: 1e6 + np.sin(x), 0.7, np.cos(0.7), 1e-6),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_functions(name: str):
    f, x, exact, accuracy = SMOOTH[name]
    found = swept(f, x)
    assert abs(found.both.value - exact) <= 3 * found.both.uncertainty
    assert found.both.uncertainty <= accuracy * abs(exact)
    assert not found.is_kink
    assert not found.is_jump


def test_kinks_have_two_slopes():
    found = swept(lambda x: max(3 * x, -x) + np.sin(x), 0.0)
    assert found.left.value == pytest.approx(0.0, abs=1e-9)
    assert found.right.value == pytest.approx(4.0, abs=1e-9)
    assert found.is_kink
    assert found.brackets(1.0)
    assert not found.brackets(4.1)


def test_jumps():
    assert swept(np.floor, 2.0).is_jump
    assert not swept(abs, 0.0).is_jump


def test_the_edge_of_a_domain_leaves_one_side():
    found = swept(lambda x: np.sqrt(x) ** 3 if x >= 0 else np.nan, 0.0)
    assert abs(found.both.value) <= 3 * found.both.uncertainty <= 1e-3
    assert np.isnan(found.left.value)


def test_the_quick_slope_of_weighted_values():
    found = quick(lambda t: np.array([np.sin(0.5 + t), np.exp(t)]), np.array([2.0, -3.0]), 1.0)
    assert found.value == pytest.approx(2 * np.cos(0.5) - 3, rel=1e-11)
