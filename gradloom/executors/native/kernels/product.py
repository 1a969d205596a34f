"""Matrix products: tiles of the result held in registers while the inner loop runs.

A tile has some rows and a few vectors of columns.  Each turn of the inner loop loads one row of vectors of the right
operand and, for every row of the tile, repeats one element of the left operand over a vector: rows × vectors fused
multiply-adds.  The tile's epilogue (bias, activation, mask, update) runs before it leaves the registers.

The right operand's columns must be neighbours in memory; the plan sees to that (see fuse.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Index, Value, vector
from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.kernels.elementwise import widths
from gradloom.executors.native.loops import Affine, Load, extended, merge
from gradloom.executors.native.scalars import REGISTER
from gradloom.executors.native.target import Target

Turn = Callable[[list[Index], list[Value]], list[Value]]


@dataclass(frozen=True)
class Tiling:
    """How the result of a product is cut.

    Attributes:
        rows: sizes of row groups: ``count`` groups, the first ``larger`` of which have one row more than the rest.
        panel: vector widths of a full panel of columns.
        panels: number of full panels.
        rest: vector widths of the last, narrower panel.
    """

    rows: int
    count: int
    larger: int
    panel: tuple[int, ...]
    panels: int
    rest: tuple[int, ...]


def tiling(m: int, n: int, lanes: int, registers: int) -> Tiling:
    """A tile that fits into the registers, with rows divided evenly."""
    vectors = 2 if n >= 2 * lanes else 1
    panel = (lanes,) * vectors if n >= lanes else ()
    width = sum(panel)
    panels = n // width if width else 0
    rest = tuple(widths(n - panels * width, lanes))
    across = max(len(panel), len(rest), 1)
    most = max(1, min(14, (registers - across - 1) // across))
    count = -(-m // most)
    rows, larger = divmod(m, count)
    return Tiling(rows, count, larger, panel, panels, rest)


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; returns the number of units (batch × panels of columns × groups of rows)."""
    p = _Product(writer, kernel, target)
    return p.write()


class _Product:
    """A product kernel with its loops merged: batch, rows, columns, summed."""

    def __init__(self, writer: BlockWriter, kernel: Kernel, target: Target) -> None:
        assert kernel.core is not None
        self.writer, self.b, self.core = writer, writer.b, kernel.core
        self.dtype = kernel.core.dtype
        self.left, self.right = kernel.operands
        segments = kernel.segments
        summed = len(segments[3])
        self.panel_width = kernel.panel_width
        outer = [self._over_all(p, summed) for p in (*kernel.block.places(), *(s.place for s in kernel.stores))]
        merged = merge(segments, [self.left.place, self.right.place, *outer])
        self.sizes, self.segments = merged.sizes, merged.segments
        self.left_place, self.right_place = merged.place(self.left.place), merged.place(self.right.place)
        self.block = kernel.block.rewritten(lambda p: merged.place(self._over_all(p, summed)))
        self.stores = [Store(s.value, s.buffer, merged.place(self._over_all(s.place, summed))) for s in kernel.stores]
        # The innermost loop over rows and over columns is tiled; all others around it run one by one.
        rows, columns = self.segments[1], self.segments[2]
        self.row = rows[-1] if rows else None
        self.column = columns[-1] if columns else None
        self.around = [d for r in self.segments[:3] for d in r if d not in (self.row, self.column)]
        m = self.sizes[self.row] if self.row is not None else 1
        n = self.sizes[self.column] if self.column is not None else 1
        self.tiles = tiling(m, n, target.lanes(self.dtype.itemsize), target.registers)

    def _over_all(self, place: Affine, summed: int) -> Affine:
        """A place over the loops of the results as one over all loops; columns in panels are two loops."""
        if self.panel_width:
            *others, column = place.strides
            place = Affine(place.offset, (*others, self.panel_width * column, column))
        return extended(place, 0, summed)

    def write(self) -> int:
        """Decode each unit into the loops around, a panel of columns and a group of rows."""
        b, t = self.b, self.tiles
        panels = t.panels + (1 if t.rest else 0)
        per_panel = t.count
        total = per_panel * panels
        for d in self.around:
            total *= self.sizes[d]
        with b.loop(b.param("begin"), b.param("end")) as unit:
            group, left = b.irem(unit, per_panel), b.idiv(unit, per_panel)
            panel, left = b.irem(left, panels), b.idiv(left, panels)
            index: dict[int, Index] = {}
            for d in reversed(self.around):
                index[d], left = b.irem(left, self.sizes[d]), b.idiv(left, self.sizes[d])
            self._panels(index, panel, group)
        return total

    def _panels(self, index: dict[int, Index], panel: Index, group: Index) -> None:
        """Full panels and the narrower last one have code of their own."""
        t, b = self.tiles, self.b
        width = sum(t.panel)
        if t.panels and t.rest:
            full = b.compare("slt", b.index(panel), b.index(t.panels))
            with b.when(full):
                self._groups(index, b.imul(panel, width), t.panel, group)
            with b.when(b.binary("xor", full, b.const("i1", 1))):
                self._groups(index, t.panels * width, t.rest, group)
        elif t.panels:
            self._groups(index, b.imul(panel, width), t.panel, group)
        else:
            self._groups(index, 0, t.rest, group)

    def _groups(self, index: dict[int, Index], column: Index, vectors: Sequence[int], group: Index) -> None:
        """Groups of q + 1 rows come first, then those of q."""
        t, b = self.tiles, self.b
        first = b.iadd(b.imul(group, t.rows), b.imin(group, t.larger))
        if not t.larger:
            self._tile(index, first, t.rows, column, vectors)
            return
        large = b.compare("slt", b.index(group), b.index(t.larger))
        with b.when(large):
            self._tile(index, first, t.rows + 1, column, vectors)
        with b.when(b.binary("xor", large, b.const("i1", 1))):
            self._tile(index, first, t.rows, column, vectors)

    def _index(self, around: dict[int, Index], row: Index, column: Index, summed: Sequence[Index]) -> list[Index]:
        found: list[Index] = [0] * len(self.sizes)
        for d, i in around.items():
            found[d] = i
        if self.row is not None:
            found[self.row] = row
        if self.column is not None:
            found[self.column] = column
        for d, i in zip(self.segments[3], summed):
            found[d] = i
        return found

    def _tile(self, around: dict[int, Index], row: Index, rows: int, column: Index, vectors: Sequence[int]) -> None:
        """Sum over the inner loops with the tile in registers, then the epilogue."""
        b, kind = self.b, REGISTER[self.dtype.name]
        zero = [b.const(vector(kind, w), 0) for _ in range(rows) for w in vectors]
        places = [sum(vectors[:j]) for j in range(len(vectors))]

        def turn(summed: list[Index], tile: list[Value]) -> list[Value]:
            index = self._index(around, row, column, summed)
            right, left = (
                self._address(self.right, self.right_place, index),
                self._address(self.left, self.left_place, index),
            )
            loaded = [self._element(right, place, width) for place, width in zip(places, vectors)]
            step = self.left_place.strides[self.row] if self.row is not None else 0
            found = []
            for i in range(rows):
                element = self._element(left, i * step, 1)
                for j, width in enumerate(vectors):
                    found.append(self._multiply_add(b.splat(element, width), loaded[j], tile[i * len(vectors) + j]))
            return found

        tile = self._sum([self.sizes[d] for d in self.segments[3]], [], zero, turn)
        for i in range(rows):
            for j, (place, width) in enumerate(zip(places, vectors)):
                index = self._index(around, b.iadd(row, i), b.iadd(column, place), [0] * len(self.segments[3]))
                here = Here(index, width, self.column if self.column is not None else 0)
                values = self.writer.values(self.block, here, {self.core: tile[i * len(vectors) + j]})
                for s in self.stores:
                    self.writer.store(values[s.value], s.buffer, s.place, here)

    def _multiply_add(self, x: Value, y: Value, total: Value) -> Value:
        return self.b.muladd(x, y, total) if x.is_float else self.b.add(self.b.mul(x, y), total)

    def _address(self, operand: Load, place: Affine, index: list[Index]) -> Value:
        """Where an operand's element at an index lies."""
        offset = self.writer.offset(place, Here(index, 1, 0))
        return self.b.at(self.writer.pointers[operand.buffer], offset, REGISTER[self.dtype.name])

    def _element(self, address: Value, shift: int, lanes: int) -> Value:
        """Elements at a constant distance from an address."""
        kind = REGISTER[self.dtype.name]
        return self.b.load(self.b.at(address, shift, kind), vector(kind, lanes), self.dtype.itemsize)

    def _sum(self, sizes: Sequence[int], outer: list[Index], carried: list[Value], turn: Turn) -> list[Value]:
        """Loops inside loops that carry the tile."""
        if not sizes:
            return turn(outer, carried)
        i, inside, finish = self.b.loop_carrying(0, sizes[0], 1, carried)
        return finish(self._sum(sizes[1:], [*outer, i], inside, turn))
