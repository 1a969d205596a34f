"""e^x, e^x - 1, and the logistic function."""

from __future__ import annotations

import math
from fractions import Fraction

from gradloom.executors.native.builder import Function, Value
from gradloom.executors.native.vectormath.fitting import fitted, taylor
from gradloom.executors.native.vectormath.shared import (
    at_least,
    at_most,
    format_of,
    nearest,
    negative,
    polynomial,
    power_of_two,
    size,
)

TAIL = taylor(lambda k: Fraction(1, math.factorial(k + 2)))
"""(e^r - 1 - r) / r²."""

TAIL_TERMS = {"float": 5, "double": 10}

RANGE = {"float": (-104.0, 89.0), "double": (-746.0, 710.0)}
"""Beyond these e^x is 0 or infinite, or e^x / 2 at least."""


def raised(b: Function, r: Value, terms: int) -> Value:
    """e^r - 1 = r + r² (1/2 + r/6 + ...) for \\|r\\| ≤ log(2)/2."""
    tail = polynomial(b, r, fitted(TAIL, -math.log(2) / 2, math.log(2) / 2, terms))
    return b.muladd(b.mul(r, r), tail, r)


def reduced(b: Function, x: Value) -> tuple[Value, Value, Value]:
    """n as a float, n in the low bits of an integer, and r with x = n log 2 + r, \\|r\\| ≤ log(2)/2."""
    high, low = format_of(x).log_of_2
    n, bits = nearest(b, x, 1 / math.log(2))
    r = b.muladd(n, b.const(x.type, -high), x)
    return n, bits, b.muladd(n, b.const(x.type, -low), r)


def scaled(b: Function, x: Value, n: Value, bits: Value) -> Value:
    """x · 2^n in two steps, so that results below the least normal number are rounded once."""
    _, half = nearest(b, n, 0.5)
    first = b.mul(x, power_of_two(b, half, x))
    # Both integers have the same high bits: their difference is the number itself.
    return b.mul(first, power_of_two(b, b.sub(bits, half), x))


def exp(b: Function, x: Value) -> Value:
    """e^x = 2^n e^r."""
    low, high = RANGE[x.element]
    n, bits, r = reduced(b, at_most(b, at_least(b, x, low), high))
    return scaled(b, b.add(raised(b, r, TAIL_TERMS[x.element]), b.const(x.type, 1)), n, bits)


def exp_of_moderate(b: Function, x: Value) -> Value:
    """e^x where that is a normal number."""
    _, bits, r = reduced(b, x)
    return b.mul(b.add(raised(b, r, TAIL_TERMS[x.element]), b.const(x.type, 1)), power_of_two(b, bits, x))


def half_exp(b: Function, x: Value) -> Value:
    """e^x / 2 for x ≥ 0, which is finite a little longer than e^x."""
    n, bits, r = reduced(b, at_most(b, x, RANGE[x.element][1] + 1))
    one = b.const(x.type, 1)
    found = b.add(raised(b, r, TAIL_TERMS[x.element]), one)
    return scaled(b, found, b.sub(n, one), b.sub(bits, b.const(bits.type, 1)))


def expm1(b: Function, x: Value) -> Value:
    """e^x - 1, and the sign of x, which matters for -0."""
    # Below the lower bound the result is -1.
    bounded = at_most(b, at_least(b, x, -0.8 * format_of(x).mantissa), RANGE[x.element][1])
    return b.intrinsic("copysign", expm1_of_bounded(b, bounded), x)


def expm1_of_bounded(b: Function, x: Value) -> Value:
    """e^x - 1 = 2^n (e^r - 1) + (2^n - 1)."""
    _, bits, r = reduced(b, x)
    inner = raised(b, r, TAIL_TERMS[x.element])
    # 2^n overflows one step before e^x does, so half of it is used.
    half = power_of_two(b, b.sub(bits, b.const(bits.type, 1)), x)
    found = b.muladd(half, inner, b.sub(half, b.const(x.type, 0.5)))
    whole = b.compare("oeq", r, x)  # n = 0: halving could lose a bit
    return b.select(whole, inner, b.add(found, found))


def sigmoid(b: Function, x: Value) -> Value:
    """1/(1 + e^-|x|) or e^-|x|/(1 + e^-|x|): never an overflow."""
    one = b.const(x.type, 1)
    small = exp(b, negative(b, size(b, x)))
    above = b.select(b.compare("oge", x, b.const(x.type, 0)), one, small)
    return b.binary("fdiv", above, b.add(one, small))
