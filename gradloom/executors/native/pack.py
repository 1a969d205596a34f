"""Decide what matrix products need in memory beside their operands: transposed copies, unfinished sums.

The product's kernel copies its right operand itself where that pays, a block at a time (see kernels/packing.py).  The
left operand may lie in any order.  But where it is transposed and the sum is long, each of its elements comes from
another page; then it is transposed back first:

    x[k,m]ᵀ · w[k,n]   →   y[m,k] = x[k,m];   y[m,k] · w[k,n]
"""

from __future__ import annotations

import math

from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.kernels.tiling import Tiling
from gradloom.executors.native.loops import Affine, Given, Load, contiguous
from gradloom.executors.native.nest import Nest, nest
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ir.tensortype import TensorType
from gradloom.ops import elementwise

FAR_APART = 256  # bytes between the elements of a row from which a copy pays
LONG = 256  # summed elements from which a transposed left operand is copied
FEWEST_PANELS = 8  # of the right operand, for the copy is read once for each of them


def prepare_products(kernels: list[Kernel], target: Target) -> list[Kernel]:
    """The kernels with a copying kernel in front of each product whose left operand is transposed back."""
    found: list[Kernel] = []
    for kernel in kernels:
        if kernel.is_product and math.prod(kernel.shape):
            merged = nest(kernel)
            cut = merged.tiling(target)
            if _left_is_scattered(merged, cut):
                found.append(_transpose_left(kernel))
            if cut.steps > 1:
                kernel.partial = _unfinished_sums(kernel, merged.swapped)
        found.append(kernel)
    return found


def _left_is_scattered(merged: Nest, cut: Tiling) -> bool:
    """Whether neighbours along a row of a matrix lie far apart, and are read often."""
    by_row, by_depth = (merged.stride(merged.left, loop) for loop in (merged.row, merged.depth))
    if by_row != 1 or merged.swapped or merged.outside or merged.around != merged.shared:
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


def _unfinished_sums(kernel: Kernel, swapped: bool) -> Load:
    """Where the sums of a product lie between its steps: in its result, if that is all it writes, else in a buffer.

    Where vectors lie along rows (``swapped``) the buffer is transposed.
    """
    assert kernel.core is not None
    if not swapped and [type(instruction) for instruction in kernel.block.code] == [Given] and len(kernel.stores) == 1:
        return Load(kernel.stores[0].buffer, kernel.stores[0].place)
    buffer = Node(elementwise.stop_gradient, (kernel.core,), {}, kernel.core.type)
    shared, rows, columns, _ = kernel.segments
    if not swapped:
        return Load(buffer, Affine(0, contiguous(kernel.shape)))
    turned = contiguous((*shared, *columns, *rows))
    first, last = len(shared), len(shared) + len(columns)
    return Load(buffer, Affine(0, turned[:first] + turned[last:] + turned[first:last]))
