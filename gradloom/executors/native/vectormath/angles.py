"""The inverse trigonometric functions."""

from __future__ import annotations

import math
from fractions import Fraction

from gradloom.executors.native.builder import Function, Value
from gradloom.executors.native.vectormath.fitting import fitted, pi, split, taylor
from gradloom.executors.native.vectormath.shared import polynomial, size

ATAN_TAIL = taylor(lambda k: Fraction((-1) ** (k + 1), 2 * k + 3))
"""(atan q - q) / q³ as a function of q²."""

ATAN_TERMS = {"float": 5, "double": 12}

NEAR, FAR = math.tan(math.pi / 8), math.tan(3 * math.pi / 8)

ASIN_TAIL = taylor(lambda k: Fraction(math.comb(2 * k + 2, k + 1), 4 ** (k + 1) * (2 * k + 3)))
"""(asin z - z) / z³ as a function of z²."""

ASIN_TERMS = {"float": 5, "double": 12}


def _pi(b: Function, like: Value, share: float) -> tuple[Value, Value]:
    """share · π as a sum of two floats."""
    high, low = split(pi(), 24 if like.element == "float" else 53)
    return b.const(like.type, high * share), b.const(like.type, low * share)


def _atan_of_positive(b: Function, t: Value) -> Value:
    """atan t, π/4 + atan((t - 1)/(t + 1)) or π/2 + atan(-1/t), whichever quotient is smallest."""
    one, zero = b.const(t.type, 1), b.const(t.type, 0)
    middle = b.compare("ogt", t, b.const(t.type, NEAR))
    far = b.compare("ogt", t, b.const(t.type, FAR))
    above = b.select(far, b.const(t.type, -1), b.select(middle, b.sub(t, one), t))
    below = b.select(far, t, b.select(middle, b.add(t, one), one))
    (half, half_rest), (quarter, quarter_rest) = _pi(b, t, 0.5), _pi(b, t, 0.25)
    base = b.select(far, half, b.select(middle, quarter, zero))
    rest = b.select(far, half_rest, b.select(middle, quarter_rest, zero))
    q = b.binary("fdiv", above, below)
    square = b.mul(q, q)
    tail = polynomial(b, square, fitted(ATAN_TAIL, 0.0, NEAR**2, ATAN_TERMS[t.element]))
    return b.add(base, b.add(q, b.muladd(b.mul(q, square), tail, rest)))


def atan(b: Function, x: Value) -> Value:
    """Inverse tangent, in [-π/2, π/2]."""
    return b.intrinsic("copysign", _atan_of_positive(b, size(b, x)), x)


def atan2(b: Function, y: Value, x: Value) -> Value:
    """atan|y/x|, or π less that for negative x, and the sign of y."""
    zero, one = b.const(x.type, 0), b.const(x.type, 1)
    across, along = size(b, x), size(b, y)
    ratio = b.binary("fdiv", along, across)
    # 0/0 counts as 0 and ∞/∞ as 1.
    ratio = b.select(b.compare("oeq", y, zero), zero, ratio)
    infinite = b.compare("oeq", b.intrinsic("minnum", across, along), b.const(x.type, math.inf))
    ratio = b.select(infinite, one, ratio)
    angle = _atan_of_positive(b, ratio)
    straight, rest = _pi(b, x, 1)
    behind = b.compare("olt", b.intrinsic("copysign", one, x), zero)  # -0 too
    angle = b.select(behind, b.sub(straight, b.sub(angle, rest)), angle)
    angle = b.select(b.compare("uno", x, y), b.add(x, y), angle)
    return b.intrinsic("copysign", angle, y)


def _asin_parts(b: Function, x: Value) -> tuple[Value, Value]:
    """Whether |x| > 1/2, and asin|x| or, where it is, asin√((1 - |x|)/2)."""
    a, half = size(b, x), b.const(x.type, 0.5)
    large = b.compare("ogt", a, half)
    square = b.select(large, b.mul(b.sub(b.const(x.type, 1), a), half), b.mul(a, a))
    z = b.select(large, b.intrinsic("sqrt", square), a)
    tail = polynomial(b, square, fitted(ASIN_TAIL, 0.0, 0.25, ASIN_TERMS[x.element]))
    return large, b.muladd(b.mul(z, square), tail, z)


def asin(b: Function, x: Value) -> Value:
    """Inverse sine, in [-π/2, π/2]: of x itself, or π/2 - 2 asin√((1 - |x|)/2); NaN beyond 1."""
    large, angle = _asin_parts(b, x)
    right, rest = _pi(b, x, 0.5)
    far = b.sub(right, b.sub(b.add(angle, angle), rest))
    return b.intrinsic("copysign", b.select(large, far, angle), x)


def acos(b: Function, x: Value) -> Value:
    """Inverse cosine, in [0, π]: π/2 - asin x, 2 asin√((1 - x)/2), or π less that for negative x; NaN beyond 1."""
    large, angle = _asin_parts(b, x)
    below = b.compare("olt", x, b.const(x.type, 0))
    (straight, straight_rest), (right, right_rest) = _pi(b, x, 1), _pi(b, x, 0.5)
    double = b.add(angle, angle)
    far = b.select(below, b.sub(straight, b.sub(double, straight_rest)), double)
    near = b.sub(right, b.sub(b.intrinsic("copysign", angle, x), right_rest))
    return b.select(large, far, near)
