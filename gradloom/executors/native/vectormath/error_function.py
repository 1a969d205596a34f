"""The error function."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from gradloom.executors.native.builder import Function, Value
from gradloom.executors.native.vectormath.exponential import exp_of_moderate
from gradloom.executors.native.vectormath.fitting import DIGITS, fitted, pi, taylor
from gradloom.executors.native.vectormath.shared import at_most, negative, polynomial, size

_NEAR = taylor(lambda k: Fraction((-1) ** k, math.factorial(k) * (2 * k + 1)))

LIMIT = {"float": 4.0, "double": 6.0}
"""Where erf is 1 to the last bit."""

NEAR_TERMS, FAR_TERMS = {"float": 6, "double": 12}, {"float": 8, "double": 17}

CENTRE = 3
"""The factor of the far form is smooth in (x - 3)/(x + 3)."""


def _near(u: Decimal) -> Decimal:
    """erf(x) / x - 1 as a function of x², from the Taylor series."""
    return 2 / pi().sqrt() * _NEAR(u) - 1


def _far(t: Decimal) -> Decimal:
    """e^(x²) (1 - erf x) at x = 3 (1 + t)/(1 - t).

    erf x = 2/√π e^(-x²) Σ 2^k x^(2k+1) / (1 · 3 ··· (2k+1)), a series without cancellation.
    """
    x = CENTRE * (1 + t) / (1 - t)
    term = total = x
    k = 0
    while term > total.scaleb(-DIGITS):
        k += 1
        term *= 2 * x * x / (2 * k + 1)
        total += term
    return (x * x).exp() - 2 / pi().sqrt() * total


def erf(b: Function, x: Value) -> Value:
    """x + x P(x²) below 1, 1 - e^(-x²) Q((x - 3)/(x + 3)) above, and the sign of x."""
    one, centre = b.const(x.type, 1), b.const(x.type, CENTRE)
    limit = LIMIT[x.element]
    a = at_most(b, size(b, x), limit)
    square = b.mul(a, a)
    near = b.muladd(a, polynomial(b, square, fitted(_near, 0.0, 1.0, NEAR_TERMS[x.element])), a)
    t = b.binary("fdiv", b.sub(a, centre), b.add(a, centre))
    ends = (1 - CENTRE) / (1 + CENTRE), (limit - CENTRE) / (limit + CENTRE)
    factor = polynomial(b, t, fitted(_far, *ends, FAR_TERMS[x.element]))
    far = b.sub(one, b.mul(exp_of_moderate(b, negative(b, square)), factor))
    return b.intrinsic("copysign", b.select(b.compare("olt", a, one), near, far), x)
