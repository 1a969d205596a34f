"""The public functions on tensors, under NumPy's names.

Each takes tensors, NumPy arrays, lists or numbers, brings them to one type and shape (gradloom/semantics.py) and
applies primitives (gradloom/ops).
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gradloom import semantics
from gradloom.einsum import contract_by_letters
from gradloom.errors import OptionError, ShapeError
from gradloom.ir.graph import Node, Op, constant, fill
from gradloom.ir.tensortype import DEFAULT_FLOAT, DEFAULT_INT, TensorType, as_dtype
from gradloom.ops import core, elementwise, index, linalg, movement
from gradloom.ops import reduce as reductions
from gradloom.semantics import Axis, normal_axes, normal_axis, to_float, to_node
from gradloom.tensor import Tensor, tensor, unwrap

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "broadcast_to",
    "cast",
    "ceil",
    "cholesky",
    "clip",
    "concatenate",
    "cos",
    "cosh",
    "cumsum",
    "divide",
    "dot",
    "einsum",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "eye",
    "flip",
    "floor",
    "floor_divide",
    "full",
    "greater",
    "greater_equal",
    "isfinite",
    "isnan",
    "less",
    "less_equal",
    "linspace",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "negative",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "power",
    "prod",
    "relu",
    "remainder",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "scatter_add",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "solve",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "subtract",
    "sum",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "top_k",
    "transpose",
    "triangular_solve",
    "tril",
    "var",
    "where",
    "zeros",
    "zeros_like",
]

TensorLike = Any


def _node(value: TensorLike, who: str) -> Node:
    return to_node(unwrap(value), who)


# Making tensors -------------------------------------------------------------------------------------------------


def full(shape: int | Sequence[int], value: bool | int | float, dtype: Any = None) -> Tensor:
    """A tensor with one value everywhere; takes no memory until it is written."""
    sizes = semantics.normal_shape("full", shape)
    kind = to_node(value, "full").dtype if dtype is None else as_dtype(dtype, "full")
    return Tensor(fill(TensorType(sizes, kind), value))


def zeros(shape: int | Sequence[int], dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """Zeros, float32 unless said otherwise."""
    return full(shape, 0, dtype)


def ones(shape: int | Sequence[int], dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """Ones, float32 unless said otherwise."""
    return full(shape, 1, dtype)


def zeros_like(x: TensorLike, dtype: Any = None) -> Tensor:
    """Zeros in the shape (and data type) of ``x``."""
    like = _node(x, "zeros_like")
    return full(like.shape, 0, dtype or like.dtype)


def ones_like(x: TensorLike, dtype: Any = None) -> Tensor:
    """Ones in the shape (and data type) of ``x``."""
    like = _node(x, "ones_like")
    return full(like.shape, 1, dtype or like.dtype)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """Numbers from ``start`` (0 if only one bound is given) to before ``stop`` in steps."""
    first, last = (0, start) if stop is None else (start, stop)
    numbers = np.arange(first, last, step)
    default = DEFAULT_FLOAT if numbers.dtype.kind == "f" else DEFAULT_INT
    return tensor(numbers, default if dtype is None else dtype)


def linspace(start: float, stop: float, num: int = 50, dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """``num`` numbers at equal distances from ``start`` to ``stop``, both included."""
    return tensor(np.linspace(start, stop, num), dtype)


def eye(n: int, m: int | None = None, dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """The identity matrix."""
    return tensor(np.eye(n, m), dtype)


def cast(x: TensorLike, dtype: Any) -> Tensor:
    """``x`` in another data type; floats are cut towards zero on the way to integers."""
    return Tensor(semantics.cast(_node(x, "cast"), dtype))


# Elementwise ----------------------------------------------------------------------------------------------------


def _function(name: str, op: Op, summary: str, *, floats: bool) -> Callable[..., Tensor]:
    """The public function of an elementwise primitive; with ``floats`` integers become float32 first."""
    convert = semantics.apply_float if floats else semantics.apply

    def function(*values: TensorLike) -> Tensor:
        return Tensor(convert(op, *(unwrap(v) for v in values)))

    def unary(x: TensorLike, /) -> Tensor:
        return function(x)

    def binary(x: TensorLike, y: TensorLike, /) -> Tensor:
        return function(x, y)

    chosen = binary if op.name in _BINARY else unary
    chosen.__name__ = chosen.__qualname__ = name
    chosen.__doc__ = f"{summary}  Elementwise; shapes broadcast." if op.name in _BINARY else f"{summary}  Elementwise."
    return chosen


_BINARY = {
    *("add", "sub", "mul", "div", "floor_divide", "remainder", "maximum", "minimum", "atan2"),
    *("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "shift_left", "shift_right"),
}

add = _function("add", core.add, "x + y.", floats=False)
subtract = _function("subtract", elementwise.sub, "x - y.", floats=False)
multiply = _function("multiply", elementwise.mul, "x · y.", floats=False)
divide = _function("divide", elementwise.div, "x / y; integers are divided as floats.", floats=True)
floor_divide = _function("floor_divide", elementwise.floor_divide, "⌊x / y⌋.", floats=False)
remainder = _function("remainder", elementwise.remainder, "x - y⌊x / y⌋.", floats=False)
maximum = _function("maximum", elementwise.maximum, "The larger of x and y.", floats=False)
minimum = _function("minimum", elementwise.minimum, "The smaller of x and y.", floats=False)
negative = _function("negative", elementwise.neg, "-x.", floats=False)
abs = _function("abs", elementwise.abs, "|x|; derivative 0 at 0.", floats=False)
sign = _function("sign", elementwise.sign, "-1, 0 or 1.", floats=False)
floor = _function("floor", elementwise.floor, "The largest whole number not above x.", floats=True)
ceil = _function("ceil", elementwise.ceil, "The smallest whole number not below x.", floats=True)
round = _function("round", elementwise.round, "The nearest whole number, halves to even.", floats=True)
exp = _function("exp", elementwise.exp, "e^x.", floats=True)
expm1 = _function("expm1", elementwise.expm1, "e^x - 1, exact near 0.", floats=True)
log = _function("log", elementwise.log, "Natural logarithm.", floats=True)
log1p = _function("log1p", elementwise.log1p, "log(1 + x), exact near 0.", floats=True)
sqrt = _function("sqrt", elementwise.sqrt, "√x.", floats=True)
rsqrt = _function("rsqrt", elementwise.rsqrt, "1/√x.", floats=True)
sin = _function("sin", elementwise.sin, "Sine of radians.", floats=True)
cos = _function("cos", elementwise.cos, "Cosine of radians.", floats=True)
tan = _function("tan", elementwise.tan, "Tangent of radians.", floats=True)
asin = _function("asin", elementwise.asin, "Inverse sine.", floats=True)
acos = _function("acos", elementwise.acos, "Inverse cosine.", floats=True)
atan = _function("atan", elementwise.atan, "Inverse tangent.", floats=True)
atan2 = _function("atan2", elementwise.atan2, "The angle of the point (y, x).", floats=True)
sinh = _function("sinh", elementwise.sinh, "(e^x - e^-x)/2.", floats=True)
cosh = _function("cosh", elementwise.cosh, "(e^x + e^-x)/2.", floats=True)
tanh = _function("tanh", elementwise.tanh, "Hyperbolic tangent, in (-1, 1).", floats=True)
asinh = _function("asinh", elementwise.asinh, "Inverse of sinh.", floats=True)
acosh = _function("acosh", elementwise.acosh, "Inverse of cosh, for x ≥ 1.", floats=True)
atanh = _function("atanh", elementwise.atanh, "Inverse of tanh, for |x| ≤ 1.", floats=True)
erf = _function("erf", elementwise.erf, "The error function.", floats=True)
sigmoid = _function("sigmoid", elementwise.sigmoid, "1/(1 + e^-x).", floats=True)
softplus = _function("softplus", elementwise.softplus, "log(1 + e^x).", floats=True)
equal = _function("equal", elementwise.eq, "x = y.", floats=False)
not_equal = _function("not_equal", elementwise.ne, "x ≠ y.", floats=False)
less = _function("less", elementwise.lt, "x < y.", floats=False)
less_equal = _function("less_equal", elementwise.le, "x ≤ y.", floats=False)
greater = _function("greater", elementwise.gt, "x > y.", floats=False)
greater_equal = _function("greater_equal", elementwise.ge, "x ≥ y.", floats=False)
logical_and = _function("logical_and", elementwise.logical_and, "x and y (bit by bit for integers).", floats=False)
logical_or = _function("logical_or", elementwise.logical_or, "x or y (bit by bit for integers).", floats=False)
logical_xor = _function("logical_xor", elementwise.logical_xor, "Either x or y.", floats=False)
logical_not = _function("logical_not", elementwise.logical_not, "Not x.", floats=False)
isfinite = _function("isfinite", elementwise.is_finite, "Whether x is neither NaN nor infinite.", floats=True)
stop_gradient = _function(
    "stop_gradient", elementwise.stop_gradient, "x, taken as a constant by every derivative.", floats=False
)


def isnan(x: TensorLike) -> Tensor:
    """Whether x is NaN.  Elementwise."""
    node = to_float(_node(x, "isnan"))
    return Tensor(elementwise.ne(node, node))


def power(x: TensorLike, y: TensorLike) -> Tensor:
    """x^y; small whole exponents written as Python ints become products, others are computed in floats."""
    return Tensor(semantics.power(unwrap(x), unwrap(y)))


def square(x: TensorLike) -> Tensor:
    """x².  Elementwise."""
    return Tensor(elementwise.square(_node(x, "square")))


def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """x where the condition holds, else y.  Elementwise; shapes broadcast.

    Raises:
        DTypeError: the condition is not boolean.
    """
    chosen = _node(condition, "where")
    a, b = semantics.promoted("where", (unwrap(x), unwrap(y)))
    shape = semantics.broadcast_shapes("where", [v.tensor_type for v in (chosen, a, b)])
    return Tensor(elementwise.select(*(semantics.broadcast_to(v, shape, "where") for v in (chosen, a, b))))


def clip(x: TensorLike, low: TensorLike | None = None, high: TensorLike | None = None) -> Tensor:
    """x, but not below ``low`` nor above ``high`` (None for no bound).  Elementwise."""
    found = Tensor(_node(x, "clip"))
    found = found if low is None else maximum(found, low)
    return found if high is None else minimum(found, high)


def relu(x: TensorLike) -> Tensor:
    """max(x, 0).  Elementwise; the derivative at 0 is 0."""
    node = to_float(_node(x, "relu"))
    zero = fill(node.tensor_type, 0)
    return Tensor(elementwise.select(elementwise.gt(node, zero), node, zero))


# Reductions -----------------------------------------------------------------------------------------------------


def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Σ x along axes (all by default); booleans are counted."""
    return Tensor(semantics.sum(_node(x, "sum"), axis, keepdims))


def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean along axes (all by default)."""
    return Tensor(semantics.mean(_node(x, "mean"), axis, keepdims))


def var(x: TensorLike, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The variance Σ(x - mean)²/(n - ddof) along axes (all by default)."""
    node = to_float(_node(x, "var"))
    axes = normal_axes("var", node, axis)
    count = math.prod(node.shape[a] for a in axes)
    if count - ddof <= 0:
        raise ShapeError("var", rule="more elements than ddof are needed", got=f"{count} elements, ddof {ddof}")
    centred = Tensor(node) - mean(Tensor(node), axes, keepdims=True)
    return sum(centred * centred, axes, keepdims) * (1 / (count - ddof))


def std(x: TensorLike, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The square root of the variance."""
    return sqrt(var(x, axis, keepdims, ddof))


def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Π x along axes (all by default)."""
    return Tensor(semantics.reduce(reductions.reduce_prod, _node(x, "prod"), axis, keepdims))


def max(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element along axes; ties share the derivative."""
    return Tensor(semantics.reduce(reductions.reduce_max, _node(x, "max"), axis, keepdims))


def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element along axes; ties share the derivative."""
    return Tensor(semantics.reduce(reductions.reduce_min, _node(x, "min"), axis, keepdims))


def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether at least one element holds (is not 0)."""
    return Tensor(semantics.reduce(reductions.reduce_any, semantics.cast(_node(x, "any"), "bool"), axis, keepdims))


def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements hold (are not 0)."""
    return Tensor(semantics.reduce(reductions.reduce_all, semantics.cast(_node(x, "all"), "bool"), axis, keepdims))


def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log Σ e^x along axes, without overflow."""
    return Tensor(semantics.reduce(reductions.logsumexp, to_float(_node(x, "logsumexp")), axis, keepdims))


def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """e^x / Σ e^x along an axis, without overflow."""
    return exp(log_softmax(x, axis))


def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """x - log Σ e^x along an axis."""
    scores = Tensor(to_float(_node(x, "log_softmax")))
    # Taking the peak off first keeps small results exact beside large scores; it has no part in the derivative.
    shifted = scores - stop_gradient(max(scores, axis, keepdims=True))
    return shifted - logsumexp(shifted, axis, keepdims=True)


def _flat_position(op: Op, who: str, x: TensorLike, axis: int | None) -> Tensor:
    node = _node(x, who)
    if axis is None:
        node, axis = semantics.reshape(node, (-1,)), 0
    return Tensor(op(node, axis=normal_axis(who, node, axis)))


def argmax(x: TensorLike, axis: int | None = None) -> Tensor:
    """The position of the largest element along an axis (of the flattened tensor by default)."""
    return _flat_position(reductions.argmax, "argmax", x, axis)


def argmin(x: TensorLike, axis: int | None = None) -> Tensor:
    """The position of the smallest element along an axis (of the flattened tensor by default)."""
    return _flat_position(reductions.argmin, "argmin", x, axis)


def cumsum(x: TensorLike, axis: int = -1, reverse: bool = False) -> Tensor:
    """Running sums along an axis, from its end when ``reverse``."""
    node = _node(x, "cumsum")
    return Tensor(reductions.cumsum(node, axis=normal_axis("cumsum", node, axis), reverse=reverse))


# Shapes ---------------------------------------------------------------------------------------------------------


def reshape(x: TensorLike, shape: Sequence[int]) -> Tensor:
    """The same elements, last axis fastest, in another shape; one size may be -1."""
    return Tensor(semantics.reshape(_node(x, "reshape"), shape))


def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order; reversed by default."""
    return Tensor(semantics.transpose(_node(x, "transpose"), axes))


def moveaxis(x: TensorLike, source: int, destination: int) -> Tensor:
    """One axis moved to another place."""
    node = _node(x, "moveaxis")
    a, b = normal_axis("moveaxis", node, source), normal_axis("moveaxis", node, destination)
    order = [i for i in range(len(node.shape)) if i != a]
    order.insert(b, a)
    return Tensor(semantics.transpose(node, order))


def expand_dims(x: TensorLike, axis: int) -> Tensor:
    """A new axis of size 1 at ``axis`` of the result."""
    return stack([x], axis)


def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Axes of size 1 taken out (all of them by default).

    Raises:
        ShapeError: a named axis is longer.
    """
    node = _node(x, "squeeze")
    axes = normal_axes("squeeze", node, axis) if axis is not None else [i for i, n in enumerate(node.shape) if n == 1]
    if builtins.any(node.shape[a] != 1 for a in axes):
        raise ShapeError("squeeze", rule="only axes of size 1 can be taken out", got=f"axes {axes} of {node.type}")
    return Tensor(semantics.reshape(node, [n for i, n in enumerate(node.shape) if i not in axes]))


def broadcast_to(x: TensorLike, shape: Sequence[int]) -> Tensor:
    """x repeated to ``shape``, new axes in front."""
    return Tensor(semantics.broadcast_to(_node(x, "broadcast_to"), tuple(shape)))


def pad(x: TensorLike, widths: Sequence[tuple[int, int]] | int, value: float = 0.0) -> Tensor:
    """x with ``value`` put around it: (before, after) for each axis, or one number for all sides."""
    node = _node(x, "pad")
    pairs = [(widths, widths)] * len(node.shape) if isinstance(widths, int) else list(widths)
    low, high = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
    return Tensor(movement.pad(node, value=value, low=low, high=high, interior=(0,) * len(node.shape)))


def flip(x: TensorLike, axis: Axis = None) -> Tensor:
    """The elements in reverse order along axes (all by default)."""
    node = _node(x, "flip")
    return Tensor(movement.flip(node, axes=normal_axes("flip", node, axis)))


def roll(x: TensorLike, shift: int, axis: int = -1) -> Tensor:
    """The elements moved ``shift`` places along an axis; what leaves at one end enters at the other."""
    node = _node(x, "roll")
    at = normal_axis("roll", node, axis)
    size = node.shape[at]
    cut = (size - shift) % size if size else 0
    if cut == 0:
        return Tensor(node)
    return Tensor(movement.concatenate(movement.part(node, at, cut, size), movement.part(node, at, 0, cut), axis=at))


def concatenate(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Tensors one after the other along an axis.

    Raises:
        ShapeError: no tensors, or their other axes differ.
    """
    if not tensors:
        raise ShapeError("concatenate", rule="at least one tensor is needed", got="none")
    nodes = semantics.promoted("concatenate", [unwrap(t) for t in tensors])
    return Tensor(movement.concatenate(*nodes, axis=normal_axis("concatenate", nodes[0], axis)))


def stack(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    if not tensors:
        raise ShapeError("stack", rule="at least one tensor is needed", got="none")
    return Tensor(semantics.stack([unwrap(t) for t in tensors], axis))


def split(x: TensorLike, parts: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """x cut along an axis into ``parts`` equal pieces, or at the positions given.

    Raises:
        ShapeError: the axis cannot be cut into so many equal pieces.
    """
    node = _node(x, "split")
    at = normal_axis("split", node, axis)
    size = node.shape[at]
    if isinstance(parts, int):
        if parts < 1 or size % parts:
            raise ShapeError("split", rule="the number of pieces must divide the axis", got=f"{parts} pieces of {size}")
        cuts = [i * (size // parts) for i in range(1, parts)]
    else:
        cuts = [int(c) for c in parts]
    bounds = [0, *cuts, size]
    return [Tensor(movement.part(node, at, a, b)) for a, b in pairwise(bounds)]


# Products -------------------------------------------------------------------------------------------------------


def matmul(x: TensorLike, y: TensorLike) -> Tensor:
    """The matrix product; leading axes broadcast."""
    return Tensor(semantics.matmul(unwrap(x), unwrap(y)))


def dot(x: TensorLike, y: TensorLike) -> Tensor:
    """The product of scalars, the inner product of vectors, the matrix product otherwise (two axes at most).

    Raises:
        ShapeError: an operand has more than two axes.
    """
    a, b = _node(x, "dot"), _node(y, "dot")
    if builtins.max(len(a.shape), len(b.shape)) > 2:
        raise ShapeError(
            "dot",
            rule="operands have at most two axes",
            got=f"{a.type} and {b.type}",
            fix="Use gl.matmul or gl.einsum.",
        )
    return Tensor(semantics.apply(elementwise.mul, a, b) if not (a.shape and b.shape) else semantics.matmul(a, b))


def outer(x: TensorLike, y: TensorLike) -> Tensor:
    """x_i · y_j for two vectors."""
    return einsum("i,j->ij", x, y)


def einsum(spec: str, *tensors: TensorLike) -> Tensor:
    """Einstein's sum: ``einsum("ij,jk->ik", a, b)``.  See gradloom/einsum.py."""
    nodes = semantics.promoted("einsum", [unwrap(t) for t in tensors])
    return Tensor(contract_by_letters(spec, nodes))


# Reading at positions -------------------------------------------------------------------------------------------


def take(x: TensorLike, indices: TensorLike, axis: int = 0, mode: str = "raise") -> Tensor:
    """The slices of x at ``indices`` along an axis.

    Args:
        x: the tensor.
        indices: integers of any shape; with ``mode="raise"`` from -size to size - 1.
        axis: the axis, which becomes the axes of ``indices``.
        mode: "raise" refuses positions outside the axis, "clip" takes the nearest end.
    """
    node = _node(x, "take")
    at = normal_axis("take", node, axis)
    return Tensor(index.take(node, _positions("take", indices, node.shape[at], mode), axis=at))


def _positions(who: str, indices: TensorLike, size: int, mode: str = "raise") -> Node:
    """Positions counted from the front."""
    places = _node(indices, who)
    if mode == "clip":
        return clip(cast(Tensor(places), "int64"), 0, size - 1).node
    if mode != "raise":
        raise OptionError(who, rule="mode is 'raise' or 'clip'", got=repr(mode))
    if places.dtype.kind == "u":
        return places
    return where(Tensor(places) < 0, Tensor(places) + size, Tensor(places)).node


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int = -1) -> Tensor:
    """For each place of ``indices`` the element of x at that position along the axis; shapes agree elsewhere."""
    node = _node(x, "take_along_axis")
    at = normal_axis("take_along_axis", node, axis)
    return Tensor(index.take_along(node, _positions("take_along_axis", indices, node.shape[at]), axis=at))


def scatter_add(x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int = 0) -> Tensor:
    """x with ``updates`` added to its slices at ``indices`` along an axis; equal positions add up."""
    node = _node(x, "scatter_add")
    at = normal_axis("scatter_add", node, axis)
    change = semantics.cast(_node(updates, "scatter_add"), node.dtype)
    return Tensor(index.scatter_add(node, _positions("scatter_add", indices, node.shape[at]), change, axis=at))


def one_hot(indices: TensorLike, classes: int, dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """1 at the position given by each index, 0 elsewhere, along a new last axis of size ``classes``."""
    places = cast(expand_dims(indices, -1), "int64")
    return cast(places == arange(classes), dtype)


def sort(x: TensorLike, axis: int = -1) -> Tensor:
    """The elements along an axis, smallest first."""
    node = _node(x, "sort")
    return Tensor(index.sort(node, axis=normal_axis("sort", node, axis)))


def argsort(x: TensorLike, axis: int = -1) -> Tensor:
    """The positions that sort x along an axis; equal elements keep their order."""
    node = _node(x, "argsort")
    return Tensor(index.argsort(node, axis=normal_axis("argsort", node, axis)))


def top_k(x: TensorLike, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    """The k largest elements along an axis, largest first, and their positions."""
    node = _node(x, "top_k")
    at = normal_axis("top_k", node, axis)
    places = index.arg_top_k(node, k=k, axis=at)
    return Tensor(index.take_along(node, places, axis=at)), Tensor(places)


# Linear algebra -------------------------------------------------------------------------------------------------


def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """X in A X = B, for matrices (..., n, n) and right-hand sides (..., n, k) or a vector (n,)."""
    matrix, right = semantics.promoted("solve", (unwrap(a), unwrap(b)))
    if len(right.shape) == 1:
        column = core.reshape(right, shape=(*right.shape, 1))
        return Tensor(
            core.reshape(linalg.solve(to_float(matrix), to_float(column), transposed=False), shape=right.shape)
        )
    return Tensor(linalg.solve(to_float(matrix), to_float(right), transposed=False))


def cholesky(a: TensorLike) -> Tensor:
    """The lower triangular L with L Lᵀ = A; NaN where A is not positive definite."""
    return Tensor(linalg.cholesky(to_float(_node(a, "cholesky"))))


def triangular_solve(a: TensorLike, b: TensorLike, *, lower: bool = True, transposed: bool = False) -> Tensor:
    """X in A X = B (or Aᵀ X = B) for a triangular A (..., n, n) and B (..., n, k)."""
    matrix, right = semantics.promoted("triangular_solve", (unwrap(a), unwrap(b)))
    return Tensor(linalg.triangular_solve(to_float(matrix), to_float(right), lower=lower, transposed=transposed))


def tril(x: TensorLike) -> Tensor:
    """The last two axes with zeros above the diagonal."""
    node = _node(x, "tril")
    mask = constant(np.tril(np.ones(node.shape[-2:], bool)))
    return where(Tensor(mask), Tensor(node), 0)
