"""NumPy's rules on nodes: conversion, promotion, broadcasting, axes.

Primitives take operands of one type and one shape; people write ``x * 2 + b``.  The functions here stand between:
they turn values into nodes, bring operands to one type and shape, and normalise axes.  Tensor's operators and the
public functions are thin covers over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce as reduce_left
from typing import Any

import numpy as np

from gradloom.errors import DTypeError, ShapeError
from gradloom.ir.graph import Node, Op, constant, fill
from gradloom.ir.tensortype import DEFAULT_FLOAT, DEFAULT_INT, TensorType, as_dtype, kind_of, promote, promote_scalar
from gradloom.ops import core, elementwise, movement
from gradloom.ops.contraction import contract
from gradloom.ops.rules import without_axes

Axis = int | Sequence[int] | None
Number = bool | int | float

_MOST_AXES = 64  # of an array of NumPy


def to_node(value: Any, who: str, dtype: Any = None) -> Node:
    """A node for a value: a node itself, a number, a (nested) list of numbers, a NumPy array.

    NumPy arrays keep their data type; Python floats become float32, ints int64.

    Raises:
        DTypeError: the value is not numbers in rows of equal length, or a whole number is out of the type's range.
    """
    if isinstance(value, Node):
        return value if dtype is None else cast(value, dtype)
    try:
        array = np.asarray(value)
    except ValueError:
        raise DTypeError(
            who,
            rule="a tensor is made of numbers in rows of equal length",
            got=unevenness(value),
            fix="Fill up the short rows, or make several tensors.",
        ) from None
    found = as_dtype(array.dtype, who)
    if dtype is not None:
        found = as_dtype(dtype, who)
    elif not isinstance(value, (np.ndarray, np.generic)):
        found = {"f": DEFAULT_FLOAT, "i": DEFAULT_INT}.get(kind_of(found), found)
    _check_range(who, array, found)
    with np.errstate(all="ignore"):  # a float too large for its type is infinite
        return constant(array.astype(found, copy=True))


def unevenness(value: Any) -> str:
    """What keeps nested lists from being an array, for messages: two rows of unlike lengths at the outermost level.

    Args:
        value: what NumPy makes no array of.
    """
    level = [value]
    for _ in range(_MOST_AXES):  # a list may contain itself
        lengths = list(dict.fromkeys(map(_length, level)))
        if lengths == [None]:
            break
        if len(lengths) > 1:
            first, second = ("a single value" if n is None else f"a row of length {n}" for n in lengths[:2])
            return f"{first} beside {second}"
        level = [item for row in level for item in row]
    return "lists nested too deep" if isinstance(value, (list, tuple)) else f"a value of type {type(value).__name__}"


def _length(row: Any) -> int | None:
    """The length of a row; None for a value that is no row."""
    shape = getattr(row, "shape", (len(row),) if isinstance(row, (list, tuple)) else ())
    return shape[0] if shape else None


def _check_range(who: str, array: np.ndarray, dtype: np.dtype) -> None:
    """Refuse whole numbers that the data type does not hold; NumPy would wrap them around."""
    if array.dtype == dtype or not array.size or array.dtype.kind not in "iu" or dtype.kind not in "iu":
        return
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    least, largest = int(array.min()), int(array.max())
    if least < low or largest > high:
        raise DTypeError(
            who,
            rule=f"a {dtype.name} lies between {low} and {high}",
            got=str(least if least < low else largest),
            fix="Use a wider data type, or gl.cast to wrap around.",
        )


def cast(x: Node, dtype: Any) -> Node:
    """``x`` in another data type."""
    wanted = as_dtype(dtype, "cast")
    return x if x.dtype == wanted else elementwise.cast(x, dtype=wanted)


def to_float(x: Node) -> Node:
    """``x`` as it is if it is of floats, else in float32."""
    return x if x.tensor_type.is_float else cast(x, DEFAULT_FLOAT)


def promoted(who: str, values: Sequence[Any]) -> list[Node]:
    """Nodes of one data type; Python numbers are weak (see ir/tensortype.py)."""
    if all(type(v) is Node for v in values) and all(v.dtype is values[0].dtype for v in values):
        return list(values)
    weak = [isinstance(v, (bool, int, float)) and not isinstance(v, np.generic) for v in values]
    if all(weak):
        weak[0] = False  # numbers alone: the first stands for the tensor they would meet
    nodes = [v if is_weak else to_node(v, who) for v, is_weak in zip(values, weak)]
    dtype = reduce_left(promote, [x.dtype for x, is_weak in zip(nodes, weak) if not is_weak])
    for value, is_weak in zip(values, weak):
        dtype = promote_scalar(dtype, value) if is_weak else dtype
    return [to_node(x, who, dtype) for x in nodes]


def broadcast_shapes(who: str, types: Sequence[TensorType]) -> tuple[int, ...]:
    """The shape that operands of these types have together, by NumPy's rule.

    Raises:
        ShapeError: two sizes differ and neither is 1.
    """
    if len({t.shape for t in types if t.shape}) <= 1:  # of one shape, but for scalars
        return max((t.shape for t in types), key=len)
    rank = max(t.rank for t in types)
    shape = [1] * rank
    for t in types:
        for place, n in enumerate(t.shape, rank - t.rank):
            if n != 1 and shape[place] not in (1, n):
                raise ShapeError(
                    who,
                    rule="shapes must agree from the last axis on, or have size 1",
                    got=" and ".join(map(str, types)),
                    fix=f"Sizes {shape[place]} and {n} meet at axis {place - rank}; reshape one of the operands.",
                )
            shape[place] = n if n != 1 else shape[place]
    return tuple(shape)


def broadcast_to(x: Node, shape: Sequence[int], who: str = "broadcast_to") -> Node:
    """``x`` repeated to ``shape``, new axes in front."""
    if x.shape == tuple(shape):
        return x
    if broadcast_shapes(who, (x.tensor_type, x.tensor_type.with_shape(tuple(shape)))) != tuple(shape):
        raise ShapeError(who, rule="the operand must not be larger than the shape", got=f"{x.type} to {tuple(shape)}")
    return _repeated(x, tuple(shape))


def _repeated(x: Node, shape: tuple[int, ...]) -> Node:
    """``x`` repeated to a shape that it fits."""
    first = len(shape) - len(x.shape)
    return x if x.shape == shape else core.broadcast(x, shape=shape, axes=tuple(range(first, len(shape))))


def operands(who: str, values: Sequence[Any]) -> list[Node]:
    """Nodes of one data type and one shape."""
    nodes = promoted(who, values)
    if len({x.shape for x in nodes}) == 1:
        return nodes
    shape = broadcast_shapes(who, [x.tensor_type for x in nodes])
    return [_repeated(x, shape) for x in nodes]


def apply(op: Op, *values: Any) -> Node:
    """An elementwise primitive on values of any type and shape that fit."""
    return where(*values) if op is elementwise.select else op(*operands(op.name, values))


def apply_float(op: Op, *values: Any) -> Node:
    """An elementwise primitive on floats: integers and booleans become float32."""
    return op(*(to_float(x) for x in operands(op.name, values)))


def where(condition: Any, x: Any, y: Any) -> Node:
    """x where the condition holds, else y, brought to one shape; x and y to one data type."""
    nodes = [to_node(condition, "where"), *promoted("where", (x, y))]
    shape = broadcast_shapes("where", [v.tensor_type for v in nodes])
    return elementwise.select(*(_repeated(v, shape) for v in nodes))


def normal_shape(who: str, shape: int | Sequence[int]) -> tuple[int, ...]:
    """One size or several as a tuple.

    Raises:
        ShapeError: a size is negative or not a whole number.
    """
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if any(not isinstance(n, (int, np.integer)) or n < 0 for n in sizes):
        raise ShapeError(who, rule="sizes are whole numbers from 0", got=str(sizes))
    return tuple(int(n) for n in sizes)


def normal_axis(who: str, x: Node, axis: int) -> int:
    """``axis`` counted from the front.

    Raises:
        ShapeError: the operand has no such axis.
    """
    rank = len(x.shape)
    if not isinstance(axis, (int, np.integer)) or not -rank <= axis < rank:
        raise ShapeError(
            who,
            rule="the axis must be one of the operand's",
            got=f"axis {axis!r} for {x.type}",
            fix=f"Use an axis from {-rank} to {rank - 1}." if rank else "A scalar has no axes.",
        )
    return int(axis) % rank


def normal_axes(who: str, x: Node, axis: Axis) -> tuple[int, ...]:
    """One axis, several, or all (None) as sorted axes counted from the front."""
    if axis is None:
        return tuple(range(len(x.shape)))
    axes = [axis] if isinstance(axis, (int, np.integer)) else list(axis)
    found = sorted(normal_axis(who, x, a) for a in axes)
    if len(set(found)) < len(found):
        raise ShapeError(who, rule="each axis may be named once", got=f"axes {tuple(axes)} for {x.type}")
    return tuple(found)


def reduce(op: Op, x: Node, axis: Axis, keepdims: bool) -> Node:
    """A reduction along one axis, several or all; ``keepdims`` leaves them with size 1."""
    axes = normal_axes(op.name.removeprefix("reduce_"), x, axis)
    return keep(op(x, axes=axes), x.shape, axes) if keepdims else op(x, axes=axes)


def keep(reduced: Node, shape: Sequence[int], axes: Sequence[int]) -> Node:
    """A reduced result with the lost axes put back with size 1."""
    return core.reshape(reduced, shape=tuple(1 if i in axes else n for i, n in enumerate(shape)))


def reshape(x: Node, shape: Sequence[int]) -> Node:
    """The same elements in another shape; one size may be -1."""
    sizes = [int(n) for n in shape]
    if sizes.count(-1) == 1:
        at = sizes.index(-1)
        rest = int(np.prod([n for n in sizes if n != -1]))
        if rest == 0 or x.tensor_type.size % rest:
            raise ShapeError(
                "reshape",
                rule="the known sizes must divide the number of elements",
                got=f"{x.type} ({x.tensor_type.size} elements) to shape {tuple(sizes)}",
            )
        sizes[at] = x.tensor_type.size // rest
    return core.reshape(x, shape=tuple(sizes)) if tuple(sizes) != x.shape else x


def sum(x: Node, axis: Axis, keepdims: bool) -> Node:
    """The sum; booleans are counted as int64."""
    return reduce(core.reduce_sum, cast(x, DEFAULT_INT) if x.dtype.kind == "b" else x, axis, keepdims)


def mean(x: Node, axis: Axis, keepdims: bool) -> Node:
    """The arithmetic mean, in floats."""
    axes = normal_axes("mean", x, axis)
    count = int(np.prod([x.shape[a] for a in axes]))
    if count == 0:
        raise ShapeError("mean", rule="the reduced axes must not be empty", got=f"{x.type} along axes {axes}")
    return elementwise.scale(sum(to_float(x), axis, keepdims), 1 / count)


def matmul(x: Any, y: Any) -> Node:
    """The matrix product by NumPy's rules: leading axes broadcast, a vector is a row on the left, a column right.

    Raises:
        ShapeError: the inner sizes differ, or an operand is a scalar.
    """
    a, b = promoted("matmul", (x, y))
    if not a.shape or not b.shape:
        raise ShapeError(
            "matmul", rule="operands must have at least one axis", got=f"{a.type} and {b.type}", fix="Use *."
        )
    inner = len(b.shape) - 2 if len(b.shape) > 1 else 0
    if a.shape[-1] != b.shape[inner]:
        raise ShapeError(
            "matmul",
            rule="the last size of the left operand must be the last but one of the right",
            got=f"{a.type} @ {b.type}: {a.shape[-1]} and {b.shape[inner]}",
        )
    if len(b.shape) <= 2:  # no leading axes on the right: one contraction, nothing repeated
        return contract(a, b, contract=((len(a.shape) - 1,), (inner,)), batch=((), ()))
    if len(a.shape) == 1:
        rows = matmul(core.reshape(a, shape=(1, *a.shape)), b)
        return core.reshape(rows, shape=without_axes(rows.shape, (len(rows.shape) - 2,)))
    leading = broadcast_shapes("matmul", [x.tensor_type.with_shape(x.shape[:-2]) for x in (a, b)])
    a, b = (broadcast_to(x, (*leading, *x.shape[-2:])) for x in (a, b))
    shared = tuple(range(len(leading)))
    summed = (len(a.shape) - 1,), (len(b.shape) - 2,)
    return contract(a, b, contract=summed, batch=(shared, shared))


def power(x: Any, y: Any) -> Node:
    """x^y.  Whole exponents written as Python ints become products where x is of integers or the exponent is small,
    so they have exact values and derivatives everywhere.  Other powers are computed in floats.
    """
    if isinstance(y, int) and not isinstance(y, bool) and y >= 0:
        base, _ = promoted("power", (x, y))
        if y <= 4 or not base.tensor_type.is_float:
            return _product_of(base, y)
    base, exponent = operands("power", (x, y))
    return elementwise.power(to_float(base), to_float(exponent))


def _product_of(x: Node, count: int) -> Node:
    """x multiplied ``count`` times, by squaring."""
    if count == 0:
        return fill(x.tensor_type, 1)
    half = _product_of(x, count // 2) if count > 1 else None
    square = None if half is None else elementwise.square(half)
    if square is None:
        return x
    return elementwise.mul(square, x) if count % 2 else square


def transpose(x: Node, axes: Sequence[int] | None) -> Node:
    """Axes in another order; reversed when none are named."""
    rank = len(x.shape)
    order = tuple(reversed(range(rank))) if axes is None else tuple(a % rank if -rank <= a < rank else a for a in axes)
    return x if order == tuple(range(rank)) else core.permute(x, axes=order)


def stack(nodes: Sequence[Any], axis: int) -> Node:
    """Tensors of one shape joined along a new axis."""
    parts = promoted("stack", nodes)
    shapes = {x.shape for x in parts}
    if len(shapes) > 1:
        raise ShapeError("stack", rule="all tensors must have one shape", got=", ".join(map(str, sorted(shapes))))
    rank = len(parts[0].shape) + 1
    if not -rank <= axis < rank:
        raise ShapeError("stack", rule=f"the new axis lies between {-rank} and {rank - 1}", got=str(axis))
    at = axis % rank
    expanded = [core.reshape(x, shape=(*x.shape[:at], 1, *x.shape[at:])) for x in parts]
    return movement.concatenate(*expanded, axis=at)
