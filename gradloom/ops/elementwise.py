"""Elementwise primitives.  Operands have one shape; broadcasting is a primitive of its own (ops/core.py).

The derivative of a function of one variable is written as a rule ``(t, out, x)``: the tangent of the result from
the tangent ``t`` of the operand, the result and the operand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradloom.errors import DTypeError, ShapeError
from gradloom.ir.graph import Domain, Node, Op, fill
from gradloom.ir.tensortype import TensorType
from gradloom.ops.core import add, batch_all, linear_in_first, per_operand, transpose_first
from gradloom.ops.rules import ANYTHING, NUMBERS, check_kind, check_same

Rule = Callable[..., Node]


def constant_like(x: Node, value: float) -> Node:
    """A constant of the type of ``x``."""
    return fill(x.tensor_type, value)


def scale(x: Node, factor: float) -> Node:
    """x times a number."""
    return mul(x, constant_like(x, factor))


def square(x: Node) -> Node:
    """x²."""
    return mul(x, x)


def _same_type(name: str, kinds: str, result: str | None = None) -> Callable[..., TensorType]:
    """The type rule of elementwise operations: operands of one type, of one of these kinds."""

    def type_rule(*types: TensorType) -> TensorType:
        check_kind(name, types[0], kinds)
        check_same(name, types)
        return types[0].with_dtype(result) if result else types[0]

    return type_rule


def _elementwise(
    name: str,
    compute: Callable[..., Any],
    *rules: Rule | None,
    kinds: str = "f",
    result: str | None = None,
    domains: tuple[Domain, ...] = (Domain(),),
    transpose: Any = None,
    moves: bool = False,
) -> Op:
    """Declare an elementwise primitive; ``rules`` are the derivatives by each operand."""
    return Op(
        name,
        _same_type(name, kinds, result),
        compute,
        derivative=per_operand(*rules) if rules else None,
        transpose=transpose,
        batch=batch_all,
        domains=domains,
        moves=moves,
    )


def _typed(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """A NumPy function made to keep the data type of its first operand."""
    return lambda x, *rest: np.asarray(function(x, *rest)).astype(x.dtype, copy=False)


# Arithmetic ---------------------------------------------------------------------------------------------------

neg = _elementwise(
    "neg",
    np.negative,
    lambda t, out, x: neg(t),
    kinds=NUMBERS,
    transpose=transpose_first(lambda ct, node: neg(ct)),
)
"""-x."""

sub = _elementwise(
    "sub",
    np.subtract,
    lambda t, out, x, y: t,
    lambda t, out, x, y: neg(t),
    kinds=NUMBERS,
    transpose=lambda ct, node, linear: (ct if linear[0] else None, neg(ct) if linear[1] else None),
)
"""x - y."""


def _mul_transpose(ct: Node, node: Node, linear: Any) -> tuple[Node | None, Node | None]:
    x, y = node.inputs
    return (mul(ct, y) if linear[0] else None, mul(x, ct) if linear[1] else None)


mul = _elementwise(
    "mul",
    np.multiply,
    lambda t, out, x, y: mul(t, y),
    lambda t, out, x, y: mul(x, t),
    kinds=NUMBERS,
    transpose=_mul_transpose,
)
"""x · y."""

div = _elementwise(
    "div",
    np.divide,
    lambda t, out, x, y: div(t, y),
    lambda t, out, x, y: neg(div(mul(t, out), y)),
    domains=(Domain(), Domain(0.5, 2.0)),
    transpose=lambda ct, node, linear: (div(ct, node.inputs[1]), None),
)
"""x / y of floats."""


def _guarded(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """An integer division that gives 0 where the divisor is 0 (NumPy warns and gives 0)."""

    def compute(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(function(x, y)).astype(x.dtype, copy=False)

    return compute


floor_divide = _elementwise(
    "floor_divide", _guarded(np.floor_divide), kinds=NUMBERS, domains=(Domain(), Domain(0.5, 2.0))
)
"""⌊x / y⌋; 0 for an integer divided by 0."""

remainder = _elementwise(
    "remainder",
    _guarded(np.remainder),
    lambda t, out, x, y: t,
    lambda t, out, x, y: neg(mul(t, floor_divide(x, y))),
    kinds=NUMBERS,
    domains=(Domain(0.1, 0.4), Domain(0.5, 2.0)),
)
"""x - y ⌊x / y⌋, which has the sign of y."""

power = _elementwise(
    "power",
    np.power,
    lambda t, out, x, y: mul(t, mul(y, power(x, _one_less(y, x)))),
    lambda t, out, x, y: mul(t, mul(out, _log_or_zero(x))),
    domains=(Domain(0.3, 2.0), Domain()),
)
"""x^y of floats.  The derivative by x of x^0 is 0 at x = 0 too; the derivative by y takes 0^y · log 0 as 0."""


def _one_less(y: Node, x: Node) -> Node:
    """y - 1, but 1 where x and y are 0, so that y x^(y-1) is 0 · 0 there and not 0 · ∞."""
    both_zero = logical_and(eq(x, constant_like(x, 0)), eq(y, constant_like(y, 0)))
    return select(both_zero, constant_like(y, 1), sub(y, constant_like(y, 1)))


def _log_or_zero(x: Node) -> Node:
    positive = gt(x, constant_like(x, 0))
    return select(positive, log(select(positive, x, constant_like(x, 1))), constant_like(x, 0))


def _share(wins: Op) -> Rule:
    """Tangent of the larger or smaller of two: to the winner, and half to each where they tie."""

    def rule(t: Node, out: Node, mine: Node, other: Node) -> Node:
        tie = select(eq(mine, other), constant_like(t, 0.5), constant_like(t, 0))
        return mul(t, select(wins(mine, other), constant_like(t, 1), tie))

    return rule


maximum = _elementwise(
    "maximum",
    np.maximum,
    lambda t, out, x, y: _share(gt)(t, out, x, y),
    lambda t, out, x, y: _share(gt)(t, out, y, x),
    kinds=NUMBERS,
)
"""The larger of x and y; where they tie each gets half of the derivative.  NaN if either is NaN."""

minimum = _elementwise(
    "minimum",
    np.minimum,
    lambda t, out, x, y: _share(lt)(t, out, x, y),
    lambda t, out, x, y: _share(lt)(t, out, y, x),
    kinds=NUMBERS,
)
"""The smaller of x and y; where they tie each gets half of the derivative.  NaN if either is NaN."""

abs = _elementwise("abs", np.abs, lambda t, out, x: mul(t, sign(x)), kinds=NUMBERS, domains=(Domain(away=(0.0,)),))
"""|x|; its derivative at 0 is taken as 0."""

sign = _elementwise("sign", np.sign, kinds=NUMBERS, domains=(Domain(away=(0.0,)),))
"""-1, 0 or 1."""

floor = _elementwise("floor", np.floor, domains=(Domain(0.1, 0.9),))
"""The largest whole number not above x."""

ceil = _elementwise("ceil", np.ceil, domains=(Domain(0.1, 0.9),))
"""The smallest whole number not below x."""

round = _elementwise("round", np.round, domains=(Domain(0.6, 1.4),))
"""The nearest whole number, halves to even."""

# Exponentials and logarithms ----------------------------------------------------------------------------------

exp = _elementwise("exp", np.exp, lambda t, out, x: mul(t, out))
"""e^x."""

expm1 = _elementwise("expm1", np.expm1, lambda t, out, x: mul(t, exp(x)))
"""e^x - 1, exact for small x."""

log = _elementwise("log", np.log, lambda t, out, x: div(t, x), domains=(Domain(0.3, 3.0),))
"""Natural logarithm; -inf at 0, NaN below."""

log1p = _elementwise(
    "log1p",
    np.log1p,
    lambda t, out, x: div(t, add(x, constant_like(x, 1))),
    domains=(Domain(-0.7, 2.0),),
)
"""log(1 + x), exact for small x."""

sqrt = _elementwise("sqrt", np.sqrt, lambda t, out, x: div(scale(t, 0.5), out), domains=(Domain(0.3, 3.0),))
"""√x."""

rsqrt = _elementwise(
    "rsqrt",
    _typed(lambda x: 1 / np.sqrt(x)),
    lambda t, out, x: scale(mul(t, div(out, x)), -0.5),
    domains=(Domain(0.3, 3.0),),
)
"""1 / √x."""

# Trigonometry -------------------------------------------------------------------------------------------------

_INSIDE = (Domain(-0.9, 0.9),)


def _one_minus_square(x: Node) -> Node:
    return sub(constant_like(x, 1), square(x))


def _one_plus_square(x: Node) -> Node:
    return add(constant_like(x, 1), square(x))


sin = _elementwise("sin", np.sin, lambda t, out, x: mul(t, cos(x)))
"""Sine of x in radians."""

cos = _elementwise("cos", np.cos, lambda t, out, x: neg(mul(t, sin(x))))
"""Cosine of x in radians."""

tan = _elementwise("tan", np.tan, lambda t, out, x: mul(t, _one_plus_square(out)), domains=(Domain(-1.2, 1.2),))
"""Tangent of x in radians."""

asin = _elementwise("asin", np.arcsin, lambda t, out, x: div(t, sqrt(_one_minus_square(x))), domains=_INSIDE)
"""Inverse sine, in [-π/2, π/2]."""

acos = _elementwise("acos", np.arccos, lambda t, out, x: neg(div(t, sqrt(_one_minus_square(x)))), domains=_INSIDE)
"""Inverse cosine, in [0, π]."""

atan = _elementwise("atan", np.arctan, lambda t, out, x: div(t, _one_plus_square(x)))
"""Inverse tangent, in [-π/2, π/2]."""


def _squared_radius(x: Node, y: Node) -> Node:
    return add(square(x), square(y))


atan2 = _elementwise(
    "atan2",
    np.arctan2,
    lambda t, out, y, x: div(mul(t, x), _squared_radius(x, y)),
    lambda t, out, y, x: neg(div(mul(t, y), _squared_radius(x, y))),
    domains=(Domain(0.5, 2.0), Domain(0.5, 2.0)),
)
"""The angle of the point (x, y), operands in the order (y, x); in [-π, π]."""

sinh = _elementwise("sinh", np.sinh, lambda t, out, x: mul(t, cosh(x)))
"""(e^x - e^-x) / 2."""

cosh = _elementwise("cosh", np.cosh, lambda t, out, x: mul(t, sinh(x)))
"""(e^x + e^-x) / 2."""

tanh = _elementwise("tanh", np.tanh, lambda t, out, x: mul(t, _one_minus_square(out)))
"""(e^x - e^-x) / (e^x + e^-x); derivative 1 - tanh²."""

asinh = _elementwise("asinh", np.arcsinh, lambda t, out, x: div(t, sqrt(_one_plus_square(x))))
"""Inverse of sinh."""

acosh = _elementwise(
    "acosh",
    np.arccosh,
    lambda t, out, x: div(t, sqrt(sub(square(x), constant_like(x, 1)))),
    domains=(Domain(1.3, 3.0),),
)
"""Inverse of cosh, for x ≥ 1."""

atanh = _elementwise("atanh", np.arctanh, lambda t, out, x: div(t, _one_minus_square(x)), domains=_INSIDE)
"""Inverse of tanh, for |x| ≤ 1."""

# Functions of neural networks and statistics -------------------------------------------------------------------


def _stable_sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1, small) / (1 + small)


sigmoid = _elementwise(
    "sigmoid",
    _typed(_stable_sigmoid),
    lambda t, out, x: mul(t, mul(out, sub(constant_like(out, 1), out))),
)
"""1 / (1 + e^-x); derivative σ(x)(1 - σ(x))."""

softplus = _elementwise(
    "softplus",
    _typed(lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))),
    lambda t, out, x: mul(t, sigmoid(x)),
)
"""log(1 + e^x) without overflow; derivative sigmoid."""

_erf = np.frompyfunc(math.erf, 1, 1)
erf = _elementwise(
    "erf",
    _typed(_erf),
    lambda t, out, x: mul(t, scale(exp(neg(square(x))), 2 / math.sqrt(math.pi))),
)
"""The error function 2/√π ∫₀ˣ e^(-u²) du."""

# Comparison, logic, selection -----------------------------------------------------------------------------------

eq = _elementwise("eq", np.equal, kinds=ANYTHING, result="bool")
"""x = y."""
ne = _elementwise("ne", np.not_equal, kinds=ANYTHING, result="bool")
"""x ≠ y."""
lt = _elementwise("lt", np.less, kinds=NUMBERS, result="bool")
"""x < y."""
le = _elementwise("le", np.less_equal, kinds=NUMBERS, result="bool")
"""x ≤ y."""
gt = _elementwise("gt", np.greater, kinds=NUMBERS, result="bool")
"""x > y."""
ge = _elementwise("ge", np.greater_equal, kinds=NUMBERS, result="bool")
"""x ≥ y."""

is_finite = _elementwise("is_finite", np.isfinite, result="bool")
"""Whether x is neither NaN nor infinite."""

logical_and = _elementwise("logical_and", np.bitwise_and, kinds="biu")
"""x and y; of integers bit by bit."""
logical_or = _elementwise("logical_or", np.bitwise_or, kinds="biu")
"""x or y; of integers bit by bit."""
logical_xor = _elementwise("logical_xor", np.bitwise_xor, kinds="biu")
"""Either x or y; of integers bit by bit."""
logical_not = _elementwise("logical_not", np.invert, kinds="biu")
"""Not x; of integers bit by bit."""
shift_right = _elementwise("shift_right", np.right_shift, kinds="iu", domains=(Domain(0, 9), Domain(0, 5)))
"""The bits of x moved y places down."""
shift_left = _elementwise("shift_left", np.left_shift, kinds="iu", domains=(Domain(0, 9), Domain(0, 5)))
"""The bits of x moved y places up."""


def _select_type(condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
    if condition.dtype.kind != "b":
        raise DTypeError(
            "where", rule="the condition must be boolean", got=str(condition), fix="Compare it, as in x > 0."
        )
    if condition.shape != x.shape:
        raise ShapeError("where", rule="operands must have one shape", got=f"{condition} and {x}")
    check_same("where", (x, y))
    return x


def _select_transpose(ct: Node, node: Node, linear: Any) -> tuple[Node | None, ...]:
    condition, none = node.inputs[0], constant_like(ct, 0)
    return (
        None,
        select(condition, ct, none) if linear[1] else None,
        select(condition, none, ct) if linear[2] else None,
    )


select = Op(
    "select",
    _select_type,
    np.where,
    derivative=per_operand(
        None,
        lambda t, out, c, x, y: select(c, t, constant_like(t, 0)),
        lambda t, out, c, x, y: select(c, constant_like(t, 0), t),
    ),
    transpose=_select_transpose,
    batch=batch_all,
    moves=True,
)
"""x where the condition holds, else y."""

# Conversion -----------------------------------------------------------------------------------------------------


def _cast_derivative(out: Node, tangents: Any) -> Node | None:
    both_float = out.tensor_type.is_float and out.inputs[0].tensor_type.is_float
    return linear_in_first(out, tangents) if both_float else None


cast = Op(
    "cast",
    lambda x, dtype: x.with_dtype(dtype),
    lambda x, dtype: x.astype(dtype),
    derivative=_cast_derivative,
    transpose=transpose_first(lambda ct, node: cast(ct, dtype=node.inputs[0].dtype)),
    batch=batch_all,
)
"""x in another data type; floats are cut towards zero on the way to integers."""

stop_gradient = _elementwise("stop_gradient", lambda x: x, kinds=ANYTHING, moves=True)
"""x with a derivative of zero."""
