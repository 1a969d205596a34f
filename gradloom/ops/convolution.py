"""Convolution and its two relatives: one trilinear form, solved for each of its three arrays.

With x the input, w the kernel and y the output (by position p of the kernel and window q),

    Σ y[q, o] w[p, i, o] x[stride · q + dilation · p - low, i]

is linear in each array.  Its derivative by y is ``conv``, by x ``conv_input_gradient`` (transposed convolution) and
by w ``conv_kernel_gradient``.  So each of the three is bilinear in two arrays, and its transposes are the other two.

Layout: x (N, *spatial, C), w (*kernel, C / groups, CO), y (N, *out, CO).  Channels belong to ``groups`` groups that
do not mix: output channels of group g see the input channels of group g alone.

As is the custom of the field the kernel is not flipped: this is cross-correlation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradloom.errors import DTypeError, OptionError, ShapeError
from gradloom.ir.graph import Node, Op
from gradloom.ir.tensortype import TensorType
from gradloom.ops.core import per_operand, permute, reshape
from gradloom.ops.geometry import Padding, Sizes, Windows, accumulator, check_channels_last
from gradloom.ops.rules import check_kind

# Type rules ---------------------------------------------------------------------------------------------------


def _check_operands(who: str, first: TensorType, second: TensorType, groups: int) -> None:
    check_kind(who, first, "f")
    check_channels_last(who, first)
    if first.dtype != second.dtype:
        raise DTypeError(who, rule="operands must have one data type", got=f"{first} and {second}")
    if first.rank != second.rank:
        raise ShapeError(
            who,
            rule="both operands need the same number of spatial axes",
            got=f"{first} and {second}",
            fix="Inputs are (N, *spatial, C), kernels (*kernel, C / groups, CO).",
        )
    if groups < 1:
        raise OptionError(who, rule="groups must be at least 1", got=str(groups))


def _check_groups(who: str, what: str, channels: int, groups: int) -> None:
    if channels % groups:
        raise ShapeError(
            who,
            rule=f"the groups must divide the {what} channels",
            got=f"{groups} groups for {channels} channels",
        )


def _check_counts(who: str, y: TensorType, windows: Windows) -> None:
    if y.shape[1:-1] != windows.counts:
        raise ShapeError(
            who,
            rule=f"an input of {windows.spatial} and a kernel of {windows.size} belong to an output of "
            f"{windows.counts}",
            got=f"{y.shape[1:-1]}",
        )


def _conv_type(
    x: TensorType, w: TensorType, *, strides: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> TensorType:
    _check_operands("conv", x, w, groups)
    channels, taken = x.shape[-1], w.shape[-2]
    _check_groups("conv", "input", channels, groups)
    _check_groups("conv", "output", w.shape[-1], groups)
    if channels != taken * groups:
        raise ShapeError(
            "conv",
            rule="the kernel must take the channels that the input has",
            got=f"{channels} input channels ({x}) and a kernel for {taken * groups} ({w}, groups {groups})",
            fix=f"Give the kernel {channels // groups} input channels (its last axis but one).",
        )
    windows = Windows(x.shape[1:-1], w.shape[:-2], strides, padding, dilation)
    windows.check("conv")
    return x.with_shape((x.shape[0], *windows.counts, w.shape[-1]))


def _input_gradient_type(
    y: TensorType, w: TensorType, *, spatial: Sizes, strides: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> TensorType:
    who = "conv_transpose"
    _check_operands(who, y, w, groups)
    if y.shape[-1] != w.shape[-1]:
        raise ShapeError(
            who,
            rule="the input must have as many channels as the kernel's last axis",
            got=f"{y.shape[-1]} channels ({y}) and {w.shape[-1]} ({w})",
        )
    _check_groups(who, "input", y.shape[-1], groups)
    windows = Windows(spatial, w.shape[:-2], strides, padding, dilation)
    windows.check(who)
    _check_counts(who, y, windows)
    return y.with_shape((y.shape[0], *spatial, w.shape[-2] * groups))


def _kernel_gradient_type(
    x: TensorType, y: TensorType, *, kernel: Sizes, strides: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> TensorType:
    who = "conv_kernel_gradient"
    _check_operands(who, x, y, groups)
    if x.shape[0] != y.shape[0]:
        raise ShapeError(who, rule="input and output must have one number of examples", got=f"{x} and {y}")
    _check_groups(who, "input", x.shape[-1], groups)
    _check_groups(who, "output", y.shape[-1], groups)
    windows = Windows(x.shape[1:-1], kernel, strides, padding, dilation)
    windows.check(who)
    _check_counts(who, y, windows)
    return x.with_shape((*kernel, x.shape[-1] // groups, y.shape[-1]))


# Meaning: one matrix product a group for each position of the kernel ------------------------------------------


def _by_group(values: np.ndarray, groups: int) -> np.ndarray:
    """(..., groups · c) as a matrix for each group: (groups, rows, c)."""
    return values.reshape(-1, groups, values.shape[-1] // groups).swapaxes(0, 1)


def _all_groups(matrices: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The inverse of :func:`_by_group`."""
    return matrices.swapaxes(0, 1).reshape(shape)


def _conv(x: np.ndarray, w: np.ndarray, strides: Sizes, padding: Padding, dilation: Sizes, groups: int) -> np.ndarray:
    windows, wide = Windows(x.shape[1:-1], w.shape[:-2], strides, padding, dilation), accumulator(x.dtype)
    padded, kernel = windows.pad(x.astype(wide, copy=False)), w.astype(wide, copy=False)
    out = np.zeros((x.shape[0], *windows.counts, w.shape[-1]), wide)
    for position, place in windows.places():
        out += _all_groups(_by_group(padded[place], groups) @ _by_group(kernel[position], groups), out.shape)
    return out.astype(x.dtype, copy=False)


def _input_gradient(
    y: np.ndarray, w: np.ndarray, spatial: Sizes, strides: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> np.ndarray:
    windows, wide = Windows(spatial, w.shape[:-2], strides, padding, dilation), accumulator(y.dtype)
    rows, kernel = _by_group(y.astype(wide, copy=False), groups), w.astype(wide, copy=False)
    padded = np.zeros((y.shape[0], *windows.padded, w.shape[-2] * groups), wide)
    for position, place in windows.places():
        back = rows @ _by_group(kernel[position], groups).swapaxes(1, 2)
        padded[place] += _all_groups(back, padded[place].shape)
    return windows.crop(padded).astype(y.dtype, copy=False)


def _kernel_gradient(
    x: np.ndarray, y: np.ndarray, kernel: Sizes, strides: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> np.ndarray:
    windows, wide = Windows(x.shape[1:-1], kernel, strides, padding, dilation), accumulator(x.dtype)
    padded, rows = windows.pad(x.astype(wide, copy=False)), _by_group(y.astype(wide, copy=False), groups)
    out = np.empty((*kernel, x.shape[-1] // groups, y.shape[-1]), wide)
    for position, place in windows.places():
        columns = _by_group(padded[place], groups).swapaxes(1, 2)
        out[position] = _all_groups(columns @ rows, out[position].shape)
    return out.astype(x.dtype, copy=False)


# Derivatives: the trilinear form solved for the array that is wanted ------------------------------------------


def _solved_for(array: str, like: Node, known: Mapping[str, Node], attrs: Mapping[str, Any]) -> Node:
    """The array ``"x"``, ``"w"`` or ``"y"``, shaped as ``like``, from the two others."""
    options = {name: attrs[name] for name in ("strides", "padding", "dilation", "groups")}
    if array == "y":
        return conv(known["x"], known["w"], **options)
    if array == "x":
        return conv_input_gradient(known["y"], known["w"], spatial=like.shape[1:-1], **options)
    return conv_kernel_gradient(known["x"], known["y"], kernel=like.shape[:-2], **options)


def _transpose_rule(first: str, second: str, result: str) -> Callable[..., Sequence[Node | None]]:
    def transpose(ct: Node, node: Node, linear: Sequence[bool]) -> Sequence[Node | None]:
        a, b = node.inputs
        return (
            _solved_for(first, a, {result: ct, second: b}, node.attrs) if linear[0] else None,
            _solved_for(second, b, {result: ct, first: a}, node.attrs) if linear[1] else None,
        )

    return transpose


# Mapping (vmap): the mapped axis joins an axis that the operation has already ---------------------------------
#
# Name the axes of the form n (examples), g (groups), i and o (channels of a group, in and out), '.' for spatial.
# An axis mapped in both operands acts as further groups.  An axis mapped in one operand belongs to that operand and
# the result but not to the third array, as exactly one of n, i and o does.  So no case needs a loop.

_AXES = {"x": "n.gi", "w": ".igo", "y": "n.go"}


def _axes_of(array: str, rank: int) -> str:
    """The axes of an array of this rank; the last two of them are one axis, the channels."""
    return _AXES[array].replace(".", "." * (rank - 2))


def _absorb(values: Node, array: str, axis: str, groups: int) -> Node:
    """An operand with a mapped axis in front: that axis becomes the outer part of ``axis``."""
    size, *shape = values.shape
    split = [*shape[:-1], groups, shape[-1] // groups]
    at = _axes_of(array, len(shape)).index(axis)
    order = (*range(1, at + 1), 0, *range(at + 1, len(split) + 1))
    moved = permute(reshape(values, shape=(size, *split)), axes=order)
    split[at] *= size
    return reshape(moved, shape=(*split[:-2], split[-2] * split[-1]))


def _release(values: Node, array: str, axis: str, groups: int, size: int) -> Node:
    """The inverse of :func:`_absorb`; ``groups`` counts the mapped ones, if they are."""
    shape = values.shape
    split = [*shape[:-1], groups, shape[-1] // groups]
    at = _axes_of(array, len(shape)).index(axis)
    split[at : at + 1] = [size, split[at] // size]
    moved = permute(reshape(values, shape=tuple(split)), axes=(at, *(a for a in range(len(split)) if a != at)))
    return reshape(moved, shape=(*moved.shape[:-2], moved.shape[-2] * moved.shape[-1]))


def _batch_rule(first: str, second: str, result: str) -> Callable[..., Node]:
    def batch(size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
        groups = node.attrs["groups"]
        if all(batched):
            axis, total = "g", groups * size
        else:
            mapped, other = (first, second) if batched[0] else (second, first)
            (axis,) = (set(_AXES[mapped]) & set(_AXES[result])) - set(_AXES[other])
            total = groups
        operands = [
            _absorb(x, array, axis, groups) if has else x for x, array, has in zip(inputs, (first, second), batched)
        ]
        found = node.op(*operands, **{**node.attrs, "groups": total})
        return _release(found, result, axis, total, size)

    return batch


# The primitives -----------------------------------------------------------------------------------------------


def _bilinear(
    name: str, type_rule: Callable[..., TensorType], compute: Callable[..., np.ndarray], arrays: tuple[str, str, str]
) -> Op:
    """Declare the form solved for the last of ``arrays``, given the first two."""
    return Op(
        name,
        type_rule,
        compute,
        derivative=per_operand(
            lambda t, out, a, b: out.op(t, b, **out.attrs), lambda t, out, a, b: out.op(a, t, **out.attrs)
        ),
        transpose=_transpose_rule(*arrays),
        batch=_batch_rule(*arrays),
    )


conv = _bilinear("conv", _conv_type, _conv, ("x", "w", "y"))
"""Cross-correlation of x (N, *spatial, C) with the kernels w (*kernel, C / groups, CO)."""

conv_input_gradient = _bilinear("conv_input_gradient", _input_gradient_type, _input_gradient, ("y", "w", "x"))
"""The cotangent of an input of sizes ``spatial`` from that of the output; also called transposed convolution."""

conv_kernel_gradient = _bilinear("conv_kernel_gradient", _kernel_gradient_type, _kernel_gradient, ("x", "y", "w"))
"""The cotangent of a kernel of sizes ``kernel`` from the input and the cotangent of the output."""
