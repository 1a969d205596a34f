"""The line search keeps its promise, the strong Wolfe conditions, on functions whose derivatives are written out."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.optim.line_search import Rules, search
from gradloom.optim.second_order import Point, evaluated

ARMIJO = 1e-4

FUNCTIONS: dict[str, tuple[Callable[[gl.Tensor], gl.Tensor], Callable[[float], float], Callable[[float], float]]] = {
    "parabola": (lambda a: (a[0] - 3) ** 2, lambda a: (a - 3) ** 2, lambda a: 2 * (a - 3)),
    "steep": (lambda a: gl.exp(-a[0]) + a[0] ** 4, lambda a: np.exp(-a) + a**4, lambda a: -np.exp(-a) + 4 * a**3),
    "waves": (
        lambda a: gl.cos(3 * a[0]) + a[0] ** 2 / 10 - a[0],
        lambda a: np.cos(3 * a) + a**2 / 10 - a,
        lambda a: -3 * np.sin(3 * a) + a / 5 - 1,
    ),
    "wall": (  # no value from 2 on
        lambda a: -gl.log(2 - a[0]) - 3 * a[0],
        lambda a: -np.log(2 - a) - 3 * a,
        lambda a: 1 / (2 - a) - 3,
    ),
}


@cache
def compiled(function: Callable[[gl.Tensor], gl.Tensor]) -> Callable[..., Any]:
    """A search from 0 to the right by its first length and c₂."""

    def run(first: gl.Tensor, wolfe: gl.Tensor) -> tuple[Point, gl.Tensor, gl.Tensor]:
        rules = Rules(gl.tensor(ARMIJO, "float64"), wolfe, strong=True)
        return search(function, evaluated(function, gl.zeros(1, "float64")), gl.ones(1, "float64"), first, rules, 40)

    return gl.jit(run, executor="reference")


@pytest.mark.parametrize(("function", "value", "slope"), FUNCTIONS.values(), ids=FUNCTIONS)
@given(first=st.floats(1e-3, 1e3), wolfe=st.sampled_from([0.1, 0.5, 0.9]))
@settings(max_examples=25, deadline=None)
def test_accepted_lengths_are_low_and_flat_enough(
    function: Callable[[gl.Tensor], gl.Tensor],
    value: Callable[[float], float],
    slope: Callable[[float], float],
    first: float,
    wolfe: float,
) -> None:
    to, evaluations, moved = compiled(function)(gl.tensor(first, "float64"), gl.tensor(wolfe, "float64"))
    a = to.x.numpy()[0]
    assert moved.item()
    assert 1 <= evaluations.item() < 40
    assert to.value.item() == pytest.approx(value(a), rel=1e-12)
    assert to.gradient.numpy()[0] == pytest.approx(slope(a), rel=1e-9, abs=1e-12)
    assert value(a) <= value(0) + ARMIJO * a * slope(0)
    assert abs(slope(a)) <= wolfe * abs(slope(0))
