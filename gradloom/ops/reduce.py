"""Reductions along axes, and running sums.  The reduced axes disappear; keeping them is a reshape of the caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gradloom.errors import ShapeError
from gradloom.ir.graph import Node, Op
from gradloom.ir.tensortype import TensorType
from gradloom.ops.core import (
    add,
    batch_with,
    broadcast,
    check_axes,
    linear_in_first,
    permute,
    reduce_sum,
    reshape,
    transpose_first,
)
from gradloom.ops.elementwise import cast, div, eq, exp, mul, sub
from gradloom.ops.movement import concatenate, part
from gradloom.ops.rules import ANYTHING, NUMBERS, check_axis, check_kind, shifted, without_axes


def expand(reduced: Node, shape: Sequence[int], axes: Sequence[int]) -> Node:
    """A reduced result repeated along the axes that it lost."""
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    return broadcast(reduced, shape=tuple(shape), axes=kept)


def _reduced(name: str, kinds: str, *, empty: bool) -> Callable[..., TensorType]:
    """The type rule of a reduction; ``empty``: whether no elements at all have a meaningful result."""

    def type_rule(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
        check_kind(name, x, kinds)
        check_axes(name, x, axes)
        if not empty and any(x.shape[a] == 0 for a in axes):
            raise ShapeError(name, rule="the reduced axes must not be empty", got=f"{x} along axes {axes}")
        return x.with_shape(without_axes(x.shape, axes))

    return type_rule


_batch_axes = batch_with(lambda size, a: {"axes": shifted(a["axes"])})
_batch_axis = batch_with(lambda size, a: {**a, "axis": a["axis"] + 1})

# Largest and smallest -----------------------------------------------------------------------------------------


def _extreme_derivative(out: Node, tangents: Sequence[Node | None]) -> Node | None:
    """The mean tangent of the elements that attain the extreme value."""
    (t,), (x,), axes = tangents, out.inputs, out.attrs["axes"]
    if t is None:
        return None
    attained = cast(eq(x, expand(out, x.shape, axes)), dtype=x.dtype)
    return div(reduce_sum(mul(t, attained), axes=axes), reduce_sum(attained, axes=axes))


reduce_max = Op(
    "reduce_max",
    _reduced("max", ANYTHING, empty=False),
    lambda x, axes: x.max(axis=axes),
    derivative=_extreme_derivative,
    batch=_batch_axes,
)
"""The largest element; ties share the derivative equally.  NaN if any is NaN."""

reduce_min = Op(
    "reduce_min",
    _reduced("min", ANYTHING, empty=False),
    lambda x, axes: x.min(axis=axes),
    derivative=_extreme_derivative,
    batch=_batch_axes,
)
"""The smallest element; ties share the derivative equally.  NaN if any is NaN."""


def _position(name: str, function: Callable[..., np.ndarray]) -> Op:
    """Declare argmax or argmin."""

    def type_rule(x: TensorType, *, axis: int) -> TensorType:
        check_kind(name, x, ANYTHING)
        check_axis(name, x, axis)
        if x.shape[axis] == 0:
            raise ShapeError(name, rule="the axis must not be empty", got=f"{x} along axis {axis}")
        return x.with_shape(without_axes(x.shape, (axis,))).with_dtype("int64")

    return Op(name, type_rule, lambda x, axis: function(x, axis=axis), batch=_batch_axis)


argmax = _position("argmax", np.argmax)
"""The position of the largest element along an axis, the first of equals."""
argmin = _position("argmin", np.argmin)
"""The position of the smallest element along an axis, the first of equals."""

# Products -----------------------------------------------------------------------------------------------------


def _pair_up(x: Node) -> tuple[Node, Node, Node | None]:
    """The first half, the second half and the odd last element of the last axis."""
    count = x.shape[-1]
    half, axis = count // 2, len(x.shape) - 1
    last = part(x, axis, count - 1, count) if count % 2 else None
    return part(x, axis, 0, half), part(x, axis, half, 2 * half), last


def _prod_derivative(out: Node, tangents: Sequence[Node | None]) -> Node | None:
    """The product rule over a balanced tree of pairs, so that zeros need no special case."""
    (t,), (x,), axes = tangents, out.inputs, out.attrs["axes"]
    if t is None or x.tensor_type.size == 0:
        return None
    kept = tuple(i for i in range(len(x.shape)) if i not in axes)
    rows = (*out.shape, x.tensor_type.size // out.tensor_type.size)
    value, tangent = (reshape(permute(node, axes=(*kept, *axes)), shape=rows) for node in (x, t))
    while value.shape[-1] > 1:
        (a, b, odd), (ta, tb, todd) = _pair_up(value), _pair_up(tangent)
        value, tangent = mul(a, b), add(mul(ta, b), mul(a, tb))
        if odd is not None and todd is not None:
            axis = len(value.shape) - 1
            value, tangent = concatenate(value, odd, axis=axis), concatenate(tangent, todd, axis=axis)
    return reshape(tangent, shape=out.shape)


reduce_prod = Op(
    "reduce_prod",
    _reduced("prod", NUMBERS, empty=True),
    lambda x, axes: x.prod(axis=axes, dtype=x.dtype),
    derivative=_prod_derivative,
    batch=_batch_axes,
)
"""The product; exact derivative where elements are 0."""

# Logic --------------------------------------------------------------------------------------------------------

reduce_any = Op("reduce_any", _reduced("any", "b", empty=True), lambda x, axes: x.any(axis=axes), batch=_batch_axes)
"""Whether at least one holds."""
reduce_all = Op("reduce_all", _reduced("all", "b", empty=True), lambda x, axes: x.all(axis=axes), batch=_batch_axes)
"""Whether all hold."""

# Sums ---------------------------------------------------------------------------------------------------------


def _logsumexp(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    peak = x.max(axis=axes, keepdims=True)
    shift = np.where(np.isfinite(peak), peak, 0)
    total = np.log(np.exp(x - shift).sum(axis=axes, keepdims=True, dtype=x.dtype)) + shift
    return total.reshape(without_axes(x.shape, axes)).astype(x.dtype, copy=False)


def _logsumexp_derivative(out: Node, tangents: Sequence[Node | None]) -> Node | None:
    (t,), (x,), axes = tangents, out.inputs, out.attrs["axes"]
    if t is None:
        return None
    softmax = exp(sub(x, expand(out, x.shape, axes)))
    return reduce_sum(mul(t, softmax), axes=axes)


logsumexp = Op(
    "logsumexp",
    _reduced("logsumexp", "f", empty=False),
    _logsumexp,
    derivative=_logsumexp_derivative,
    batch=_batch_axes,
)
"""log Σ e^x without overflow; derivative softmax."""


def _cumsum_type(x: TensorType, *, axis: int, reverse: bool) -> TensorType:
    check_kind("cumsum", x, NUMBERS)
    check_axis("cumsum", x, axis)
    return x


def _cumsum(x: np.ndarray, axis: int, reverse: bool) -> np.ndarray:
    if reverse:
        return np.flip(np.cumsum(np.flip(x, axis), axis, dtype=x.dtype), axis)
    return np.cumsum(x, axis, dtype=x.dtype)


cumsum = Op(
    "cumsum",
    _cumsum_type,
    _cumsum,
    derivative=linear_in_first,
    transpose=transpose_first(lambda ct, node: cumsum(ct, axis=node.attrs["axis"], reverse=not node.attrs["reverse"])),
    batch=_batch_axis,
)
"""Running sums along an axis, from its end when ``reverse``."""
