"""bfloat16, the upper half of a float: in memory its 16 bits, in registers the float that they begin.

A value in a register has always been rounded, so that storing it drops zeros.  Rounding, to the nearest and to the even
one of two, is an addition to the bits: half a unit of the last place that is kept, less one where that place is even.
It carries into the exponent where it should, up to infinity.  NaN becomes the quiet one of its sign, as in ml_dtypes.
"""

from __future__ import annotations

from gradloom.executors.native.builder import Function, Value, vector

_SIGN, _UPPER, _QUIET = -(2**31), -(2**16), 0x7FC00000


def from_memory(b: Function, x: Value) -> Value:
    """Halves of words as floats."""
    bits = b.convert(x, "i32", signed=False)
    return b.bitcast(b.binary("shl", bits, b.const(bits.type, 16)), vector("float", x.lanes))


def to_memory(b: Function, x: Value) -> Value:
    """Floats that have been rounded as halves of words."""
    bits = b.bitcast(x, vector("i32", x.lanes))
    return b.convert(b.binary("lshr", bits, b.const(bits.type, 16)), "i16")


def pair(b: Function, first: Value, second: Value) -> Value:
    """Words of two floats that have been rounded, the first in the lower half (dots.py)."""
    lower, upper = (b.bitcast(x, vector("i32", x.lanes)) for x in (first, second))
    return b.binary("or", b.binary("lshr", lower, b.const(lower.type, 16)), upper)


def rounded(b: Function, x: Value) -> Value:
    """The float nearest to ``x`` of which the lower half is zero."""
    bits = b.bitcast(x, vector("i32", x.lanes))
    lowest = b.binary("and", b.binary("lshr", bits, b.const(bits.type, 16)), b.const(bits.type, 1))
    near = b.add(b.add(bits, lowest), b.const(bits.type, 0x7FFF))
    quiet = b.binary("or", b.binary("and", bits, b.const(bits.type, _SIGN)), b.const(bits.type, _QUIET))
    found = b.select(b.compare("uno", x, x), quiet, b.binary("and", near, b.const(bits.type, _UPPER)))
    return b.bitcast(found, x.type)
