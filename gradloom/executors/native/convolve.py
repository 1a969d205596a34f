"""Decide what convolutions need in memory beside their operands: turned kernels, unfinished sums.

The gradient of a convolution's input is a convolution with the kernel turned: read from its last position to its
first, the channels of each group exchanged.  A copy lies so, made once before all threads:

    input gradient(y, w)   →   t[p, o, i] = w[last - p, i, o];   y * t

The gradient of a kernel has few elements, each a sum over all windows.  So that all threads have a part of it, blocks
of windows are summed apart, and then together, with what followed from the sum:

    kernel gradient(x, y)   →   part[b] = kernel gradient(x, y) over block b of the windows;   Σ_b part[b]

Which blocks depends on the sizes alone.
"""

from __future__ import annotations

import math

from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.kernels import conv_weights
from gradloom.executors.native.kernels.conv_form import sides
from gradloom.executors.native.loops import Affine, Block, Given, Load, contiguous
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ir.tensortype import TensorType
from gradloom.ops import convolution, core, elementwise


def prepare_convolutions(kernels: list[Kernel], target: Target) -> list[Kernel]:
    """The kernels with copies of turned kernels, and sums over blocks, around those of convolutions' gradients."""
    found: list[Kernel] = []
    for kernel in kernels:
        op = kernel.core.op if kernel.core is not None and math.prod(kernel.shape) else None
        if op is convolution.conv_input_gradient:
            found += [_turn(kernel), kernel]
        elif op is convolution.conv_kernel_gradient:
            found += _blocks(kernel, target)
        else:
            found.append(kernel)
    return found


def _turn(kernel: Kernel) -> Kernel:
    """Make the gradient of an input read a turned kernel; gives the kernel that copies it."""
    assert kernel.core is not None
    s, (values, weights) = sides(kernel.core), kernel.operands
    size = s.windows.size
    shape = (*size, s.made, s.groups, s.taken)
    buffer = Node(elementwise.stop_gradient, (weights.buffer,), {}, TensorType(shape, weights.buffer.dtype))
    *positions, by_input, by_output = contiguous(s.w)
    last = sum((n - 1) * stride for n, stride in zip(size, positions))
    source = Load(weights.buffer, Affine(last, (*(-p for p in positions), by_output, s.made * by_output, by_input)))
    copy = Kernel(shape, nodes=[buffer])
    place = Affine(0, contiguous(shape))
    copy.stores.append(Store(copy.block.add(source, buffer.dtype), buffer, place))
    kernel.operands = values, Load(buffer, place)
    return copy


def _blocks(kernel: Kernel, target: Target) -> list[Kernel]:
    """A kernel that sums blocks, and one that adds these up, with the block of the whole."""
    whole = kernel.core
    assert whole is not None
    blocks = conv_weights.cut(sides(whole), whole.dtype.itemsize, target).blocks
    if blocks == 1 and [type(i) for i in kernel.block.code] == [Given] and len(kernel.stores) == 1:
        return [kernel]
    parts = Node(whole.op, whole.inputs, whole.attrs, TensorType((blocks, *whole.shape), whole.dtype))
    part = Kernel(parts.shape, parts, nodes=[parts], operands=kernel.operands)
    part.stores.append(Store(part.block.add(Given(parts), parts.dtype), parts, Affine(0, contiguous(parts.shape))))
    total = Node(core.reduce_sum, (parts,), {"axes": (0,)}, whole.type)
    block = Block()
    moved = block.append(kernel.block, {Given(whole): block.add(Given(total), total.dtype)})
    stores = [Store(moved[s.value], s.buffer, s.place) for s in kernel.stores]
    sum_of_parts = Kernel(whole.shape, total, kernel.nodes, block, stores, reduced=(blocks,))
    step, *strides = contiguous(parts.shape)
    sum_of_parts.inner = Block()
    sum_of_parts.inner_value = sum_of_parts.inner.add(Load(parts, Affine(0, (*strides, step))), parts.dtype)
    return [part, sum_of_parts]
