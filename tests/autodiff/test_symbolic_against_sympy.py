"""Formulas of random scalar functions are those that SymPy finds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.autodiff.formula.algebra import add, neg
from gradloom.autodiff.formula.expression import EULER, PI, ZERO, Expression, Function, Number, Product, Sum, Symbol
from gradloom.autodiff.formula.simplify import simplify

X, Y = sympy.symbols("x y", positive=True)

NAMED = {"σ": lambda u: 1 / (1 + sympy.exp(-u)), "abs": sympy.Abs, "softplus": lambda u: sympy.log(1 + sympy.exp(u))}


def in_sympy(e: Expression) -> sympy.Expr:
    """A formula as SymPy's expression."""
    if isinstance(e, Number):
        exact = isinstance(e.value, Fraction)
        return sympy.Rational(e.value.numerator, e.value.denominator) if exact else sympy.Float(e.value, 30)
    if isinstance(e, Symbol):
        return {EULER: sympy.E, PI: sympy.pi}.get(e) or {"x": X, "y": Y}[e.name]
    if isinstance(e, Sum):
        return sympy.Add(*(in_sympy(Number(c)) * in_sympy(monomial) for monomial, c in e.terms))
    if isinstance(e, Product):
        return in_sympy(Number(e.coefficient)) * sympy.Mul(*(in_sympy(b) ** in_sympy(p) for b, p in e.factors))
    assert isinstance(e, Function)
    return (NAMED.get(e.name) or getattr(sympy, e.name))(*map(in_sympy, e.args))


# Pairs of one function in gradloom and in SymPy ----------------------------------------------------------------------

LEAVES = st.one_of(
    st.just((lambda x, y: x, X)),
    st.just((lambda x, y: y, Y)),
    st.integers(-3, 3).map(lambda n: (lambda x, y: np.float64(n), sympy.Integer(n))),
    st.sampled_from([Fraction(1, 2), Fraction(-3, 4)]).map(
        lambda q: (lambda x, y: np.float64(q), sympy.Rational(q.numerator, q.denominator))
    ),
)


def unary(ours, theirs):
    return lambda u: ((lambda x, y: ours(u[0](x, y))), theirs(u[1]))


def binary(ours, theirs):
    return lambda pair: ((lambda x, y: ours(pair[0][0](x, y), pair[1][0](x, y))), theirs(pair[0][1], pair[1][1]))


UNARY = [
    unary(gl.sin, sympy.sin),
    unary(gl.cos, sympy.cos),
    unary(gl.exp, sympy.exp),
    unary(gl.tanh, sympy.tanh),
    unary(gl.atan, sympy.atan),
    unary(gl.sigmoid, lambda u: 1 / (1 + sympy.exp(-u))),
    unary(gl.softplus, lambda u: sympy.log(1 + sympy.exp(u))),
    unary(lambda u: gl.log(1 + u * u), lambda u: sympy.log(1 + u * u)),
    unary(lambda u: gl.sqrt(2 + u * u), lambda u: sympy.sqrt(2 + u * u)),
    unary(lambda u: gl.power(3 + u * u, -1.5), lambda u: (3 + u * u) ** sympy.Rational(-3, 2)),
    unary(lambda u: u * u * u, lambda u: u**3),
    unary(lambda u: -u, lambda u: -u),
]
BINARY = [
    binary(lambda u, v: u + v, lambda u, v: u + v),
    binary(lambda u, v: u - v, lambda u, v: u - v),
    binary(lambda u, v: u * v, lambda u, v: u * v),
    binary(lambda u, v: u / (1 + v * v), lambda u, v: u / (1 + v * v)),
]


def extended(children):
    one = st.tuples(st.sampled_from(UNARY), children).map(lambda p: p[0](p[1]))
    two = st.tuples(st.sampled_from(BINARY), st.tuples(children, children)).map(lambda p: p[0](p[1]))
    return st.one_of(one, two, two)


FUNCTIONS = st.recursive(LEAVES, extended, max_leaves=6)
POLYNOMIALS = st.recursive(
    LEAVES,
    lambda c: st.tuples(st.sampled_from(BINARY[:3]), st.tuples(c, c)).map(lambda p: p[0](p[1])),
    max_leaves=8,
)
POINTS = [(sympy.Rational(7, 10), sympy.Rational(13, 10)), (sympy.Rational(21, 10), sympy.Rational(1, 5))]


def at(e: sympy.Expr, point) -> complex:
    return complex(e.subs({X: point[0], Y: point[1]}).evalf(30))


def agree(mine: sympy.Expr, theirs: sympy.Expr) -> None:
    for point in POINTS:
        value = at(theirs, point)
        assume(abs(value) < 1e30)
        assert at(mine, point) == pytest.approx(value, rel=1e-10, abs=1e-10)


def traced(ours):
    return gl.autodiff.symbolic(lambda x, y: gl.tensor(ours(x, y), "float64"), "x", "y")


@settings(max_examples=60, deadline=None)
@given(FUNCTIONS)
def test_functions_and_derivatives_have_the_same_values(pair):
    ours, theirs = pair
    found = traced(ours)
    agree(in_sympy(found.value.expression), theirs)
    for name, symbol in (("x", X), ("y", Y)):
        agree(in_sympy(found.gradient[name].expression), sympy.diff(theirs, symbol))


@settings(max_examples=20, deadline=None)
@given(FUNCTIONS)
def test_second_derivatives_have_the_same_values(pair):
    ours, theirs = pair
    agree(in_sympy(traced(ours).derivative("x", "y").expression), sympy.diff(theirs, X, Y))


@settings(max_examples=60, deadline=None)
@given(POLYNOMIALS)
def test_derivatives_of_polynomials_are_the_same_formulas(pair):
    ours, theirs = pair
    found = in_sympy(traced(ours).derivative("x").expression)
    assert sympy.expand(found - sympy.diff(theirs, X)) == 0


@settings(max_examples=40, deadline=None)
@given(POLYNOMIALS, POLYNOMIALS)
def test_polynomials_do_not_depend_on_the_order_in_which_they_are_written(one, other):
    f, g = one[0], other[0]
    sums = [traced(lambda x, y: f(x, y) + g(x, y)), traced(lambda x, y: g(x, y) + f(x, y))]
    assert str(sums[0].value) == str(sums[1].value)
    products = [traced(lambda x, y: f(x, y) * g(x, y)), traced(lambda x, y: g(x, y) * f(x, y))]
    mine, theirs = (p.derivative("x").expression for p in products)
    assert simplify(add(mine, neg(theirs))) == ZERO
