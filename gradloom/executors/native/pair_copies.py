"""Copies of kernels of convolutions in bfloat16, elements that are summed together side by side.

    before:   w[i, o], o along memory
    after:    pairs[i / 2, o], a word each: w[i, o] in its lower half, w[i + 1, o] in its upper one

for any other axes around them, and in any order in which the words are wanted.  Behind an odd number of summed elements
comes a zero.
"""

from __future__ import annotations

import numpy as np

from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.loops import Affine, Apply, Instruction, Load, Scalar, contiguous
from gradloom.ir.graph import Node
from gradloom.ir.tensortype import TensorType
from gradloom.ops import elementwise
from gradloom.ops.geometry import Sizes


def copied_in_pairs(source: Node, shape: Sizes, place: Affine, axis: int) -> list[Kernel]:
    """What copies a buffer of bfloat16 in pairs; the copy is the first kernel's node.

    Args:
        source: the buffer.
        shape: of the copy, if it were of single elements.
        place: where each of these lies in the buffer.
        axis: the summed one, of two elements at least.
    """
    count, step = shape[axis], place.strides[axis]
    whole, rest = divmod(count, 2)
    words = TensorType(_with(shape, axis, whole + rest), np.dtype(np.uint32))
    buffer = Node(elementwise.stop_gradient, (source,), {}, words)
    strides = contiguous(words.shape)
    first = Affine(place.offset, _with(place.strides, axis, 2 * step))
    second = Affine(place.offset + step, first.strides)
    every = Affine(0, strides)
    found = [_copy(_with(shape, axis, whole), Load(source, first), Load(source, second), buffer, every)]
    if rest:
        last, behind = Affine(place.offset + (count - 1) * step, place.strides), Affine(whole * strides[axis], strides)
        found.append(_copy(_with(shape, axis, 1), Load(source, last), Scalar(0.0, source.dtype.name), buffer, behind))
    return found


def _with(sizes: Sizes, axis: int, n: int) -> Sizes:
    return (*sizes[:axis], n, *sizes[axis + 1 :])


def _copy(shape: Sizes, first: Instruction, second: Instruction, buffer: Node, place: Affine) -> Kernel:
    """A kernel that writes words of two elements each."""
    copy = Kernel(shape, nodes=[buffer])
    (source,) = buffer.inputs
    operands = copy.block.add(first, source.dtype), copy.block.add(second, source.dtype)
    pair = copy.block.add(Apply("bfloat16_pair", operands, buffer.dtype.name), buffer.dtype)
    copy.stores.append(Store(pair, buffer, place))
    return copy
