"""The gradient of a convolution's kernel: at each of its positions a matrix of sums over all windows.

    w[p, i, o] = Σ  x[n, stride · q + dilation · p - low, i] · y[n, q, o]   over examples n and windows q

A tile stays in registers while windows pass by: some input channels at neighbouring positions of a row of the kernel,
by a few vectors of output channels.  Each turn loads vectors of y and, for each row of the tile, repeats an element of
x.  Windows near the ends of a row, which do not reach the grid at all positions, are code of their own.

Windows come in blocks that are summed apart (convolve.py adds them up), and in each block in chunks, so that all
positions and channels find a chunk's rows in the nearest cache.  Where a tile has but a part of the output's channels,
these are copied side by side first (conv_near.py).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels import conv_sparse
from gradloom.executors.native.kernels.conv_form import Form, Sides, sides
from gradloom.executors.native.kernels.conv_near import NearRows
from gradloom.executors.native.kernels.conv_placed import MOST_BYTES, PlacedRows, lie_in_rows, room
from gradloom.executors.native.kernels.conv_tiling import (
    FEW_VECTORS,
    GradientCut,
    GradientTile,
    Stretch,
    forward_line,
    gradient_cut,
    gradient_tile,
    heights,
    stretches,
)
from gradloom.executors.native.kernels.grid import Axis
from gradloom.executors.native.kernels.tiling import Lanes, Split
from gradloom.executors.native.kernels.whole import Array, nest, unravelled
from gradloom.executors.native.loops import contiguous
from gradloom.executors.native.target import Target
from gradloom.records import dataclass

FEWEST_VISITS = 4  # of tiles to a row of y, for a copy of it to pay
UNROLLED = 4  # windows of few vectors that are written one after the other; more vectors would not fit the registers


def _tile_of(s: Sides, itemsize: int, target: Target) -> GradientTile:
    taken, made = (1, s.groups) if s.depthwise else (s.taken, s.made)
    across = -(-made // target.lanes(max(itemsize, 4)))
    return gradient_tile(s.windows.size[-1], taken, across, target.registers, by_vectors=s.depthwise)


def cut(s: Sides, itemsize: int, target: Target) -> GradientCut:
    """How the sums are cut; those of halves are not, for their unfinished sums would be rounded."""
    lines = s.examples * math.prod(s.windows.counts[:-1])
    if itemsize == 2 or not lines:
        return GradientCut(lines, 1, max(lines, 1))
    moved = (math.prod(s.x) + math.prod(s.y)) * itemsize
    panels = -(-s.w[-1] // (_tile_of(s, itemsize, target).vectors * target.lanes(itemsize)))
    return gradient_cut(lines, s.windows.counts[-1], max(1, moved // lines), math.prod(s.w) * itemsize, panels)


def can_place(s: Sides, pooled: Sequence[int], itemsize: int, target: Target) -> bool:
    """Whether rows of y can be made of a pool's windows just before they are read."""
    channels = _tile_of(s, itemsize, target).vectors * target.lanes(itemsize)
    return (
        lie_in_rows(s, pooled) and room(s, pooled, cut(s, itemsize, target).longest, channels) * itemsize <= MOST_BYTES
    )


def copies_rows(s: Sides, itemsize: int, target: Target) -> bool:
    """Whether rows of y are copied: where they have more channels than a tile, and many tiles read them.

    Those of halves are not: their sums are not cut, so the rows would be all there are.
    """
    tile = _tile_of(s, itemsize, target)
    channels = tile.vectors * target.lanes(itemsize)
    visits = math.prod(s.windows.size) * s.taken // (tile.taps * tile.inputs)
    if itemsize == 2 or s.depthwise or s.y[-1] <= channels or visits < FEWEST_VISITS:
        return False
    return cut(s, itemsize, target).longest * s.windows.counts[-1] * channels * itemsize <= MOST_BYTES


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are panels of output channels in blocks of windows."""
    form = Form(writer, kernel, target)
    sparse = sparse_cut(kernel, target)
    return _Weights(form).write() if sparse is None else conv_sparse.SparseGradient(form, sparse).write()


def sparse_cut(kernel: Kernel, target: Target) -> conv_sparse.SparseCut | None:
    """How a gradient is cut whose second operand is given by a pool's windows, if its zeros are left out."""
    if not kernel.is_behind_pool or kernel.core is None:
        return None
    return conv_sparse.cut(sides(kernel.core), kernel.operands[1].buffer.shape, kernel.core.dtype.itemsize, target)


@dataclass(frozen=True)
class _Lines:
    """Rows of windows: from ``begin`` to ``end`` in all examples; ``first`` is None where these are a block's all, and
    ``placed`` is the first row of y that lies on the stack."""

    block: Index
    begin: Index
    end: Index
    first: Value | None
    placed: Index = 0


@dataclass(frozen=True)
class _Tile:
    """Where a tile lies: a position along the outer axes, taps (first, last) of the last, input channels (first,
    number) of a group, the first output channel and vectors from there on."""

    position: list[Index]
    taps: tuple[int, int]
    inputs: tuple[Index, int]
    group: Index
    channel: Index
    vectors: tuple[Lanes, ...]

    @property
    def rows(self) -> int:
        """Rows of the tile."""
        return self.inputs[1] * (self.taps[1] - self.taps[0])


class _Weights:
    """Writes the loops from the units down to the tile."""

    def __init__(self, form: Form) -> None:
        self.form, self.b, s = form, form.b, form.sides
        self.x, self.y = form.operand(0, s.x), form.operand(1, s.y)
        (store,) = form.kernel.stores
        shape = form.core.shape
        self.parts = len(shape) > len(s.w)
        pointer = form.writer.pointers[store.buffer]
        self.w = Array(form.b, pointer, form.memory, form.itemsize, contiguous(shape))
        self.cut = cut(s, form.itemsize, form.target)
        self.groups, self.taken, self.made = s.groups, s.taken, s.made
        if s.depthwise:
            self.groups, self.made = 1, s.groups
        self.outer: list[Axis] = form.axes[:-1]
        self.last = form.axes[-1]
        a = self.last
        self.line = forward_line(a.size, a.window, a.stride, a.low, a.dilation, a.count)
        self.tile = _tile_of(s, form.itemsize, form.target)
        self.line_taps = self.tile.tap_groups(a.window)
        self.placed: PlacedRows | NearRows | None = None
        width = self.tile.vectors * form.lanes
        if form.kernel.is_behind_pool:
            self.placed = PlacedRows(form, self.cut.longest, width)
        elif copies_rows(s, form.itemsize, form.target):
            self.placed = NearRows(form, self.y, self.cut.longest, width)

    # Loops around a tile ----------------------------------------------------------------------------------------------

    def write(self) -> int:
        """Blocks of windows and panels of output channels; chunks, positions, input channels."""
        b, c, width = self.b, self.cut, self.tile.vectors * self.form.lanes
        full, rest = self.made // width, self.form.vectors(self.made % width)
        counts = (c.blocks, self.groups, full + bool(rest))
        split = Split(c.lines, c.blocks)
        with b.loop(b.param("begin"), b.param("end")) as unit:
            block, group, panel = unravelled(b, unit, counts)
            begin, end = b.bounds(split.size, split.larger, block)
            channel = b.iadd(b.imul(group, self.made), b.imul(panel, width))
            for vectors, which, exists in ((self.form.vectors(width), "slt", full), (rest, "eq", rest)):
                if exists:
                    with (
                        b.when(b.compare(which, b.index(panel), b.index(full))),
                        self._chunks(block, begin, end) as lines,
                    ):
                        if self.placed is not None:
                            first = self.placed.fill(lines.begin, lines.end, channel, vectors)
                            lines = replace(lines, placed=first)
                        self._positions(lines, group, channel, vectors)
        return math.prod(counts)

    @contextlib.contextmanager
    def _chunks(self, block: Index, begin: Index, end: Index) -> Iterator[_Lines]:
        """The rows of a block, all at once where they are few."""
        b, c = self.b, self.cut
        if c.lines <= c.chunk * c.blocks:
            yield _Lines(block, begin, end, None)
            return
        with b.loop(b.index(begin), b.index(end), c.chunk) as start:
            first = b.compare("eq", start, b.index(begin))
            yield _Lines(block, start, b.imin(b.iadd(start, c.chunk), end), first)

    def _positions(self, lines: _Lines, group: Index, channel: Index, vectors: tuple[Lanes, ...]) -> None:
        """All positions of the kernel, with all input channels of a group."""
        b, sizes = self.b, heights(self.taken, self.tile.inputs)

        def position(p: list[Index], _: list[Value]) -> list[Value]:
            for taps in self.line_taps:
                start = 0
                for height in dict.fromkeys(sizes):
                    count = sizes.count(height)
                    with b.loop(0, count) as number:
                        inputs = b.iadd(b.imul(number, height), start), height
                        self._tile(lines, _Tile(p, taps, inputs, group, channel, vectors))
                    start += count * height
            return []

        nest(b, [(0, axis.window) for axis in self.outer], [], position)

    # The tile -----------------------------------------------------------------------------------------------------

    def _tile(self, lines: _Lines, t: _Tile) -> None:
        """Sum over some rows of windows; sums that are not finished lie where the results do."""
        b, form = self.b, self.form
        size = 8 if form.kind == "double" else 4
        places = [(r, j) for r in range(t.rows) for j in range(len(t.vectors))]
        addresses = [b.at(self._result(lines, t, r), t.vectors[j].first, form.memory) for r, j in places]
        tile = form.zeros(t.rows, t.vectors)
        if lines.first is not None:
            kinds = [vector(form.kind, t.vectors[j].width) for _, j in places]
            before = [
                b.load_some(at, kind, size, t.vectors[j].valid) for at, kind, (_, j) in zip(addresses, kinds, places)
            ]
            tile = [b.select(lines.first, zero, x) for zero, x in zip(tile, before)]
            for at in addresses:  # sums of the next tile, meanwhile
                b.prefetch(b.at(at, t.inputs[1] * self.w.strides[-2], form.memory), write=True)
        tile = self._windows(lines, t, tile)
        for at, total, (_, j) in zip(addresses, tile, places):
            b.store_some(b.convert(total, form.memory), at, form.itemsize, t.vectors[j].valid)

    def _result(self, lines: _Lines, t: _Tile, row: int) -> Value:
        """Where a row of a tile lies in the result."""
        b = self.b
        first, count = t.inputs
        tap, i = divmod(row, count)
        leading = [lines.block] if self.parts else []
        return self.w.at(*leading, *t.position, t.taps[0] + tap, b.iadd(first, i), t.channel).pointer

    def _windows(self, lines: _Lines, t: _Tile, tile: list[Value]) -> list[Value]:
        """Loops over rows of windows that reach the grid at the tile's position."""
        b = self.b
        if not self.outer:
            ranges = [(lines.begin, lines.end)]
            return nest(b, ranges, tile, lambda n, sums: self._row(lines, t, n, n, sums))
        *around, axis = self.outer
        *sizes, height = self.form.sides.windows.counts[:-1]
        low, high = axis.reached(t.position[len(around)])
        first, last = b.idiv(lines.begin, height), b.idiv(b.iadd(lines.end, height - 1), height)

        def rows(m: list[Index], sums: list[Value]) -> list[Value]:
            n, *qs = unravelled(b, m[0], (self.form.sides.examples, *sizes))
            done = b.imul(m[0], -height)
            begin, end = b.imax(b.iadd(lines.begin, done), low), b.imin(b.iadd(lines.end, done), high)
            elements: list[Index] = []
            for other, q, p in zip(around, qs, t.position):
                elements.append(other.element(q, p))
                inside = b.compare("ult", b.index(elements[-1]), b.index(other.size))
                end = b.select(inside, b.index(end), b.index(0))

            def row(q: list[Index], sums: list[Value]) -> list[Value]:
                of_x = [n, *elements, axis.element(q[0], t.position[len(around)])]
                return self._row(lines, t, of_x, [n, *qs, *q], sums)

            return nest(b, [(begin, end)], sums, row)

        return nest(b, [(first, last)], tile, rows)

    def _y(self, lines: _Lines, t: _Tile, at: Sequence[Index]) -> Value:
        """A row of y."""
        b = self.b
        if self.placed is None:
            return self.y.at(*at, 0, t.channel).pointer
        line: Index = 0
        for i, step in zip(at, contiguous(self.form.sides.y[:-2])):
            line = b.iadd(line, b.imul(i, step))
        return self.placed.at(line, lines.placed)

    def _row(
        self, lines: _Lines, t: _Tile, of_x: Sequence[Index], of_y: Sequence[Index], tile: list[Value]
    ) -> list[Value]:
        """A row of windows."""
        b = self.b
        channel = t.channel if self.form.sides.depthwise else b.iadd(b.imul(t.group, self.taken), t.inputs[0])
        x, y = self.x.at(*of_x, 0, channel).pointer, self._y(lines, t, of_y)
        for stretch in stretches(self.line, t.taps):
            begin, end = ((p - t.taps[0]) * t.inputs[1] * len(t.vectors) for p in (stretch.first, stretch.last))
            tile = [*tile[:begin], *self._stretch(t, stretch, x, y, tile[begin:end]), *tile[end:]]
        return tile

    def _stretch(self, t: _Tile, stretch: Stretch, x: Value, y: Value, tile: list[Value]) -> list[Value]:
        """Windows that reach the grid at the same taps."""
        b, by_pixel = self.b, self.x.strides[-2]
        taps = range(stretch.first, stretch.last)
        offsets = [self.line.element(0, p) * by_pixel + i for p in taps for i in range(t.inputs[1])]
        unrolled = UNROLLED if self.tile.vectors <= FEW_VECTORS else 1
        rest = stretch.start + (stretch.stop - stretch.start) // unrolled * unrolled
        if rest - stretch.start > unrolled:
            q, tile, finish = b.loop_carrying(stretch.start, rest, unrolled, tile)
            for i in range(unrolled):
                tile = self._turn(t, x, y, offsets, b.iadd(q, i), tile)
            tile = finish(tile)
        else:
            rest = stretch.start
        for q in range(rest, stretch.stop):
            tile = self._turn(t, x, y, offsets, q, tile)
        return tile

    def _turn(self, t: _Tile, x: Value, y: Value, offsets: Sequence[int], q: Index, tile: list[Value]) -> list[Value]:
        """One window."""
        b, form = self.b, self.form
        y = b.at(y, b.imul(q, self.placed.channels if self.placed else self.y.strides[-2]), form.memory)
        ys = [form.load(b.at(y, lanes.first, form.memory), lanes) for lanes in t.vectors]
        at = b.imul(q, self.last.stride * self.x.strides[-2])
        if form.sides.depthwise:
            xs = [
                form.load(b.at(x, b.iadd(at, offset + lanes.first), form.memory), lanes)
                for offset in offsets
                for lanes in t.vectors
            ]
            return form.add_products(xs, ys, tile, pairwise=True)
        return form.add_products([form.load(b.at(x, b.iadd(at, i), form.memory)) for i in offsets], ys, tile)
