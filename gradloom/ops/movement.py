"""Primitives that move elements without computing: padding, slicing, flipping, joining.

Reshaping, permuting and repeating axes are in ops/core.py, since the rules of most primitives need them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradloom.errors import ShapeError
from gradloom.ir.graph import Node, Op
from gradloom.ir.tensortype import TensorType
from gradloom.ops.core import aligned, batch_with, linear_in_first, linear_jointly, transpose_first
from gradloom.ops.rules import check_axis, check_same, shifted

Sizes = tuple[int, ...]


def _sizes_fit(who: str, x: TensorType, *lists: Sequence[int]) -> None:
    if any(len(sizes) != x.rank for sizes in lists):
        raise ShapeError(who, rule="one number for each axis is needed", got=f"{lists} for {x}")


# pad ----------------------------------------------------------------------------------------------------------


def _pad_type(x: TensorType, *, value: float, low: Sizes, high: Sizes, interior: Sizes) -> TensorType:
    _sizes_fit("pad", x, low, high, interior)
    if any(n < 0 for n in (*low, *high, *interior)):
        raise ShapeError(
            "pad",
            rule="the numbers of added elements must not be negative",
            got=f"low {low}, high {high}, between {interior}",
            fix="Use a slice to take elements away.",
        )
    shape = (lo + n + (n - 1) * gap * (n > 0) + hi for n, lo, hi, gap in zip(x.shape, low, high, interior))
    return x.with_shape(tuple(shape))


def _pad(x: np.ndarray, value: float, low: Sizes, high: Sizes, interior: Sizes) -> np.ndarray:
    shape = _pad_type(TensorType(x.shape, x.dtype), value=value, low=low, high=high, interior=interior).shape
    out = np.full(shape, value, x.dtype)
    places = (np.s_[lo : lo + n * (gap + 1) : gap + 1] for n, lo, gap in zip(x.shape, low, interior))
    out[tuple(places)] = x
    return out


def _pad_derivative(out: Node, tangents: Sequence[Node | None]) -> Node | None:
    return None if tangents[0] is None else pad(tangents[0], **{**out.attrs, "value": 0.0})


def _pad_transpose(ct: Node, node: Node) -> Node:
    low, step = node.attrs["low"], tuple(gap + 1 for gap in node.attrs["interior"])
    sizes = node.inputs[0].shape
    stop = tuple(lo + (n - 1) * s + 1 if n else lo for n, lo, s in zip(sizes, low, step))
    return slice(ct, start=low, stop=stop, step=step)


pad = Op(
    "pad",
    _pad_type,
    _pad,
    derivative=_pad_derivative,
    transpose=transpose_first(_pad_transpose),
    batch=batch_with(
        lambda size, a: {**a, "low": (0, *a["low"]), "high": (0, *a["high"]), "interior": (0, *a["interior"])}
    ),
    moves=True,
)
"""x with ``value`` put before (``low``), after (``high``) and between (``interior``) its elements, axis by axis."""

# slice --------------------------------------------------------------------------------------------------------


def _length(start: int, stop: int, step: int) -> int:
    return max(0, -(-(stop - start) // step))


def _slice_type(x: TensorType, *, start: Sizes, stop: Sizes, step: Sizes) -> TensorType:
    _sizes_fit("slice", x, start, stop, step)
    inside = all(0 <= a <= b <= n or a == b for a, b, n in zip(start, stop, x.shape))
    if not inside or any(s < 1 for s in step):
        raise ShapeError(
            "slice",
            rule="0 <= start <= stop <= size and a step of at least 1 are needed",
            got=f"start {start}, stop {stop}, step {step} for {x}",
        )
    return x.with_shape(tuple(_length(*part) for part in zip(start, stop, step)))


def _slice(x: np.ndarray, start: Sizes, stop: Sizes, step: Sizes) -> np.ndarray:
    return x[tuple(np.s_[a:b:s] for a, b, s in zip(start, stop, step))]


def _slice_transpose(ct: Node, node: Node) -> Node:
    start, step = node.attrs["start"], node.attrs["step"]
    sizes = node.inputs[0].shape
    # Where nothing was taken the zeros go after; else after the last element taken.
    ends = (a + (n - 1) * s + 1 if n else a for a, n, s in zip(start, node.shape, step))
    high = tuple(size - end for size, end in zip(sizes, ends))
    return pad(ct, value=0.0, low=start, high=high, interior=tuple(s - 1 for s in step))


slice = Op(
    "slice",
    _slice_type,
    _slice,
    derivative=linear_in_first,
    transpose=transpose_first(_slice_transpose),
    batch=lambda size, node, inputs, batched: slice(
        inputs[0],
        start=(0, *node.attrs["start"]),
        stop=(size, *node.attrs["stop"]),
        step=(1, *node.attrs["step"]),
    ),
    moves=True,
)
"""The elements from ``start`` to before ``stop`` in steps of ``step``, axis by axis."""

# flip ---------------------------------------------------------------------------------------------------------


def _flip_type(x: TensorType, *, axes: Sizes) -> TensorType:
    for axis in axes:
        check_axis("flip", x, axis)
    return x


flip = Op(
    "flip",
    _flip_type,
    lambda x, axes: np.flip(x, axes),
    derivative=linear_in_first,
    transpose=transpose_first(lambda ct, node: flip(ct, axes=node.attrs["axes"])),
    batch=batch_with(lambda size, a: {"axes": shifted(a["axes"])}),
    moves=True,
)
"""The elements in reverse order along ``axes``."""

# concatenate --------------------------------------------------------------------------------------------------


def _concatenate_type(*types: TensorType, axis: int) -> TensorType:
    if not types:
        raise ShapeError("concatenate", rule="at least one tensor is needed", got="none")
    first = types[0]
    check_axis("concatenate", first, axis)
    for other in types[1:]:
        rests = [t.shape[:axis] + t.shape[axis + 1 :] for t in (first, other)]
        if other.rank != first.rank or rests[0] != rests[1]:
            raise ShapeError(
                "concatenate",
                rule=f"all sizes but that of axis {axis} must agree",
                got=f"{first} and {other}",
                fix=_concatenate_remedy(first, other),
            )
        check_same("concatenate", (first, other.with_shape(first.shape)))
    total = sum(t.shape[axis] for t in types)
    return first.with_shape((*first.shape[:axis], total, *first.shape[axis + 1 :]))


def _concatenate_remedy(first: TensorType, other: TensorType) -> str:
    if first.rank != other.rank:
        return "Give both the same number of axes, e.g. with gl.expand_dims."
    unlike = [i for i, (a, b) in enumerate(zip(first.shape, other.shape)) if a != b]
    joined = f"Join them along axis {unlike[0]}, or bring" if len(unlike) == 1 else "Bring"
    return f"{joined} them to equal sizes by slicing or gl.pad."


def _concatenate_transpose(ct: Node, node: Node, linear: Sequence[bool]) -> list[Node | None]:
    axis, position = node.attrs["axis"], 0
    parts: list[Node | None] = []
    for operand, is_linear in zip(node.inputs, linear):
        end = position + operand.shape[axis]
        parts.append(part(ct, axis, position, end) if is_linear else None)
        position = end
    return parts


def part(x: Node, axis: int, start: int, stop: int) -> Node:
    """The elements from ``start`` to before ``stop`` along one axis."""
    starts = tuple(start if i == axis else 0 for i in range(len(x.shape)))
    stops = tuple(stop if i == axis else n for i, n in enumerate(x.shape))
    return slice(x, start=starts, stop=stops, step=(1,) * len(x.shape))


concatenate = Op(
    "concatenate",
    _concatenate_type,
    lambda *arrays, axis: np.concatenate(arrays, axis),
    derivative=linear_jointly,
    transpose=_concatenate_transpose,
    batch=lambda size, node, inputs, batched: concatenate(*aligned(size, inputs, batched), axis=node.attrs["axis"] + 1),
    moves=True,
)
"""The operands one after the other along an axis."""
