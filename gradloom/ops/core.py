"""The few primitives that the rules of all others are written with, and helpers made of them.

``add`` sums tangents, ``reduce_sum`` and ``broadcast`` are each other's transpose, ``reshape`` and ``permute``
put axes where a rule wants them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradloom.errors import ShapeError
from gradloom.ir.graph import Domain, Node, Op, fill, repeated
from gradloom.ir.tensortype import TensorType
from gradloom.ops.rules import NUMBERS, check_axis, check_kind, check_same, shifted, without_axes

Derivative = Callable[[Node, Sequence[Node | None]], Node | None]
Transpose = Callable[[Node, Node, Sequence[bool]], Sequence[Node | None]]


# Helpers ------------------------------------------------------------------------------------------------------


def zeros(type: TensorType) -> Node:
    """A constant zero of this type."""
    return fill(type, 0)


def per_operand(*rules: Callable[..., Node] | None) -> Derivative:
    """The derivative of an operation as the sum over operands of ``rule(tangent, out, *operands)``."""

    def derivative(out: Node, tangents: Sequence[Node | None]) -> Node | None:
        total: Node | None = None
        for tangent, rule in zip(tangents, rules):
            if tangent is not None and rule is not None:
                term = rule(tangent, out, *out.inputs)
                total = term if total is None else add(total, term)
        return total

    return derivative


def linear_in_first(out: Node, tangents: Sequence[Node | None]) -> Node | None:
    """The derivative of an operation that is linear in its first operand and constant in the others' tangents."""
    return None if tangents[0] is None else out.op(tangents[0], *out.inputs[1:], **out.attrs)


def linear_jointly(out: Node, tangents: Sequence[Node | None]) -> Node | None:
    """The derivative of an operation that is linear in all its operands taken together."""
    if all(t is None for t in tangents):
        return None
    filled = [zeros(x.tensor_type) if t is None else t for t, x in zip(tangents, out.inputs)]
    return out.op(*filled, **out.attrs)


def transpose_first(rule: Callable[[Node, Node], Node]) -> Transpose:
    """The transpose rule of an operation that is linear in its first operand alone: ``rule(ct, node)``."""

    def transpose(ct: Node, node: Node, linear: Sequence[bool]) -> Sequence[Node | None]:
        return (rule(ct, node), *(None for _ in node.inputs[1:]))

    return transpose


def repeat_front(node: Node, size: int) -> Node:
    """``node`` repeated along a new first axis."""
    return broadcast(node, shape=(size, *node.shape), axes=tuple(range(1, len(node.shape) + 1)))


def aligned(size: int, inputs: Sequence[Node], batched: Sequence[bool]) -> list[Node]:
    """Operands of a mapped operation, those without the mapped axis repeated along it."""
    return [x if has else repeat_front(x, size) for x, has in zip(inputs, batched)]


def batch_all(size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """The batch rule of elementwise operations: the mapped axis is one more axis of every operand."""
    return node.op(*aligned(size, inputs, batched), **node.attrs)


def batch_with(change: Callable[[int, dict[str, Any]], dict[str, Any]]) -> Callable[..., Node]:
    """The batch rule of an operation of one operand whose attributes change when an axis is put in front."""

    def batch(size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
        return node.op(*inputs, **{**node.attrs, **change(size, node.attrs)})

    return batch


# Primitives ---------------------------------------------------------------------------------------------------


def _add_type(x: TensorType, y: TensorType) -> TensorType:
    check_kind("add", x, NUMBERS)
    check_same("add", (x, y))
    return x


add = Op(
    "add",
    _add_type,
    np.add,
    derivative=per_operand(lambda t, out, x, y: t, lambda t, out, x, y: t),
    transpose=lambda ct, node, linear: [ct if is_linear else None for is_linear in linear],
    batch=batch_all,
)
"""x + y, elementwise; operands of one type."""


def _broadcast_type(x: TensorType, *, shape: tuple[int, ...], axes: tuple[int, ...]) -> TensorType:
    fits = len(axes) == x.rank and list(axes) == sorted(set(axes)) and all(0 <= a < len(shape) for a in axes)
    if not fits or any(n not in (1, shape[a]) for n, a in zip(x.shape, axes)):
        raise ShapeError(
            "broadcast",
            rule="each axis must have size 1 or the size of the axis it becomes",
            got=f"{x} to shape {shape} along axes {axes}",
        )
    return x.with_shape(shape)


def _placed(shape: Sequence[int], rank: int, axes: Sequence[int]) -> tuple[int, ...]:
    """The operand's shape with an axis of size 1 for every axis that broadcasting adds."""
    full = [1] * rank
    for n, a in zip(shape, axes):
        full[a] = n
    return tuple(full)


def _broadcast(x: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    if x.size == 1:
        return repeated(x, shape)
    return np.broadcast_to(x.reshape(_placed(x.shape, len(shape), axes)), shape)


def _broadcast_transpose(ct: Node, node: Node) -> Node:
    operand, axes = node.inputs[0], node.attrs["axes"]
    placed = _placed(operand.shape, len(node.shape), axes)
    added = tuple(i for i, (n, m) in enumerate(zip(placed, node.shape)) if i not in axes or n != m)
    return reshape(reduce_sum(ct, axes=added), shape=operand.shape)


broadcast = Op(
    "broadcast",
    _broadcast_type,
    _broadcast,
    derivative=linear_in_first,
    transpose=transpose_first(_broadcast_transpose),
    batch=batch_with(lambda size, a: {"shape": (size, *a["shape"]), "axes": (0, *shifted(a["axes"]))}),
    moves=True,
)
"""x repeated to ``shape``; axis i of x becomes axis ``axes[i]``, its size 1 or the size it becomes."""


def check_axes(who: str, x: TensorType, axes: tuple[int, ...]) -> None:
    """Refuse axes that are missing, repeated or unsorted."""
    for axis in axes:
        check_axis(who, x, axis)
    if list(axes) != sorted(set(axes)):
        raise ShapeError(who, rule="axes must be distinct and sorted", got=f"{axes} for {x}")


def _sum_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    check_kind("sum", x, NUMBERS)
    check_axes("sum", x, axes)
    return x.with_shape(without_axes(x.shape, axes))


def _sum_transpose(ct: Node, node: Node) -> Node:
    shape = node.inputs[0].shape
    kept = tuple(i for i in range(len(shape)) if i not in node.attrs["axes"])
    return broadcast(ct, shape=shape, axes=kept)


reduce_sum = Op(
    "reduce_sum",
    _sum_type,
    lambda x, axes: x.sum(axis=axes, dtype=x.dtype),
    derivative=linear_in_first,
    transpose=transpose_first(_sum_transpose),
    batch=batch_with(lambda size, a: {"axes": shifted(a["axes"])}),
)
"""The sum over ``axes``, which disappear."""


def _reshape_type(x: TensorType, *, shape: tuple[int, ...]) -> TensorType:
    if math.prod(shape) != x.size or any(n < 0 for n in shape):
        raise ShapeError(
            "reshape",
            rule="the number of elements must stay the same",
            got=f"{x} ({x.size} elements) to shape {shape} ({math.prod(shape)} elements)",
            fix="Let one size be -1 to have it worked out.",
        )
    return x.with_shape(shape)


reshape = Op(
    "reshape",
    _reshape_type,
    lambda x, shape: x.reshape(shape),
    derivative=linear_in_first,
    transpose=transpose_first(lambda ct, node: reshape(ct, shape=node.inputs[0].shape)),
    batch=batch_with(lambda size, a: {"shape": (size, *a["shape"])}),
    moves=True,
)
"""The same elements, last axis fastest, in another shape."""


def _permute_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    if sorted(axes) != list(range(x.rank)):
        raise ShapeError(
            "transpose",
            rule="the axes must be a permutation of the operand's",
            got=f"axes {axes} for {x}",
            fix=f"Name each of the axes 0 to {x.rank - 1} once.",
        )
    return x.with_shape(tuple(x.shape[a] for a in axes))


permute = Op(
    "permute",
    _permute_type,
    lambda x, axes: x.transpose(axes),
    derivative=linear_in_first,
    transpose=transpose_first(lambda ct, node: permute(ct, axes=tuple(int(a) for a in np.argsort(node.attrs["axes"])))),
    batch=batch_with(lambda size, a: {"axes": (0, *shifted(a["axes"]))}),
    domains=(Domain(),),
    moves=True,
)
"""Axes in another order: axis i of the result is axis ``axes[i]`` of x."""
