"""log x, log(1 + x), and log(1 + e^x)."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

from gradloom.executors.native.builder import Function, Value
from gradloom.executors.native.vectormath.exponential import exp
from gradloom.executors.native.vectormath.fitting import fitted, taylor
from gradloom.executors.native.vectormath.shared import at_least, format_of, integers, negative, polynomial, size

ARTANH_TAIL = taylor(lambda k: Fraction(2, 2 * k + 3))
"""(2 artanh(s) - 2 s) / s³ as a function of s²."""

HALVED_TAIL = taylor(lambda k: Fraction(1, (2 * k + 3) * 4 ** (k + 1)))
"""(2 artanh(t/2) - t) / t³ as a function of t²."""

TAIL_TERMS, HALVED_TERMS = {"float": 4, "double": 8}, {"float": 5, "double": 11}

REACH = ((math.sqrt(2) - 1) / (math.sqrt(2) + 1)) ** 2
"""The greatest s² for s = (m - 1)/(m + 1), m in [√½, √2]."""


def decomposed(b: Function, x: Value) -> tuple[Value, Value]:
    """e (a whole number) and m in [√½, √2) with x = m 2^e, for finite x > 0; m is 1 at 0 and infinity."""
    form, kind = format_of(x), integers(x)
    tiny = b.compare("olt", x, b.const(x.type, form.least_normal))
    lifted = b.select(tiny, b.mul(x, b.const(x.type, 2.0**form.mantissa)), x)
    bits = b.bitcast(lifted, kind)
    bias, places = form.bias << form.mantissa, b.const(kind, form.mantissa)
    # Exponents count from √½ on, and by the bias more, so that the logical shift gives e + bias.
    exponent = b.binary("lshr", b.add(bits, b.const(kind, bias - bits_of(math.sqrt(0.5), form.bits))), places)
    m = b.bitcast(b.add(b.sub(bits, b.binary("shl", exponent, places)), b.const(kind, bias)), x.type)
    # A whole number in the low bits of 2^mantissa is that number more.
    unit = 2.0**form.mantissa
    above = b.bitcast(b.binary("or", exponent, b.const(kind, bits_of(unit, form.bits))), x.type)
    excess = b.select(tiny, b.const(x.type, unit + form.bias + form.mantissa), b.const(x.type, unit + form.bias))
    return b.sub(above, excess), m


def bits_of(value: float, width: int) -> int:
    """The bits of a float of 32 or 64 bits as an integer."""
    return int.from_bytes(struct.pack("<f" if width == 32 else "<d", value), "little")


def log(b: Function, x: Value) -> Value:
    """Natural logarithm."""
    return _log_of_sum(b, x, b.const(x.type, 0))


def log1p(b: Function, x: Value) -> Value:
    """log(u + c) with u = 1 + x, rounded, and c = x - (u - 1), what rounding lost."""
    one = b.const(x.type, 1)
    u = b.add(x, one)
    lost = b.sub(x, b.sub(u, one))
    return b.intrinsic("copysign", _log_of_sum(b, u, b.binary("fdiv", lost, u)), x)  # the sign matters for -0


def _log_of_sum(b: Function, x: Value, share: Value) -> Value:
    """log(x (1 + share)) for a share that its logarithm does not differ from.

    log(m 2^e) = e log 2 + 2 artanh(s) with s = f/(2 + f), f = m - 1.  The error of s hardly matters where the result
    is written around f, which is exact: 2 s = f - f²/2 + s f²/2.
    """
    e, m = decomposed(b, x)
    f = b.sub(m, b.const(x.type, 1))
    s = b.binary("fdiv", f, b.add(f, b.const(x.type, 2)))
    square = b.mul(s, s)
    tail = b.mul(square, polynomial(b, square, fitted(ARTANH_TAIL, 0.0, REACH, TAIL_TERMS[x.element])))
    half = b.mul(b.mul(f, f), b.const(x.type, 0.5))
    high, low = format_of(x).log_of_2
    small = b.muladd(s, b.add(half, tail), b.muladd(e, b.const(x.type, low), share))
    found = b.muladd(e, b.const(x.type, high), b.sub(f, b.sub(half, small)))
    zero = b.const(x.type, 0)
    found = b.select(b.compare("oeq", x, zero), b.const(x.type, -math.inf), found)
    found = b.select(b.compare("olt", x, zero), b.const(x.type, math.nan), found)
    return b.select(b.compare("ueq", x, b.const(x.type, math.inf)), x, found)  # infinity and NaN


def softplus(b: Function, x: Value) -> Value:
    """max(x, 0) + log(1 + e) with e = e^-|x| ≤ 1, where log(1 + e) = 2 artanh(t/2) with t = e/(1 + e/2)."""
    e = exp(b, negative(b, size(b, x)))
    t = b.binary("fdiv", e, b.muladd(e, b.const(x.type, 0.5), b.const(x.type, 1)))
    square = b.mul(t, t)
    tail = polynomial(b, square, fitted(HALVED_TAIL, 0.0, 4 / 9, HALVED_TERMS[x.element]))
    return b.add(at_least(b, x, 0), b.muladd(b.mul(t, square), tail, t))
