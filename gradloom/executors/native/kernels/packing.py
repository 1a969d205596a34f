"""Copying a matrix into panels of columns, each in one piece (see pack.py for when and why).

Rows whose columns are neighbours in memory are copied in vectors.  Columns whose rows are neighbours are transposed in
registers, a square of vectors at a time.  Anything else goes element by element.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Index, Value, vector
from gradloom.executors.native.kernel import Kernel, Panels
from gradloom.executors.native.kernels.tiling import Lanes, cover
from gradloom.executors.native.kernels.transpose import transposed
from gradloom.executors.native.scalars import REGISTER
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node

SQUARE = 16  # the most lanes of vectors that are transposed in registers at once
ROWS = 16  # rows that a unit copies


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; returns the number of units (shared × steps × parts of a step)."""
    assert kernel.panels is not None
    return _Packing(writer, kernel.panels, target).write()


class _Packing:
    """Writes the loops of a packing kernel."""

    def __init__(self, writer: BlockWriter, panels: Panels, target: Target) -> None:
        self.writer, self.b, self.panels = writer, writer.b, panels
        dtype = panels.buffer.dtype
        self.kind, self.itemsize = REGISTER[dtype.name], dtype.itemsize
        self.lanes = min(SQUARE, target.lanes(dtype.itemsize))
        *_, self.by_row, self.by_column = panels.source.place.strides

    def write(self) -> int:
        """A unit is what lies together in the matrix: a panel of columns where columns do, else a few rows."""
        b, p = self.b, self.panels
        transposing = self.by_row == 1 and self.by_column != 1
        parts = p.count if transposing else -(-p.depth // ROWS)
        with b.loop(self.writer.begin, self.writer.end) as unit:
            part, left = b.irem(unit, parts), b.idiv(unit, parts)
            step, left = b.irem(left, p.steps), b.idiv(left, p.steps)
            matrix, shared = left, []
            for n in reversed(p.shared):
                index, left = b.irem(left, n), b.idiv(left, n)
                shared.insert(0, index)
            source = self._at(p.source.buffer, self._offset([*shared, b.imul(step, p.depth), 0]))
            step_size = p.depth * p.count * p.width
            target = self._at(p.buffer, b.imul(b.iadd(b.imul(matrix, p.steps), step), step_size))
            rows = b.imin(b.iadd(b.imul(step, -p.depth), p.summed), p.depth) if p.steps > 1 else p.summed
            (self._transpose if transposing else self._copy)(source, target, part, rows)
        return math.prod(p.shared) * p.steps * parts

    def _offset(self, index: Sequence[Index]) -> Index:
        return self.writer.offset(self.panels.source.place, Here(index, 1, 0))

    def _at(self, buffer: Node, offset: Index) -> Value:
        return self.b.at(self.writer.pointers[buffer], offset, self.kind)

    def _copy(self, source: Value, target: Value, part: Index, rows: Index) -> None:
        """A few whole rows, one after the other; each panel gets a piece of each."""
        b, p = self.b, self.panels
        begin = b.imul(part, ROWS)
        full = p.columns // p.width
        with b.loop(begin, b.imin(b.iadd(begin, ROWS), rows)) as row:
            x, y = (b.at(at, b.imul(row, step), self.kind) for at, step in ((source, self.by_row), (target, p.width)))
            with b.loop(0, full) as panel:
                self._piece(x, y, panel, p.width)
            if p.columns % p.width:
                self._piece(x, y, full, p.columns % p.width)

    def _piece(self, source: Value, target: Value, panel: Index, columns: int) -> None:
        """A row of a panel."""
        b, p = self.b, self.panels
        x = b.at(source, b.imul(panel, p.width * self.by_column), self.kind)
        y = b.at(target, b.imul(panel, p.depth * p.width), self.kind)
        for v in _parts(columns, p.width, self.lanes):
            loaded = self._some(b.at(x, v.first * self.by_column, self.kind), v, self.by_column)
            b.store(loaded, b.at(y, v.first, self.kind), self.itemsize)

    def _some(self, start: Value, part: Lanes, stride: int) -> Value:
        """The lanes that exist, zeros in the others."""
        b, kind = self.b, vector(self.kind, part.width)
        if part.valid == 0 or stride == 1:
            return b.load_some(start, kind, self.itemsize, part.valid) if part.valid else b.const(kind, 0)
        found = b.const(kind, 0)
        for lane in range(part.valid):
            element = b.load(b.at(start, lane * stride, self.kind), self.kind, self.itemsize)
            found = b.insert(found, kind, element, lane) if part.width > 1 else element
        return found

    def _transpose(self, source: Value, target: Value, panel: Index, rows: Index) -> None:
        """A panel of columns, in squares of lanes × lanes; the last one may overlap the one before."""
        b, p = self.b, self.panels
        size = min(self.lanes, p.summed - (p.steps - 1) * p.depth)
        with b.loop(0, rows, size) as i:
            first = b.imin(i, b.iadd(rows, -size))
            start = b.at(source, first, self.kind)
            y = b.at(target, b.iadd(b.imul(panel, p.depth * p.width), b.imul(first, p.width)), self.kind)
            for part in cover(p.width, self.lanes):
                self._square(start, b.iadd(b.imul(panel, p.width), part.first), b.at(y, part.first, self.kind), size)

    def _square(self, source: Value, column: Index, target: Value, rows: int) -> None:
        """Some rows of a panel: vectors along its columns become vectors along its rows.

        Beyond the last column the last is repeated, for those of a panel that do not exist may hold anything.
        """
        b, p, lanes = self.b, self.panels, self.lanes
        run, loaded = Lanes(0, lanes, rows), []
        for i in range(lanes):
            existing = b.imin(b.iadd(column, i), p.columns - 1) if p.columns % p.width else b.iadd(column, i)
            loaded.append(self._some(b.at(source, b.imul(existing, self.by_column), self.kind), run, 1))
        for i, x in enumerate(transposed(b, loaded)[:rows]):
            b.store(x, b.at(target, i * p.width, self.kind), self.itemsize)


def _parts(columns: int, width: int, lanes: int) -> list[Lanes]:
    """The vectors of a panel, of which only the first columns exist."""
    return [Lanes(v.first, v.width, max(0, min(v.width, columns - v.first))) for v in cover(width, lanes)]
