"""Elementary functions as straight-line code for vectors of any width.

The usual scheme: bring the argument into a small interval, sum a series there, undo the reduction exactly.
Coefficients are those of the series themselves, taken far enough that the remainder is below half an ulp of the
type, so nothing here needs a table of fitted constants.  Functions without an own scheme call the C library, lane by
lane.

Sources: Muller, "Elementary functions" (2016); Cody and Waite, "Software manual for the elementary functions" (1980).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradloom.executors.native.builder import Function, Value, vector


@dataclass(frozen=True)
class Format:
    """A floating format and how far series go in it.

    Attributes:
        bits: width; ``mantissa`` and ``bias`` as in IEEE 754.
        ln2: log 2 as a leading part, with enough trailing zeros that small multiples are exact, and the rest.
        exp_terms: terms of e^r for \\|r\\| ≤ log(2)/2.
        log_terms: terms of artanh(s)/s in s² for \\|s\\| ≤ 0.172.
        tanh_limit: where tanh is 1 to the last bit.
    """

    bits: int
    mantissa: int
    bias: int
    ln2: tuple[float, float]
    exp_terms: int
    log_terms: int
    exp_range: tuple[float, float]
    tanh_limit: float


FORMATS = {
    "float": Format(32, 23, 127, (0.693359375, -2.1219444005469057e-4), 8, 6, (-104.0, 89.0), 10.0),
    "double": Format(64, 52, 1023, (0.6931471803691238, 1.9082149292705877e-10), 14, 12, (-746.0, 710.0), 20.0),
}


def _series(b: Function, x: Value, coefficients: Sequence[float]) -> Value:
    """Σ c_k x^k by Horner's rule."""
    total = b.const(x.type, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = b.fma(total, x, b.const(x.type, c))
    return total


def _integers(x: Value) -> str:
    """The integer type as wide as the elements of ``x``."""
    return vector(f"i{FORMATS[x.element].bits}", x.lanes)


def _power_of_two(b: Function, n: Value, like: Value) -> Value:
    """2^n for integers n in the range of exponents."""
    form = FORMATS[like.element]
    biased = b.add(n, b.const(n.type, form.bias))
    shifted = b.binary("shl", biased, b.const(n.type, form.mantissa))
    return b.bitcast(shifted, like.type)


def _reduced(b: Function, x: Value) -> tuple[Value, Value]:
    """n and r with x = n log 2 + r, \\|r\\| ≤ log(2)/2; n as an integer."""
    form = FORMATS[x.element]
    n = b.intrinsic("rint", b.mul(x, b.const(x.type, 1 / math.log(2))))
    high = b.fma(n, b.const(x.type, -form.ln2[0]), x)
    r = b.fma(n, b.const(x.type, -form.ln2[1]), high)
    return b.convert(n, f"i{form.bits}"), r


def _clamped(b: Function, x: Value, low: float, high: float) -> Value:
    """x brought into an interval; NaN stays."""
    at_least, at_most = b.const(x.type, low), b.const(x.type, high)
    x = b.select(b.compare("olt", x, at_least), at_least, x)
    return b.select(b.compare("ogt", x, at_most), at_most, x)


def _scaled(b: Function, x: Value, n: Value) -> Value:
    """x · 2^n in two steps, so that results below the smallest normal number are rounded once."""
    half = b.binary("ashr", n, b.const(n.type, 1))
    first = b.mul(x, _power_of_two(b, half, x))
    return b.mul(first, _power_of_two(b, b.sub(n, half), x))


def exp(b: Function, x: Value) -> Value:
    """e^x = 2^n Σ r^k / k!."""
    form = FORMATS[x.element]
    # NaN has no integer part: 0 stands for it and it is put back at the end.
    is_nan = b.compare("uno", x, x)
    safe = b.select(is_nan, b.const(x.type, 0), _clamped(b, x, *form.exp_range))
    n, r = _reduced(b, safe)
    found = _scaled(b, _series(b, r, [1 / math.factorial(k) for k in range(form.exp_terms)]), n)
    return b.select(is_nan, x, found)


def expm1(b: Function, x: Value) -> Value:
    """e^x - 1 = 2^n (e^r - 1) + (2^n - 1)."""
    form = FORMATS[x.element]
    is_nan = b.compare("uno", x, x)
    low, high = (-2 * form.mantissa * 0.4, form.exp_range[1])
    safe = b.select(is_nan, b.const(x.type, 0), _clamped(b, x, low, high))
    n, r = _reduced(b, safe)
    inner = b.mul(r, _series(b, r, [1 / math.factorial(k + 1) for k in range(form.exp_terms)]))
    one = b.const(x.type, 1)
    # 2^n overflows one step before e^x does, so half of it is used throughout.
    half = _power_of_two(b, b.sub(n, b.const(n.type, 1)), x)
    found = b.add(half, b.fma(half, b.add(inner, inner), b.sub(half, one)))
    small = b.compare("oeq", b.intrinsic("fabs", r), b.intrinsic("fabs", x))  # n = 0: nothing is lost
    return b.select(is_nan, x, b.select(small, inner, found))


def log(b: Function, x: Value) -> Value:
    """log(m 2^e) = e log 2 + 2 artanh((m - 1)/(m + 1)) with m in [√½, √2)."""
    form = FORMATS[x.element]
    ints = _integers(x)
    tiny = b.compare("olt", x, b.const(x.type, 2.0 ** (1 - form.bias)))
    lifted = b.select(tiny, b.mul(x, b.const(x.type, 2.0**form.mantissa)), x)
    bits = b.bitcast(lifted, ints)
    root_half = int.from_bytes(_bits_of(math.sqrt(0.5), form), "little")
    offset = b.sub(bits, b.const(ints, root_half))
    exponent = b.binary("ashr", offset, b.const(ints, form.mantissa))
    mantissa = b.bitcast(b.sub(bits, b.binary("shl", exponent, b.const(ints, form.mantissa))), x.type)
    e = b.convert(exponent, x.element)
    e = b.sub(e, b.select(tiny, b.const(x.type, form.mantissa), b.const(x.type, 0)))
    one = b.const(x.type, 1)
    s = b.binary("fdiv", b.sub(mantissa, one), b.add(mantissa, one))
    square = b.mul(s, s)
    series = _series(b, square, [2 / (2 * k + 3) for k in range(form.log_terms - 1)])
    tail = b.fma(e, b.const(x.type, form.ln2[1]), b.mul(b.mul(s, square), series))
    found = b.add(b.fma(e, b.const(x.type, form.ln2[0]), b.add(s, s)), tail)
    found = b.select(b.compare("oeq", x, b.const(x.type, 0)), b.const(x.type, -math.inf), found)
    found = b.select(b.compare("olt", x, b.const(x.type, 0)), b.const(x.type, math.nan), found)
    keep = b.compare("ueq", x, b.const(x.type, math.inf))  # infinity and NaN
    return b.select(keep, x, found)


def _bits_of(value: float, form: Format) -> bytes:

    return struct.pack("<f" if form.bits == 32 else "<d", value)


def log1p(b: Function, x: Value) -> Value:
    """log(u) + (x - (u - 1))/u with u = 1 + x: the correction restores what rounding u lost."""
    one = b.const(x.type, 1)
    u = b.add(x, one)
    lost = b.binary("fdiv", b.sub(x, b.sub(u, one)), u)
    whole = log(b, u)
    finite = b.compare("one", b.intrinsic("fabs", whole), b.const(x.type, math.inf))
    return b.select(finite, b.add(whole, lost), whole)


def tanh(b: Function, x: Value) -> Value:
    """e/(e + 2) with e = e^(2|x|) - 1, and the sign of x."""
    limit = FORMATS[x.element].tanh_limit
    size = b.intrinsic("fabs", x)
    bounded = b.select(b.compare("ogt", size, b.const(x.type, limit)), b.const(x.type, limit), size)
    e = expm1(b, b.add(bounded, bounded))
    found = b.binary("fdiv", e, b.add(e, b.const(x.type, 2)))
    return b.intrinsic("copysign", found, x)


def sigmoid(b: Function, x: Value) -> Value:
    """1/(1 + e^-|x|) or e^-|x|/(1 + e^-|x|): never an overflow."""
    one = b.const(x.type, 1)
    small = exp(b, b.emit(x.type, f"fneg {x.type} {b.intrinsic('fabs', x).text}"))
    above = b.select(b.compare("oge", x, b.const(x.type, 0)), one, small)
    return b.binary("fdiv", above, b.add(one, small))


def softplus(b: Function, x: Value) -> Value:
    """max(x, 0) + log(1 + e^-|x|)."""
    small = exp(b, b.emit(x.type, f"fneg {x.type} {b.intrinsic('fabs', x).text}"))
    zero = b.const(x.type, 0)
    positive = b.select(b.compare("olt", x, zero), zero, x)
    return b.add(positive, log1p(b, small))


def from_c_library(name: str) -> Callable[..., Value]:
    """A function of the C library, called for each lane."""

    def call(b: Function, *args: Value) -> Value:
        kind = args[0].element
        symbol = name + ("f" if kind == "float" else "")
        b.declare(f"declare {kind} @{symbol}({', '.join([kind] * len(args))})")
        found: Value | None = None
        for i in range(args[0].lanes):
            one = b.call(symbol, kind, *(b.lane(a, i) for a in args))
            found = one if args[0].lanes == 1 else b.insert(found, args[0].type, one, i)
        assert found is not None
        return found

    return call


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    **{
        ours: from_c_library(theirs)
        for ours, theirs in {
            **{name: name for name in ("sin", "cos", "tan", "asin", "acos", "atan", "atan2")},
            **{name: name for name in ("sinh", "cosh", "asinh", "acosh", "atanh", "erf")},
            "power": "pow",
        }.items()
    },
}
"""Code for each elementary primitive, by its name."""
