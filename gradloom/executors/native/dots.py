"""Products of pairs of bfloat16, the operation of AVX512_BF16: sum + x₁ · y₁ + x₀ · y₀ in each lane.

A lane of an operand is a word with two neighbouring elements, the first in its lower half.  The instruction
(``vdpbf16ps``) is documented as two fused multiply-adds in float32, of the upper halves first, then of the lower ones,
each rounded to the nearest, ties to even, whatever the processor's settings; denormal numbers that go in or come out
are zeros (Intel, Instruction Set Extensions Programming Reference).  The emulation does so in plain instructions, so
that all loops around the operation can be tested on a processor that has not got it.  It does not promise which of
several NaN comes out, nor what becomes of a denormal result that rounding lifts to the smallest normal number.
"""

from __future__ import annotations

from gradloom.executors.native.builder import Function, Value, vector
from gradloom.executors.native.target import Pairs

WORD, HALF = "i32", "i16"
"""The types of a pair and of an element, whose bits are all that loads and copies see."""
NARROWEST = 4
"""Lanes of the narrowest vector that the instruction takes."""

_SIGN, _EXPONENT, _UPPER = -(2**31), 0x7F800000, -(2**16)


def paired(b: Function, first: Value, second: Value | None) -> Value:
    """Words of elements and those that follow them, or zeros where there are none."""
    lower = b.convert(first, WORD, signed=False)
    if second is None:
        return lower
    upper = b.convert(second, WORD, signed=False)
    return b.binary("or", lower, b.binary("shl", upper, b.const(upper.type, 16)))


def add_dots(b: Function, total: Value, x: Value, y: Value, how: Pairs) -> Value:
    """``total`` with the products of the pairs of ``x`` and ``y`` added."""
    return _by_instruction(b, total, x, y) if how is Pairs.INSTRUCTION else _emulated(b, total, x, y)


def _by_instruction(b: Function, total: Value, x: Value, y: Value) -> Value:
    lanes, width = total.lanes, max(total.lanes, NARROWEST)
    sums = _with_lanes(b, total, width)
    pairs = (b.bitcast(_with_lanes(b, words, width), vector("bfloat", 2 * width)) for words in (x, y))
    return _with_lanes(b, b.call(f"llvm.x86.avx512bf16.dpbf16ps.{32 * width}", sums.type, sums, *pairs), lanes)


def _with_lanes(b: Function, x: Value, lanes: int) -> Value:
    """The first lanes of a vector, or all of them and zeros behind."""
    if x.lanes == lanes:
        return x
    kind = vector(x.element, lanes)
    if x.lanes == 1:
        return b.insert(b.const(kind, 0), kind, x, 0)
    if lanes == 1:
        return b.lane(x, 0)
    places = ", ".join(f"i32 {i}" for i in range(lanes))
    text = f"shufflevector {x.type} {x.text}, {x.type} zeroinitializer, <{lanes} x i32> <{places}>"
    return b.emit(kind, text)


def _emulated(b: Function, total: Value, x: Value, y: Value) -> Value:
    for half in (_upper, _lower):
        one, other = (_flushed(b, half(b, words)) for words in (x, y))
        total = _flushed(b, b.muladd(one, other, _flushed(b, total)))
    return total


def _upper(b: Function, words: Value) -> Value:
    """The second elements of pairs as floats."""
    return b.bitcast(b.binary("and", words, b.const(words.type, _UPPER)), vector("float", words.lanes))


def _lower(b: Function, words: Value) -> Value:
    """The first elements."""
    return b.bitcast(b.binary("shl", words, b.const(words.type, 16)), vector("float", words.lanes))


def _flushed(b: Function, x: Value) -> Value:
    """Floats with zeros of their sign for denormal numbers."""
    bits = b.bitcast(x, vector(WORD, x.lanes))
    none = b.const(bits.type, 0)
    small = b.compare("eq", b.binary("and", bits, b.const(bits.type, _EXPONENT)), none)
    return b.bitcast(b.select(small, b.binary("and", bits, b.const(bits.type, _SIGN)), bits), x.type)
