"""Dual numbers: their algebra, every function against mpmath, parts of every kind, and what is refused."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradloom as gl
from gradloom.autodiff import Dual
from gradloom.autodiff.dual import apply
from gradloom.errors import DomainError, DTypeError, UnsupportedError
from gradloom.ops import elementwise, linalg

NUMBERS = st.floats(-3, 3).map(lambda x: round(x, 6))
DUALS = st.builds(Dual, NUMBERS, NUMBERS)

FUNCTIONS = {
    **{name: (getattr(mpmath, name), 0.7) for name in ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan")},
    **{
        name: (getattr(mpmath, name), 0.7)
        for name in ("asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "atanh")
    },
    "acosh": (mpmath.acosh, 1.7),
    "erf": (mpmath.erf, 0.7),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), 0.7),
    "softplus": (lambda x: mpmath.log(1 + mpmath.exp(x)), 0.7),
}
IN_NUMPY = {name: name.replace("a", "arc", 1) for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")}


def parts(x: Dual) -> tuple[float, float]:
    return x.real, x.dual


def close(x: Dual, real: float, dual: float) -> bool:
    return parts(x) == pytest.approx((real, dual), rel=1e-13, abs=1e-13)


@given(DUALS, DUALS)
def test_arithmetic_is_that_of_the_notes(x, y):
    (a, b), (c, d) = parts(x), parts(y)
    assert parts(x + y) == (a + c, b + d)
    assert parts(x - y) == (a - c, b - d)
    assert close(x * y, a * c, b * c + a * d)
    if c:
        assert (x / y * y).real == pytest.approx(a, abs=1e-9)
        assert (x / y * y).dual == pytest.approx(b, rel=1e-6, abs=1e-6 * (1 + abs(d / c) + abs(a / c)))


@given(DUALS, DUALS, DUALS)
def test_they_form_a_commutative_ring(x, y, z):
    assert parts(x * y) == pytest.approx(parts(y * x), abs=1e-12)
    assert parts(x * (y + z)) == pytest.approx(parts(x * y + x * z), abs=1e-10)
    assert parts((x * y) * z) == pytest.approx(parts(x * (y * z)), abs=1e-10)


@given(NUMBERS)
def test_epsilon_squared_is_zero(b):
    epsilon = Dual(0.0, b)
    assert parts(epsilon * epsilon) == (0, 0)


@given(DUALS, NUMBERS)
def test_plain_numbers_are_dual_numbers_without_epsilon(x, c):
    for mine, theirs in ((x + c, x + Dual(c)), (c - x, Dual(c) - x), (c * x, Dual(c) * x), (x - c, x - Dual(c))):
        assert parts(mine) == parts(theirs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_agree_with_mpmath(name):
    f, at = FUNCTIONS[name]
    x = Dual(at, 1.5)
    expected = float(f(mpmath.mpf(at))), 1.5 * float(mpmath.diff(f, mpmath.mpf(at)))
    assert close(getattr(x, name)(), *expected)
    assert close(getattr(gl, name)(x), *expected)
    numpy_name = IN_NUMPY.get(name, name)
    if hasattr(np, numpy_name):
        assert close(getattr(np, numpy_name)(x), *expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_by_nesting(name):
    f, at = FUNCTIONS[name]
    found = getattr(Dual(Dual(at, 1.0), Dual(1.0, 0.0)), name)()
    assert found.dual.dual == pytest.approx(float(mpmath.diff(f, mpmath.mpf(at), 2)), rel=1e-11)


@pytest.mark.parametrize(
    ("f", "derivative"),
    [
        (lambda x: x**3, 3 * 1.7**2),
        (lambda x: x**-2, -2 * 1.7**-3),
        (lambda x: x**0, 0.0),
        (lambda x: x**0.5, 0.5 * 1.7**-0.5),
        (lambda x: 2**x, 2**1.7 * math.log(2)),
        (lambda x: x**x, 1.7**1.7 * (math.log(1.7) + 1)),
        (lambda x: np.power(x, 2), 2 * 1.7),
        (lambda x: np.log2(x) + np.log10(x), (1 / math.log(2) + 1 / math.log(10)) / 1.7),
        (lambda x: np.exp2(np.square(np.positive(x))), 2 ** (1.7**2) * math.log(2) * 2 * 1.7),
        (lambda x: np.reciprocal(x), -1 / 1.7**2),
        (lambda x: abs(-x), 1.0),
        (lambda x: x % 1 + x // 1 + np.floor(x), 1.0),
        (lambda x: gl.relu(x) + gl.square(x), 1 + 2 * 1.7),
        (lambda x: gl.where(x > 1, x * x, 0), 2 * 1.7),
        (lambda x: gl.clip(x, 0, 1), 0.0),
        (lambda x: gl.maximum(x, 1.0) * np.minimum(x, 1.0), 1.0),
        (lambda x: gl.power(x, 2) + gl.power(2.0, x), 2 * 1.7 + 2**1.7 * math.log(2)),
        (lambda x: gl.atan2(x, 1.0), 1 / (1 + 1.7**2)),
        (lambda x: gl.stop_gradient(x) * x, 1.7),
        (lambda x: sum([x, x, 1]), 2.0),
        (lambda x: max(x, 1.0) if x > 0 else -x, 1.0),
    ],
)
def test_derivatives(f, derivative):
    assert f(Dual(1.7, 1.0)).dual == pytest.approx(derivative, rel=1e-13)


def test_powers_with_a_whole_exponent_are_exact_for_any_base():
    assert parts(Dual(-2.0, 1.0) ** 3) == (-8, 12)
    assert parts(Dual(0.0, 1.0) ** 1) == (0, 1)
    assert parts(Dual(0.0, 1.0) ** 0) == (1, 0)


def test_the_worked_example_of_the_notes():
    def a(f, g):
        e = f * g
        return (3 + f + e) * (e + 2)

    assert parts(a(Dual(4.0, 1.0), 2.0)) == (150, 60)
    assert parts(a(4.0, Dual(2.0, 1.0))) == (150, 100)
    x = a(Dual(Dual(4.0, 1.0), 0.0), Dual(Dual(2.0, 0.0), 1.0))
    assert x.dual.dual == 45


# Parts of other kinds -------------------------------------------------------------------------------------------------

VALUES = np.array([0.5, 1.0, 2.0], np.float32)


@pytest.mark.parametrize("kind", [np.asarray, gl.tensor], ids=["array", "tensor"])
@pytest.mark.parametrize(
    "f", [lambda x: x * x / (1 + x), lambda x: gl.exp(x) ** 0.5, lambda x: 2 - gl.sigmoid(x) * 3.0]
)
def test_arrays_and_tensors_go_along_a_direction_like_jvp(kind, f):
    direction = np.array([1.0, -1.0, 0.5], np.float32)
    found = f(Dual(kind(VALUES), kind(direction)))
    value, change = gl.jvp(f, (gl.tensor(VALUES),), (gl.tensor(direction),))
    assert type(found.real) is type(kind(VALUES))
    assert found.dual.dtype == np.float32
    np.testing.assert_allclose(np.asarray(found.real), value.numpy(), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(found.dual), change.numpy(), rtol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, gl.tensor], ids=["array", "tensor"])
def test_dual_numbers_stand_on_either_side_of_arrays_and_tensors(kind):
    other, x = kind(VALUES), Dual(kind(VALUES), kind(np.ones(3, np.float32)))
    np.testing.assert_array_equal(np.asarray((other * x).dual), VALUES)
    np.testing.assert_array_equal(np.asarray((x * other).dual), VALUES)
    np.testing.assert_allclose(np.asarray((other**x).dual), VALUES**VALUES * np.log(VALUES), rtol=1e-6)
    np.testing.assert_array_equal(np.asarray((other - x).dual), -np.ones(3))
    assert np.asarray(x > 1).tolist() == [False, False, True]


def test_whole_numbers_are_computed_with_as_floats():
    assert parts(Dual(1, 1).sigmoid()) == parts(Dual(1.0, 1.0).sigmoid())
    assert Dual(np.array([1, 2]), 1).sigmoid().real.dtype == np.float64


def test_numpy_scalars_and_functions_of_object_arrays():
    assert isinstance(Dual(np.float32(2), np.float32(1)).exp().real, np.float32)
    objects = np.exp(np.array([Dual(0.0, 1.0), Dual(1.0, 2.0)], dtype=object))
    assert [x.dual for x in objects] == [1.0, 2 * math.e]


# Beside other numbers -------------------------------------------------------------------------------------------------


def test_comparisons_look_at_the_real_part():
    x = Dual(2.0, 1.0)
    assert x == Dual(2.0, 5.0)
    assert x == 2
    assert x != 3
    assert 1 < x <= 2 <= x < Dual(3.0)
    assert 3 > x >= 2
    assert not Dual(0.0, 1.0)
    assert Dual(Dual(2.0, 1.0), 0.0) > 1
    assert (x == "two") is False


def test_they_are_written_as_in_the_notes():
    assert repr(Dual(3.0, 2.0)) == "3.0 + 2.0ε"
    assert repr(Dual(3, -2)) == "3 - 2ε"
    assert repr(Dual(np.float64(3), np.array([1.0, 2.0]))) == "3.0 + [1. 2.]ε"
    assert repr(Dual(Dual(1.0, 2.0), Dual(3.0, 4.0))) == "(1.0 + 2.0ε) + (3.0 + 4.0ε)ε₂"


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: 1 / Dual(0.0, 1.0), ZeroDivisionError, "division by zero"),
        (lambda: Dual(0.0, 1.0) ** -1, ZeroDivisionError, "negative power"),
        (lambda: Dual(0.0, 1.0).log(), DomainError, "log: the function has no finite value"),
        (lambda: Dual(-8.0, 1.0) ** 0.5, DomainError, "power"),
        (lambda: Dual(1000.0, 1.0).exp(), DomainError, "overflow"),
        (lambda: Dual(0.0, 1.0).sqrt(), ZeroDivisionError, "division"),
        (lambda: math.exp(Dual(1.0, 1.0)), DTypeError, "np.exp or gl.exp in place of math.exp"),
        (lambda: Dual("1", 1.0), DTypeError, "a value of type str"),
        (lambda: hash(Dual(1.0, 1.0)), TypeError, "unhashable"),
        (lambda: Dual(1.0, 1.0) + "1", TypeError, "unsupported operand"),
        (lambda: Dual(1.0, 1.0) < "1", TypeError, "not supported"),
        (lambda: np.hypot(Dual(1.0, 1.0), 1.0), TypeError, "NotImplemented"),
        (lambda: np.add.reduce(Dual(1.0, 1.0)), TypeError, "NotImplemented"),
        (lambda: apply(linalg.cholesky, Dual(1.0, 1.0)), UnsupportedError, "the primitive cholesky.*gl.jvp"),
    ],
)
def test_refusals(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()


def test_arrays_give_infinities_where_floats_raise():
    with np.errstate(all="ignore"):
        assert np.isinf((1 / Dual(np.zeros(1), np.ones(1))).real).all()
        assert np.isinf(np.log(Dual(np.zeros(1), np.ones(1))).real).all()


def test_every_elementwise_primitive_with_a_derivative_takes_dual_numbers():
    """The rule of the primitive is what gl.jvp uses too, so the same primitive on arrays is not an independent check;
    central differences are."""
    for op in (elementwise.rsqrt, elementwise.atan2, elementwise.remainder, elementwise.minimum):
        args = [0.7, 1.3][: 1 if op is elementwise.rsqrt else 2]
        h = 1e-6
        found = apply(op, Dual(args[0], 1.0), *args[1:]).dual
        high, low = (float(op.compute(np.float64(args[0] + s * h), *map(np.float64, args[1:]))) for s in (1, -1))
        assert found == pytest.approx((high - low) / (2 * h), rel=1e-8)
