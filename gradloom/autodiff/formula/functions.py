"""Elementwise functions in canonical form: known values folded, signs taken out, inverses undone."""

from __future__ import annotations

from fractions import Fraction

from gradloom.autodiff.formula.algebra import CONDITIONS, add, neg, number, terms_of
from gradloom.autodiff.formula.expression import (
    EULER,
    HALF,
    ONE,
    ZERO,
    Expression,
    Function,
    Number,
    Product,
)

ODD = {"sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh", "erf", "sign"}
EVEN = {"cos", "cosh", "abs"}

_VALUES: dict[tuple[str, Expression], Expression] = {
    **{(name, ZERO): ZERO for name in ODD | {"abs", "floor", "ceil", "round"}},
    ("cos", ZERO): ONE,
    ("cosh", ZERO): ONE,
    ("log", ONE): ZERO,
    ("σ", ZERO): HALF,
    ("log", EULER): ONE,
    ("abs", ONE): ONE,
    ("sign", ONE): ONE,
    ("softplus", ZERO): Function("log", (number(2),)),
}


def apply(name: str, *args: Expression) -> Expression:
    """A function of one or two arguments."""
    if name in CONDITIONS:
        x, y = args
        return _condition(name, x, y)
    known = _VALUES.get((name, args[0])) if len(args) == 1 else None
    if known is not None:
        return known
    if name in EVEN and is_negative(args[0]):
        return Function(name, (neg(args[0]),))
    if name in ODD and is_negative(args[0]):
        return neg(Function(name, (neg(args[0]),)))
    if name == "log":
        return _logarithm(args[0])
    if name in ("max", "min") and len(set(args)) == 1:
        return args[0]
    return Function(name, args)


def is_negative(x: Expression) -> bool:
    """Whether the first coefficient is below 0, so that one would write -(...)."""
    terms = terms_of(x)
    return bool(terms) and terms[0][1] < 0


def _logarithm(x: Expression) -> Expression:
    if isinstance(x, Product) and x.coefficient == 1 and len(x.factors) == 1 and x.factors[0][0] is EULER:
        return x.factors[0][1]
    return Function("log", (x,))


def _condition(name: str, x: Expression, y: Expression) -> Expression:
    if isinstance(x, Number) and isinstance(y, Number):
        a, b = x.value, y.value
        holds = {">": a > b, "≤": a <= b, "<": a < b, "≥": a >= b, "=": a == b, "≠": a != b}[name]
        return ONE if holds else ZERO
    if x == y:
        return ONE if name in ("≤", "≥", "=") else ZERO
    return Function(name, (x, y))


def opposite(condition: Expression) -> Expression:
    """1 where a condition does not hold."""
    if isinstance(condition, Function) and condition.name in CONDITIONS:
        return Function(CONDITIONS[condition.name], condition.args)
    return add(ONE, neg(condition))


def logistic(x: Expression) -> Expression | None:
    """u if x is 1 + e^-u, so that 1/x is the sigmoid of u."""
    terms = dict(terms_of(x))
    if len(terms) != 2 or terms.pop(ONE, None) != Fraction(1):
        return None
    ((monomial, coefficient),) = terms.items()
    factors = monomial.factors if isinstance(monomial, Product) else ((monomial, ONE),)
    if coefficient != 1 or len(factors) != 1 or factors[0][0] is not EULER:
        return None
    return neg(factors[0][1])
