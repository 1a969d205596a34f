"""Matrix products: tiles of the result held in registers while the inner loop runs.

A tile has some rows and a few vectors of columns.  Each turn of the inner loop loads one row of vectors of the right
operand and, for every row of the tile, repeats one element of the left operand over a vector: rows × vectors fused
multiply-adds.  What follows from a product (bias, activation, mask, update) is its epilogue: it runs on the tile's
sums while these are in the nearest cache.

A long sum runs in steps.  Between them the unfinished sums lie in memory; the epilogue runs after the last.

A thread walks blocks of columns.  Where that pays it copies a block of the right operand into panels of its own first,
so that threads share nothing but the left operand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.left import Elements, LeftRows, copied, worth_copying
from gradloom.executors.native.kernels.packing import Packing
from gradloom.executors.native.kernels.tiling import TOGETHER, Lanes, Packs
from gradloom.executors.native.loops import Given, Load
from gradloom.executors.native.nest import Nest, nest
from gradloom.executors.native.scalars import REGISTER
from gradloom.executors.native.target import Target
from gradloom.records import dataclass

LINE = 64  # bytes of a cache line
FEWEST_TURNS = 4  # of the inner loop between requests for lines
MOST_ASKED = 16  # lines of the left operand in one of these requests
LARGE_RESULT = 512 * 1024  # bytes from which a result is asked for before it is written
MOST_UNROLLED = 4  # summed elements that need no inner loop
HEAVY = 12  # instructions of an epilogue from which it is a loop over the rows of a tile in any case
SHORT = 64  # summed elements up to which such a loop costs much beside the sum
AHEAD, SOON = 8, 4  # turns of the inner loop before which a row of the right operand is asked for
SOON_ROWS = 4  # of a tile up to which turns wait for the right operand alone: what is asked for early is gone again
PAGE = 4096  # bytes by which rows lie apart that share a few places of the nearest cache: there is no room for more


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; returns the number of units (loops around × blocks of columns × blocks of rows)."""
    merged = nest(kernel)
    Product(writer, merged, target).write()
    return merged.units(target)


def scratch(kernel: Kernel, target: Target) -> int:
    """Bytes of working memory: a block of panels for each unit that a thread may begin with."""
    merged = nest(kernel)
    packing = merged.packs() is not Packs.NEVER and math.prod(kernel.shape)
    return merged.units(target) * _block_bytes(merged, target) if packing else 0


def _block_bytes(merged: Nest, target: Target) -> int:
    return -(-merged.tiling(target).block_elements * merged.core.dtype.itemsize // LINE) * LINE


@dataclass(frozen=True)
class Step:
    """Some summed elements.

    Attributes:
        start: the first of them.
        count: how many.
        first: whether no sums lie in memory yet; None where there is one step only.
        last: whether the sums are finished after it; None where there is one step only.
    """

    start: Index
    count: Index
    first: Value | None = None
    last: Value | None = None


@dataclass(frozen=True)
class Block:
    """Panels of columns that rows are multiplied with: the loops around, which panels, where a copy of them lies."""

    around: Mapping[int, Index]
    panels: tuple[Index, Index]
    room: Value | None


@dataclass(frozen=True)
class Spot:
    """Where a tile lies: its block, its first row, the first row that is not done yet, its panel and its vectors.

    ``following`` is the address of the left operand's row after those of the tile.
    """

    block: Block
    row: Index
    undone: Index
    panel: Index
    vectors: tuple[Lanes, ...]
    following: Value


class Product:
    """Writes the loops of a product, from the units down to the tile.

    Attributes:
        kind: LLVM's name of the type of sums.
        memory: and of the elements of operands in memory, by which their addresses are counted.
        elements: what a turn of the inner loop multiplies.
        packing: what copies the right operand.
    """

    packing: type[Packing] = Packing

    def __init__(self, writer: BlockWriter, merged: Nest, target: Target) -> None:
        self.writer, self.b, self.nest, self.target = writer, writer.b, merged, target
        self.tiles = merged.tiling(target)
        self.dtype = merged.core.dtype
        kind, lanes = REGISTER[self.dtype.name], target.lanes(self.dtype.itemsize)
        self.kind, self.memory, self.elements = kind, kind, Elements(kind, self.dtype.itemsize, lanes)

    def write(self) -> None:
        """Walk the blocks of columns in which a thread has units, each with the rows that are the thread's."""
        b, writer, parts = self.b, self.writer, self.tiles.row_blocks.parts
        if self.tiles.packing is not Packs.NEVER:  # each piece of a block of columns would need a copy of its own
            writer.group = parts
        if self.tiles.packing is Packs.ASTRIDE:
            _ = self._astride  # known everywhere from here on
        with b.when(b.compare("slt", b.index(writer.begin), b.index(writer.end))):
            after = b.idiv(b.iadd(writer.end, parts - 1), parts)
            with b.loop(b.idiv(writer.begin, parts), after) as number:
                done = b.imul(number, -parts)
                first, last = b.imax(b.iadd(writer.begin, done), 0), b.imin(b.iadd(writer.end, done), parts)
                self._block(number, first, last)

    def _block(self, number: Index, first: Index, last: Index) -> None:
        """Some blocks of rows against a block of columns."""
        b, t = self.b, self.tiles
        columns, left = b.irem(number, t.column_blocks.parts), b.idiv(number, t.column_blocks.parts)
        around: dict[int, Index] = {}
        for d in reversed(self.nest.around):
            around[d], left = b.irem(left, self.nest.sizes[d]), b.idiv(left, self.nest.sizes[d])
        panels = b.bounds(t.column_blocks.size, t.column_blocks.larger, columns)
        block = Block(around, panels, self._room_for_panels() if t.packing is not Packs.NEVER else None)
        split = t.row_blocks
        begin, end = (b.bounds(split.size, split.larger, i)[0] for i in (first, last))
        for step in self._steps():
            if t.packing is Packs.ALWAYS:
                self._pack(block, step)
            elif t.packing is Packs.ASTRIDE:
                with b.when(self._astride):
                    self._pack(block, step)
            with b.loop(begin, end) as group:
                self._group(block, group, step)

    def _steps(self) -> Iterator[Step]:
        """All steps, in a loop if there are several."""
        b, t, k = self.b, self.tiles, self.nest.size(self.nest.depth)
        if t.steps == 1:
            yield Step(0, k)
            return
        with b.loop(0, t.steps) as number:
            start = b.imul(number, t.depth)
            count = t.depth if k % t.depth == 0 else b.imin(b.iadd(b.imul(number, -t.depth), k), t.depth)
            first, last = (b.compare("eq", number, b.index(i)) for i in (0, t.steps - 1))
            yield Step(start, count, first, last)

    def _group(self, block: Block, group: Index, step: Step) -> None:
        """A group of rows against a block of columns; full panels and the last one have code of their own.

        Where groups do not come out even the last begins early, and leaves alone what is done already.
        """
        t, b = self.tiles, self.b
        row, undone = b.imul(group, t.height), 0
        if t.groups * t.height > self.nest.size(self.nest.row):
            wanted, row = row, b.imin(row, self.nest.size(self.nest.row) - t.height)
            undone = b.binary("sub", b.index(wanted), b.index(row))
        left = self._left(block, row, step)
        following = self._address(self.nest.left, self._index(block, b.iadd(row, t.height), 0, step.start))
        begin, end = block.panels
        if t.full:
            with b.loop(begin, b.imin(end, t.full)) as panel:
                self._tile(Spot(block, row, undone, panel, t.vectors, following), left, step)
        if t.rest:
            with b.when(b.compare("sgt", b.index(end), b.index(t.full))):
                self._tile(Spot(block, row, undone, t.full, t.rest, following), left, step)

    # Operands -----------------------------------------------------------------------------------------------------

    def _index(self, block: Block, row: Index = 0, column: Index = 0, depth: Index = 0) -> list[Index]:
        """The loop variables; summed loops around the innermost begin at 0."""
        n = self.nest
        found: list[Index] = [0] * len(n.sizes)
        for d, i in (*block.around.items(), (n.row, row), (n.column, column), (n.depth, depth)):
            if d is not None:
                found[d] = i
        return found

    def _address(self, operand: Load, index: list[Index]) -> Value:
        offset = self.writer.offset(operand.place, Here(index, 1, 0))
        return self.b.at(self.writer.pointers[operand.buffer], offset, self.memory)

    def _left(self, block: Block, row: Index, step: Step) -> LeftRows:
        """Where a group's rows of the left operand are read: in place, or in a copy that many tiles share."""
        n, t = self.nest, self.tiles
        start = self._address(n.left, self._index(block, row, 0, step.start))
        found = LeftRows(start, n.stride(n.left, n.row), n.stride(n.left, n.depth), self.memory)
        if t.panels > 1 and not n.outside and worth_copying(found, t.height, t.depth, self.elements):
            return copied(self.b, found, t.height, t.depth, step.count, self.elements)
        return found

    def _right(self, spot: Spot, step: Step) -> tuple[Value, Index]:
        """Where a panel of the right operand begins, and how far apart its rows are."""
        n, t, b = self.nest, self.tiles, self.b
        start = self._address(n.right, self._index(spot.block, 0, b.imul(spot.panel, t.width), step.start))
        if spot.block.room is None:
            return start, n.stride(n.right, n.depth)
        size = t.depth * t.width
        offset = b.iadd(b.imul(spot.panel, size), b.imul(spot.block.panels[0], -size))
        copy = b.at(spot.block.room, offset, self.kind)
        if t.packing is Packs.ALWAYS:
            return copy, t.width
        strides = (b.index(i) for i in (t.width, n.stride(n.right, n.depth)))
        return b.select(self._astride, copy, start), b.select(self._astride, *strides)

    @cached_property
    def _astride(self) -> Value:
        """Whether the right operand's vectors would each lie on two cache lines."""
        b, right = self.b, self.nest.right
        place = b.emit("i64", f"ptrtoint ptr {self.writer.pointers[right.buffer].text} to i64")
        bits = b.binary("and", place, b.const("i64", LINE - 1))
        return b.compare("ne", bits, b.const("i64", 0))

    def _room_for_panels(self) -> Value:
        """A thread's own memory for a block of panels: that of the first of its units."""
        return self.writer.working_memory(self.writer.begin, _block_bytes(self.nest, self.target))

    def _pack(self, block: Block, step: Step) -> None:
        """Copy a step of a block of the right operand."""
        assert block.room is not None
        n, t = self.nest, self.tiles
        by_row, by_column = n.stride(n.right, n.depth), n.stride(n.right, n.column)
        fewest = n.turns - (t.steps - 1) * t.depth
        packing = self.packing(self.b, self.elements, t, by_row, by_column, n.size(n.column), fewest)
        self._copy(packing, self._address(n.right, self._index(block, 0, 0, step.start)), block, step)

    def _copy(self, packing: Packing, source: Value, block: Block, step: Step) -> None:
        """Copy the rows of a step, the first of which begins at ``source``."""
        assert block.room is not None
        packing.copy(source, block.room, block.panels, step.count)

    # The tile -----------------------------------------------------------------------------------------------------

    def _here(self, spot: Spot, row: Index, lanes: Lanes) -> Here:
        """A vector of a tile's row, as an index of the loops of results."""
        b, n = self.b, self.nest
        column = b.iadd(b.imul(spot.panel, self.tiles.width), lanes.first)
        index = self._index(spot.block, b.iadd(spot.row, row), column)
        return Here(index, lanes.width, n.column if n.column is not None else 0, lanes.valid)

    def _tile(self, spot: Spot, left: LeftRows, step: Step) -> None:
        """Sum with the tile in registers; then the epilogue, or the unfinished sums go to memory.

        That is a loop over rows, if it is not short: an optimiser's update, some forty operations, would keep LLVM busy
        for long if it were written out for each vector of a tile.
        """
        b, rows = self.b, range(self.tiles.height)
        tile = self._sum(spot, left, step)
        if step.last is None and self._end_is_short():
            for total, (i, lanes) in zip(tile, ((i, lanes) for i in rows for lanes in spot.vectors)):
                self._epilogue(total, self._here(spot, i, lanes), {})
            return
        width = sum(lanes.width for lanes in spot.vectors)
        for total, place in zip(tile, (i * width + lanes.first for i in rows for lanes in spot.vectors)):
            b.store(total, b.at(self._sums, place, self.kind), self.dtype.itemsize)
        loaded = [self._the_same_in_rows(self._here(spot, 0, lanes)) for lanes in spot.vectors]
        with b.loop(spot.undone, self.tiles.height) as i:
            for lanes, known in zip(spot.vectors, loaded):
                start = b.at(self._sums, b.iadd(b.imul(i, width), lanes.first), self.kind)
                total = b.load(start, vector(self.kind, lanes.width), self.dtype.itemsize)
                self._finish(total, self._here(spot, i, lanes), step, known)

    def _end_is_short(self) -> bool:
        """Whether sums are only stored, or an epilogue is so short that it matters beside a short sum."""
        code, t = self.nest.block.code, self.tiles
        once = t.groups * t.height == self.nest.size(self.nest.row)
        return [type(i) for i in code] == [Given] or (once and len(code) < HEAVY and t.depth <= SHORT)

    @cached_property
    def _sums(self) -> Value:
        """Room on the stack for the sums of a tile."""
        return self.b.local(f"[{self.tiles.height * self.tiles.width} x {self.kind}]", LINE)

    def _the_same_in_rows(self, here: Here) -> dict[int, Value]:
        """What the epilogue loads that is the same in all rows (rates, biases), by its place in the block."""
        n = self.nest
        return {
            place: self.b.splat(self.writer.load(i.buffer, dtype, i.place, here), here.lanes)
            for place, (i, dtype) in enumerate(zip(n.block.code, n.block.dtypes))
            if isinstance(i, Load) and n.stride(i, n.row) == 0
        }

    def _finish(self, total: Value, here: Here, step: Step, loaded: Mapping[int, Value]) -> None:
        """What happens to some sums of a row after a step."""
        b, partial = self.b, self.nest.partial
        if step.first is None or step.last is None:
            self._epilogue(total, here, loaded)
            return
        before = self.writer.load(partial.buffer, self.dtype, partial.place, here)
        total = b.select(step.first, total, b.add(before, total))
        with b.when(step.last):
            self._epilogue(total, here, loaded)
        with b.when(b.binary("xor", step.last, b.const("i1", 1))):
            self.writer.store(total, partial.buffer, partial.place, here)

    def _epilogue(self, total: Value, here: Here, loaded: Mapping[int, Value]) -> None:
        values = self.writer.values(self.nest.block, here, {self.nest.core: total}, loaded)
        for s in self.nest.stores:
            self.writer.store(values[s.value], s.buffer, s.place, here)

    # The sum ------------------------------------------------------------------------------------------------------

    def _sum(self, spot: Spot, left: LeftRows, step: Step) -> list[Value]:
        """The summed loops, one inside the other, with the tile carried through them."""
        b, n, height = self.b, self.nest, self.tiles.height
        right, by_row = self._right(spot, step)
        ahead = times(b, self._turns_ahead(), by_row) if self.tiles.depth > AHEAD else None
        count = self._whole_turns(step)
        outside = [(n.sizes[d], n.left.place.strides[d], n.right.place.strides[d]) for d in n.outside]

        def turns(first: Index, count: int, x: Value, y: Value, tile: list[Value]) -> list[Value]:
            for k in (b.iadd(first, i) for i in range(count)):
                x_k, y_k = b.at(x, b.imul(k, left.by_depth), left.kind), b.at(y, times(b, k, by_row), self.kind)
                tile = self._turn(spot.vectors, left, ahead, x_k, y_k, tile)
            return tile

        def run(begin: Index, end: Index, x: Value, y: Value, tile: list[Value]) -> list[Value]:
            if begin == 0 and isinstance(end, int) and end <= MOST_UNROLLED:
                return turns(0, end, x, y, tile)
            together = TOGETHER if n.turns % TOGETHER == 0 else 1  # an odd one out would be more code
            k, inside, finish = b.loop_carrying(begin, end, together, tile)
            return finish(turns(k, together, x, y, inside))

        def whole(x: Value, y: Value, tile: list[Value]) -> list[Value]:
            if n.depth is None:
                return self._turn(spot.vectors, left, ahead, x, y, tile)
            asked, rows = self._read_at_the_end(), self._lines_of_left()
            written = [] if asked else self._written_at_the_end()
            if not (asked or written or rows) or self.tiles.depth < FEWEST_TURNS * height:
                return run(0, count, x, y, tile)
            # While the tile sums, the lines that are needed after it come in from memory, a row at a time.
            i, tile, finish = b.loop_carrying(0, height, 1, tile)
            for operand in asked or written:
                self._ask_for(operand, self._here(spot, i, spot.vectors[0]), spot.vectors, write=bool(written))
            self._ask_for_left(spot, i, rows)
            share = b.imul(b.idiv(count, height * TOGETHER), TOGETHER)
            begin = times(b, i, share)
            last = b.compare("eq", i, b.index(height - 1))
            return finish(run(begin, b.select(last, b.index(count), b.index(b.iadd(begin, share))), x, y, tile))

        def loops(sizes: Sequence[tuple[int, int, int]], x: Value, y: Value, tile: list[Value]) -> list[Value]:
            if not sizes:
                return self._rest(spot, left, step, (x, y, by_row), whole(x, y, tile))
            (count, by_left, by_right), *inside = sizes
            i, within, finish = b.loop_carrying(0, count, 1, tile)
            x, y = (b.at(p, b.imul(i, stride), self.memory) for p, stride in ((x, by_left), (y, by_right)))
            return finish(loops(inside, x, y, within))

        zeros = [b.const(vector(self.kind, lanes.width), 0) for _ in range(height) for lanes in spot.vectors]
        return loops(outside, left.start, right, zeros)

    def _turn(
        self, vectors: Sequence[Lanes], left: LeftRows, ahead: Index | None, x: Value, y: Value, tile: list[Value]
    ) -> list[Value]:
        """Add one summed element's products to the tile."""
        b, found = self.b, []
        if ahead is not None:
            later = b.at(y, ahead, self.kind)
            for lanes in vectors:
                b.prefetch(b.at(later, lanes.first, self.kind))
        loaded = [self._columns(b.at(y, lanes.first, self.kind), lanes) for lanes in vectors]
        for i in range(self.tiles.height):
            element = self._element(left, b.at(x, i * left.by_row, left.kind))
            for j, columns in enumerate(loaded):
                total = tile[i * len(loaded) + j]
                found.append(self._multiply_add(b.splat(element, columns.lanes), columns, total))
        return found

    def _whole_turns(self, step: Step) -> Index:
        """Turns of the inner loop in a step."""
        return step.count

    def _rest(
        self, spot: Spot, left: LeftRows, step: Step, operands: tuple[Value, Value, Index], tile: list[Value]
    ) -> list[Value]:
        """Add what whole turns leave of a step (left operand, panel, how far apart its rows are): here nothing."""
        return tile

    def _element(self, left: LeftRows, at: Value) -> Value:
        """An element of the left operand."""
        return self.b.load(at, self.kind, self.dtype.itemsize)

    def _columns(self, at: Value, lanes: Lanes) -> Value:
        """A vector of the right operand; panels may be read beyond the last column."""
        count = lanes.width if self.tiles.packing is Packs.ALWAYS else lanes.valid
        return self.b.load_some(at, vector(self.elements.kind, lanes.width), self.dtype.itemsize, count)

    def _multiply_add(self, x: Value, y: Value, total: Value) -> Value:
        return self.b.muladd(x, y, total) if x.is_float else self.b.add(self.b.mul(x, y), total)

    # Requests for lines -------------------------------------------------------------------------------------------

    def _turns_ahead(self) -> int:
        """How long before it is read a row of the right operand is asked for: too early, and it is gone again."""
        apart = self.nest.stride(self.nest.right, self.nest.depth) * self.dtype.itemsize
        crowded = apart % PAGE == 0 and self.tiles.packing is not Packs.ALWAYS
        return SOON if self.tiles.height <= SOON_ROWS or crowded else AHEAD

    def _read_at_the_end(self) -> list[Load]:
        """Unfinished sums, and operands of the epilogue with an element for each of the result's."""
        n = self.nest
        epilogue = [i for i in n.block.code if isinstance(i, Load)]
        found = [load for load in epilogue if n.stride(load, n.column) == 1 and n.stride(load, n.row)]
        return found if self.tiles.steps == 1 else [n.partial, *found]

    def _written_at_the_end(self) -> list[Load]:
        """Results that are too large to lie in the nearest caches already.

        Where something is read as well, results take its place in most cases (updates, unfinished sums).
        """
        n = self.nest
        if n.size(n.row) * n.size(n.column) * self.dtype.itemsize < LARGE_RESULT:
            return []
        written = [Load(s.buffer, s.place) for s in n.stores]
        return [w for w in written if n.stride(w, n.column) == 1 and n.stride(w, n.row)]

    def _lines_of_left(self) -> int:
        """Lines that a tile asks for of a row of the left operand, one that the next group will read.

        None where there are several blocks of columns: the one before has brought the rows into the caches.
        """
        n, t = self.nest, self.tiles
        once = t.groups > 1 == t.column_blocks.parts and not n.outside and n.left_is_in_rows
        row = -(-t.depth * self.dtype.itemsize // LINE)
        return min(-(-row // t.panels), MOST_ASKED) if once else 0

    def _ask_for_left(self, spot: Spot, i: Index, lines: int) -> None:
        """Ask for a panel's share of row ``i`` of the next group."""
        b, line = self.b, LINE // self.nest.left.buffer.dtype.itemsize
        place = b.iadd(b.imul(i, self.nest.stride(self.nest.left, self.nest.row)), b.imul(spot.panel, lines * line))
        start = b.at(spot.following, place, self.memory)
        for number in range(lines):
            b.prefetch(b.at(start, number * line, self.memory))

    def _ask_for(self, operand: Load, here: Here, vectors: Sequence[Lanes], *, write: bool) -> None:
        """Ask for the cache lines of a row of the tile."""
        memory = self.writer.memory(operand.buffer)
        start = self.b.at(self.writer.pointers[operand.buffer], self.writer.offset(operand.place, here), memory)
        columns = vectors[-1].first + vectors[-1].valid
        for first in range(0, columns, LINE // operand.buffer.dtype.itemsize):
            self.b.prefetch(self.b.at(start, first, memory), write=write)


def times(b: Function, x: Index, y: Index) -> Index:
    """x · y, both of which may be known at run time only."""
    if isinstance(x, int) or isinstance(y, int):
        return b.imul(x, y)
    return b.pure("i64", f"mul nsw i64 {b.index(x).text}, {b.index(y).text}")
