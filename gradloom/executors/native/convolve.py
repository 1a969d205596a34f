"""Decide what convolutions need in memory beside their operands: turned kernels, unfinished sums.

The gradient of a convolution's input is a convolution with the kernel turned: read from its last position to its
first, the channels of each group exchanged.  A copy lies so, made once before all threads:

    input gradient(y, w)   →   t[p, o, i] = w[last - p, i, o];   y * t

Copies lie in panels, as wide as a tile, and so do those of large kernels that are not turned.

The gradient of a kernel has few elements, each a sum over all windows.  So that all threads have a part of it, blocks
of windows are summed apart, and then together, with what followed from the sum:

    kernel gradient(x, y)   →   part[b] = kernel gradient(x, y) over block b of the windows;   Σ_b part[b]

Which blocks depends on the sizes alone.
"""

from __future__ import annotations

import math

from gradloom.executors.native.bundles import bundle_gradient, bundle_results
from gradloom.executors.native.kernel import Kernel, Store, storage
from gradloom.executors.native.kernels import conv_rows, conv_unpool, conv_weights
from gradloom.executors.native.kernels.conv_form import sides
from gradloom.executors.native.kernels.conv_sparse import SparseCut
from gradloom.executors.native.kernels.conv_unpool import UnpoolCut
from gradloom.executors.native.loops import Affine, Block, Given, Load, contiguous
from gradloom.executors.native.pair_copies import copied_in_pairs
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ir.tensortype import TensorType
from gradloom.ops import convolution, core, elementwise
from gradloom.ops.geometry import Sizes


def prepare_convolutions(kernels: list[Kernel], target: Target) -> list[Kernel]:
    """The kernels with copies of turned kernels, and sums over blocks, around those of convolutions' gradients."""
    found: list[Kernel] = []
    for kernel in kernels:
        op = kernel.core.op if kernel.core is not None and math.prod(kernel.shape) else None
        if unpooled := conv_unpool.unpool_cut(kernel, target):
            found += [_by_output(kernel, unpooled), kernel]
        elif op in (convolution.conv, convolution.conv_input_gradient):
            bundled = [] if kernel.in_pairs else bundle_results(kernel, target)
            copies = [*bundled, *_copy(kernel, target)]
            place = _before_source(found, kernel, copies)
            found = [*found[:place], *copies, *found[place:], kernel]
        elif op is convolution.conv_kernel_gradient:
            sparse = conv_weights.sparse_cut(kernel, target)
            found += _blocks(kernel, target) if sparse is None else _sparse_blocks(kernel, sparse)
        else:
            found.append(kernel)
    return found


def _before_source(kernels: list[Kernel], kernel: Kernel, copies: list[Kernel]) -> int:
    """Where copies are made: before the kernel that writes what the convolution reads, which may be joined to it."""
    source, read = storage(kernel.operands[0].buffer), {storage(b) for copy in copies for b in copy.reads()}
    for place in reversed(range(len(kernels))):
        results = set(kernels[place].results)
        if read & results:
            break
        if source in results:
            return place
    return len(kernels)


def _by_output(kernel: Kernel, cut: UnpoolCut) -> Kernel:
    """Make the gradient of an input read the kernel as w[panel, o, p, i]; gives what copies it."""
    values, weights, numbers = kernel.operands
    *size, taken, made = weights.buffer.shape
    *positions, by_input, by_output = contiguous(weights.buffer.shape)
    width = taken // cut.panels
    place = Affine(0, (width * by_input, by_output, *positions, by_input))
    copy = _copied(weights.buffer, (cut.panels, made, *size, width), place)
    (buffer,) = copy.nodes
    kernel.operands = values, Load(buffer, Affine(0, contiguous(buffer.shape))), numbers
    return copy


def _copy(kernel: Kernel, target: Target) -> list[Kernel]:
    """Make a convolution or the gradient of an input read a copy of the kernel; gives what copies it, if it needs one.

    A copy lies in panels of output channels: those of the gradient of an input are the convolution's input channels.
    """
    assert kernel.core is not None
    if "bundle" in kernel.core.attrs:
        return []
    s, (values, weights) = sides(kernel.core), kernel.operands
    backward = kernel.core.op is convolution.conv_input_gradient
    panels = conv_rows.panels(s, kernel.core.dtype.itemsize, target, backward=backward)
    if not panels:
        if not kernel.in_pairs:
            return []
        panels = 1
    size = s.windows.size
    *positions, by_input, by_output = contiguous(s.w)
    if backward:
        last, turned = sum((n - 1) * stride for n, stride in zip(size, positions)), [-p for p in positions]
        width = s.taken // panels
        shape = (panels, *size, s.made, s.groups, width)
        place = Affine(last, (width * by_input, *turned, by_output, s.made * by_output, by_input))
    else:
        width = s.groups * s.made // panels
        shape = (panels, *size, s.taken, width)
        place = Affine(0, (width, *positions, by_input, by_output))
    if kernel.in_pairs:
        copy, *others = copied_in_pairs(weights.buffer, shape, place, 1 + len(size))
    else:
        copy, others = _copied(weights.buffer, shape, place), []
    (buffer,) = copy.nodes
    kernel.operands = values, Load(buffer, Affine(0, contiguous(buffer.shape)))
    return [copy, *others]


def _copied(source: Node, shape: Sizes, place: Affine) -> Kernel:
    """What copies a buffer in another order."""
    buffer = Node(elementwise.stop_gradient, (source,), {}, TensorType(shape, source.dtype))
    copy = Kernel(shape, nodes=[buffer])
    found = copy.block.add(Load(source, place), buffer.dtype)
    copy.stores.append(Store(found, buffer, Affine(0, contiguous(shape))))
    return copy


def _blocks(kernel: Kernel, target: Target) -> list[Kernel]:
    """A kernel that sums blocks, and one that adds these up, with the block of the whole."""
    whole = kernel.core
    assert whole is not None
    found = bundle_gradient(kernel, target) if not kernel.is_behind_pool else None
    node, bundle = found or (whole, None)
    blocks = conv_weights.cut(sides(node), whole.dtype.itemsize, target).blocks
    if blocks == 1 and not bundle and [type(i) for i in kernel.block.code] == [Given] and len(kernel.stores) == 1:
        return [kernel]
    parts = Node(node.op, node.inputs, node.attrs, TensorType((blocks, *node.shape), whole.dtype))
    part = Kernel(parts.shape, parts, nodes=[parts], operands=kernel.operands)
    part.stores.append(Store(part.block.add(Given(parts), parts.dtype), parts, Affine(0, contiguous(parts.shape))))
    total = Node(core.reduce_sum, (parts,), {"axes": (0,)}, whole.type)
    block = Block()
    moved = block.append(kernel.block, {Given(whole): block.add(Given(total), total.dtype)})
    stores = [Store(moved[s.value], s.buffer, s.place) for s in kernel.stores]
    reduced, (step, *strides) = (blocks,), contiguous(parts.shape)
    along = [step]
    if bundle:  # its elements lie a stride and the channels of one result apart
        reduced, along = (blocks, bundle.pixels), [step, bundle.stride * strides[-3] + bundle.channels]
    sum_of_parts = Kernel(whole.shape, total, kernel.nodes, block, stores, reduced=reduced)
    sum_of_parts.inner = Block()
    sum_of_parts.inner_value = sum_of_parts.inner.add(Load(parts, Affine(0, (*strides, *along))), parts.dtype)
    return [part, sum_of_parts]


def _sparse_blocks(kernel: Kernel, cut: SparseCut) -> list[Kernel]:
    """The same where zeros of a pool's gradient are left out: w[o, p, i] in blocks, their sum, a copy of this in the
    order of the whole (what follows would be long code, if it were turned there), and the block on it."""
    whole = kernel.core
    assert whole is not None
    *size, _, made = whole.shape
    total_shape = (made, *size, cut.channels)
    parts = Node(whole.op, whole.inputs, whole.attrs, TensorType((cut.blocks.parts, *total_shape), whole.dtype))
    part = Kernel(parts.shape, parts, nodes=[parts], operands=kernel.operands)
    total, inner = Node(core.reduce_sum, (parts,), {"axes": (0,)}, TensorType(total_shape, whole.dtype)), Block()
    added = Kernel(total_shape, total, nodes=[total], reduced=(cut.blocks.parts,), inner=inner)
    step, *strides = contiguous(parts.shape)
    added.inner_value = inner.add(Load(parts, Affine(0, (*strides, step))), parts.dtype)
    for k, node in ((part, parts), (added, total)):
        k.stores.append(Store(k.block.add(Given(node), node.dtype), node, Affine(0, contiguous(node.shape))))
    by_output, *by_position, by_input = contiguous(total_shape)
    turned = Node(elementwise.stop_gradient, (total,), {}, whole.type)
    copy, same = Kernel(whole.shape, nodes=[turned]), Affine(0, contiguous(whole.shape))
    copied = copy.block.add(Load(total, Affine(0, (*by_position, by_input, by_output))), total.dtype)
    copy.stores.append(Store(copied, turned, same))
    block = Block()
    moved = block.append(kernel.block, {Given(whole): block.add(Load(turned, same), turned.dtype)})
    stores = [Store(moved[s.value], s.buffer, s.place) for s in kernel.stores]
    return [part, added, copy, Kernel(whole.shape, nodes=kernel.nodes, block=block, stores=stores)]
