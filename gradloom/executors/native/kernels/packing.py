"""Copying a block of a product's right operand into panels of columns, each in one piece.

Rows whose columns are neighbours in memory are copied in vectors.  Columns whose rows are neighbours are transposed in
registers, a square of vectors at a time.  Anything else goes element by element.
"""

from __future__ import annotations

from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.kernels.left import Elements
from gradloom.executors.native.kernels.tiling import Lanes, Tiling
from gradloom.executors.native.kernels.transpose import transposed
from gradloom.records import dataclass

SQUARE = 8  # the most lanes of vectors that are transposed in registers: more take LLVM long and win little


@dataclass(frozen=True)
class Packing:
    """Copies blocks of a matrix.

    Attributes:
        b: the function.
        elements: what a panel consists of.
        cut: how the product is cut.
        by_row: how far apart rows of the matrix are.
        by_column: how far apart its columns are.
        columns: how many it has.
        fewest: rows of the shortest step.
    """

    b: Function
    elements: Elements
    cut: Tiling
    by_row: int
    by_column: int
    columns: int
    fewest: int

    def copy(self, source: Value, target: Value, panels: tuple[Index, Index], rows: Index) -> None:
        """Copy some rows of some panels; ``source`` is the first row's first element, ``target`` the first panel."""
        if self.is_turned:
            with self.b.loop(*panels) as panel:
                self._transpose(source, self._panel(target, panel, panels[0]), panel, rows)
        else:
            with self.b.loop(0, rows) as row:
                self._row(source, target, panels, row)

    @property
    def is_turned(self) -> bool:
        """Whether rows are neighbours in memory, and columns are not."""
        return self.by_row == 1 != self.by_column

    @property
    def memory(self) -> str:
        """LLVM's name of the type of the matrix's elements."""
        return self.elements.kind

    @property
    def alignment(self) -> int:
        """Bytes of one of them."""
        return self.elements.itemsize

    def _panel(self, target: Value, panel: Index, first: Index) -> Value:
        """Where a panel of a block begins."""
        b, size = self.b, self.cut.depth * self.cut.width
        return b.at(target, b.iadd(b.imul(panel, size), b.imul(first, -size)), self.elements.kind)

    def _row(self, source: Value, target: Value, panels: tuple[Index, Index], row: Index) -> None:
        """A whole row: each panel gets a piece."""
        b, t = self.b, self.cut
        begin, end = panels
        source = b.at(source, b.imul(row, self.by_row), self.memory)
        target = b.at(target, b.imul(row, t.width), self.elements.kind)
        if t.full:
            with b.loop(begin, b.imin(end, t.full)) as panel:
                self._piece(source, self._panel(target, panel, begin), panel, t.vectors)
        if t.rest:
            with b.when(b.compare("sgt", b.index(end), b.index(t.full))):
                self._piece(source, self._panel(target, t.full, begin), t.full, t.rest)

    def _piece(self, source: Value, target: Value, panel: Index, vectors: tuple[Lanes, ...]) -> None:
        """A row of a panel."""
        b = self.b
        source = b.at(source, b.imul(panel, self.cut.width * self.by_column), self.memory)
        for v in vectors:
            loaded = self.vector(b.at(source, v.first * self.by_column, self.memory), v)
            b.store(loaded, b.at(target, v.first, self.elements.kind), self.elements.itemsize)

    def vector(self, start: Value, part: Lanes) -> Value:
        """A vector of a panel."""
        return self.some(start, part)

    def some(self, start: Value, part: Lanes) -> Value:
        """Neighbours in a row of the matrix: the lanes that exist, zeros in the others."""
        b, kind = self.b, vector(self.memory, part.width)
        if self.by_column == 1:
            return b.load_some(start, kind, self.alignment, part.valid)
        found = b.const(kind, 0)
        for lane in range(part.valid):
            element = b.load(b.at(start, lane * self.by_column, self.memory), self.memory, self.alignment)
            found = b.insert(found, kind, element, lane) if part.width > 1 else element
        return found

    def _transpose(self, source: Value, target: Value, panel: Index, rows: Index) -> None:
        """A panel, in squares; those at the lower edge may overlap the ones before."""
        b, t = self.b, self.cut
        lanes = min(SQUARE, self.elements.lanes)
        size = min(lanes, self.fewest)
        with b.loop(0, rows, size) as i:
            first = b.imin(i, b.iadd(rows, -size))
            start = b.at(source, b.imul(first, self.by_row), self.memory)
            y = b.at(target, b.imul(first, t.width), self.elements.kind)
            with b.loop(0, t.width, lanes) as column:
                place = b.iadd(b.imul(panel, t.width), column)
                self._square(start, place, b.at(y, column, self.elements.kind), size, lanes)

    def _square(self, source: Value, column: Index, target: Value, rows: int, lanes: int) -> None:
        """Some rows of a panel: vectors along its columns become vectors along its rows.

        Beyond the last column the last is repeated, for those of a panel that do not exist may hold anything.
        """
        b, kind, loaded = self.b, vector(self.elements.kind, lanes), []
        for i in range(lanes):
            existing = b.imin(b.iadd(column, i), self.columns - 1) if self.cut.rest else b.iadd(column, i)
            start = b.at(source, b.imul(existing, self.by_column), self.memory)
            loaded.append(b.load_some(start, kind, self.alignment, rows))
        for i, x in enumerate(transposed(b, loaded)[:rows]):
            b.store(x, b.at(target, i * self.cut.width, self.elements.kind), self.elements.itemsize)
