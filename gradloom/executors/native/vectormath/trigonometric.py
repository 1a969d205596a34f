"""Sine, cosine and tangent.

The argument is brought to [-π/4, π/4] by subtracting a multiple n of π/2, in parts so short that their multiples are
exact (Cody and Waite, "Software manual for the elementary functions", 1980).  That holds up to |x| ≈ 500,000; beyond,
which is rare, ``huge_angles`` reduces lane by lane.
"""

from __future__ import annotations

import math
from fractions import Fraction

from gradloom.executors.native.builder import Function, Value
from gradloom.executors.native.vectormath.fitting import fitted, pi, split, taylor
from gradloom.executors.native.vectormath.huge_angles import reduced_where_huge
from gradloom.executors.native.vectormath.shared import (
    exact_sum,
    format_of,
    nearest,
    negative,
    polynomial,
    with_sign,
)

SIN_TAIL = taylor(lambda k: Fraction((-1) ** (k + 1), math.factorial(2 * k + 3)))
"""(sin r - r) / r³ as a function of r²."""

COS_TAIL = taylor(lambda k: Fraction((-1) ** k, math.factorial(2 * k + 4)))
"""(cos r - 1 + r²/2) / r⁴ as a function of r²."""

TAIL_TERMS = {"float": 3, "double": 6}

REACH = 0.81**2
"""r² at most: a little beyond (π/4)², for n is found with a rounding error."""

LARGEST = 2.0**19
"""Multiples of π/2 up to here have fewer than 20 bits: with parts of 33 bits they are exact in double."""


def _reduced(b: Function, x: Value) -> tuple[Value, Value, Value | None]:
    """The whole number n nearest to 2x/π in the low bits of an integer, and x - n π/2 as a sum of two floats."""
    n, bits = nearest(b, x, 2 / math.pi)
    if x.element == "float":  # doubles hold enough bits: two parts, and the rest of the result is not needed
        wide, turns = b.convert(x, "double"), b.convert(n, "double")
        for part in split(pi(), 33):
            wide = b.muladd(turns, b.const(wide.type, -part / 2), wide)
        bits, r = reduced_where_huge(b, x, LARGEST, [bits, b.convert(wide, "float")])
        return bits, r, None
    first, second, third, fourth = (b.const(x.type, -part / 2) for part in split(pi(), 33, 33, 33))
    r = b.muladd(n, first, x)
    # Where r is smaller than what is subtracted, both are so short that their difference is exact.
    r, lost = exact_sum(b, r, b.mul(n, second))
    r, lost_too = exact_sum(b, r, b.mul(n, third))
    pair = exact_sum(b, r, b.muladd(n, fourth, b.add(lost, lost_too)))
    bits, r, rest = reduced_where_huge(b, x, LARGEST, [bits, *pair])
    return bits, r, rest


def _sine(b: Function, r: Value, rest: Value | None) -> Value:
    """sin(r + rest) = r + r³ (-1/6 + r²/120 - ...) + rest."""
    square = b.mul(r, r)
    tail = polynomial(b, square, fitted(SIN_TAIL, 0.0, REACH, TAIL_TERMS[r.element]))
    cube = b.mul(r, square)
    return b.add(r, b.mul(cube, tail) if rest is None else b.muladd(cube, tail, rest))


def _cosine(b: Function, r: Value, rest: Value | None) -> Value:
    """cos(r + rest) = 1 - r²/2 + r⁴ (1/24 - r²/720 + ...) - r · rest."""
    square, one = b.mul(r, r), b.const(r.type, 1)
    tail = polynomial(b, square, fitted(COS_TAIL, 0.0, REACH, TAIL_TERMS[r.element]))
    half = b.mul(square, b.const(r.type, 0.5))
    main, lost = exact_sum(b, one, negative(b, half))
    if rest is not None:
        lost = b.muladd(negative(b, r), rest, lost)
    return b.add(main, b.muladd(b.mul(square, square), tail, lost))


def _odd(b: Function, n: Value) -> Value:
    return b.compare("ne", b.binary("and", n, b.const(n.type, 1)), b.const(n.type, 0))


def _of_quarters(b: Function, x: Value, ahead: int) -> Value:
    """sin(x + ahead · π/2): the sine or the cosine of what is left, and its sign, by the number of quarter turns."""
    bits, r, rest = _reduced(b, x)
    quarter = b.add(bits, b.const(bits.type, ahead)) if ahead else bits
    found = b.select(_odd(b, quarter), _cosine(b, r, rest), _sine(b, r, rest))
    top = b.binary("shl", b.binary("and", quarter, b.const(bits.type, 2)), b.const(bits.type, format_of(x).bits - 2))
    return with_sign(b, found, top)


def _odd_function(b: Function, x: Value, found: Value) -> Value:
    """-0 at -0: sums lose its sign."""
    return b.select(b.compare("oeq", x, b.const(x.type, 0)), x, found)


def sin(b: Function, x: Value) -> Value:
    """Sine of x in radians."""
    return _odd_function(b, x, _of_quarters(b, x, 0))


def cos(b: Function, x: Value) -> Value:
    """Cosine of x in radians."""
    return _of_quarters(b, x, 1)


def tan(b: Function, x: Value) -> Value:
    """sin/cos of what is left of x, or -cos/sin."""
    bits, r, rest = _reduced(b, x)
    sine, cosine, odd = _sine(b, r, rest), _cosine(b, r, rest), _odd(b, bits)
    above, below = b.select(odd, negative(b, cosine), sine), b.select(odd, sine, cosine)
    return _odd_function(b, x, b.binary("fdiv", above, below))
