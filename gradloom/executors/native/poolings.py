"""Take largest elements where they are computed: by the convolution whose results are searched.

Where windows lie side by side and cover the grid, a row of them needs some rows of results alone.  Before → after:

    y = relu(conv(x, w) + b);   z = window_max(y)      →   y, z, k = relu(conv(x, w) + b), its maxima, and their numbers
    dy = window_place(dz, y)                           →   dy = window_place(dz, k)
    dw = kernel gradient(x, dy)                        →   dw = kernel gradient(x, dz, k)
    dx = input gradient(dy, w)                         →   dx = input gradient(dz, w, k)

so that y is not read again, and not even written where nobody else reads it; nor is dy, where the gradients of the
convolution leave its zeros out, or that of the kernel alone reads it and makes some rows at a time (the last lines).
"""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from gradloom.executors.native.kernel import Kernel, Pooling, storage
from gradloom.executors.native.kernels import conv_pool, conv_rows, conv_sparse, conv_unpool, conv_weights
from gradloom.executors.native.kernels.conv_form import sides
from gradloom.executors.native.kernels.window import WRITTEN_OUT, covers, windows_of
from gradloom.executors.native.loops import Affine, Load, contiguous
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ir.tensortype import TensorType
from gradloom.ops import convolution, window

LANES = 16
"""Channels of numbers come in so many, all of which exist, so that no vector of bytes need be masked."""


def pool_results(kernels: list[Kernel], wanted: set[Node], target: Target) -> list[Kernel]:
    """The kernels with maxima over windows made a part of the convolutions in front.

    Args:
        kernels: in the order in which they run.
        wanted: what is read when all have run.
        target: the machine.
    """
    readers: dict[Node, list[Kernel]] = defaultdict(list)
    for kernel in kernels:
        for buffer in kernel.reads():
            readers[storage(buffer)].append(kernel)
    gone: set[Kernel] = set()
    for kernel in kernels:
        if kernel.core_op is convolution.conv and math.prod(kernel.shape):
            gone.update(_pool(kernel, readers, wanted, target))
    return [kernel for kernel in kernels if kernel not in gone]


def _pool(kernel: Kernel, readers: dict[Node, list[Kernel]], wanted: set[Node], target: Target) -> list[Kernel]:
    """Make a convolution take the maxima of its results; gives the kernels that are no longer needed."""
    for store in kernel.stores:
        y, later = store.buffer, readers[store.buffer]
        pool = next((k for k in later if k.core_op is window.window_max and _can_take(kernel, y, k, target)), None)
        if pool is None:
            continue
        (largest,) = pool.nodes
        places = [k for k in later if _places_back(k, pool)]
        numbers = _numbers(pool.nodes[0]) if places else None
        kernel.pooling = Pooling(store.value, largest, numbers)
        kernel.nodes = [*kernel.nodes, largest]
        for place in places:
            assert place.core is not None
            assert numbers is not None
            attrs = {**place.core.attrs, "spatial": y.shape[1:-1]}
            place.core = Node(window.window_place, (place.core.inputs[0], numbers), attrs, place.core.type)
        if y not in wanted and all(k is pool or k in places for k in later):
            kernel.stores = [s for s in kernel.stores if s is not store]
        return [pool, *(k for k in places if _placed_by_readers(k, readers, wanted, target))]
    return []


def _placed_by_readers(place: Kernel, readers: dict[Node, list[Kernel]], wanted: set[Node], target: Target) -> bool:
    """Have gradients of convolutions give values back themselves; whether nobody reads them where they go any more."""
    assert place.core is not None
    (dy,), (values, numbers) = place.nodes, place.core.inputs
    value, number = (Load(n, Affine(0, contiguous(n.shape))) for n in (values, numbers))
    left = []
    for kernel in readers[dy]:
        if kernel.core_op is convolution.conv_input_gradient and _can_unpool(kernel, dy, values, target):
            kernel.operands = value, kernel.operands[1], number
        else:
            left.append(kernel)
    alone, wants = len(left) == 1, dy in wanted
    for kernel in left:
        if kernel.core_op is convolution.conv_kernel_gradient and _can_place(kernel, dy, values, target, alone):
            kernel.operands = kernel.operands[0], value, number
        else:
            wants = True
    return not wants


def _can_unpool(kernel: Kernel, dy: Node, values: Node, target: Target) -> bool:
    """Whether the gradient of an input had better scatter what a pool's windows give."""
    assert kernel.core is not None
    y, w = kernel.operands
    if y.buffer is not dy or w.buffer is dy or any(isinstance(i, Load) and i.buffer is dy for i in kernel.block.code):
        return False
    return conv_unpool.cut(sides(kernel.core), values.shape, dy.dtype.itemsize, target) is not None


def _can_place(kernel: Kernel, dy: Node, values: Node, target: Target, alone: bool) -> bool:
    """Whether the gradient of a kernel had better make a pool's gradient itself; ``alone``: nobody else reads it."""
    assert kernel.core is not None
    s, (x, y), itemsize = sides(kernel.core), kernel.operands, dy.dtype.itemsize
    if x.buffer is dy or y.buffer is not dy:
        return False
    sparse = conv_sparse.cut(s, values.shape, itemsize, target) is not None
    return sparse or (alone and conv_weights.can_place(s, values.shape, itemsize, target))


def _can_take(kernel: Kernel, y: Node, pool: Kernel, target: Target) -> bool:
    """Whether a row of windows of ``y`` needs a few rows of a convolution's results alone."""
    assert kernel.core is not None
    assert pool.core is not None
    s, windows = sides(kernel.core), windows_of(pool.core)
    plain = y.shape == kernel.core.shape and y.dtype == kernel.core.dtype and y.dtype.itemsize >= 4
    alone = pool.core.inputs == (y,) and covers(windows) and math.prod(windows.size) <= WRITTEN_OUT
    if not (plain and alone and (s.groups == 1 or s.depthwise)):
        return False
    vectors = conv_rows.tile_of(s, y.dtype.itemsize, target, backward=False).vectors
    return conv_pool.fits(kernel, pool.core, vectors * target.lanes(y.dtype.itemsize))


def _places_back(kernel: Kernel, pool: Kernel) -> bool:
    """Whether a kernel gives values back to the elements that a pool took."""
    node, taken = kernel.core, pool.core
    if node is None or taken is None or node.op is not window.window_place:
        return False
    return node.inputs[0] is not taken.inputs[0] and node.inputs[1] is taken.inputs[0] and node.attrs == taken.attrs


def _numbers(largest: Node) -> Node:
    """Where the numbers of the largest elements' places in their windows lie."""
    *front, channels = largest.shape
    type = TensorType((*front, -(-channels // LANES) * LANES), np.dtype(np.uint8))
    return Node(window.window_argmax, largest.inputs, largest.attrs, type)
