"""Decide how matrix products reach their operands: copies in the order of reading, unfinished sums in memory.

The product's kernel reads the right operand row after row, a few vectors wide.  Where its columns are not neighbours
in memory it is first copied into panels as wide as a tile, each in one piece.  The same pays where rows lie far apart
(each is on another page of memory, and the processor spends its time looking addresses up) and many rows of the left
operand share the copy.  Before → after:

    x[m,k] · w[k,n]   →   panels[p,k,c] = w[k, width · p + c];   x[m,k] · panels[p,k,c]

The left operand may lie in any order.  But where it is transposed and the sum is long, each of its elements comes from
another page; then it is transposed back first.
"""

from __future__ import annotations

import math

from gradloom.executors.native.kernel import Kernel, Panels, Store
from gradloom.executors.native.kernels.tiling import Tiling
from gradloom.executors.native.loops import Affine, Given, Load, contiguous
from gradloom.executors.native.nest import Nest, nest
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ir.tensortype import TensorType
from gradloom.ops import elementwise

FAR_APART = 256  # bytes between rows from which a copy pays
FEWEST_ROWS = 64  # of the left operand, for the copy is read once for each group of them
LONG = 256  # summed elements from which a transposed left operand is copied
FEWEST_PANELS = 16  # of the right operand, for the copy is read once for each of them


def pack_operands(kernels: list[Kernel], target: Target) -> list[Kernel]:
    """The kernels with a copying kernel in front of each product whose right operand is packed."""
    packed: list[Kernel] = []
    for kernel in kernels:
        if kernel.operands and math.prod(kernel.shape):
            merged = nest(kernel)
            cut = merged.tiling(target)
            if _left_is_scattered(merged, cut):
                packed.append(_transpose_left(kernel))
            if _in_panels(merged, cut):
                packed.append(_pack(kernel, merged, cut))
            if cut.steps > 1:
                kernel.partial = _unfinished_sums(kernel)
        packed.append(kernel)
    return packed


def _in_panels(merged: Nest, cut: Tiling) -> bool:
    """Whether the right operand must be packed, or had better be."""
    by_column, by_depth = (merged.stride(merged.right, loop) for loop in (merged.column, merged.depth))
    if merged.column is None or merged.depth is None:
        return False
    if by_column != 1:
        return True
    if merged.outside or any(merged.stride(merged.right, d) for d in merged.around if d not in merged.shared):
        return False
    far_apart = abs(by_depth) * merged.right.buffer.dtype.itemsize >= FAR_APART
    return far_apart and cut.panels > 1 and merged.size(merged.row) >= FEWEST_ROWS


def _left_is_scattered(merged: Nest, cut: Tiling) -> bool:
    """Whether neighbours along a row of a matrix lie far apart, and are read often."""
    by_row, by_depth = (merged.stride(merged.left, loop) for loop in (merged.row, merged.depth))
    if by_row != 1 or merged.outside or merged.around != merged.shared:
        return False
    far_apart = abs(by_depth) * merged.left.buffer.dtype.itemsize >= FAR_APART
    return far_apart and merged.size(merged.depth) >= LONG and cut.panels >= FEWEST_PANELS


def _transpose_left(kernel: Kernel) -> Kernel:
    """Make the product read rows in one piece each; gives the kernel that copies them."""
    left, right = kernel.operands
    shared, rows, columns, summed = kernel.segments
    first, last = len(shared) + len(rows), len(summed)
    strides = left.place.strides
    shape = (*shared, *rows, *summed)
    buffer = Node(elementwise.stop_gradient, (left.buffer,), {}, TensorType(shape, left.buffer.dtype))
    copy = Kernel(shape, nodes=[buffer])
    source = Load(left.buffer, Affine(left.place.offset, strides[:first] + strides[-last:]))
    copy.stores.append(Store(copy.block.add(source, buffer.dtype), buffer, Affine(0, contiguous(shape))))
    place = contiguous(shape)
    kernel.operands = Load(buffer, Affine(0, place[:first] + (0,) * len(columns) + place[first:])), right
    return copy


def _pack(kernel: Kernel, merged: Nest, cut: Tiling) -> Kernel:
    """Make the product read panels; gives the kernel that fills them."""
    left, right = kernel.operands
    shared = kernel.segments[0]
    by_depth, by_column = (merged.stride(merged.right, loop) for loop in (merged.depth, merged.column))
    source = Affine(right.place.offset, (*right.place.strides[: len(shared)], by_depth, by_column))
    shape = (*shared, cut.steps * cut.depth, cut.panels * cut.width)
    buffer = Node(elementwise.stop_gradient, (right.buffer,), {}, TensorType(shape, right.buffer.dtype))
    kernel.panels = Panels(
        buffer,
        Load(right.buffer, source),
        shared,
        summed=merged.size(merged.depth),
        columns=merged.size(merged.column),
        depth=cut.depth,
        width=cut.width,
    )
    others = len(right.place.strides) - len(shared)
    kernel.operands = left, Load(buffer, Affine(0, contiguous(shape)[: len(shared)] + (0,) * others))
    return Kernel(shape, nodes=[buffer], panels=kernel.panels)


def _unfinished_sums(kernel: Kernel) -> Load:
    """Where the sums of a product lie between its steps: in its result, if that is all it writes, else in a buffer."""
    assert kernel.core is not None
    if [type(instruction) for instruction in kernel.block.code] == [Given] and len(kernel.stores) == 1:
        return Load(kernel.stores[0].buffer, kernel.stores[0].place)
    buffer = Node(elementwise.stop_gradient, (kernel.core,), {}, kernel.core.type)
    return Load(buffer, Affine(0, contiguous(kernel.shape)))
