"""sinh, cosh, tanh and their inverses, from the exponential and the logarithm."""

from __future__ import annotations

import math
from fractions import Fraction

from gradloom.executors.native.builder import Function, Value
from gradloom.executors.native.vectormath.exponential import expm1_of_bounded, half_exp
from gradloom.executors.native.vectormath.fitting import fitted, taylor
from gradloom.executors.native.vectormath.logarithm import log1p
from gradloom.executors.native.vectormath.shared import at_most, format_of, polynomial, size

SINH_TAIL = taylor(lambda k: Fraction(1, math.factorial(2 * k + 3)))
"""(sinh x - x) / x³ as a function of x²."""

TAIL_TERMS = {"float": 4, "double": 8}

TANH_LIMIT = {"float": 10.0, "double": 20.0}
"""Where tanh is 1 to the last bit."""


def sinh(b: Function, x: Value) -> Value:
    """e^|x|/2 - e^-|x|/2, near 0 by the series, and the sign of x."""
    a = size(b, x)
    square = b.mul(x, x)
    tail = polynomial(b, square, fitted(SINH_TAIL, 0.0, 1.0, TAIL_TERMS[x.element]))
    near = b.muladd(b.mul(a, square), tail, a)
    half = half_exp(b, a)
    far = b.sub(half, b.binary("fdiv", b.const(x.type, 0.25), half))
    return b.intrinsic("copysign", b.select(b.compare("olt", a, b.const(x.type, 1)), near, far), x)


def cosh(b: Function, x: Value) -> Value:
    """e^|x|/2 + e^-|x|/2."""
    half = half_exp(b, size(b, x))
    return b.add(half, b.binary("fdiv", b.const(x.type, 0.25), half))


def tanh(b: Function, x: Value) -> Value:
    """e/(e + 2) with e = e^(2|x|) - 1, and the sign of x."""
    bounded = at_most(b, size(b, x), TANH_LIMIT[x.element])
    e = expm1_of_bounded(b, b.add(bounded, bounded))
    return b.intrinsic("copysign", b.binary("fdiv", e, b.add(e, b.const(x.type, 2))), x)


def _log1p_or_log_of_double(b: Function, large: Value, x: Value, u: Value) -> Value:
    """log(1 + u), or log(2 x) where x is so large that its square might overflow."""
    found = log1p(b, b.select(large, b.sub(x, b.const(x.type, 1)), u))
    return b.add(found, b.select(large, b.const(x.type, math.log(2)), b.const(x.type, 0)))


def asinh(b: Function, x: Value) -> Value:
    """log(1 + (|x| + x²/(1 + √(1 + x²)))), and the sign of x."""
    one, a = b.const(x.type, 1), size(b, x)
    square = b.mul(x, x)
    root = b.intrinsic("sqrt", b.add(square, one))
    u = b.add(a, b.binary("fdiv", square, b.add(root, one)))
    return b.intrinsic("copysign", _log1p_or_log_of_double(b, _is_large(b, a), a, u), x)


def acosh(b: Function, x: Value) -> Value:
    """log(1 + (t + √(2 t + t²))) with t = x - 1; NaN below 1."""
    t = b.sub(x, b.const(x.type, 1))
    u = b.add(t, b.intrinsic("sqrt", b.muladd(t, t, b.add(t, t))))
    found = _log1p_or_log_of_double(b, _is_large(b, x), x, u)
    return b.select(b.compare("olt", t, b.const(x.type, 0)), b.const(x.type, math.nan), found)


def _is_large(b: Function, x: Value) -> Value:
    """Whether 1 is nothing beside x²."""
    return b.compare("ogt", x, b.const(x.type, 2.0 ** (format_of(x).mantissa // 2 + 3)))


def atanh(b: Function, x: Value) -> Value:
    """log(1 + 2|x|/(1 - |x|)) / 2, and the sign of x; NaN beyond 1."""
    a = size(b, x)
    u = b.binary("fdiv", b.add(a, a), b.sub(b.const(x.type, 1), a))
    found = b.mul(log1p(b, u), b.const(x.type, 0.5))
    return b.intrinsic("copysign", found, x)
