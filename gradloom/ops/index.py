"""Reading and adding at positions given by integer tensors, and sorting.

Positions must lie inside the axis; the public functions turn negative ones into positive ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradloom.errors import IndexRangeError, ShapeError
from gradloom.ir.graph import Node, Op, constant
from gradloom.ir.tensortype import TensorType
from gradloom.ops.core import (
    add,
    aligned,
    batch_with,
    broadcast,
    linear_in_first,
    permute,
    reshape,
    zeros,
)
from gradloom.ops.elementwise import cast
from gradloom.ops.rules import ANYTHING, NUMBERS, check_axis, check_kind

# take and scatter_add: whole slices along one axis ---------------------------------------------------------------


def _check_range(who: str, indices: np.ndarray, size: int) -> None:
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        wrong = indices[(indices < 0) | (indices >= size)].flat[0]
        raise IndexRangeError(
            who,
            rule=f"positions along an axis of size {size} go from 0 to {size - 1}",
            got=str(wrong),
            fix="Check the indices, or bring them into range with gl.clip.",
        )


def _take_type(x: TensorType, indices: TensorType, *, axis: int) -> TensorType:
    check_axis("take", x, axis)
    check_kind("take", indices, "iu")
    return x.with_shape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def _take(x: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    _check_range("take", indices, x.shape[axis])
    return np.take(x, indices, axis)


def _take_transpose(ct: Node, node: Node, linear: Sequence[bool]) -> list[Node | None]:
    x, indices = node.inputs
    return [scatter_add(zeros(x.tensor_type), indices, ct, axis=node.attrs["axis"]), None]


def _offsets(indices: Node, count: int) -> Node:
    """Positions in each of many tables, as positions in the tables joined: adds table number times ``count``."""
    starts = constant(np.arange(indices.shape[0]) * count, "int64")  # a narrower type may not hold them
    return add(cast(indices, dtype=starts.dtype), broadcast(starts, shape=indices.shape, axes=(0,)))


def _axis_first(x: Node, axis: int) -> Node:
    """A mapped operand (mapped axis in front) with ``axis`` joined to the mapped axis."""
    order = (0, axis + 1, *(a for a in range(1, len(x.shape)) if a != axis + 1))
    moved = permute(x, axes=order)
    return reshape(moved, shape=(moved.shape[0] * moved.shape[1], *moved.shape[2:]))


def _take_batch(size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    (x, indices), axis = inputs, node.attrs["axis"]
    if not batched[1]:
        return take(x, indices, axis=axis + 1)
    if not batched[0]:
        found = take(x, indices, axis=axis)  # the mapped axis stands at ``axis``
        return permute(found, axes=(axis, *(a for a in range(len(found.shape)) if a != axis)))
    found = take(_axis_first(x, axis), _offsets(indices, x.shape[axis + 1]), axis=0)
    # found: mapped axis, the axes of indices, the other axes of x; those before ``axis`` go in front again.
    spread = len(indices.shape) - 1
    before = tuple(range(1 + spread, 1 + spread + axis))
    after = tuple(range(1 + spread + axis, len(found.shape)))
    return permute(found, axes=(0, *before, *range(1, 1 + spread), *after))


take = Op(
    "take",
    _take_type,
    _take,
    derivative=linear_in_first,
    transpose=_take_transpose,
    batch=_take_batch,
    moves=True,
)
"""The slices of x at ``indices`` along an axis, which becomes the axes of ``indices``."""


def _scatter_type(x: TensorType, indices: TensorType, updates: TensorType, *, axis: int) -> TensorType:
    check_kind("scatter_add", x, NUMBERS)
    wanted = _take_type(x, indices, axis=axis)
    if updates != wanted:
        raise ShapeError(
            "scatter_add",
            rule=f"the updates must be {wanted} for these operands",
            got=f"{updates} added to {x}",
        )
    return x


def _scatter_add(x: np.ndarray, indices: np.ndarray, updates: np.ndarray, axis: int) -> np.ndarray:
    _check_range("scatter_add", indices, x.shape[axis])
    out = x.copy()
    places: Any = (np.s_[:],) * axis + (indices,)
    np.add.at(out, places, updates)
    return out


def _scatter_derivative(out: Node, tangents: Sequence[Node | None]) -> Node | None:
    x, indices, updates = out.inputs
    if tangents[0] is None and tangents[2] is None:
        return None
    base = zeros(x.tensor_type) if tangents[0] is None else tangents[0]
    change = zeros(updates.tensor_type) if tangents[2] is None else tangents[2]
    return out.op(base, indices, change, **out.attrs)


def _scatter_batch(size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    axis = node.attrs["axis"]
    if not batched[1]:
        x, updates = aligned(size, (inputs[0], inputs[2]), (batched[0], batched[2]))
        return scatter_add(x, inputs[1], updates, axis=axis + 1)
    x, indices, updates = aligned(size, inputs, batched)
    spread = len(indices.shape) - 1
    rows = _axis_first(x, axis)
    to_front = (
        *range(1 + axis, 1 + axis + spread),
        *range(1, 1 + axis),
        *range(1 + axis + spread, len(updates.shape)),
    )
    added = scatter_add(rows, _offsets(indices, x.shape[axis + 1]), permute(updates, axes=(0, *to_front)), axis=0)
    split = reshape(added, shape=(size, x.shape[axis + 1], *rows.shape[1:]))
    back = (0, *range(2, 2 + axis), 1, *range(2 + axis, len(split.shape)))
    return permute(split, axes=back)


scatter_add = Op(
    "scatter_add",
    _scatter_type,
    _scatter_add,
    derivative=_scatter_derivative,
    transpose=lambda ct, node, linear: [
        ct if linear[0] else None,
        None,
        take(ct, node.inputs[1], axis=node.attrs["axis"]) if linear[2] else None,
    ],
    batch=_scatter_batch,
)
"""x with ``updates`` added to its slices at ``indices`` along an axis; equal positions add up."""

# take_along and scatter_add_along: one position for every element ------------------------------------------------


def _along_type(who: str, x: TensorType, indices: TensorType, axis: int) -> TensorType:
    check_axis(who, x, axis)
    check_kind(who, indices, "iu")
    fits = indices.rank == x.rank and all(n == m or i == axis for i, (n, m) in enumerate(zip(indices.shape, x.shape)))
    if not fits:
        raise ShapeError(who, rule=f"the shapes must agree in all axes but {axis}", got=f"{x} and indices {indices}")
    return x.with_shape(indices.shape)


def _take_along(x: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    _check_range("take_along", indices, x.shape[axis])
    return np.take_along_axis(x, indices.astype(np.int64, copy=False), axis)


def _batch_along(size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    return node.op(*aligned(size, inputs, batched), axis=node.attrs["axis"] + 1)


take_along = Op(
    "take_along",
    lambda x, indices, axis: _along_type("take_along", x, indices, axis),
    _take_along,
    derivative=linear_in_first,
    transpose=lambda ct, node, linear: [
        scatter_add_along(zeros(node.inputs[0].tensor_type), node.inputs[1], ct, axis=node.attrs["axis"]),
        None,
    ],
    batch=_batch_along,
    moves=True,
)
"""For each place of ``indices`` the element of x at that position along the axis, other axes alike."""


def _scatter_along_type(x: TensorType, indices: TensorType, updates: TensorType, *, axis: int) -> TensorType:
    check_kind("scatter_add_along", x, NUMBERS)
    wanted = _along_type("scatter_add_along", x, indices, axis)
    if updates != wanted:
        raise ShapeError("scatter_add_along", rule=f"the updates must be {wanted} for these operands", got=str(updates))
    return x


def _scatter_add_along(x: np.ndarray, indices: np.ndarray, updates: np.ndarray, axis: int) -> np.ndarray:
    _check_range("scatter_add_along", indices, x.shape[axis])
    places: list[Any] = list(np.indices(indices.shape, sparse=True))
    places[axis] = indices
    out = x.copy()
    np.add.at(out, tuple(places), updates)
    return out


scatter_add_along = Op(
    "scatter_add_along",
    _scatter_along_type,
    _scatter_add_along,
    derivative=_scatter_derivative,
    transpose=lambda ct, node, linear: [
        ct if linear[0] else None,
        None,
        take_along(ct, node.inputs[1], axis=node.attrs["axis"]) if linear[2] else None,
    ],
    batch=_batch_along,
)
"""x with each element of ``updates`` added at its position along the axis; equal positions add up."""

# Sorting ----------------------------------------------------------------------------------------------------------


def _sorted_type(name: str, result: str | None) -> Callable[..., TensorType]:
    def type_rule(x: TensorType, *, axis: int) -> TensorType:
        check_kind(name, x, ANYTHING)
        check_axis(name, x, axis)
        return x.with_dtype(result) if result else x

    return type_rule


_batch_axis = batch_with(lambda size, a: {**a, "axis": a["axis"] + 1})

argsort = Op(
    "argsort",
    _sorted_type("argsort", "int64"),
    lambda x, axis: np.argsort(x, axis, kind="stable"),
    batch=_batch_axis,
)
"""The positions that sort x along an axis, smallest first; equal elements keep their order, NaN goes last."""


def _sort_derivative(out: Node, tangents: Sequence[Node | None]) -> Node | None:
    order = argsort(out.inputs[0], axis=out.attrs["axis"])
    return None if tangents[0] is None else take_along(tangents[0], order, axis=out.attrs["axis"])


sort = Op(
    "sort",
    _sorted_type("sort", None),
    lambda x, axis: np.sort(x, axis, kind="stable"),
    derivative=_sort_derivative,
    batch=_batch_axis,
)
"""The elements along an axis in order, smallest first, NaN last."""


def _arg_top_k_type(x: TensorType, *, k: int, axis: int) -> TensorType:
    check_kind("top_k", x, NUMBERS)
    check_axis("top_k", x, axis)
    if not 0 <= k <= x.shape[axis]:
        raise ShapeError("top_k", rule=f"k lies between 0 and the axis' size {x.shape[axis]}", got=f"k = {k} for {x}")
    return x.with_shape((*x.shape[:axis], k, *x.shape[axis + 1 :])).with_dtype("int64")


def _arg_top_k(x: np.ndarray, k: int, axis: int) -> np.ndarray:
    """Sort the reversed axis and read from its end, so that of equal elements the first comes first."""
    backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
    return (x.shape[axis] - 1 - np.flip(backwards, axis)).take(np.arange(k), axis)


arg_top_k = Op("arg_top_k", _arg_top_k_type, _arg_top_k, batch=_batch_axis)
"""The positions of the k largest elements along an axis, largest first, equals in their order, NaN counted largest."""
