"""x^y = 2^(y log₂|x|) with the sign and the special cases of the C library's (and so NumPy's) function.

An error of the exponent becomes a relative error of the result, and the exponent reaches a thousand: it needs eleven
bits more than the result.  Single precision is computed in double; double keeps log₂ as a sum of two doubles.
"""

from __future__ import annotations

import math
from fractions import Fraction

from gradloom.executors.native.builder import Function, Value
from gradloom.executors.native.vectormath import exponential
from gradloom.executors.native.vectormath.exponential import raised, scaled
from gradloom.executors.native.vectormath.fitting import fitted, log2_of_e, split, taylor
from gradloom.executors.native.vectormath.logarithm import ARTANH_TAIL, REACH, decomposed
from gradloom.executors.native.vectormath.shared import (
    Pair,
    at_least,
    at_most,
    exact_product,
    exact_sum,
    nearest,
    negative,
    pair_product,
    polynomial,
    power_of_two,
    size,
)

SINGLE_LOG_TERMS, SINGLE_EXP_TERMS, DOUBLE_LOG_TERMS = 5, 5, 8


ARTANH_TAIL_REST = taylor(lambda k: Fraction(1, 2 * k + 5))
"""(artanh(s) - s - s³/3) / s⁵ as a function of s²."""


def _exponent_and_mantissa(b: Function, x: Value) -> tuple[Value, Value]:
    """e and m with x = m 2^e, where e is infinite at 0 and infinity."""
    e, m = decomposed(b, x)
    infinity = b.const(x.type, math.inf)
    e = b.select(b.compare("oeq", x, b.const(x.type, 0)), negative(b, infinity), e)
    return b.select(b.compare("oeq", x, infinity), infinity, e), m


def _log2_in_double_double(b: Function, x: Value) -> Pair:
    """log₂ x of x ≥ 0 as a sum of two doubles: e + 2/log 2 · (s + s³ (1/3 + s²/5 + ...))."""
    e, m = _exponent_and_mantissa(b, x)
    one = b.const(x.type, 1)
    above, below = b.sub(m, one), b.add(m, one)
    below_rest = b.sub(m, b.sub(below, one))
    inverse = b.binary("fdiv", one, below)
    s = b.mul(above, inverse)
    left = b.fma(negative(b, s), below, above)
    s_pair = s, b.mul(b.muladd(negative(b, s), below_rest, left), inverse)
    square = pair_product(b, s_pair, s_pair)
    # 1/3 and all before it in pairs; what follows is small enough for doubles.
    following = b.mul(square[0], polynomial(b, square[0], fitted(ARTANH_TAIL_REST, 0.0, REACH, DOUBLE_LOG_TERMS)))
    third, third_rest = (b.const(x.type, c) for c in split(Fraction(1, 3), 53))
    factor, factor_rest = exact_sum(b, third, following)
    series = pair_product(b, pair_product(b, s_pair, square), (factor, b.add(factor_rest, third_rest)))
    total, rest = exact_sum(b, s, series[0])
    log_pair = total, b.add(rest, b.add(s_pair[1], series[1]))
    high, low = (b.const(x.type, 2 * c) for c in split(log2_of_e(), 53))
    product, product_rest = pair_product(b, log_pair, (high, low))
    whole, lost = exact_sum(b, e, product)
    return whole, b.add(lost, product_rest)


def _log2_of_single(b: Function, x: Value) -> Value:
    """log₂ x of a float x ≥ 0 in double, with the accuracy that a power in single precision needs."""
    e, m = _exponent_and_mantissa(b, x)
    reciprocal = b.binary("fdiv", b.const(x.type, 1), b.add(m, b.const(x.type, 1)))
    m, inverse = b.convert(m, "double"), b.convert(reciprocal, "double")
    one = b.const(m.type, 1)
    # A step of Newton's method doubles the bits of the reciprocal and is cheaper than a division of doubles.
    inverse = b.muladd(inverse, b.muladd(negative(b, inverse), b.add(m, one), one), inverse)
    s = b.mul(b.sub(m, one), inverse)
    square = b.mul(s, s)
    tail = polynomial(b, square, fitted(ARTANH_TAIL, 0.0, REACH, SINGLE_LOG_TERMS))
    natural = b.muladd(b.mul(s, square), tail, b.add(s, s))
    return b.muladd(natural, b.const(m.type, 1 / math.log(2)), b.convert(e, "double"))


def _power_of_single(b: Function, x: Value, y: Value) -> Value:
    """x^y of floats for x ≥ 0, through doubles, which neither overflow nor lose small results."""
    z = b.mul(_log2_of_single(b, x), b.convert(y, "double"))
    z = at_most(b, at_least(b, z, -1000), 1000)
    n, bits = nearest(b, z)
    r = b.mul(b.sub(z, n), b.const(z.type, math.log(2)))
    found = b.add(raised(b, r, SINGLE_EXP_TERMS), b.const(z.type, 1))
    return b.convert(b.mul(found, power_of_two(b, bits, z)), "float")


def _power_of_double(b: Function, x: Value, y: Value) -> Value:
    """x^y of doubles for x ≥ 0."""
    log, log_rest = _log2_in_double_double(b, x)
    z, lost = exact_product(b, y, log)
    rest = b.muladd(y, log_rest, lost)
    bounded = at_most(b, at_least(b, z, -1100), 1100)
    rest = b.select(b.compare("oeq", z, bounded), rest, b.const(x.type, 0))  # infinity has no rest
    n, bits = nearest(b, bounded)
    r = b.mul(b.add(b.sub(bounded, n), rest), b.const(x.type, math.log(2)))
    found = b.add(raised(b, r, exponential.TAIL_TERMS["double"]), b.const(x.type, 1))
    return scaled(b, found, n, bits)


def power(b: Function, x: Value, y: Value) -> Value:
    """x^y; 1 where x is 1 or y is 0, whatever the other is; NaN for x < 0 and y not whole."""
    zero, one, a = b.const(x.type, 0), b.const(x.type, 1), size(b, x)
    found = (_power_of_single if x.element == "float" else _power_of_double)(b, a, y)
    found = b.select(b.compare("oeq", a, one), one, found)  # 0 · ∞ in the exponent
    half = b.mul(y, b.const(x.type, 0.5))
    whole = b.compare("oeq", b.intrinsic("floor", y), y)
    odd = b.binary("and", whole, b.compare("une", b.intrinsic("floor", half), half))
    found = b.intrinsic("copysign", found, b.select(odd, x, one))
    below = b.binary("and", b.compare("olt", x, zero), b.compare("ogt", x, b.const(x.type, -math.inf)))
    unreal = b.binary("and", below, b.compare("une", b.intrinsic("floor", y), y))
    found = b.select(unreal, b.const(x.type, math.nan), found)
    found = b.select(b.compare("uno", x, y), b.add(x, y), found)
    return b.select(b.binary("or", b.compare("oeq", x, one), b.compare("oeq", y, zero)), one, found)
