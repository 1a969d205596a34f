"""The hunt for numbers that are not finite names the primitive that made the first, where it lies, and its stage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn
from gradloom.debug import find_nonfinite


class Logarithm(nn.Module):
    def forward(self, x: Any) -> Any:
        return gl.log(x)


def test_finite_results_are_no_finding():
    report = find_nonfinite(lambda x: gl.exp(x), np.zeros(3))
    assert not report
    assert str(report) == "every result is finite"


def test_the_layer_the_primitive_and_the_place():
    model = nn.Sequential(nn.ReLU(), Logarithm(), nn.Flatten())
    x = np.array([[1.0, 2.0], [3.0, -1.0]])
    first = find_nonfinite(model, x).first
    assert first is not None
    assert (first.primitive, first.layer, first.stage) == ("log", "Sequential/layers.1", "forward")
    assert (first.value, first.place, first.result) == ("infinity", (1, 1), "float64[2, 2]")
    assert first.operands == ("float64[2, 2] between 0 and 3",)


def test_the_first_nan_and_the_infinity_that_it_comes_from():
    report = find_nonfinite(lambda x: gl.exp(x) - gl.exp(x), np.array([1.0, 1000.0]))
    assert report.first is not None
    assert report.nan is not None
    assert (report.first.primitive, report.first.value) == ("exp", "infinity")
    assert (report.nan.primitive, report.nan.value) == ("sub", "NaN")
    assert "the first NaN: NaN in sub" in str(report)


def test_infinities_that_do_no_harm_are_not_blamed():
    """A mask of -inf on the way to a softmax is meant; what goes wrong is elsewhere."""

    def f(x: Any) -> Any:
        masked = gl.where(x > 0, x, -np.inf)
        return gl.softmax(masked), gl.sqrt(x - 10)

    first = find_nonfinite(f, np.array([1.0, -1.0, 2.0])).first
    assert first is not None
    assert first.primitive == "sqrt"


def test_infinite_results_count_only_where_asked_for():
    assert find_nonfinite(gl.log, np.zeros(2))
    assert not find_nonfinite(gl.log, np.zeros(2), infinities=False)
    assert find_nonfinite(gl.log, -np.ones(2), infinities=False)


def test_backward():
    """The norm of 0 is 0; its derivative is 0/0."""
    first = find_nonfinite(gl.grad(lambda x: gl.sqrt(gl.sum(x * x))), np.zeros(3)).first
    assert first is not None
    assert first.stage == "backward"
    assert find_nonfinite(lambda x: gl.sqrt(gl.sum(x * x)), np.zeros(3)).first is None


def test_arguments_and_constants():
    given = find_nonfinite(lambda x, y: {"sum": x + y["a"]}, np.ones(2), {"a": np.array([1.0, np.nan])}).first
    assert given is not None
    assert str(given) == "NaN in argument y.a (float64[2]) at (1,)"
    known = find_nonfinite(lambda x: x + np.array([1.0, np.inf]), np.ones(2)).first
    assert known is not None
    assert str(known) == "infinity in a constant (float64[2]) at (1,)"


@pytest.mark.parametrize("reverse", [False, True])
def test_inside_a_loop_the_turn_is_named(reverse: bool):
    def f(xs: Any) -> Any:
        return gl.scan(lambda c, x: (c + gl.log(x), c), np.float64(0), xs, reverse=reverse)

    first = find_nonfinite(f, np.array([1.0, 2.0, -3.0, 4.0])).first
    assert first is not None
    assert (first.primitive, first.value, first.turns) == ("log", "NaN", (2,))
    assert "turn 2 of a loop" in str(first)


def test_turns_that_are_not_taken_are_not_blamed():
    def f(xs: Any, n: Any) -> Any:
        return gl.scan(lambda c, x: (c + gl.log(x), c), np.float64(0), xs, turns=n)

    assert not find_nonfinite(f, np.array([1.0, 2.0, -3.0, 4.0]), 2)
    assert find_nonfinite(f, np.array([1.0, 2.0, -3.0, 4.0]), 3)


@pytest.mark.parametrize(("x", "primitive"), [(-1.0, "sqrt"), (0.0, "div")])
def test_inside_a_branch(x: float, primitive: str):
    def f(x: Any) -> Any:
        return gl.cond(x < 0, lambda x: gl.sqrt(x), lambda x: 1 / x, x)

    first = find_nonfinite(f, np.float64(x)).first
    assert first is not None
    assert first.primitive == primitive
