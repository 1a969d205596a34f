"""Functions that take an axis together: sums, means, extremes and what is made of them."""

from __future__ import annotations

import math

from gradloom import semantics
from gradloom.errors import ShapeError
from gradloom.ir.graph import Op
from gradloom.ir.tensortype import DEFAULT_FLOAT, is_bfloat16
from gradloom.ops import reduce
from gradloom.pointwise import exp, sqrt, stop_gradient
from gradloom.semantics import Axis, normal_axes, normal_axis, to_float
from gradloom.tensor import Tensor, TensorLike, node_of


def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Σ x along axes (all by default); booleans are counted."""
    return Tensor(semantics.sum(node_of(x, "sum"), axis, keepdims))


def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean along axes (all by default)."""
    return Tensor(semantics.mean(node_of(x, "mean"), axis, keepdims))


def var(x: TensorLike, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The variance Σ(x - mean)²/(n - ddof) along axes (all by default)."""
    node = to_float(node_of(x, "var"))
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
    return Tensor(semantics.reduce(reduce.reduce_prod, node_of(x, "prod"), axis, keepdims))


def max(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element along axes; ties share the derivative."""
    return Tensor(semantics.reduce(reduce.reduce_max, node_of(x, "max"), axis, keepdims))


def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element along axes; ties share the derivative."""
    return Tensor(semantics.reduce(reduce.reduce_min, node_of(x, "min"), axis, keepdims))


def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether at least one element holds (is not 0)."""
    return Tensor(semantics.reduce(reduce.reduce_any, semantics.cast(node_of(x, "any"), "bool"), axis, keepdims))


def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements hold (are not 0)."""
    return Tensor(semantics.reduce(reduce.reduce_all, semantics.cast(node_of(x, "all"), "bool"), axis, keepdims))


def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log Σ e^x along axes, without overflow."""
    return Tensor(semantics.reduce(reduce.logsumexp, to_float(node_of(x, "logsumexp")), axis, keepdims))


def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """e^x / Σ e^x along an axis, without overflow; of bfloat16 in float32, rounded once."""
    given = node_of(x, "softmax")
    if is_bfloat16(given.dtype):
        return softmax(Tensor(given).astype(DEFAULT_FLOAT), axis).astype(given.dtype)
    return exp(log_softmax(x, axis))


def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """x - log Σ e^x along an axis; of bfloat16 in float32, rounded once."""
    scores = Tensor(to_float(node_of(x, "log_softmax")))
    if is_bfloat16(scores.dtype):
        return log_softmax(scores.astype(DEFAULT_FLOAT), axis).astype(scores.dtype)
    # Taking the peak off first keeps small results exact beside large scores; it has no part in the derivative.
    shifted = scores - stop_gradient(max(scores, axis, keepdims=True))
    return shifted - logsumexp(shifted, axis, keepdims=True)


def _flat_position(op: Op, who: str, x: TensorLike, axis: int | None) -> Tensor:
    node = node_of(x, who)
    if axis is None:
        node, axis = semantics.reshape(node, (-1,)), 0
    return Tensor(op(node, axis=normal_axis(who, node, axis)))


def argmax(x: TensorLike, axis: int | None = None) -> Tensor:
    """The position of the largest element along an axis (of the flattened tensor by default)."""
    return _flat_position(reduce.argmax, "argmax", x, axis)


def argmin(x: TensorLike, axis: int | None = None) -> Tensor:
    """The position of the smallest element along an axis (of the flattened tensor by default)."""
    return _flat_position(reduce.argmin, "argmin", x, axis)


def cumsum(x: TensorLike, axis: int = -1, reverse: bool = False) -> Tensor:
    """Running sums along an axis, from its end when ``reverse``."""
    node = node_of(x, "cumsum")
    return Tensor(reduce.cumsum(node, axis=normal_axis("cumsum", node, axis), reverse=reverse))
