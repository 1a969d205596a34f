"""Sums, products and powers in canonical form: like terms collected, numbers folded, factors sorted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from gradloom.autodiff.formula.expression import (
    EULER,
    HALF,
    ONE,
    ZERO,
    Expression,
    Function,
    Number,
    Product,
    Reduction,
    Sum,
    Symbol,
    Value,
    order,
)

Factor = tuple[Expression, Expression]


def number(value: Value | int) -> Number:
    """A number; a whole float becomes exact."""
    exact = not isinstance(value, float) or value.is_integer()
    return Number(Fraction(value) if exact else value)


def split(x: Expression) -> tuple[Value, Expression]:
    """Coefficient and monomial."""
    if isinstance(x, Number):
        return x.value, ONE
    if isinstance(x, Product):
        return x.coefficient, _product(Fraction(1), x.factors)
    return Fraction(1), x


def factors_of(x: Expression) -> tuple[Factor, ...]:
    """The powers of which a monomial is the product."""
    return x.factors if isinstance(x, Product) else () if isinstance(x, Number) else ((x, ONE),)


def terms_of(x: Expression) -> tuple[tuple[Expression, Value], ...]:
    """The terms of which an expression is the sum: monomials and their coefficients."""
    if isinstance(x, Sum):
        return x.terms
    coefficient, monomial = split(x)
    return ((monomial, coefficient),) if coefficient else ()


# Sums -------------------------------------------------------------------------------------------------------------


def add(*operands: Expression) -> Expression:
    """The sum, like terms collected."""
    collected: dict[Expression, Value] = {}
    for x in operands:
        coefficient, monomial = split(x)
        for inner, c in terms_of(monomial):  # a multiple of a sum is spread over its terms
            collected[inner] = collected.get(inner, Fraction(0)) + coefficient * c
    _apply_pythagoras(collected)
    return sum_of({m: c for m, c in collected.items() if c})


def sum_of(collected: dict[Expression, Value]) -> Expression:
    """A sum of distinct monomials with coefficients that are not 0."""
    if len(collected) > 1:
        return Sum(tuple(sorted(collected.items(), key=lambda term: order(term[0]))))
    for monomial, coefficient in collected.items():
        return mul(Number(coefficient), monomial)
    return ZERO


def scaled(x: Expression, factor: Value) -> Expression:
    """A multiple; of a sum term by term."""
    return sum_of({m: c * factor for m, c in terms_of(x)}) if factor else ZERO


def neg(x: Expression) -> Expression:
    """-x."""
    return mul(Number(Fraction(-1)), x)


_SQUARES = {"sin": ("cos", 1), "cosh": ("sinh", -1)}
"""f² + sign·g² = 1."""


def _apply_pythagoras(collected: dict[Expression, Value]) -> None:
    """Replace c f²r + c·sign g²r by c r, where f² + sign·g² = 1."""
    for monomial, coefficient in list(collected.items()):
        for base, exponent in factors_of(monomial):
            if not (isinstance(base, Function) and base.name in _SQUARES and exponent == _TWO):
                continue
            other, sign = _SQUARES[base.name]
            rest = mul(monomial, power(base, number(-2)))
            partner = mul(rest, power(Function(other, base.args), _TWO))
            if collected.get(partner) == sign * coefficient and collected.get(monomial):
                del collected[monomial], collected[partner]
                collected[rest] = collected.get(rest, Fraction(0)) + coefficient


# Products and powers ----------------------------------------------------------------------------------------------


def mul(*operands: Expression) -> Expression:
    """The product, powers of one base collected."""
    coefficient: Value = Fraction(1)
    powers: dict[Expression, Expression] = {}
    waiting: list[Factor] = []
    for x in operands:
        c, monomial = split(x)
        coefficient *= c
        waiting += factors_of(monomial)
    while waiting:
        while waiting:
            base, exponent = waiting.pop(0)
            powers[base] = add(powers[base], exponent) if base in powers else exponent
        for base, exponent in list(powers.items()):
            rewritten = _rewritten(base, exponent)
            if rewritten is not None:
                coefficient *= rewritten[0]
                waiting += rewritten[1]
                del powers[base]
    if not coefficient:
        return ZERO
    _drop_needless_conditions(powers)
    if _apply_logistic(powers):
        return mul(Number(coefficient), *(power(base, exponent) for base, exponent in powers.items()))
    return _product(coefficient, sorted(powers.items(), key=lambda f: _factor_order(*f)))


def _product(coefficient: Value, factors: Iterable[Factor]) -> Expression:
    found = tuple(factors)
    if not found:
        return Number(coefficient)
    if coefficient == 1 and len(found) == 1 and found[0][1] == ONE:
        return found[0][0]
    return Product(coefficient, found)


def _factor_order(base: Expression, exponent: Expression) -> tuple:
    kinds = (Number, Symbol, Function, Reduction, Product, Sum)
    plain = isinstance(exponent, Number)  # y x^(y - 1) reads better than x^(y - 1) y
    return (kinds.index(type(base)), base is EULER, not plain, base.text)


def power(base: Expression, exponent: Expression) -> Expression:
    """base^exponent."""
    if exponent == ONE:
        return base
    rewritten = _rewritten(base, exponent)
    if rewritten is None:
        return Product(Fraction(1), ((base, exponent),))
    coefficient, factors = rewritten
    return mul(Number(coefficient), *(Product(Fraction(1), (f,)) for f in factors))


def exp(x: Expression) -> Expression:
    """e^x."""
    return power(EULER, x)


def divide(x: Expression, y: Expression) -> Expression:
    """x / y."""
    return mul(x, power(y, number(-1)))


_TWO = number(2)
Rewritten = tuple[Value, list[Factor]]
"""A coefficient and factors in place of a power."""


def _rewritten(base: Expression, exponent: Expression) -> Rewritten | None:
    """A power in simpler terms, None if it is canonical."""
    if exponent == ZERO or base == ONE:
        return Fraction(1), []
    if base is EULER:
        return _rewritten_exponential(exponent)
    whole = exponent.whole if isinstance(exponent, Number) else None
    if isinstance(base, Number):
        return _rewritten_number(base.value, exponent)
    if isinstance(base, Product):
        return _rewritten_product(base, exponent, whole)
    if isinstance(base, Sum):
        return _rewritten_sum(base, exponent, whole)
    if isinstance(base, Function) and whole is not None and whole > 1:
        if base.name in CONDITIONS:  # 0 or 1
            return Fraction(1), [(base, ONE)]
        if base.name == "abs" and whole % 2 == 0:
            return Fraction(1), [(b, mul(e, exponent)) for b, e in factors_of(base.args[0])]
    return None


def _rewritten_exponential(exponent: Expression) -> Rewritten | None:
    """e^(c log u) = u^c."""
    for term, c in terms_of(exponent):
        if isinstance(term, Function) and term.name == "log":
            return Fraction(1), [(EULER, add(exponent, mul(Number(-c), term))), (term.args[0], Number(c))]
    return None


def _rewritten_number(value: Value, exponent: Expression) -> Rewritten | None:
    if not value or not isinstance(exponent, Number):
        return None if value else (Fraction(0), [])
    if isinstance(value, float) or isinstance(exponent.value, float):
        return (float(value) ** float(exponent.value), []) if value > 0 else None
    if exponent.whole is not None:
        return value**exponent.whole, []
    parts = [_exact_root(n, exponent.value.denominator) for n in (value.numerator, value.denominator)]
    if None not in parts:
        return Fraction(*parts) ** exponent.value.numerator, []  # type: ignore[arg-type]
    if value.denominator > 1:
        powers = (Number(Fraction(value.numerator)), exponent), (Number(Fraction(value.denominator)), neg(exponent))
        return Fraction(1), list(powers)
    return None


def _exact_root(n: int, degree: int) -> int | None:
    if n < 0:
        return None
    root = round(n ** (1 / degree))
    return root if root**degree == n else None


def _rewritten_product(base: Product, exponent: Expression, whole: int | None) -> Rewritten | None:
    """(c x^a y^b)^n, for a whole n; else what is positive comes out, and √x² = |x|."""
    if whole is not None:
        return base.coefficient**whole, [(b, mul(e, exponent)) for b, e in base.factors]
    out = [(b, mul(e, exponent)) for b, e in base.factors if _is_positive(b)]
    rest = [f for f in base.factors if not _is_positive(f[0])]
    if base.coefficient > 0 and base.coefficient != 1:
        out.append((Number(base.coefficient), exponent))
    elif not out and (base.coefficient != 1 or len(rest) > 1):
        return None
    sign = Fraction(1 if base.coefficient > 0 else -1)
    if len(rest) == 1 and sign > 0:
        (inner, e), total = rest[0], mul(rest[0][1], exponent)
        even = isinstance(e, Number) and e.whole is not None and e.whole % 2 == 0
        rooted = isinstance(e, Number) and e.whole is None
        if even:
            return Fraction(1), [*out, (Function("abs", (inner,)), total)]
        if rooted:
            return Fraction(1), [*out, (inner, total)]
    if not out:
        return None
    return Fraction(1), [*out, (_product(sign, rest), exponent)]


def _is_positive(x: Expression) -> bool:
    return isinstance(x, Symbol) and x.positive


def _rewritten_sum(base: Sum, exponent: Expression, whole: int | None) -> Rewritten | None:
    """(2x + 4y)^n = 2^n (x + 2y)^n, and (y - x)^n = (-1)^n (x - y)^n."""
    content = content_of(base)
    if content == 1:
        return None
    if whole is not None:
        return content**whole, [(scaled(base, 1 / content), exponent)]
    if content > 0:
        root = _rewritten_number(content, exponent)
        if root is not None and not root[1]:
            return root[0], [(scaled(base, 1 / content), exponent)]
    return None


def content_of(x: Sum) -> Value:
    """The greatest common divisor of the coefficients, with the sign of the first; of floats the sign alone."""
    coefficients = [c for _, c in x.terms]
    sign = 1 if coefficients[0] > 0 else -1
    exact = [c for c in coefficients if isinstance(c, Fraction)]
    if len(exact) < len(coefficients):
        return Fraction(sign)
    numerator = math.gcd(*(c.numerator for c in exact))
    return Fraction(sign * numerator, math.lcm(*(c.denominator for c in exact)))


# Conditions -------------------------------------------------------------------------------------------------------

CONDITIONS = {">": "≤", "≤": ">", "<": "≥", "≥": "<", "=": "≠", "≠": "="}
"""Comparisons, each with its opposite.  As factors they are 1 where they hold and 0 elsewhere (Iverson's brackets)."""


def _drop_needless_conditions(powers: dict[Expression, Expression]) -> None:
    """[u > 0] log u = log u, which has no value elsewhere."""
    for base in list(powers):
        if isinstance(base, Function) and base.name == ">" and base.args[1] == ZERO:
            logarithm = Function("log", (base.args[0],))
            if logarithm in powers:
                del powers[base]


def _apply_logistic(powers: dict[Expression, Expression]) -> bool:
    """Replace e^-u σ(u) by 1 - σ(u)."""
    for base, exponent in powers.items():
        if isinstance(base, Function) and base.name == "σ" and powers.get(EULER) == neg(base.args[0]):
            del powers[EULER]
            powers[base] = add(exponent, number(-1))
            powers[add(ONE, neg(base))] = add(powers.get(add(ONE, neg(base)), ZERO), ONE)
            return True
    return False


def square_root(x: Expression) -> Expression:
    """√x."""
    return power(x, HALF)
