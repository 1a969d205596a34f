"""Constants of elementary functions, derived instead of quoted: split numbers and fitted polynomials.

All is computed in decimals of sixty digits, once in a process and only for the functions that a program uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from functools import cache

DIGITS = 60

Real = Callable[[Decimal], Decimal]


@cache
def log_of_2() -> Decimal:
    """log 2."""
    with localcontext(prec=DIGITS):
        return Decimal(2).ln()


@cache
def log2_of_e() -> Decimal:
    """1 / log 2."""
    with localcontext(prec=DIGITS):
        return 1 / log_of_2()


@cache
def pi(digits: int = DIGITS) -> Decimal:
    """π = 16 atan(1/5) - 4 atan(1/239) (Machin)."""

    def inverse_tangent(n: int) -> Decimal:
        return sum(((-1) ** k / (Decimal(2 * k + 1) * Decimal(n) ** (2 * k + 1)) for k in range(digits)), Decimal(0))

    with localcontext(prec=digits + 5):
        return 16 * inverse_tangent(5) - 4 * inverse_tangent(239)


def two_over_pi(bits: int) -> int:
    """⌊2/π · 2^bits⌋."""
    digits = bits * 3 // 10 + 20
    with localcontext(prec=digits):
        return int(2 / pi(digits) * 2**bits)


def split(value: Decimal | Fraction, *bits: int) -> tuple[float, ...]:
    """``value`` as a sum of floats: one of each number of significant bits, then the rest rounded to double.

    A product of a part of n bits with a whole number of 53 - n bits is exact in double.
    """
    found = []
    with localcontext(prec=DIGITS):
        value = _decimal(value)
        for n in bits:
            unit = Decimal(2) ** (math.frexp(float(value))[1] - n)
            part = (value / unit).to_integral_value(ROUND_HALF_EVEN) * unit
            found.append(float(part))
            value -= part
    return (*found, float(value))


def _decimal(x: Decimal | Fraction) -> Decimal:
    return x if isinstance(x, Decimal) else Decimal(x.numerator) / x.denominator


def taylor(term: Callable[[int], Fraction], terms: int = 60) -> Real:
    """The function Σ term(k) u^k."""

    @cache
    def coefficients() -> list[Decimal]:
        return [_decimal(term(k)) for k in range(terms)]

    def value(u: Decimal) -> Decimal:
        total = Decimal(0)
        for c in reversed(coefficients()):
            total = total * u + c
        return total

    return value


@cache
def fitted(f: Real, low: float, high: float, terms: int) -> tuple[float, ...]:
    """Coefficients of the polynomial of ``terms`` terms that meets f at the Chebyshev nodes of [low, high].

    Its greatest error is a small factor from the least possible (Trefethen, "Approximation theory and approximation
    practice", 2013, theorem 16.1), and it needs fewer terms than the Taylor series for the same accuracy.
    """
    with localcontext(prec=DIGITS):
        middle, half = (Decimal(low) + Decimal(high)) / 2, (Decimal(high) - Decimal(low)) / 2
        nodes = [middle + half * Decimal(math.cos(math.pi * (k + 0.5) / terms)) for k in range(terms)]
        # Newton's divided differences, then the Newton form multiplied out.
        differences = [f(x) for x in nodes]
        for order in range(1, terms):
            for i in range(terms - 1, order - 1, -1):
                differences[i] = (differences[i] - differences[i - 1]) / (nodes[i] - nodes[i - order])
        coefficients = [differences[-1]]
        for node, difference in zip(nodes[-2::-1], differences[-2::-1]):
            moved = [Decimal(0), *coefficients]
            coefficients = [a - node * c for a, c in zip(moved, [*coefficients, Decimal(0)])]
            coefficients[0] += difference
        return tuple(map(float, coefficients))
