"""Copy large right operands of products into panels.

The product's kernel reads the right operand row after row, a few vectors wide.  Where rows lie far apart each row is
on another page of memory, and the processor spends its time looking addresses up.  So a large operand is first
copied into panels as wide as a tile, each in one piece.  Before → after:

    x[m,k] · w[k,n]   →   packed[p,k,c] = w[k, width · p + c];   x[m,k] · packed[p,k,c]
"""

from __future__ import annotations

import math

from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.loops import Affine, Load, contiguous
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ir.tensortype import TensorType
from gradloom.ops import elementwise

FAR_APART = 2048  # bytes between rows from which a copy pays
FEWEST_ROWS = 64  # of the left operand, for the copy is read once for each group of them


def pack_operands(kernels: list[Kernel], target: Target) -> list[Kernel]:
    """The kernels with a copying kernel in front of each product whose right operand it pays to pack."""
    packed: list[Kernel] = []
    for kernel in kernels:
        width = 2 * target.lanes(kernel.core.dtype.itemsize) if kernel.core is not None and kernel.operands else 0
        if width and _pays(kernel, width):
            packed.append(_pack(kernel, width))
        packed.append(kernel)
    return packed


def _pays(kernel: Kernel, width: int) -> bool:
    _, rows, columns, summed = kernel.segments
    right = kernel.operands[1]
    if len(columns) != 1 or len(summed) != 1 or columns[0] % width or columns[0] == width:
        return False
    apart = right.place.strides[-1] * right.buffer.dtype.itemsize
    return apart >= FAR_APART and math.prod(rows) >= FEWEST_ROWS


def _pack(kernel: Kernel, width: int) -> Kernel:
    """Make the product read panels; gives the kernel that copies them."""
    shared, rows, (columns,), (summed,) = kernel.segments
    left, right = kernel.operands
    first, place = len(shared), right.place
    shape = (*shared, columns // width, summed, width)
    panels = Node(elementwise.stop_gradient, (right.buffer,), {}, TensorType(shape, right.buffer.dtype))

    copy = Kernel(shape, nodes=[panels])
    by_column, by_sum = place.strides[-2], place.strides[-1]
    source = Affine(place.offset, (*place.strides[:first], width * by_column, by_sum, by_column))
    value = copy.block.add(Load(right.buffer, source), panels.dtype)
    copy.stores.append(Store(value, panels, Affine(0, contiguous(shape))))

    strides = contiguous(shape)
    none = (0,) * len(rows)
    kernel.operands = (
        Load(left.buffer, Affine(left.place.offset, (*left.place.strides[:-2], 0, 0, left.place.strides[-1]))),
        Load(panels, Affine(0, (*strides[:first], *none, strides[-3], strides[-1], strides[-2]))),
    )
    kernel.segments = (shared, rows, (columns // width, width), (summed,))
    kernel.panel_width = width
    return copy
