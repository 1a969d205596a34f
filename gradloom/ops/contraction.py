"""Sums of products: the one primitive behind matmul, dot, einsum and every dense layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gradloom.errors import DTypeError, ShapeError
from gradloom.ir.graph import Node, Op
from gradloom.ir.tensortype import TensorType
from gradloom.ops.core import per_operand, permute
from gradloom.ops.rules import NUMBERS, check_kind, shifted

Axes = tuple[int, ...]
AxesPair = tuple[Axes, Axes]


def _free(rank: int, contract: Axes, batch: Axes) -> Axes:
    """Axes of an operand that are neither summed over nor shared."""
    return tuple(a for a in range(rank) if a not in contract and a not in batch)


def _contract_type(x: TensorType, y: TensorType, *, contract: AxesPair, batch: AxesPair) -> TensorType:
    check_kind("matmul", x, NUMBERS)
    if x.dtype != y.dtype:
        raise DTypeError("matmul", rule="operands must have one data type", got=f"{x} and {y}")
    for word, (left, right) in (("summed", contract), ("shared", batch)):
        if [x.shape[a] for a in left] != [y.shape[a] for a in right]:
            raise ShapeError(
                "matmul",
                rule=f"the {word} axes must have equal sizes",
                got=f"{x} along axes {left} and {y} along axes {right}",
            )
    shared = tuple(x.shape[a] for a in batch[0])
    left = tuple(x.shape[a] for a in _free(x.rank, contract[0], batch[0]))
    right = tuple(y.shape[a] for a in _free(y.rank, contract[1], batch[1]))
    return x.with_shape(shared + left + right)


def _contract(x: np.ndarray, y: np.ndarray, contract: AxesPair, batch: AxesPair) -> np.ndarray:
    """A batched matrix product after the axes are put in order."""
    free = _free(x.ndim, contract[0], batch[0]), _free(y.ndim, contract[1], batch[1])
    shared = [x.shape[a] for a in batch[0]]
    rows, columns = ([v.shape[a] for a in axes] for v, axes in zip((x, y), free))
    inner = math.prod(x.shape[a] for a in contract[0])
    left = x.transpose(*batch[0], *free[0], *contract[0]).reshape((*shared, math.prod(rows), inner))
    right = y.transpose(*batch[1], *contract[1], *free[1]).reshape((*shared, inner, math.prod(columns)))
    return np.matmul(left, right).reshape((*shared, *rows, *columns))


def _contract_transpose(ct: Node, node: Node, linear: Sequence[bool]) -> list[Node | None]:
    return [_cotangent(ct, node, side) if is_linear else None for side, is_linear in enumerate(linear)]


def _cotangent(ct: Node, node: Node, side: int) -> Node:
    """The cotangent of one operand: the result's contracted with the other operand, axes put back in place."""
    mine, other = node.inputs[side], node.inputs[1 - side]
    (my_sum, their_sum), (my_batch, their_batch) = (
        (pair[side], pair[1 - side]) for pair in (node.attrs["contract"], node.attrs["batch"])
    )
    my_free = _free(len(mine.shape), my_sum, my_batch)
    their_free = _free(len(other.shape), their_sum, their_batch)
    shared = tuple(range(len(my_batch)))
    # The result's axes are shared, then free ones of the left operand, then of the right.
    skipped = len(shared) + (len(my_free) if side == 0 else 0)
    ct_their_free = tuple(range(skipped, skipped + len(their_free)))
    # Found are the shared axes, my free ones, and those summed over in the order in which the other operand has
    # them; the order of the operands is chosen such that plain matrix products need no transposition afterwards.
    by_their_order = tuple(my_sum[i] for i in sorted(range(len(their_sum)), key=lambda i: their_sum[i]))
    if side == 0:
        found = contract(ct, other, contract=(ct_their_free, their_free), batch=(shared, their_batch))
        placed = (*my_batch, *my_free, *by_their_order)
    else:
        found = contract(other, ct, contract=(their_free, ct_their_free), batch=(their_batch, shared))
        placed = (*my_batch, *by_their_order, *my_free)
    order = tuple(int(a) for a in np.argsort(placed))
    return found if order == tuple(range(len(order))) else permute(found, axes=order)


def _contract_batch(size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    (sum_x, sum_y), (batch_x, batch_y) = node.attrs["contract"], node.attrs["batch"]
    if batched[0]:
        sum_x, batch_x = shifted(sum_x), shifted(batch_x)
    if batched[1]:
        sum_y, batch_y = shifted(sum_y), shifted(batch_y)
    if all(batched):
        return contract(*inputs, contract=(sum_x, sum_y), batch=((0, *batch_x), (0, *batch_y)))
    found = contract(*inputs, contract=(sum_x, sum_y), batch=(batch_x, batch_y))
    # The mapped axis is the first free one of its operand: bring it to the front.
    free_x = len(_free(len(inputs[0].shape), sum_x, batch_x))
    at = len(batch_x) + (0 if batched[0] else free_x)
    return permute(found, axes=(at, *(a for a in range(len(found.shape)) if a != at)))


contract = Op(
    "contract",
    _contract_type,
    _contract,
    derivative=per_operand(
        lambda t, out, x, y: contract(t, y, **out.attrs), lambda t, out, x, y: contract(x, t, **out.attrs)
    ),
    transpose=_contract_transpose,
    batch=_contract_batch,
)
"""Σ x·y over the ``contract`` axes of both operands, separately for each position of the ``batch`` axes.

The result has the batch axes, then the free axes of x, then those of y, each in their operand's order.
"""
