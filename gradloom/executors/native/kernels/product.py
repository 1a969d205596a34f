"""Matrix products: tiles of the result held in registers while the inner loop runs.

A tile has some rows and a few vectors of columns.  Each turn of the inner loop loads one row of vectors of the right
operand and, for every row of the tile, repeats one element of the left operand over a vector: rows × vectors fused
multiply-adds.  The tile's epilogue (bias, activation, mask, update) runs before it leaves the registers.

A long sum runs in steps.  Between them the unfinished tiles lie in memory; the epilogue runs after the last.

The right operand's columns are neighbours in memory or lie in panels; the plan sees to that (see pack.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.left import Elements, LeftRows, copied, worth_copying
from gradloom.executors.native.kernels.tiling import FEWEST_SWEEPS, Lanes
from gradloom.executors.native.loops import Load
from gradloom.executors.native.nest import Nest, nest
from gradloom.executors.native.scalars import REGISTER
from gradloom.executors.native.target import Target

LINE = 64  # bytes of a cache line
FEWEST_TURNS = 4  # of the inner loop between requests for lines
HEAVY = 12  # instructions of an epilogue from which it is a loop over the rows of a tile


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; returns the number of units (loops around × blocks of columns × blocks of rows)."""
    merged = nest(kernel)
    _Product(writer, merged, target).write()
    return merged.units(target)


@dataclass(frozen=True)
class Step:
    """Summed elements from ``start`` on; the first step begins at zero, the last runs the epilogue."""

    start: Index
    count: int
    first: bool
    last: bool


@dataclass(frozen=True)
class Panel:
    """Columns of a tile: the panel's number, which of its block it is, its first column and its vectors."""

    number: Index
    place: Index
    column: Index
    vectors: tuple[Lanes, ...]


class _Product:
    """Writes the loops of a product, from the units down to the tile."""

    def __init__(self, writer: BlockWriter, merged: Nest, target: Target) -> None:
        self.writer, self.b, self.nest = writer, writer.b, merged
        self.tiles = merged.tiling(target)
        self.dtype = merged.core.dtype
        self.kind = REGISTER[self.dtype.name]
        self.lanes = target.lanes(self.dtype.itemsize)

    def write(self) -> None:
        """Decode each unit into the loops around, a block of columns and a block of rows."""
        b, t = self.b, self.tiles
        with b.loop(self.writer.begin, self.writer.end) as unit:
            rows, left = b.irem(unit, t.row_blocks.parts), b.idiv(unit, t.row_blocks.parts)
            columns, left = b.irem(left, t.column_blocks.parts), b.idiv(left, t.column_blocks.parts)
            around: dict[int, Index] = {}
            for d in reversed(self.nest.around):
                around[d], left = b.irem(left, self.nest.sizes[d]), b.idiv(left, self.nest.sizes[d])
            groups = b.bounds(t.row_blocks.size, t.row_blocks.larger, rows)
            panels = b.bounds(t.column_blocks.size, t.column_blocks.larger, columns)
            for step in self._steps():
                with b.loop(*groups) as group:
                    self._group(around, group, panels, step)

    def _steps(self) -> Iterator[Step]:
        """The first, those between (in a loop) and the last."""
        t, k = self.tiles, self.nest.size(self.nest.depth)
        if t.steps == 1:
            yield Step(0, k, first=True, last=True)
            return
        yield Step(0, t.depth, first=True, last=False)
        if t.steps > 2:
            with self.b.loop(t.depth, (t.steps - 1) * t.depth, t.depth) as start:
                yield Step(start, t.depth, first=False, last=False)
        done = (t.steps - 1) * t.depth
        yield Step(done, k - done, first=False, last=True)

    def _group(self, around: dict[int, Index], group: Index, panels: tuple[Index, Index], step: Step) -> None:
        """Groups of one row more come first."""
        t, b = self.tiles.rows, self.b
        first, _ = b.bounds(t.size, t.larger, group)
        if not t.larger:
            self._panels(around, first, t.size, panels, step)
            return
        large = b.compare("slt", b.index(group), b.index(t.larger))
        with b.when(large):
            self._panels(around, first, t.size + 1, panels, step)
        with b.when(b.binary("xor", large, b.const("i1", 1))):
            self._panels(around, first, t.size, panels, step)

    def _panels(self, around: dict[int, Index], row: Index, rows: int, panels: tuple[Index, Index], step: Step) -> None:
        """One group of rows against a block of columns; full panels and the last one have code of their own."""
        t, b = self.tiles, self.b
        left = self._left(around, row, rows, step)
        begin, end = panels
        if t.full:
            with b.loop(begin, b.imin(end, t.full)) as number:
                place = b.iadd(number, b.imul(begin, -1))
                self._tile(around, row, left, Panel(number, place, b.imul(number, t.width), t.vectors), step)
        if t.rest:
            with b.when(b.compare("sgt", b.index(end), b.index(t.full))):
                place = b.iadd(b.imul(begin, -1), t.full)
                self._tile(around, row, left, Panel(t.full, place, t.full * t.width, t.rest), step)

    # Operands -----------------------------------------------------------------------------------------------------

    def _index(self, around: dict[int, Index], row: Index = 0, column: Index = 0, depth: Index = 0) -> list[Index]:
        """The loop variables; summed loops around the innermost begin at 0."""
        n = self.nest
        found: list[Index] = [0] * len(n.sizes)
        for d, i in (*around.items(), (n.row, row), (n.column, column), (n.depth, depth)):
            if d is not None:
                found[d] = i
        return found

    def _address(self, operand: Load, index: list[Index]) -> Value:
        offset = self.writer.offset(operand.place, Here(index, 1, 0))
        return self.b.at(self.writer.pointers[operand.buffer], offset, self.kind)

    def _left(self, around: dict[int, Index], row: Index, rows: int, step: Step) -> LeftRows:
        """Where a group's rows of the left operand are read: in place, or in a copy that many tiles share."""
        n = self.nest
        start = self._address(n.left, self._index(around, row, 0, step.start))
        found = LeftRows(start, rows, n.stride(n.left, n.row), n.stride(n.left, n.depth))
        kind = Elements(self.kind, self.dtype.itemsize, self.lanes)
        shared_by_many = self.tiles.column_blocks.size >= FEWEST_SWEEPS
        if shared_by_many and not n.outside and worth_copying(found, step.count, kind):
            return copied(self.b, found, step.count, kind)
        return found

    def _right(self, around: dict[int, Index], panel: Panel, step: Step) -> tuple[Value, int]:
        """Where a panel of the right operand begins, and how far apart its rows are."""
        n, t, b = self.nest, self.tiles, self.b
        if n.panels is None:
            start = self._address(n.right, self._index(around, 0, panel.column, step.start))
            return start, n.stride(n.right, n.depth)
        start = self._address(n.right, self._index(around))
        block = b.imul(step.start, t.panels * t.width)
        return b.at(start, b.iadd(block, b.imul(panel.number, t.depth * t.width)), self.kind), t.width

    # The tile -----------------------------------------------------------------------------------------------------

    def _tile(self, around: dict[int, Index], row: Index, left: LeftRows, panel: Panel, step: Step) -> None:
        """Sum with the tile in registers, then the epilogue, or leave the unfinished sums in memory."""
        b, n = self.b, self.nest
        spots = [(i, lanes) for i in range(left.rows) for lanes in panel.vectors]

        def here(i: Index, lanes: Lanes) -> Here:
            index = self._index(around, b.iadd(row, i), b.iadd(panel.column, lanes.first))
            return Here(index, lanes.width, n.column if n.column is not None else 0, lanes.valid)

        tile = self._sum(around, left, panel, step, lambda i: here(i, panel.vectors[0]))
        if left.rows > 1 and step.last and len(n.block.code) >= HEAVY:
            self._finish_by_rows(tile, left.rows, panel, step, here)
            return
        for spot, total in zip(spots, tile):
            self._finish(total, here(*spot), step)

    def _finish(self, total: Value, here: Here, step: Step, loaded: Mapping[int, Value] | None = None) -> None:
        """What happens to some sums of a row after a step: the epilogue, or they are left in memory."""
        n, writer = self.nest, self.writer
        if not step.first:
            total = self.b.add(writer.load(n.partial.buffer, self.dtype, n.partial.place, here), total)
        if not step.last:
            writer.store(total, n.partial.buffer, n.partial.place, here)
            return
        values = writer.values(n.block, here, {n.core: total}, loaded)
        for s in n.stores:
            writer.store(values[s.value], s.buffer, s.place, here)

    def _finish_by_rows(
        self, tile: list[Value], rows: int, panel: Panel, step: Step, here: Callable[[Index, Lanes], Here]
    ) -> None:
        """The same in a loop over the rows of a tile, whose sums wait on the stack: an optimiser's update is some forty
        operations, which written out for each vector of a tile would keep LLVM busy for long."""
        b, width = self.b, sum(lanes.width for lanes in panel.vectors)
        for total, place in zip(tile, (i * width + v.first for i in range(rows) for v in panel.vectors)):
            b.store(total, b.at(self.room, place, self.kind), self.dtype.itemsize)
        loaded = [self._the_same_in_rows(here(0, lanes)) for lanes in panel.vectors]
        with b.loop(0, rows) as i:
            for lanes, known in zip(panel.vectors, loaded):
                start = b.at(self.room, b.iadd(b.imul(i, width), lanes.first), self.kind)
                total = b.load(start, vector(self.kind, lanes.width), self.dtype.itemsize)
                self._finish(total, here(i, lanes), step, known)

    @cached_property
    def room(self) -> Value:
        """Room on the stack for the sums of a tile."""
        t = self.tiles
        return self.b.local(f"[{(t.rows.size + 1) * t.width} x {self.kind}]", LINE)

    def _the_same_in_rows(self, here: Here) -> dict[int, Value]:
        """What the epilogue loads that is the same in all rows (rates, biases), by its place in the block."""
        n = self.nest
        return {
            place: self.b.splat(self.writer.load(i.buffer, dtype, i.place, here), here.lanes)
            for place, (i, dtype) in enumerate(zip(n.block.code, n.block.dtypes))
            if isinstance(i, Load) and n.stride(i, n.row) == 0
        }

    def _sum(
        self, around: dict[int, Index], left: LeftRows, panel: Panel, step: Step, row: Callable[[Index], Here]
    ) -> list[Value]:
        """The summed loops, one inside the other, with the tile carried through them."""
        b, n = self.b, self.nest
        right, by_row = self._right(around, panel, step)
        outside = [(n.sizes[d], n.left.place.strides[d], n.right.place.strides[d]) for d in n.outside]

        def turn(x: Value, y: Value, tile: list[Value]) -> list[Value]:
            loaded = [self._columns(b.at(y, lanes.first, self.kind), lanes) for lanes in panel.vectors]
            found = []
            for i in range(left.rows):
                element = b.load(b.at(x, i * left.by_row, self.kind), self.kind, self.dtype.itemsize)
                for j, columns in enumerate(loaded):
                    total = tile[i * len(loaded) + j]
                    found.append(self._multiply_add(b.splat(element, columns.lanes), columns, total))
            return found

        def run(begin: Index, end: Index, x: Value, y: Value, tile: list[Value]) -> list[Value]:
            k, inside, finish = b.loop_carrying(begin, end, 1, tile)
            x, y = (b.at(p, b.imul(k, stride), self.kind) for p, stride in ((x, left.by_depth), (y, by_row)))
            return finish(turn(x, y, inside))

        def innermost(x: Value, y: Value, tile: list[Value]) -> list[Value]:
            if n.depth is None:
                return turn(x, y, tile)
            asked = self._read_at_the_end(step)
            share = step.count // left.rows
            if not (asked or left.following) or share < FEWEST_TURNS:
                return run(0, step.count, x, y, tile)
            # While the tile sums, the lines that its end will read come in from memory, a row at a time.
            i, tile, finish = b.loop_carrying(0, left.rows, 1, tile)
            for operand in asked:
                self._ask_for(operand, row(i), panel)
            self._ask_for_following(left, i, panel, step)
            begin = b.imul(i, share)
            tile = finish(run(begin, b.iadd(begin, share), x, y, tile))
            return run(left.rows * share, step.count, x, y, tile)

        def loops(sizes: Sequence[tuple[int, int, int]], x: Value, y: Value, tile: list[Value]) -> list[Value]:
            if not sizes:
                return innermost(x, y, tile)
            (count, by_left, by_right), *inside = sizes
            i, within, finish = b.loop_carrying(0, count, 1, tile)
            x, y = (b.at(p, b.imul(i, stride), self.kind) for p, stride in ((x, by_left), (y, by_right)))
            return finish(loops(inside, x, y, within))

        zeros = [b.const(vector(self.kind, lanes.width), 0) for _ in range(left.rows) for lanes in panel.vectors]
        return loops(outside, left.start, right, zeros)

    def _read_at_the_end(self, step: Step) -> list[Load]:
        """Unfinished sums, and operands of the epilogue with an element for each of the result's."""
        n = self.nest
        epilogue = [i for i in n.block.code if isinstance(i, Load)] if step.last else []
        found = [load for load in epilogue if n.stride(load, n.column) == 1 and n.stride(load, n.row)]
        return found if step.first else [n.partial, *found]

    def _ask_for(self, operand: Load, here: Here, panel: Panel) -> None:
        """Ask for the cache lines of a row of the tile."""
        memory = self.writer.memory(operand.buffer)
        start = self.b.at(self.writer.pointers[operand.buffer], self.writer.offset(operand.place, here), memory)
        columns = panel.vectors[-1].first + panel.vectors[-1].valid
        for first in range(0, columns, LINE // operand.buffer.dtype.itemsize):
            self.b.prefetch(self.b.at(start, first, memory))

    def _ask_for_following(self, left: LeftRows, row: Index, panel: Panel, step: Step) -> None:
        """Ask for a part of a row of the next group; each tile of a block asks for another part."""
        if left.following is None:
            return
        b, line = self.b, LINE // self.dtype.itemsize
        lines = -(-step.count // (line * self.tiles.column_blocks.size))
        place = b.iadd(b.imul(row, left.following.by_row), b.imul(panel.place, lines * line))
        start = b.at(left.following.start, place, self.kind)
        for i in range(lines):
            b.prefetch(b.at(start, i * line, self.kind))

    def _columns(self, at: Value, lanes: Lanes) -> Value:
        """A vector of the right operand; panels may be read beyond the last column."""
        count = lanes.valid if self.nest.panels is None else lanes.width
        return self.b.load_some(at, vector(self.kind, lanes.width), self.dtype.itemsize, count)

    def _multiply_add(self, x: Value, y: Value, total: Value) -> Value:
        return self.b.muladd(x, y, total) if x.is_float else self.b.add(self.b.mul(x, y), total)
