"""Plain loops: every element of some tensors of one shape, computed from elements of others.

Loops that all accesses move through evenly are merged, so most kernels are one loop over memory.  Work is divided
into units (turns of outer loops, blocks of a long inner one) by the size of the problem alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gradloom.executors.native import vectormath
from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Function, Index
from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.kernels.units import decode, outer_loops
from gradloom.executors.native.loops import Apply, Block, Load, Merged, RandomWord, merge
from gradloom.executors.native.target import Target
from gradloom.ir.tensortype import is_bfloat16, is_float
from gradloom.records import dataclass

BLOCK_ELEMENTS = 1024


def widths(count: int, lanes: int) -> list[int]:
    """Vector widths that cover ``count`` < 2 · lanes elements: 16, 8, ... as they fit."""
    found = []
    width = lanes
    while count:
        while width > count:
            width //= 2
        found.append(width)
        count -= width
    return found


def covering(count: int, lanes: int) -> int:
    """The width of the narrowest vector for so many elements; of those the target has if they are more."""
    return min(lanes, 1 << (count - 1).bit_length())


def lanes_of(target: Target, *blocks: Block | None) -> int:
    """Elements computed together: a register of the widest floating (or else any) type that occurs.

    A bfloat16 is a float in registers.
    """
    dtypes = [d for block in blocks if block for d in block.dtypes]
    floating = [4 if is_bfloat16(d) else d.itemsize for d in dtypes if is_float(d)]
    return target.lanes(max(floating or [d.itemsize for d in dtypes] or [4]))


def chains(block: Block) -> int:
    """Vectors computed side by side: two where each step of an elementary function would wait for the one before."""
    slow = any(
        isinstance(i, RandomWord) or (isinstance(i, Apply) and i.name in vectormath.FUNCTIONS) for i in block.code
    )
    return 2 if slow else 1


@dataclass
class Row:
    """A run of neighbouring elements along one loop: full vectors in a loop, then the rest in narrower ones.

    Attributes:
        b: the function.
        lanes: of a full vector.
        in_place: whether what is read may be written again.
    """

    b: Function
    lanes: int
    in_place: bool = False

    def cover(self, start: Index, count: int, body: Callable[[Index, int], None]) -> None:
        """Call ``body(first, lanes)`` such that every element from ``start`` on is met once."""
        full = count // self.lanes * self.lanes
        if full > self.lanes:
            with self.b.loop(0, full, self.lanes) as i:
                body(self.b.iadd(start, i), self.lanes)
        elif full:
            body(start, self.lanes)
        done = full
        for width in widths(count - full, self.lanes):
            body(self.b.iadd(start, done), width)
            done += width

    def cover_masked(self, start: Index, count: int, body: Callable[[Index, int, int], None]) -> None:
        """The same with ``body(first, lanes, valid)``: the rest is one vector, masked where it is longer.

        So the code is written twice at most, and short rows take one turn instead of several.  But where rows are
        changed in place, two narrower vectors are better: a read that overlaps the masked lanes of the write before
        waits until that has reached the cache, so no row would begin before the last one is done.
        """
        full = count // self.lanes * self.lanes
        if self.in_place and len(widths(count - full, self.lanes)) == 2:
            self.cover(start, count, lambda i, lanes: body(i, lanes, lanes))
            return
        self.cover(start, full, lambda i, lanes: body(i, lanes, lanes))
        if full < count:
            body(self.b.iadd(start, full), covering(count - full, self.lanes), count - full)


def merged_loops(kernel: Kernel) -> Merged:
    """The loops of a plain kernel."""
    segments = [kernel.shape[: kernel.rows], kernel.shape[kernel.rows :]]
    return merge(segments, [*kernel.block.places(), *(s.place for s in kernel.stores)])


def units(kernel: Kernel, target: Target) -> tuple[int, ...]:
    """The loops that are divided: outer ones, and blocks of a long inner one."""
    sizes = merged_loops(kernel).sizes
    if kernel.rows and len(sizes) == 1:
        return sizes
    *around, inner = sizes or (1,)
    divided = outer_loops(around)
    return (*around[:divided], -(-inner // BLOCK_ELEMENTS) if divided == len(around) else 1)


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; returns the number of units, turns of outer loops or blocks of a long inner one."""
    b = writer.b
    merged = merged_loops(kernel)
    block = kernel.block.rewritten(merged.place)
    stores = [Store(s.value, s.buffer, merged.place(s.place)) for s in kernel.stores]
    read = {(i.buffer.dtype, i.place) for i in block.code if isinstance(i, Load)}
    in_place = any((s.buffer.dtype, s.place) in read for s in stores)  # it may be: the plan decides on addresses
    row = Row(b, lanes_of(target, kernel.block) * chains(kernel.block), in_place)

    def element(index: list[Index], lanes: int, valid: int) -> None:
        here = Here(index, lanes, len(index) - 1, valid)
        values = writer.values(block, here, {})
        for s in stores:
            writer.store(values[s.value], s.buffer, s.place, here)

    counts = units(kernel, target)
    if kernel.rows and len(merged.sizes) == 1:
        _range(b, writer.begin, writer.end, row.lanes, lambda i, lanes: element([i], lanes, lanes))
        return counts[0]
    with b.loop(writer.begin, writer.end) as unit:
        *outer, place = decode(b, unit, counts)
        if not merged.sizes:
            element([], 1, 1)
        elif counts[-1] > 1:
            _part(b, merged.sizes[-1], place, row, lambda i, *lanes: element([*outer, i], *lanes))
        else:
            _nested(b, merged.sizes[len(outer) :], outer, row, element)
    return math.prod(counts)


def _range(b: Function, begin: Index, end: Index, lanes: int, body: Callable[[Index, int], None]) -> None:
    """Elements of a range that is known when the program runs: vectors while they fit, then one by one."""
    whole = b.imul(b.idiv(b.iadd(end, b.imul(begin, -1)), lanes), lanes)
    middle = b.iadd(begin, whole)
    with b.loop(begin, middle, lanes) as i:
        body(i, lanes)
    with b.loop(middle, end) as i:
        body(i, 1)


def _part(b: Function, size: int, block: Index, row: Row, body: Callable[[Index, int, int], None]) -> None:
    """One block of a long loop; the last may be shorter."""
    full, rest = divmod(size, BLOCK_ELEMENTS)
    if not rest:
        row.cover_masked(b.imul(block, BLOCK_ELEMENTS), BLOCK_ELEMENTS, body)
        return
    with b.when(b.compare("slt", b.index(block), b.index(full))):
        row.cover_masked(b.imul(block, BLOCK_ELEMENTS), BLOCK_ELEMENTS, body)
    with b.when(b.compare("eq", b.index(block), b.index(full))):
        row.cover_masked(full * BLOCK_ELEMENTS, rest, body)


def _nested(
    b: Function, sizes: Sequence[int], outer: list[Index], row: Row, element: Callable[[list[Index], int, int], None]
) -> None:
    """Loops inside loops, the innermost in vectors."""
    if len(sizes) == 1:
        row.cover_masked(0, sizes[0], lambda i, *lanes: element([*outer, i], *lanes))
        return
    with b.loop(0, sizes[0]) as i:
        _nested(b, sizes[1:], [*outer, i], row, element)
