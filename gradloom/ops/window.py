"""Windows moved over a grid: laid out one by one, summed, and searched for their largest element.

Arrays are (N, *spatial, C), channels last; how windows lie on the grid is in ops/geometry.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradloom.errors import ShapeError
from gradloom.ir.graph import Node, Op
from gradloom.ir.tensortype import TensorType, is_float
from gradloom.ops.core import aligned, linear_in_first, reshape, transpose_first
from gradloom.ops.geometry import Padding, Sizes, Windows, accumulator, check_channels_last
from gradloom.ops.rules import NUMBERS, check_kind, check_same


def _windows_of(who: str, x: TensorType, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes) -> Windows:
    """The windows on an operand, checked."""
    check_kind(who, x, NUMBERS)
    check_channels_last(who, x)
    windows = Windows(x.shape[1:-1], window, strides, padding, dilation)
    windows.check(who)
    return windows


def _batch_examples(size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Mapped examples are more examples: the mapped axis joins the first."""
    _, count, *rest = inputs[0].shape
    found = node.op(reshape(inputs[0], shape=(size * count, *rest)), **node.attrs)
    return reshape(found, shape=(size, count, *found.shape[1:]))


# Windows laid out ---------------------------------------------------------------------------------------------


def _patches_type(x: TensorType, *, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes) -> TensorType:
    windows = _windows_of("patches", x, window, strides, padding, dilation)
    return x.with_shape((x.shape[0], *windows.counts, math.prod(window), x.shape[-1]))


def _patches(x: np.ndarray, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes) -> np.ndarray:
    windows = Windows(x.shape[1:-1], window, strides, padding, dilation)
    padded = windows.pad(x)
    return np.stack([padded[place] for _, place in windows.places()], axis=-2)


def _patches_transpose(ct: Node, node: Node) -> Node:
    return fold_patches(ct, spatial=node.inputs[0].shape[1:-1], **node.attrs)


patches = Op(
    "patches",
    _patches_type,
    _patches,
    derivative=linear_in_first,
    transpose=transpose_first(_patches_transpose),
    batch=_batch_examples,
    moves=True,
)
"""The windows of x laid out (im2col): (N, *out, positions of the window, C), zeros where there is padding."""


def _fold_type(
    p: TensorType, *, spatial: Sizes, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes
) -> TensorType:
    grid = p.with_shape((*p.shape[:1], *spatial, *p.shape[-1:]))
    windows = _windows_of("fold_patches", grid, window, strides, padding, dilation)
    wanted = grid.with_shape((p.shape[0], *windows.counts, math.prod(window), p.shape[-1]))
    if p != wanted:
        raise ShapeError(
            "fold_patches",
            rule=f"windows of {window} on a grid of {spatial} are {wanted}",
            got=str(p),
        )
    return grid


def _fold(
    p: np.ndarray, spatial: Sizes, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes
) -> np.ndarray:
    windows = Windows(spatial, window, strides, padding, dilation)
    padded = np.zeros((p.shape[0], *windows.padded, p.shape[-1]), accumulator(p.dtype))
    for index, (_, place) in enumerate(windows.places()):
        padded[place] += p[..., index, :]
    return windows.crop(padded).astype(p.dtype, copy=False)


def _fold_transpose(ct: Node, node: Node) -> Node:
    return patches(ct, **{name: value for name, value in node.attrs.items() if name != "spatial"})


fold_patches = Op(
    "fold_patches",
    _fold_type,
    _fold,
    derivative=linear_in_first,
    transpose=transpose_first(_fold_transpose),
    batch=_batch_examples,
)
"""Windows put back on a grid of sizes ``spatial``, overlaps added up (col2im): the transpose of ``patches``."""

# Sums ---------------------------------------------------------------------------------------------------------


def _pooled_type(x: TensorType, windows: Windows) -> TensorType:
    return x.with_shape((x.shape[0], *windows.counts, x.shape[-1]))


def _sum_type(x: TensorType, *, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes) -> TensorType:
    return _pooled_type(x, _windows_of("window_sum", x, window, strides, padding, dilation))


def _window_sum(x: np.ndarray, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes) -> np.ndarray:
    windows = Windows(x.shape[1:-1], window, strides, padding, dilation)
    padded = windows.pad(x)
    out = np.zeros((x.shape[0], *windows.counts, x.shape[-1]), accumulator(x.dtype))
    for _, place in windows.places():
        out += padded[place]
    return out.astype(x.dtype, copy=False)


def _sum_transpose(ct: Node, node: Node) -> Node:
    return window_share(ct, spatial=node.inputs[0].shape[1:-1], **node.attrs)


window_sum = Op(
    "window_sum",
    _sum_type,
    _window_sum,
    derivative=linear_in_first,
    transpose=transpose_first(_sum_transpose),
    batch=_batch_examples,
)
"""The sum of each window, channel by channel: (N, *out, C); padding counts as 0."""


def _share_type(
    y: TensorType, *, spatial: Sizes, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes
) -> TensorType:
    grid = y.with_shape((*y.shape[:1], *spatial, *y.shape[-1:]))
    check_pooled("window_share", y, grid, _windows_of("window_share", grid, window, strides, padding, dilation))
    return grid


def check_pooled(who: str, y: TensorType, x: TensorType, windows: Windows) -> None:
    """Refuse what has not one element of a type for each window on x."""
    if y != _pooled_type(x, windows):
        raise ShapeError(
            who,
            rule=f"windows of {windows.size} on {x} have one element each, {_pooled_type(x, windows)}",
            got=str(y),
        )


def _share(
    y: np.ndarray, spatial: Sizes, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes
) -> np.ndarray:
    windows = Windows(spatial, window, strides, padding, dilation)
    padded = np.zeros((y.shape[0], *windows.padded, y.shape[-1]), accumulator(y.dtype))
    for _, place in windows.places():
        padded[place] += y
    return windows.crop(padded).astype(y.dtype, copy=False)


def _share_transpose(ct: Node, node: Node) -> Node:
    return window_sum(ct, **{name: value for name, value in node.attrs.items() if name != "spatial"})


window_share = Op(
    "window_share",
    _share_type,
    _share,
    derivative=linear_in_first,
    transpose=transpose_first(_share_transpose),
    batch=_batch_examples,
)
"""Every element of a grid of sizes ``spatial`` gets the sum over the windows that hold it: the transpose of
``window_sum``."""

# Largest elements ---------------------------------------------------------------------------------------------


def _max_type(who: str, result: str | None) -> Callable[..., TensorType]:
    def type_rule(x: TensorType, *, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes) -> TensorType:
        windows = _windows_of(who, x, window, strides, padding, dilation)
        if windows.padding_only():
            raise ShapeError(
                who,
                rule="every window must hold at least one element that is not padding",
                got=f"windows of {window} with padding {padding} and dilation {dilation} on {x}",
                fix="Keep the padding smaller than the window.",
            )
        pooled = _pooled_type(x, windows)
        return pooled.with_dtype(result) if result else pooled

    return type_rule


def _lowest(dtype: np.dtype) -> float:
    """A value that no element of this type is below."""
    return -math.inf if is_float(dtype) else int(np.iinfo(dtype).min)


def _window_max(x: np.ndarray, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes) -> np.ndarray:
    windows = Windows(x.shape[1:-1], window, strides, padding, dilation)
    padded = windows.pad(x, _lowest(x.dtype))
    out = np.full((x.shape[0], *windows.counts, x.shape[-1]), _lowest(x.dtype), x.dtype)
    for _, place in windows.places():
        np.maximum(out, padded[place], out=out)
    return out


def _window_argmax(x: np.ndarray, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes) -> np.ndarray:
    windows = Windows(x.shape[1:-1], window, strides, padding, dilation)
    numbers = np.arange(math.prod(windows.spatial)).reshape(1, *windows.spatial, 1)
    padded, positions = windows.pad(x), windows.pad(numbers, -1)
    best = np.zeros((x.shape[0], *windows.counts, x.shape[-1]), x.dtype)
    found = np.full(best.shape, -1, np.int64)  # -1: nothing but padding so far
    for _, place in windows.places():
        value, position = padded[place], positions[place]
        larger = (value > best) | (np.isnan(value) & ~np.isnan(best))
        wins = (position >= 0) & (larger | (found < 0))
        best, found = np.where(wins, value, best), np.where(wins, position, found)
    return found


def _max_derivative(out: Node, tangents: Sequence[Node | None]) -> Node | None:
    """The tangent of the element that is the largest."""
    (t,), (x,) = tangents, out.inputs
    return None if t is None else window_pick(t, x, **out.attrs)


window_max = Op(
    "window_max",
    _max_type("window_max", None),
    _window_max,
    derivative=_max_derivative,
    batch=_batch_examples,
)
"""The largest element of each window, channel by channel: (N, *out, C); padding never wins, NaN does.

Of equal elements the first has the derivative.
"""

window_argmax = Op("window_argmax", _max_type("window_argmax", "int64"), _window_argmax, batch=_batch_examples)
"""Where the first largest element of each window lies: its place in the flattened spatial axes of x."""


def _pick_type(
    t: TensorType, x: TensorType, *, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes
) -> TensorType:
    check_same("window_pick", (t, x))
    return _max_type("window_pick", None)(x, window=window, strides=strides, padding=padding, dilation=dilation)


def _pick(t: np.ndarray, x: np.ndarray, **options: Any) -> np.ndarray:
    found = _window_argmax(x, **options)
    n, *counts, channels = found.shape
    rows, places = t.reshape(n, -1, channels), found.reshape(n, -1, channels)
    return np.take_along_axis(rows, places, axis=1).reshape(n, *counts, channels)


def _place_type(
    y: TensorType, x: TensorType, *, window: Sizes, strides: Sizes, padding: Padding, dilation: Sizes
) -> TensorType:
    _max_type("window_place", None)(x, window=window, strides=strides, padding=padding, dilation=dilation)
    check_pooled("window_place", y, x, _windows_of("window_place", x, window, strides, padding, dilation))
    return x


def _place(y: np.ndarray, x: np.ndarray, **options: Any) -> np.ndarray:
    n, channels = x.shape[0], x.shape[-1]
    places = _window_argmax(x, **options).reshape(n, -1, channels)
    sums = np.zeros((n, math.prod(x.shape[1:-1]), channels), accumulator(y.dtype))
    np.add.at(sums, (np.arange(n)[:, None, None], places, np.arange(channels)), y.reshape(places.shape))
    return sums.reshape(x.shape).astype(y.dtype, copy=False)


def _batch_pairs(size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Mapped examples of both operands are more examples."""
    pairs = [reshape(x, shape=(size * x.shape[1], *x.shape[2:])) for x in aligned(size, inputs, batched)]
    found = node.op(*pairs, **node.attrs)
    return reshape(found, shape=(size, found.shape[0] // size, *found.shape[1:]))


window_pick = Op(
    "window_pick",
    _pick_type,
    _pick,
    derivative=linear_in_first,
    transpose=transpose_first(lambda ct, node: window_place(ct, node.inputs[1], **node.attrs)),
    batch=_batch_pairs,
)
"""The element of t where the first largest element of each window of x lies, t and x of one type: (N, *out, C)."""

window_place = Op(
    "window_place",
    _place_type,
    _place,
    derivative=linear_in_first,
    transpose=transpose_first(lambda ct, node: window_pick(ct, node.inputs[1], **node.attrs)),
    batch=_batch_pairs,
)
"""The element of y for each window added where the first largest element of that window of x lies, zeros elsewhere."""
