"""Random programs through all kinds of differentiation on the native executor.

One graph holds a program's value, its gradient by reverse mode, its slope by forward mode, and the slope of the
gradient by forward over reverse and by reverse over reverse mode.  So one compilation serves every comparison,
differences of values and of gradients included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import Step, number, programs

import gradloom as gl
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.reference import ReferenceProgram
from gradloom.ir.graph import Graph
from gradloom.tensor import Tensor

EXAMPLES = 200
MOST_SKIPPED = 0.02
"""Share of programs whose differences may say nothing, because a kink lies between the points."""
STEP = 6e-6
"""Of the differences: the cube root of the unit roundoff, at which truncation and rounding together err least."""
SKIPPED: list[bool] = []


def all_modes(program: Sequence[Step], x: Tensor, y: Tensor) -> Graph:
    """Value; gradient; slope along (t, u); the gradient's slope by both mixed modes, as one graph of x, y, t, u."""

    def f(x: Tensor, y: Tensor) -> Tensor:
        return number(program, x, y)

    def everything(x: Tensor, y: Tensor, t: Tensor, u: Tensor) -> tuple:
        def reverse_slope(x: Tensor, y: Tensor) -> Tensor:
            gx, gy = gl.grad(f, (0, 1))(x, y)
            return gl.sum(gx * t) + gl.sum(gy * u)

        value, gradient = gl.value_and_grad(f, (0, 1))(x, y)
        _, slope = gl.jvp(f, (x, y), (t, u))
        _, forward_over_reverse = gl.jvp(gl.grad(f, (0, 1)), (x, y), (t, u))
        return value, gradient, slope, forward_over_reverse, gl.grad(reverse_slope, (0, 1))(x, y)

    return gl.trace(everything, x, y, x, y)


@dataclass(frozen=True)
class Found:
    """What the program of :func:`all_modes` gives at a point."""

    value: np.ndarray
    gradient: np.ndarray
    slope: np.ndarray
    forward_over_reverse: np.ndarray
    reverse_over_reverse: np.ndarray

    @staticmethod
    def of(arrays: Sequence[np.ndarray]) -> Found:
        value, gx, gy, slope, *second = arrays
        join = [np.concatenate([a.ravel(), b.ravel()]) for a, b in ((gx, gy), second[:2], second[2:])]
        return Found(value, join[0], slope, *join[1:])


def assert_near(found: np.ndarray, wanted: np.ndarray, size: float, tolerance: float = 1e-6) -> None:
    """Hold numbers to each other relative to a size, which they may cancel below."""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * size)


def check(program: Sequence[Step], rows: int, columns: int, seed: int = 0) -> bool:
    """Hold all modes to each other and to differences; whether the differences said something."""
    rng = np.random.default_rng([rows, columns, seed])
    x, y, t, u = rng.normal(size=(4, rows, columns))
    graph = all_modes(program, gl.tensor(x), gl.tensor(y))
    native = NativeProgram(graph)
    native.plan.graph.verify()

    def at(step: float) -> Found:
        return Found.of(native([x + step * t, y + step * u, t, u]))

    here = at(0.0)
    sizes = [np.abs(here.gradient).max() + 1e-3, np.abs(here.forward_over_reverse).max() + 1e-3]
    for got, wanted in zip(native([x, y, t, u]), ReferenceProgram(graph)([x, y, t, u]), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9 * sum(sizes))
    direction = np.concatenate([t.ravel(), u.ravel()])
    assert_near(here.slope, here.gradient @ direction, float(np.abs(here.gradient) @ np.abs(direction)), 1e-10)
    assert_near(here.reverse_over_reverse, here.forward_over_reverse, sizes[1], 1e-9)
    near, far = ((at(h), at(-h)) for h in (STEP, 2 * STEP))
    smooth = True
    for name, exact, size in (("value", here.slope, sizes[0]), ("gradient", here.forward_over_reverse, sum(sizes))):
        narrow, wide = (
            (getattr(a, name) - getattr(b, name)) / (2 * h) for (a, b), h in ((near, STEP), (far, 2 * STEP))
        )
        if np.abs(narrow - wide).max() > 1e-6 * size:  # a kink lies between the points, whatever the derivative is
            smooth = False
        else:
            assert_near(exact, narrow, size)
    return smooth


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(program=programs, rows=st.integers(1, 4), columns=st.integers(1, 9))
def run_all(program: tuple[Step, ...], rows: int, columns: int) -> None:
    SKIPPED.append(not check(program, rows, columns))


def test_all_modes_agree():
    SKIPPED.clear()
    run_all()
    assert len(SKIPPED) >= EXAMPLES
    assert np.mean(SKIPPED) <= MOST_SKIPPED, f"{sum(SKIPPED)} of {len(SKIPPED)} programs had kinks"
