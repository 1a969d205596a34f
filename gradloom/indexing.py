"""Reading parts of a tensor by NumPy's rules: ``x[2]``, ``x[1:, ::-1]``, ``x[..., None]``, ``x[[0, 2]]``, ``x[mask]``.

Numbers and slices become a slice, a flip and a reshape; integer arrays become one ``take`` along the indexed axes
joined into one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradloom.errors import DTypeError, IndexRangeError, ShapeError, SymbolicValueError
from gradloom.ir.graph import Node, fill
from gradloom.ops import core, elementwise, index, movement
from gradloom.semantics import broadcast_shapes, broadcast_to, cast, to_node

Key = Any
_RULE = "an index is an integer, a slice, ..., None, or an array of integers or booleans"


def get(x: Node, key: Key) -> Node:
    """``x[key]``.

    Raises:
        IndexRangeError: an integer lies outside its axis, or there are more indices than axes.
        SymbolicValueError: a boolean mask is not known while tracing, so the result has no known shape.
        DTypeError: something else than the kinds of index above.
    """
    parts = _expanded(x, key if isinstance(key, tuple) else (key,))
    if not any(isinstance(p, Node) for p in parts):
        return _basic(x, parts)
    # Next to an integer array a plain integer is one, too (NumPy's rule).
    arrays = [to_node(p, "index") if _is_int(p) else p for p in parts]
    return _advanced(_basic(x, [slice(None) if isinstance(p, Node) else p for p in arrays]), arrays)


def _is_int(part: Any) -> bool:
    return isinstance(part, (int, np.integer)) and not isinstance(part, (bool, np.bool_))


def _expanded(x: Node, key: Sequence[Any]) -> list[Any]:
    """One entry for each axis, None for new ones: ellipsis written out, masks as positions, arrays as nodes."""
    parts: list[Any] = []
    masked: dict[Node, int] = {}  # positions that come from a mask, and the size of the mask's axis
    for p in key:
        if p is None or p is Ellipsis or isinstance(p, slice) or _is_int(p):
            parts.append(p)
        else:
            arrays, sizes = _array_parts(p)
            parts += arrays
            masked.update(zip(arrays, sizes))
    if sum(p is Ellipsis for p in parts) > 1:
        raise ShapeError("index", rule="at most one ... is allowed", got=repr(key))
    given = sum(p is not None and p is not Ellipsis for p in parts)
    if given > len(x.shape):
        raise IndexRangeError(
            "index", rule="there may be at most one index for each axis", got=f"{given} indices for {x.type}"
        )
    rest = [slice(None)] * (len(x.shape) - given)
    at = next((i for i, p in enumerate(parts) if p is Ellipsis), None)
    # A ... for no axes at all stays: it still keeps arrays on its two sides apart.
    expanded = parts + rest if at is None else [*parts[:at], *(rest or [Ellipsis]), *parts[at + 1 :]]
    _check_masks(x, [p for p in expanded if p is not None and p is not Ellipsis], masked)
    return expanded


def _check_masks(x: Node, parts: Sequence[Any], masked: dict[Node, int]) -> None:
    """Refuse masks that do not cover the axes they stand at."""
    for axis, (p, size) in enumerate(zip(parts, x.shape)):
        if isinstance(p, Node) and masked.get(p, size) != size:
            raise IndexRangeError(
                "index",
                rule="a boolean index must have the size of the axis it stands at",
                got=f"{masked[p]} for axis {axis} of {x.type}",
            )


def _array_parts(part: Any) -> tuple[list[Node], tuple[int, ...]]:
    """An array index as integer nodes: itself, or for a mask the positions where it holds, axis by axis.

    The sizes of the mask's axes come second.
    """
    node = to_node(part, "index", "int64" if isinstance(part, (list, tuple)) and np.size(part) == 0 else None)
    if node.dtype.kind == "b" and node.shape:
        if node.value is None:
            raise SymbolicValueError(
                "index",
                rule="a boolean index must be known while tracing, for the shape of the result depends on it",
                got=str(node.type),
                fix="Use gl.where(mask, x, 0), which keeps the shape.",
            )
        return [to_node(axis, "index") for axis in np.nonzero(node.value)], node.shape
    if node.dtype.kind not in "iu":
        raise DTypeError("index", rule=_RULE, got=str(node.type))
    return [node], ()


def _basic(x: Node, parts: Sequence[Any]) -> Node:
    """Integers, slices and new axes."""
    start, stop, step, flipped, shape = [], [], [], [], []
    axis = 0
    for p in parts:
        if p is Ellipsis:
            continue
        if p is None:
            shape.append(1)
            continue
        size = x.shape[axis]
        if isinstance(p, slice):
            a, b, s, backwards = _bounds(p, size)
            shape.append(max(0, -(-(b - a) // s)))
            flipped += [axis] if backwards else []
        else:
            a = _position(int(p), size, axis)
            b, s = a + 1, 1
        start.append(a)
        stop.append(b)
        step.append(s)
        axis += 1
    whole = all(a == 0 and b == n and s == 1 for a, b, s, n in zip(start, stop, step, x.shape))
    found = x if whole else movement.slice(x, start=tuple(start), stop=tuple(stop), step=tuple(step))
    if flipped:
        found = movement.flip(found, axes=tuple(flipped))
    return found if found.shape == tuple(shape) else core.reshape(found, shape=tuple(shape))


def _bounds(part: slice, size: int) -> tuple[int, int, int, bool]:
    """Start, stop and positive step of a slice, and whether the elements are to be flipped."""
    try:
        a, b, s = part.indices(size)
    except SymbolicValueError:
        raise  # which is a TypeError, too, and names its remedy
    except TypeError:
        raise DTypeError("index", rule="the bounds of a slice must be integers", got=repr(part)) from None
    except ValueError:
        raise ShapeError("index", rule="the step of a slice must not be 0", got=repr(part)) from None
    if s > 0:
        return a, max(a, b), s, False
    count = max(0, -(-(a - b) // -s))
    last = a + (count - 1) * s
    return (last, a + 1, -s, True) if count else (0, 0, 1, False)


def _position(i: int, size: int, axis: int) -> int:
    if not -size <= i < size:
        raise IndexRangeError(
            "index", rule=f"positions along axis {axis} of size {size} go from {-size} to {size - 1}", got=str(i)
        )
    return i % size


def _advanced(x: Node, parts: Sequence[Any]) -> Node:
    """Integer arrays at some axes of ``x``, from which everything else is already taken."""
    places = [i for i, p in enumerate(parts) if isinstance(p, Node)]
    together = places == list(range(places[0], places[-1] + 1))
    parts = [p for p in parts if p is not Ellipsis]
    axes = [i for i, p in enumerate(parts) if isinstance(p, Node)]
    arrays = [p for p in parts if isinstance(p, Node)]
    shape = broadcast_shapes("index", [a.tensor_type for a in arrays])
    others = [i for i in range(len(x.shape)) if i not in axes]
    joined = core.permute(x, axes=(*axes, *others))
    sizes = joined.shape[: len(axes)]
    rows = core.reshape(joined, shape=(math.prod(sizes), *joined.shape[len(axes) :]))
    place = _joined_position([broadcast_to(cast(a, "int64"), shape) for a in arrays], sizes)
    found = index.take(rows, place, axis=0)
    # Arrays side by side leave their axes where they were; else these come first (NumPy's rule).
    before = axes[0] if together else 0
    spread = len(shape)
    order = (*range(spread, spread + before), *range(spread), *range(spread + before, len(found.shape)))
    return core.permute(found, axes=order)


def _joined_position(arrays: Sequence[Node], sizes: Sequence[int]) -> Node:
    """Positions along several axes as one position along the axes joined; negative ones count from the end.

    Where one of them lies outside its axis, so does the result.
    """
    total, outside = None, None
    for a, size in zip(arrays, sizes):
        if a.value is not None and a.value.size and not (-size <= a.value.min() and a.value.max() < size):
            raise IndexRangeError(
                "index",
                rule=f"positions along an axis of size {size} go from {-size} to {size - 1}",
                got=f"values from {a.value.min()} to {a.value.max()}",
            )
        zero, n = fill(a.tensor_type, 0), fill(a.tensor_type, size)
        positive = elementwise.select(elementwise.lt(a, zero), core.add(a, n), a)
        total = positive if total is None else core.add(elementwise.mul(total, n), positive)
        if a.value is None and len(arrays) > 1:  # one axis alone is checked by the reading itself
            beyond = elementwise.logical_or(elementwise.lt(positive, zero), elementwise.ge(positive, n))
            outside = beyond if outside is None else elementwise.logical_or(outside, beyond)
    assert total is not None
    return total if outside is None else elementwise.select(outside, fill(total.tensor_type, math.prod(sizes)), total)
