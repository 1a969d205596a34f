"""The remainder by π/2 of angles so large that their multiples of π/2 are not exact in floats.

x = M 2^E with a whole number M < 2^53.  Of M · (2^E · 2/π) only the two bits above the point (the quarter of the
circle) and what follows matter: so of 2/π only 192 bits, from a place that E says, are multiplied by M in integers
(Payne and Hanek, "Radian reduction for trigonometric functions", 1983).  After the at most 60 zeros with which the
closest doubles to a multiple of π/2 begin, more than 70 bits are right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradloom.executors.native.builder import Function, Value
from gradloom.executors.native.vectormath.fitting import pi, split, two_over_pi
from gradloom.executors.native.vectormath.shared import exact_product, exact_sum, negative, power_of_two, size

WINDOW, POINT = 192, 190
"""Bits of 2/π that are used, and how many of them stand behind the point in the product."""

TABLE_BITS = 971 + POINT
"""Bits of 2/π behind the point that the greatest double, (2^53 - 1) 2^971, needs."""

RESULT = "{ i64, double, double }"


def reduced_where_huge(b: Function, x: Value, bound: float, otherwise: Sequence[Value]) -> list[Value]:
    """The number of quarter turns in an angle and the remainder: given, and computed anew where \\|x\\| > bound.

    Args:
        x: the angles.
        bound: at least 2^19.
        otherwise: quarter turns as integers, the remainder and, if wanted, what it lacks.
    """
    lanes, a = x.lanes, size(b, x)
    finite = b.compare("olt", a, b.const(x.type, math.inf))
    huge = b.binary("and", finite, b.compare("ogt", a, b.const(x.type, bound)))
    anywhere = huge if lanes == 1 else b.call(f"llvm.vector.reduce.or.v{lanes}i1", "i1", huge)
    # A loop over the lanes that mostly has no turn.
    turns = b.select(anywhere, b.const("i64", lanes), b.const("i64", 0))
    i, found, finish = b.loop_carrying(0, turns, 1, otherwise)
    is_huge = b.lane(huge, i)
    angle = b.convert(b.select(is_huge, b.lane(x, i), b.const(x.element, bound)), "double")
    parts = b.call(_definition(b), RESULT, angle)
    updated = []
    for place, vector in enumerate(found):
        part = b.emit(("i64", "double", "double")[place], f"extractvalue {RESULT} {parts.text}, {place}")
        chosen = b.select(is_huge, b.convert(part, vector.element), b.lane(vector, i))
        updated.append(chosen if lanes == 1 else b.insert(vector, vector.type, chosen, i))
    return finish(updated)


def _definition(user: Function) -> str:
    """The name of a function of one double \\|x\\| ≥ 2^19, whose definition is added to what the user needs."""
    b = Function("reduced_huge_angle", [("double", "x", "")], RESULT)
    x = b.param("x")
    bits = b.bitcast(x, "i64")
    mantissa = b.binary("or", b.binary("and", bits, b.const("i64", 2**52 - 1)), b.const("i64", 2**52))
    exponent = b.sub(
        b.binary("and", b.binary("lshr", bits, b.const("i64", 52)), b.const("i64", 2047)), b.const("i64", 1075)
    )
    product = b.mul(b.convert(mantissa, f"i{WINDOW}", signed=False), _window(b, exponent))
    half_turns = b.add(b.binary("lshr", product, b.const(product.type, POINT - 1)), b.const(product.type, 1))
    quarters = b.convert(b.binary("lshr", half_turns, b.const(product.type, 1)), "i64")
    two = b.const(product.type, WINDOW - POINT)
    fraction = b.binary("ashr", b.binary("shl", product, two), two)
    remainder, rest = _times_right_angle(b, fraction)
    minus = b.compare("slt", bits, b.const("i64", 0))
    quarters = b.select(minus, b.sub(b.const("i64", 0), quarters), quarters)
    result = Value("poison", RESULT)
    signed = [b.select(minus, negative(b, part), part) for part in (remainder, rest)]
    for place, part in enumerate((quarters, *signed)):
        result = b.emit(RESULT, f"insertvalue {RESULT} {result.text}, {part.type} {part.text}, {place}")
    b.finish(result)
    user.needs |= {*b.needs, b.text(), _table()}
    return b.name


def _table() -> str:
    """2/π in bytes, the lowest first; zeros where a window reaches above it."""
    content = two_over_pi(TABLE_BITS).to_bytes(TABLE_BITS // 8 + WINDOW // 8 + 8, "little")
    written = "".join(f"\\{byte:02X}" for byte in content)
    return f'@two_over_pi = internal constant [{len(content)} x i8] c"{written}"'


def _window(b: Function, exponent: Value) -> Value:
    """⌊2/π · 2^(exponent + POINT)⌋ without the bits that make whole turns."""
    lowest = b.sub(b.const("i64", TABLE_BITS - POINT), exponent)
    start = b.at(Value("@two_over_pi", "ptr"), b.binary("lshr", lowest, b.const("i64", 3)), "i8")
    kind = f"i{WINDOW + 8}"
    skipped = b.convert(b.binary("and", lowest, b.const("i64", 7)), kind)
    return b.convert(b.binary("lshr", b.load(start, kind, 1), skipped), f"i{WINDOW}")


def _times_right_angle(b: Function, fraction: Value) -> tuple[Value, Value]:
    """π/2 · fraction · 2^-POINT as a sum of two doubles, for a signed integer other than 0."""
    kind = fraction.type
    minus = b.compare("slt", fraction, b.const(kind, 0))
    magnitude = b.select(minus, b.sub(b.const(kind, 0), fraction), fraction)
    zeros = b.call(f"llvm.ctlz.{kind}", kind, magnitude, b.const("i1", 0))
    lifted = b.binary("shl", magnitude, zeros)
    # The first 53 bits and the next 53 as doubles.
    parts = [b.convert(b.binary("lshr", lifted, b.const(kind, WINDOW - 53 * k)), "i64") for k in (1, 2)]
    lower = b.binary("and", parts[1], b.const("i64", 2**53 - 1))
    scale = power_of_two(b, b.sub(b.const("i64", WINDOW - 53 - POINT), b.convert(zeros, "i64")), Value("", "double"))
    high, low = b.mul(b.convert(parts[0], "double"), scale), b.mul(b.convert(lower, "double"), scale)
    low = b.mul(low, b.const("double", 2.0**-53))
    right, right_rest = (b.const("double", part / 2) for part in split(pi(), 53))
    main, lost = exact_product(b, high, right)
    lost = b.muladd(high, right_rest, b.muladd(low, right, lost))
    main, lost = exact_sum(b, main, lost)
    return b.select(minus, negative(b, main), main), b.select(minus, negative(b, lost), lost)
