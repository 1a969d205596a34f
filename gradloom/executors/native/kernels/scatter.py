"""Adding at positions, in place: updates are added one after the other, in their order.

The result holds the base already (see bases.py).  Equal positions must add up in one order whatever the number of
threads, so no two units write the same element: a unit is one turn of the loops in front of the axis and a part of
what lies behind it.  Where too little lies behind, units share the positions instead: each walks all updates and adds
those whose position leaves its own remainder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Index, Value
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.elementwise import Row, lanes_of
from gradloom.executors.native.kernels.units import decode
from gradloom.executors.native.loops import Affine, Block, Gathered, contiguous, merge
from gradloom.executors.native.target import Target
from gradloom.ops import index
from gradloom.records import dataclass

MANY = 2**14
"""Updates from which several units are worth the positions that each of them reads."""
PARTS = 4
"""Parts of what lies behind the axis, or remainders of positions."""


@dataclass(frozen=True)
class _Loops:
    """The loops over updates: in front of the axis, over positions, behind the axis.

    Attributes:
        before: turns of the loops in front.
        positions: turns of the loops over positions.
        behind: turns of the loops behind.
        inner: the program of position and update over these loops.
        place: where an update goes, for position 0.
        vectors: whether all of a vector goes to one position.
    """

    before: tuple[int, ...]
    positions: tuple[int, ...]
    behind: tuple[int, ...]
    inner: Block
    place: Affine
    vectors: bool


def _loops_of(kernel: Kernel) -> _Loops:
    assert kernel.core is not None
    assert kernel.inner is not None
    axis, node, sizes = kernel.core.attrs["axis"], kernel.core, kernel.reduced
    spread = len(node.inputs[1].shape) if node.op is index.scatter_add else 1
    place = kernel.stores[-1].place
    merged = merge([sizes[:axis], sizes[axis : axis + spread], sizes[axis + spread :]], [*kernel.inner.places(), place])
    before, positions, behind = (tuple(merged.sizes[d] for d in r) for r in merged.segments)
    vectors = node.op is index.scatter_add and bool(behind)
    return _Loops(before, positions, behind, kernel.inner.rewritten(merged.place), merged.place(place), vectors)


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; returns the number of units."""
    loops = _loops_of(kernel)
    lanes = lanes_of(target, kernel.inner) if loops.vectors else 1
    adding = _Adding(writer, kernel, loops, Row(writer.b, lanes))
    many = math.prod(kernel.reduced) >= MANY
    wide = loops.behind[-1] // lanes if loops.behind else 1
    parts = max(1, min(PARTS, wide)) if many and not loops.before else 1
    shares = PARTS if many and not loops.before and parts == 1 and loops.behind[:-1] == () else 1
    counts = (*loops.before, max(parts, shares))
    with writer.b.loop(writer.begin, writer.end) as unit:
        *outer, part = decode(writer.b, unit, counts)
        adding.updates(outer, part, parts, shares)
    return math.prod(counts)


@dataclass
class _Adding:
    """Writes one unit."""

    writer: BlockWriter
    kernel: Kernel
    loops: _Loops
    row: Row

    def updates(self, outer: list[Index], part: Index, parts: int, shares: int) -> None:
        """All updates of a part of what lies behind the axis, or of a share of the positions."""

        def behind(at: list[Index], sizes: Sequence[int]) -> None:
            if not sizes:
                self._add(at, 1, part, shares)
            elif len(sizes) == 1:
                self._parts(sizes[0], part, parts, lambda i, lanes: self._add([*at, i], lanes, part, shares))
            else:
                with self.writer.b.loop(0, sizes[0]) as i:
                    behind([*at, i], sizes[1:])

        def over(at: list[Index], sizes: Sequence[int]) -> None:
            if not sizes:
                behind(at, self.loops.behind)
                return
            with self.writer.b.loop(0, sizes[0]) as i:
                over([*at, i], sizes[1:])

        over(outer, self.loops.positions)

    def _parts(self, size: int, part: Index, parts: int, body: Callable[[Index, int], None]) -> None:
        """One of several parts of a loop; all are whole vectors but the last, which takes what is left over."""
        b, most = self.writer.b, size // parts // self.row.lanes * self.row.lanes
        if parts == 1:
            self.row.cover(0, size, body)
            return
        with b.when(b.compare("slt", b.index(part), b.index(parts - 1))):
            self.row.cover(b.imul(part, most), most, body)
        with b.when(b.compare("eq", b.index(part), b.index(parts - 1))):
            self.row.cover(most * (parts - 1), size - most * (parts - 1), body)

    def _add(self, at: list[Index], lanes: int, share: Index, shares: int) -> None:
        """Add a vector of updates to the elements at their position."""
        b, kernel = self.writer.b, self.kernel
        assert kernel.core is not None
        axis, here = kernel.core.attrs["axis"], Here(at, lanes, len(at) - 1)
        values = self.writer.values(self.loops.inner, here, {})
        position = b.convert(values[kernel.position], "i64")
        if shares == 1:
            self._add_at(position, axis, values[kernel.inner_value], here)
            return
        mine = b.compare("eq", b.index(b.irem(position, shares)), b.index(share))
        with b.when(mine):
            self._add_at(position, axis, values[kernel.inner_value], here)

    def _add_at(self, position: Value, axis: int, x: Value, here: Here) -> None:
        writer, b, store, place = self.writer, self.writer.b, self.kernel.stores[-1], self.loops.place
        shape = self.kernel.shape
        moved = writer.checked_position(
            position, Gathered(store.buffer, place, 0, contiguous(shape)[axis], shape[axis])
        )
        address = b.at(writer.pointers[store.buffer], moved, writer.memory(store.buffer))
        there = BlockWriter(b, {store.buffer: address})
        before = b.splat(there.load(store.buffer, store.buffer.dtype, place, here), here.lanes)
        there.store(b.add(before, b.splat(x, here.lanes)), store.buffer, place, here)
