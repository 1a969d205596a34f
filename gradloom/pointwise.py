"""Elementwise functions: each element of the result depends on the elements at its place alone."""

from __future__ import annotations

from typing import Any

from gradloom import semantics
from gradloom.autodiff import dual
from gradloom.autodiff.dual import Dual
from gradloom.ir.graph import Op
from gradloom.ops import core, elementwise
from gradloom.semantics import to_float
from gradloom.tensor import Tensor, TensorLike, node_of, unwrap


def _apply(op: Op, *values: TensorLike) -> Any:
    """The result of a primitive, once the values have one type and shape; a dual number if one is among them."""
    if any(isinstance(v, Dual) for v in values):
        return dual.apply(op, *values)
    return Tensor(semantics.apply(op, *(unwrap(v) for v in values)))


def _apply_float(op: Op, *values: TensorLike) -> Any:
    """Likewise, in floats: integers and booleans become float32."""
    if any(isinstance(v, Dual) for v in values):
        return dual.apply(op, *values)
    return Tensor(semantics.apply_float(op, *(unwrap(v) for v in values)))


# Arithmetic -----------------------------------------------------------------------------------------------------


def add(x: TensorLike, y: TensorLike) -> Tensor:
    """x + y.  Elementwise; shapes broadcast."""
    return _apply(core.add, x, y)


def subtract(x: TensorLike, y: TensorLike) -> Tensor:
    """x - y.  Elementwise; shapes broadcast."""
    return _apply(elementwise.sub, x, y)


def multiply(x: TensorLike, y: TensorLike) -> Tensor:
    """x · y.  Elementwise; shapes broadcast."""
    return _apply(elementwise.mul, x, y)


def divide(x: TensorLike, y: TensorLike) -> Tensor:
    """x / y; integers are divided as floats.  Elementwise; shapes broadcast."""
    return _apply_float(elementwise.div, x, y)


def floor_divide(x: TensorLike, y: TensorLike) -> Tensor:
    """⌊x / y⌋.  Elementwise; shapes broadcast."""
    return _apply(elementwise.floor_divide, x, y)


def remainder(x: TensorLike, y: TensorLike) -> Tensor:
    """x - y⌊x / y⌋.  Elementwise; shapes broadcast."""
    return _apply(elementwise.remainder, x, y)


def negative(x: TensorLike) -> Tensor:
    """-x.  Elementwise."""
    return _apply(elementwise.neg, x)


def abs(x: TensorLike) -> Tensor:
    """|x|; derivative 0 at 0.  Elementwise."""
    return _apply(elementwise.abs, x)


def sign(x: TensorLike) -> Tensor:
    """-1, 0 or 1.  Elementwise."""
    return _apply(elementwise.sign, x)


def power(x: TensorLike, y: TensorLike) -> Tensor:
    """x^y; small whole exponents written as Python ints become products, others are computed in floats."""
    if isinstance(x, Dual) or isinstance(y, Dual):
        return x**y
    return Tensor(semantics.power(unwrap(x), unwrap(y)))


def square(x: TensorLike) -> Tensor:
    """x².  Elementwise."""
    return _apply(elementwise.mul, x, x)


def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """The larger of x and y.  Elementwise; shapes broadcast."""
    return _apply(elementwise.maximum, x, y)


def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """The smaller of x and y.  Elementwise; shapes broadcast."""
    return _apply(elementwise.minimum, x, y)


def clip(x: TensorLike, low: TensorLike | None = None, high: TensorLike | None = None) -> Any:
    """x, but not below ``low`` nor above ``high`` (None for no bound).  Elementwise."""
    found = x if isinstance(x, Dual) else Tensor(node_of(x, "clip"))
    found = found if low is None else maximum(found, low)
    return found if high is None else minimum(found, high)


def floor(x: TensorLike) -> Tensor:
    """The largest whole number not above x.  Elementwise."""
    return _apply_float(elementwise.floor, x)


def ceil(x: TensorLike) -> Tensor:
    """The smallest whole number not below x.  Elementwise."""
    return _apply_float(elementwise.ceil, x)


def round(x: TensorLike) -> Tensor:
    """The nearest whole number, halves to even.  Elementwise."""
    return _apply_float(elementwise.round, x)


# Exponentials and logarithms ------------------------------------------------------------------------------------


def exp(x: TensorLike) -> Tensor:
    """e^x.  Elementwise."""
    return _apply_float(elementwise.exp, x)


def expm1(x: TensorLike) -> Tensor:
    """e^x - 1, exact near 0.  Elementwise."""
    return _apply_float(elementwise.expm1, x)


def log(x: TensorLike) -> Tensor:
    """Natural logarithm.  Elementwise."""
    return _apply_float(elementwise.log, x)


def log1p(x: TensorLike) -> Tensor:
    """log(1 + x), exact near 0.  Elementwise."""
    return _apply_float(elementwise.log1p, x)


def sqrt(x: TensorLike) -> Tensor:
    """√x.  Elementwise."""
    return _apply_float(elementwise.sqrt, x)


def rsqrt(x: TensorLike) -> Tensor:
    """1/√x.  Elementwise."""
    return _apply_float(elementwise.rsqrt, x)


def sigmoid(x: TensorLike) -> Tensor:
    """1/(1 + e^-x).  Elementwise."""
    return _apply_float(elementwise.sigmoid, x)


def softplus(x: TensorLike) -> Tensor:
    """log(1 + e^x).  Elementwise."""
    return _apply_float(elementwise.softplus, x)


def relu(x: TensorLike) -> Tensor:
    """max(x, 0).  Elementwise; the derivative at 0 is 0."""
    given = x if isinstance(x, Dual) else Tensor(to_float(node_of(x, "relu")))
    return where(greater(given, 0), given, 0)


def erf(x: TensorLike) -> Tensor:
    """The error function.  Elementwise."""
    return _apply_float(elementwise.erf, x)


# Angles and hyperbolas ------------------------------------------------------------------------------------------


def sin(x: TensorLike) -> Tensor:
    """Sine of radians.  Elementwise."""
    return _apply_float(elementwise.sin, x)


def cos(x: TensorLike) -> Tensor:
    """Cosine of radians.  Elementwise."""
    return _apply_float(elementwise.cos, x)


def tan(x: TensorLike) -> Tensor:
    """Tangent of radians.  Elementwise."""
    return _apply_float(elementwise.tan, x)


def asin(x: TensorLike) -> Tensor:
    """Inverse sine.  Elementwise."""
    return _apply_float(elementwise.asin, x)


def acos(x: TensorLike) -> Tensor:
    """Inverse cosine.  Elementwise."""
    return _apply_float(elementwise.acos, x)


def atan(x: TensorLike) -> Tensor:
    """Inverse tangent.  Elementwise."""
    return _apply_float(elementwise.atan, x)


def atan2(y: TensorLike, x: TensorLike) -> Tensor:
    """The angle of the point (x, y), from -π to π.  Elementwise; shapes broadcast."""
    return _apply_float(elementwise.atan2, y, x)


def sinh(x: TensorLike) -> Tensor:
    """(e^x - e^-x)/2.  Elementwise."""
    return _apply_float(elementwise.sinh, x)


def cosh(x: TensorLike) -> Tensor:
    """(e^x + e^-x)/2.  Elementwise."""
    return _apply_float(elementwise.cosh, x)


def tanh(x: TensorLike) -> Tensor:
    """Hyperbolic tangent, in (-1, 1).  Elementwise."""
    return _apply_float(elementwise.tanh, x)


def asinh(x: TensorLike) -> Tensor:
    """Inverse of sinh.  Elementwise."""
    return _apply_float(elementwise.asinh, x)


def acosh(x: TensorLike) -> Tensor:
    """Inverse of cosh, for x ≥ 1.  Elementwise."""
    return _apply_float(elementwise.acosh, x)


def atanh(x: TensorLike) -> Tensor:
    """Inverse of tanh, for |x| ≤ 1.  Elementwise."""
    return _apply_float(elementwise.atanh, x)


# Comparison, logic and choice -----------------------------------------------------------------------------------


def equal(x: TensorLike, y: TensorLike) -> Tensor:
    """x = y.  Elementwise; shapes broadcast."""
    return _apply(elementwise.eq, x, y)


def not_equal(x: TensorLike, y: TensorLike) -> Tensor:
    """x ≠ y.  Elementwise; shapes broadcast."""
    return _apply(elementwise.ne, x, y)


def less(x: TensorLike, y: TensorLike) -> Tensor:
    """x < y.  Elementwise; shapes broadcast."""
    return _apply(elementwise.lt, x, y)


def less_equal(x: TensorLike, y: TensorLike) -> Tensor:
    """x ≤ y.  Elementwise; shapes broadcast."""
    return _apply(elementwise.le, x, y)


def greater(x: TensorLike, y: TensorLike) -> Tensor:
    """x > y.  Elementwise; shapes broadcast."""
    return _apply(elementwise.gt, x, y)


def greater_equal(x: TensorLike, y: TensorLike) -> Tensor:
    """x ≥ y.  Elementwise; shapes broadcast."""
    return _apply(elementwise.ge, x, y)


def logical_and(x: TensorLike, y: TensorLike) -> Tensor:
    """x and y (bit by bit for integers).  Elementwise; shapes broadcast."""
    return _apply(elementwise.logical_and, x, y)


def logical_or(x: TensorLike, y: TensorLike) -> Tensor:
    """x or y (bit by bit for integers).  Elementwise; shapes broadcast."""
    return _apply(elementwise.logical_or, x, y)


def logical_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """Either x or y.  Elementwise; shapes broadcast."""
    return _apply(elementwise.logical_xor, x, y)


def logical_not(x: TensorLike) -> Tensor:
    """Not x.  Elementwise."""
    return _apply(elementwise.logical_not, x)


def isfinite(x: TensorLike) -> Tensor:
    """Whether x is neither NaN nor infinite.  Elementwise."""
    return _apply_float(elementwise.is_finite, x)


def isnan(x: TensorLike) -> Tensor:
    """Whether x is NaN.  Elementwise."""
    node = to_float(node_of(x, "isnan"))
    return Tensor(elementwise.ne(node, node))


def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """x where the condition holds, else y.  Elementwise; shapes broadcast.

    Raises:
        DTypeError: the condition is not boolean.
    """
    return _apply(elementwise.select, condition, x, y)


# Derivatives ----------------------------------------------------------------------------------------------------


def stop_gradient(x: TensorLike) -> Tensor:
    """x, taken as a constant by every derivative.  Elementwise."""
    return _apply(elementwise.stop_gradient, x)
