"""Elementary functions as straight-line code for vectors of any width, one family a file.

The usual scheme: bring the argument into a small interval, sum a polynomial there, undo the reduction exactly.
``fitting`` derives every coefficient, so nothing here needs a table of quoted constants; ``shared`` has what the
families have in common.  All are within 4 units in the last place, subnormal numbers included, and an element gets
the same bits in a vector of any width.

Sources: Muller, "Elementary functions" (2016); Cody and Waite, "Software manual for the elementary functions" (1980).
"""

from __future__ import annotations

from collections.abc import Callable

from gradloom.executors.native.builder import Value
from gradloom.executors.native.vectormath.angles import acos, asin, atan, atan2
from gradloom.executors.native.vectormath.error_function import erf
from gradloom.executors.native.vectormath.exponential import exp, expm1, sigmoid
from gradloom.executors.native.vectormath.hyperbolic import acosh, asinh, atanh, cosh, sinh, tanh
from gradloom.executors.native.vectormath.logarithm import log, log1p, softplus
from gradloom.executors.native.vectormath.power import power
from gradloom.executors.native.vectormath.trigonometric import cos, sin, tan

FUNCTIONS: dict[str, Callable[..., Value]] = {
    f.__name__: f
    for f in (
        *(exp, expm1, sigmoid, log, log1p, softplus, erf, power),
        *(sin, cos, tan, asin, acos, atan, atan2),
        *(sinh, cosh, tanh, asinh, acosh, atanh),
    )
}
"""Code for each elementary primitive, by its name."""

__all__ = ["FUNCTIONS", "exp", "log"]
