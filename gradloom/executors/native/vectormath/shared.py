"""What the elementary functions share: formats, polynomials, whole numbers in floats, exact sums and products."""

from __future__ import annotations

from collections.abc import Sequence

from gradloom.executors.native.builder import Function, Value, vector
from gradloom.executors.native.vectormath.fitting import log_of_2, split
from gradloom.records import dataclass


@dataclass(frozen=True)
class Format:
    """A floating format of IEEE 754: its width, the bits of its mantissa, the bias of its exponent."""

    bits: int
    mantissa: int
    bias: int

    @property
    def whole(self) -> float:
        """1.5 · 2^mantissa: adding it to a small number leaves the nearest whole number in the low bits."""
        return 1.5 * 2.0**self.mantissa

    @property
    def least_normal(self) -> float:
        """The least number that is not subnormal."""
        return 2.0 ** (1 - self.bias)

    @property
    def log_of_2(self) -> tuple[float, float]:
        """log 2 as a part whose multiples by exponents are exact, and the rest."""
        high, low = split(log_of_2(), 15 if self.bits == 32 else 42)
        return high, low


FORMATS = {"float": Format(32, 23, 127), "double": Format(64, 52, 1023)}


def format_of(x: Value) -> Format:
    """The format of the elements of ``x``."""
    return FORMATS[x.element]


def integers(x: Value) -> str:
    """The integer type as wide as the elements of ``x``."""
    return vector(f"i{format_of(x).bits}", x.lanes)


def polynomial(b: Function, x: Value, coefficients: Sequence[float]) -> Value:
    """Σ c_k x^k: neighbours are joined with x, then their sums with x² by Horner's rule.

    Horner's rule alone has one multiplication less, but each of its steps waits for the one before.
    """
    terms = [b.const(x.type, c) for c in coefficients]
    sums = [b.muladd(high, x, low) for low, high in zip(terms[::2], terms[1::2])]
    total, *rest = reversed([*sums, *terms[2 * len(sums) :]])
    square = b.mul(x, x)
    for term in rest:
        total = b.muladd(total, square, term)
    return total


def negative(b: Function, x: Value) -> Value:
    """-x."""
    return b.emit(x.type, f"fneg {x.type} {x.text}")


def size(b: Function, x: Value) -> Value:
    """|x|."""
    return b.intrinsic("fabs", x)


def at_least(b: Function, x: Value, bound: float) -> Value:
    """max(x, bound); NaN stays."""
    low = b.const(x.type, bound)
    return b.select(b.compare("ogt", low, x), low, x)


def at_most(b: Function, x: Value, bound: float) -> Value:
    """min(x, bound); NaN stays."""
    high = b.const(x.type, bound)
    return b.select(b.compare("olt", high, x), high, x)


def nearest(b: Function, x: Value, factor: float = 1) -> tuple[Value, Value]:
    """The whole number nearest to factor · x: as a float, and in the low bits of an integer.

    No conversion is needed, which many processors lack for vectors of doubles.
    """
    whole = b.const(x.type, format_of(x).whole)
    moved = b.muladd(x, b.const(x.type, factor), whole)
    return b.sub(moved, whole), b.bitcast(moved, integers(x))


def power_of_two(b: Function, n: Value, like: Value) -> Value:
    """2^n for whole n in the range of normal exponents, held in the low bits."""
    form = format_of(like)
    biased = b.add(n, b.const(n.type, form.bias))
    return b.bitcast(b.binary("shl", biased, b.const(n.type, form.mantissa)), like.type)


def with_sign(b: Function, x: Value, sign: Value) -> Value:
    """x negated where the integer ``sign`` has its top bit set."""
    return b.bitcast(b.binary("xor", b.bitcast(x, sign.type), sign), x.type)


# A number as an unevaluated sum of two (Dekker, "A floating-point technique for extending the available precision",
# 1971).  Exact products need a multiplication and addition that round once: ``fma`` and not ``muladd``.

Pair = tuple[Value, Value]


def exact_sum(b: Function, x: Value, y: Value) -> Pair:
    """x + y without error, for \\|x\\| ≥ \\|y\\| or x = 0."""
    total = b.add(x, y)
    return total, b.add(b.sub(x, total), y)


def exact_product(b: Function, x: Value, y: Value) -> Pair:
    """x · y without error."""
    product = b.mul(x, y)
    return product, b.fma(x, y, negative(b, product))


def pair_product(b: Function, x: Pair, y: Pair) -> Pair:
    """x · y of two sums; the product of the small parts is left out."""
    high, low = exact_product(b, x[0], y[0])
    return high, b.muladd(x[0], y[1], b.muladd(x[1], y[0], low))
