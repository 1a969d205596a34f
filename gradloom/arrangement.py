"""Where elements lie: shapes, joining and cutting, reading and adding at positions, sorting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gradloom import options, semantics
from gradloom.creation import arange, cast
from gradloom.errors import OptionError, ShapeError
from gradloom.ir.graph import Node, constant
from gradloom.ir.tensortype import DEFAULT_FLOAT
from gradloom.ops import index, movement
from gradloom.pointwise import clip, where
from gradloom.semantics import Axis, normal_axes, normal_axis
from gradloom.tensor import Tensor, TensorLike, node_of, unwrap

# Shapes ---------------------------------------------------------------------------------------------------------


def reshape(x: TensorLike, shape: Sequence[int]) -> Tensor:
    """The same elements, last axis fastest, in another shape; one size may be -1."""
    return Tensor(semantics.reshape(node_of(x, "reshape"), shape))


def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order; reversed by default."""
    return Tensor(semantics.transpose(node_of(x, "transpose"), axes))


def moveaxis(x: TensorLike, source: int, destination: int) -> Tensor:
    """One axis moved to another place."""
    node = node_of(x, "moveaxis")
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
    node = node_of(x, "squeeze")
    axes = normal_axes("squeeze", node, axis) if axis is not None else [i for i, n in enumerate(node.shape) if n == 1]
    if any(node.shape[a] != 1 for a in axes):
        raise ShapeError("squeeze", rule="only axes of size 1 can be taken out", got=f"axes {axes} of {node.type}")
    return Tensor(semantics.reshape(node, [n for i, n in enumerate(node.shape) if i not in axes]))


def broadcast_to(x: TensorLike, shape: Sequence[int]) -> Tensor:
    """x repeated to ``shape``, new axes in front."""
    return Tensor(semantics.broadcast_to(node_of(x, "broadcast_to"), tuple(shape)))


def pad(
    x: TensorLike, widths: Sequence[tuple[int, int]] | int, value: float = 0.0, *, mode: str = "constant"
) -> Tensor:
    """x with elements put around it.

    Args:
        x: a tensor.
        widths: (before, after) for each axis, or one number for all sides.
        value: what is put there, where the mode is "constant".
        mode: "constant"; "edge" repeats the first and last element, "reflect" mirrors without repeating them,
            "symmetric" mirrors with them, "wrap" goes on at the other end.

    Raises:
        OptionError: no such mode, or an axis without elements has nothing to repeat.
    """
    node = node_of(x, "pad")
    pairs = [(widths, widths)] * len(node.shape) if isinstance(widths, int) else list(widths)
    if mode == "constant":
        low, high = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
        return Tensor(movement.pad(node, value=value, low=low, high=high, interior=(0,) * len(node.shape)))
    options.choice("pad", "mode", mode, ("constant", "edge", "reflect", "symmetric", "wrap"))
    found = Tensor(node)
    for axis, pair in enumerate(pairs):
        if any(pair):
            found = _extended(found, axis, pair, mode)
    return found


def _extended(x: Tensor, axis: int, pair: tuple[int, int], mode: str) -> Tensor:
    """x with its own elements before and after it along an axis."""
    if min(pair) < 0 or not x.shape[axis]:
        raise OptionError(
            "pad",
            rule=f"mode {mode!r} puts elements of x, from 0 on, around it",
            got=f"widths {pair} for axis {axis} of {x.type}",
            fix="Use a slice to take elements away.",
        )
    positions = np.pad(np.arange(x.shape[axis]), pair, mode=mode)  # type: ignore[call-overload]
    return Tensor(index.take(node_of(x, "pad"), constant(positions), axis=axis))


def flip(x: TensorLike, axis: Axis = None) -> Tensor:
    """The elements in reverse order along axes (all by default)."""
    node = node_of(x, "flip")
    return Tensor(movement.flip(node, axes=normal_axes("flip", node, axis)))


def roll(x: TensorLike, shift: int, axis: int = -1) -> Tensor:
    """The elements moved ``shift`` places along an axis; what leaves at one end enters at the other."""
    node = node_of(x, "roll")
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
    node = node_of(x, "split")
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


# Reading at positions -------------------------------------------------------------------------------------------


def take(x: TensorLike, indices: TensorLike, axis: int = 0, mode: str = "raise") -> Tensor:
    """The slices of x at ``indices`` along an axis.

    Args:
        x: the tensor.
        indices: integers of any shape; with ``mode="raise"`` from -size to size - 1.
        axis: the axis, which becomes the axes of ``indices``.
        mode: "raise" refuses positions outside the axis, "clip" takes the nearest end.
    """
    node = node_of(x, "take")
    at = normal_axis("take", node, axis)
    return Tensor(index.take(node, _positions("take", indices, node.shape[at], mode), axis=at))


def _positions(who: str, indices: TensorLike, size: int, mode: str = "raise") -> Node:
    """Positions counted from the front."""
    places = node_of(indices, who)
    if mode == "clip":
        return clip(cast(Tensor(places), "int64"), 0, size - 1).node
    if mode != "raise":
        raise OptionError(who, rule="mode is 'raise' or 'clip'", got=repr(mode))
    if places.dtype.kind == "u":
        return places
    return where(Tensor(places) < 0, Tensor(places) + size, Tensor(places)).node


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int = -1) -> Tensor:
    """For each place of ``indices`` the element of x at that position along the axis; shapes agree elsewhere."""
    node = node_of(x, "take_along_axis")
    at = normal_axis("take_along_axis", node, axis)
    return Tensor(index.take_along(node, _positions("take_along_axis", indices, node.shape[at]), axis=at))


def scatter_add(x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int = 0) -> Tensor:
    """x with ``updates`` added to its slices at ``indices`` along an axis; equal positions add up."""
    node = node_of(x, "scatter_add")
    at = normal_axis("scatter_add", node, axis)
    change = semantics.cast(node_of(updates, "scatter_add"), node.dtype)
    return Tensor(index.scatter_add(node, _positions("scatter_add", indices, node.shape[at]), change, axis=at))


def one_hot(indices: TensorLike, classes: int, dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """1 at the position given by each index, 0 elsewhere, along a new last axis of size ``classes``."""
    places = cast(expand_dims(indices, -1), "int64")
    return cast(places == arange(classes), dtype)


def sort(x: TensorLike, axis: int = -1) -> Tensor:
    """The elements along an axis, smallest first."""
    node = node_of(x, "sort")
    return Tensor(index.sort(node, axis=normal_axis("sort", node, axis)))


def argsort(x: TensorLike, axis: int = -1) -> Tensor:
    """The positions that sort x along an axis; equal elements keep their order."""
    node = node_of(x, "argsort")
    return Tensor(index.argsort(node, axis=normal_axis("argsort", node, axis)))


def top_k(x: TensorLike, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    """The k largest elements along an axis, largest first, and their positions."""
    node = node_of(x, "top_k")
    at = normal_axis("top_k", node, axis)
    places = index.arg_top_k(node, k=k, axis=at)
    return Tensor(index.take_along(node, places, axis=at)), Tensor(places)
