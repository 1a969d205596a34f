"""What a kernel reads and writes when it goes row after row: whether it may be joined to others (see rows.py).

A row is what all outer loops but the first meet: of a matrix, or of a batch of images, an example.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.kernels import conv_rows, elementwise, reduction, transpose
from gradloom.executors.native.loops import Affine, Block, Gathered, Load, RandomWord
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.records import dataclass

SHORT = 64
"""Elements of a row up to which one loop over all rows is better for a kernel that can have it."""


@dataclass(frozen=True)
class Access:
    """A buffer that is read or written at a place, or up to ``reach`` elements behind it; anywhere if that is None."""

    buffer: Node
    place: Affine | None
    reach: int = 0

    def stays_in_row(self, sizes: Sequence[int], total: int) -> bool:
        """Whether at row r it meets part r of the buffer alone, of ``total`` elements divided evenly among the rows."""
        if self.place is None:
            return False
        row, *strides = self.place.strides
        spans = [self.reach, *(s * (n - 1) for s, n in zip(strides, sizes[1:]))]
        low, high = (self.place.offset + sum(pick(0, x) for x in spans) for pick in (min, max))
        return row * sizes[0] == total and low >= 0 and high < row


@dataclass(frozen=True)
class Walk:
    """The loops of a kernel, rows outermost, and what it reads and writes in them."""

    sizes: tuple[int, ...]
    accesses: list[Access]


def divided(kernel: Kernel, rows: int) -> Kernel:
    """A kernel whose first loop is two, the outer one over so many rows; a convolution stays as it is."""
    if conv_rows.goes_by_examples(kernel):
        return kernel
    size = kernel.shape[0] // rows
    if size == 1:
        return replace(kernel, rows=1)
    inner = kernel.inner.rewritten(lambda p: _divided(p, size)) if kernel.inner else None
    stores = [Store(s.value, s.buffer, _divided(s.place, size)) for s in kernel.stores]
    block = kernel.block.rewritten(lambda p: _divided(p, size))
    return replace(kernel, shape=(rows, size, *kernel.shape[1:]), inner=inner, block=block, stores=stores, rows=1)


def _divided(place: Affine, size: int) -> Affine:
    return Affine(place.offset, (size * place.strides[0], *place.strides))


def walk(kernel: Kernel, rows: int, target: Target) -> Walk | None:
    """The loops of a member with its rows outermost; None if it cannot go row after row, or only slowly."""
    if conv_rows.goes_by_examples(kernel):
        return _by_examples(kernel, rows)
    if kernel.core is not None:
        loops = reduction.loops_of(kernel, target)
        if loops.units[:1] != loops.sizes[:1]:
            return None
        return Walk(loops.sizes, _accesses((loops.inner, loops.block), loops.stores))
    merged = elementwise.merged_loops(kernel)
    row = math.prod(merged.sizes[1:])
    short = 1 < row < SHORT and len(elementwise.merged_loops(replace(kernel, rows=0)).sizes) == 1
    if short or transpose.tiles_of(kernel, target):
        return None
    block = kernel.block.rewritten(merged.place)
    stores = [Store(s.value, s.buffer, merged.place(s.place)) for s in kernel.stores]
    return Walk(merged.sizes, _accesses((block,), stores))


def _by_examples(kernel: Kernel, rows: int) -> Walk:
    """A convolution's results of some examples need these of its first operand, and all of its kernel."""
    count, *others = kernel.shape
    size = count // rows
    source, weights = (load.buffer for load in kernel.operands)
    reach = source.tensor_type.size // rows
    block = kernel.block.rewritten(lambda p: _divided(p, size))
    stores = [Store(s.value, s.buffer, _divided(s.place, size)) for s in kernel.stores]
    operands = [Access(source, Affine(0, (reach,)), reach - 1), Access(weights, None)]
    return Walk((rows, size, *others), [*operands, *_accesses((block,), stores)])


def _accesses(blocks: Sequence[Block], stores: Sequence[Store]) -> list[Access]:
    found = [Access(s.buffer, s.place) for s in stores]
    for x in (x for block in blocks for x in block.code):
        if isinstance(x, Load):
            found.append(Access(x.buffer, x.place))
        elif isinstance(x, Gathered):
            found.append(Access(x.buffer, x.place, x.step * (x.size - 1)))
        elif isinstance(x, RandomWord):
            found.append(Access(x.buffer, None))
    return found
