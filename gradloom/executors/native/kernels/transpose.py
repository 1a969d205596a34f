"""Plain loops in which a load runs along memory in another loop than the stores: permuted copies, and what is fused.

Going along the stores such a load would fetch every element from another cache line.  So the two loops are walked in
square tiles: the load is read in vectors along its own loop, the tile is transposed in registers, and the rest of the
kernel sees it in vectors along the stores.  A unit is a block of tiles small enough that its lines and pages are still
at hand when the neighbouring tile needs them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Function, Index, Value
from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.kernels.elementwise import lanes_of, merged_loops, widths
from gradloom.executors.native.kernels.units import decode
from gradloom.executors.native.loops import Block, Load
from gradloom.executors.native.target import Target
from gradloom.records import dataclass

BLOCK = 32
"""Turns of both loops in a unit, whole tiles."""
LARGEST = 16
"""Rows of a tile at most."""
MOST_CODE = 512
"""Instructions in a tile, in which the kernel's program is repeated for every row."""


@dataclass(frozen=True)
class Tiles:
    """How a kernel is walked in tiles.

    Attributes:
        sizes: turns of the merged loops; the stores run along the last one.
        across: the loop along which the turned loads run.
        loads: the turned loads, places in the block.
        size: rows and columns of a tile.
        block: the kernel's program over the merged loops.
        stores: what it writes.
    """

    sizes: tuple[int, ...]
    across: int
    loads: tuple[int, ...]
    size: int
    block: Block
    stores: tuple[Store, ...]


def tiles_of(kernel: Kernel, target: Target) -> Tiles | None:
    """The tiles of a plain kernel, or None where no load is turned."""
    merged = merged_loops(kernel)
    block, last = kernel.block.rewritten(merged.place), len(merged.sizes) - 1
    stores = tuple(Store(s.value, s.buffer, merged.place(s.place)) for s in kernel.stores)
    lanes = lanes_of(target, kernel.block)
    for across in reversed(range(last)):
        loads = tuple(i for i, x in enumerate(block.code) if isinstance(x, Load) and _turned(x, across, last))
        size = 1 << min(merged.sizes[across], merged.sizes[last], lanes, LARGEST).bit_length() >> 1
        if loads and size > 2 and size * len(block.code) <= MOST_CODE:
            return Tiles(merged.sizes, across, loads, size, block, stores)
    return None


def _turned(load: Load, across: int, last: int) -> bool:
    return load.place.strides[across] == 1 and load.place.strides[last] not in (0, 1)


def write(writer: BlockWriter, tiles: Tiles) -> int:
    """Write the function's body; returns the number of units."""
    b, last = writer.b, len(tiles.sizes) - 1
    around = [d for d in range(last) if d != tiles.across]
    rows, columns = tiles.sizes[tiles.across], tiles.sizes[last]
    counts = (*(tiles.sizes[d] for d in around), -(-rows // BLOCK), -(-columns // BLOCK))
    with b.loop(writer.begin, writer.end) as unit:
        *outer, row, column = decode(b, unit, counts)
        walk = _Walk(writer, tiles, dict(zip(around, outer)))
        walk.block(b.imul(row, BLOCK), b.imul(column, BLOCK))
    return math.prod(counts)


@dataclass
class _Walk:
    """The two tiled loops, at one index of all others."""

    writer: BlockWriter
    tiles: Tiles
    outer: dict[int, Index]

    def block(self, row: Index, column: Index) -> None:
        """The tiles of a unit, then what is left over at the lower and the right edge."""
        b, size = self.writer.b, self.tiles.size
        rows, columns = self.tiles.sizes[self.tiles.across], self.tiles.sizes[-1]
        whole_rows, whole_columns = rows // size * size, columns // size * size
        end_row, end_column = b.iadd(row, BLOCK), b.iadd(column, BLOCK)
        tiles_end = b.imin(end_column, whole_columns)
        with b.loop(row, b.imin(end_row, whole_rows), size) as i, b.loop(column, tiles_end, size) as j:
            self._tile(i, j)
        if rows % size:
            lowest = b.compare("sge", b.index(end_row), b.index(rows))
            with b.when(lowest), b.loop(whole_rows, rows) as i, b.loop(column, tiles_end, size) as j:
                self._element(i, j, size)
        if columns % size:
            rightmost = b.compare("sge", b.index(end_column), b.index(columns))
            with b.when(rightmost), b.loop(row, b.imin(end_row, rows)) as i:
                for start, width in _parts(whole_columns, columns, size):
                    self._element(i, start, width)

    def _index(self, row: Index, column: Index) -> list[Index]:
        whole = {**self.outer, self.tiles.across: row, len(self.tiles.sizes) - 1: column}
        return [whole[d] for d in range(len(self.tiles.sizes))]

    def _tile(self, row: Index, column: Index) -> None:
        b, block, size = self.writer.b, self.tiles.block, self.tiles.size
        turned: dict[int, list[Value]] = {}
        for place in self.tiles.loads:
            load = block.code[place]
            assert isinstance(load, Load)
            rows = []
            for j in range(size):
                here = Here(self._index(row, b.iadd(column, j)), size, self.tiles.across)
                rows.append(self.writer.load(load.buffer, block.dtypes[place], load.place, here))
            turned[place] = transposed(b, rows)
        for i in range(size):
            self._element(b.iadd(row, i), column, size, {place: vectors[i] for place, vectors in turned.items()})

    def _element(self, row: Index, column: Index, lanes: int, loaded: dict[int, Value] | None = None) -> None:
        """A vector of results along the last loop."""
        here = Here(self._index(row, column), lanes, len(self.tiles.sizes) - 1)
        values = self.writer.values(self.tiles.block, here, {}, loaded)
        for s in self.tiles.stores:
            self.writer.store(values[s.value], s.buffer, s.place, here)


def _parts(start: int, stop: int, lanes: int) -> Iterator[tuple[int, int]]:
    """Vectors of falling width from ``start`` to ``stop``."""
    for width in widths(stop - start, lanes):
        yield start, width
        start += width


def transposed(b: Function, rows: Sequence[Value]) -> list[Value]:
    """The columns of a square tile.

    Interleaving the first half of the rows with the second turns the bits of (row, lane) by one place, from the row's
    highest to the lane's lowest; when all bits of the row have become bits of the lane the tile is transposed.
    """
    count = half = len(rows)
    found = list(rows)
    while half > 1:
        half //= 2
        pairs = list(zip(found[: count // 2], found[count // 2 :]))
        found = [_interleaved(b, x, y, first) for x, y in pairs for first in (0, count // 2)]
    return found


def _interleaved(b: Function, x: Value, y: Value, first: int) -> Value:
    """Half of two vectors, alternating, from lane ``first`` on."""
    lanes = [i for k in range(x.lanes // 2) for i in (first + k, x.lanes + first + k)]
    mask = ", ".join(f"i32 {i}" for i in lanes)
    return b.emit(x.type, f"shufflevector {x.type} {x.text}, {x.type} {y.text}, <{x.lanes} x i32> <{mask}>")
