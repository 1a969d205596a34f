"""The gradient of a convolution's kernel: at each of its positions a matrix of sums over all windows.

    w[p, i, o] = Σ  x[n, stride · q + dilation · p - low, i] · y[n, q, o]   over examples n and windows q

A tile of some input channels by a few vectors of output channels stays in registers while windows pass by: each turn
loads vectors of y and repeats elements of x.  Where a group has few input channels (a first layer, depthwise
convolution) the rows of a tile are those of several neighbouring positions, which share what is loaded of y.

Windows come in blocks that are summed apart (convolve.py adds them up), and in each block in chunks, so that all
positions and channels find a chunk's rows in the nearest cache.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.conv_form import Form, Sides
from gradloom.executors.native.kernels.conv_tiling import (
    GradientCut,
    Stretch,
    forward_line,
    gradient_cut,
    heights,
    stretches,
    tap_groups,
    tile_shape,
)
from gradloom.executors.native.kernels.grid import Axis
from gradloom.executors.native.kernels.tiling import Lanes, Split
from gradloom.executors.native.kernels.whole import Array, nest, unravelled
from gradloom.executors.native.loops import contiguous
from gradloom.executors.native.target import Target

FEW_CHANNELS = 8  # of a group, below which the rows of a tile are those of several positions


def cut(s: Sides, itemsize: int) -> GradientCut:
    """How the sums are cut; those of halves are not, for their unfinished sums would be rounded."""
    lines = s.examples * math.prod(s.windows.counts[:-1])
    if itemsize == 2 or not lines:
        return GradientCut(lines, 1, True, max(lines, 1))
    moved = (math.prod(s.x) + math.prod(s.y)) * itemsize
    return gradient_cut(lines, max(1, moved // lines), math.prod(s.w) * itemsize, math.prod(s.windows.size))


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are blocks of windows, with positions of the kernel where blocks are few."""
    return _Weights(Form(writer, kernel, target)).write()


@dataclass(frozen=True)
class _Lines:
    """Rows of windows: from ``begin`` to ``end`` in all examples; ``first`` is None where these are a block's all."""

    block: Index
    begin: Index
    end: Index
    first: Value | None


@dataclass(frozen=True)
class _Tile:
    """Some taps (first, last) at a position, or one that is known when the kernel runs, with some input channels of a
    group, by vectors of output channels."""

    position: list[Index]
    taps: tuple[int, int] | None
    inputs: tuple[Index, int]
    group: Index
    channel: Index
    vectors: tuple[Lanes, ...]

    @property
    def rows(self) -> int:
        """Rows of the tile."""
        return self.inputs[1] * (self.taps[1] - self.taps[0] if self.taps else 1)


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
        self.cut = cut(s, form.itemsize)
        if not self.parts:
            self.cut = GradientCut(self.cut.lines, 1, self.cut.by_position, self.cut.chunk)
        self.groups, self.taken, self.made = s.groups, s.taken, s.made
        if s.depthwise:
            self.groups, self.made = 1, s.groups
        self.outer: list[Axis] = form.axes[:-1]
        self.last = form.axes[-1]
        a = self.last
        self.line = forward_line(a.size, a.window, a.stride, a.low, a.dilation, a.count)
        self.several = self.taken < FEW_CHANNELS and a.window > 1 and a.dilation == 1
        rows = self.taken * (a.window if self.several else 1)
        across = -(-self.made // form.lanes)
        self.most, self.wide = tile_shape(rows, across, form.target.registers, by_vectors=s.depthwise)
        self.tap_groups = tap_groups(self.taken, range(a.window), self.most) if self.several else []

    # Loops around a tile ----------------------------------------------------------------------------------------------

    def write(self) -> int:
        """Blocks of windows, chunks, positions, groups, channels."""
        b, c = self.b, self.cut
        positions = (*(axis.window for axis in self.outer), len(self.tap_groups) or self.last.window)
        counts = (c.blocks, *positions) if c.by_position else (c.blocks,)
        split = Split(c.lines, c.blocks)
        with b.loop(b.param("begin"), b.param("end")) as unit:
            block, *fixed = unravelled(b, unit, counts)
            begin, end = b.bounds(split.size, split.larger, block)
            with self._chunks(block, begin, end) as lines:
                if fixed:
                    self._position(lines, fixed)
                    continue_ranges: list[tuple[Index, Index]] = []
                else:
                    continue_ranges = [(0, n) for n in positions]
                if continue_ranges:
                    nest(b, continue_ranges, [], lambda p, _: self._position(lines, p))
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

    def _position(self, lines: _Lines, p: list[Index]) -> list[Value]:
        """All channels at a position of the kernel, or at a group of them."""
        b = self.b
        if not self.several:
            self._channels(lines, p, None)
        for number, taps in enumerate(self.tap_groups):
            if len(self.tap_groups) == 1:
                self._channels(lines, p[:-1], taps)
            else:
                with b.when(b.compare("eq", b.index(p[-1]), b.index(number))):
                    self._channels(lines, p[:-1], taps)
        return []

    def _channels(self, lines: _Lines, position: list[Index], taps: tuple[int, int] | None) -> None:
        b, width = self.b, self.wide * self.form.lanes
        full, rest = self.made // width, self.form.vectors(self.made % width)
        with b.loop(0, self.groups) as group:

            def inputs(panel: Index, vectors: tuple[Lanes, ...]) -> None:
                channel = b.iadd(b.imul(group, self.made), b.imul(panel, width))
                if taps:
                    self._tile(lines, _Tile(position, taps, (0, self.taken), group, channel, vectors))
                    return
                start, sizes = 0, heights(self.taken, self.most)
                for height in dict.fromkeys(sizes):
                    count = sizes.count(height)
                    with b.loop(0, count) as number:
                        first = b.iadd(b.imul(number, height), start)
                        self._tile(lines, _Tile(position, None, (first, height), group, channel, vectors))
                    start += count * height

            if full:
                with b.loop(0, full) as panel:
                    inputs(panel, self.form.vectors(width))
            if rest:
                inputs(full, rest)

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
        tile = self._windows(lines, t, tile)
        for at, total, (_, j) in zip(addresses, tile, places):
            b.store_some(b.convert(total, form.memory), at, form.itemsize, t.vectors[j].valid)

    def _result(self, lines: _Lines, t: _Tile, row: int) -> Value:
        """Where a row of a tile lies in the result."""
        b = self.b
        first, count = t.inputs
        tap, i = divmod(row, count)
        position = [*t.position, t.taps[0] + tap] if t.taps else t.position
        leading = [lines.block] if self.parts else []
        return self.w.at(*leading, *position, b.iadd(first, i), t.channel).pointer

    def _windows(self, lines: _Lines, t: _Tile, tile: list[Value]) -> list[Value]:
        """Loops over rows of windows that reach the grid at the tile's position."""
        b = self.b
        if not self.outer:
            ranges = [(lines.begin, lines.end)]
            return nest(b, ranges, tile, lambda n, sums: self._row(t, n, n, sums))
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
                return self._row(t, [n, *elements, axis.element(q[0], t.position[len(around)])], [n, *qs, *q], sums)

            return nest(b, [(begin, end)], sums, row)

        return nest(b, [(first, last)], tile, rows)

    def _row(self, t: _Tile, of_x: Sequence[Index], of_y: Sequence[Index], tile: list[Value]) -> list[Value]:
        """A row of windows."""
        b, a = self.b, self.last
        channel = t.channel if self.form.sides.depthwise else b.iadd(b.imul(t.group, self.taken), t.inputs[0])
        y = self.y.at(*of_y, 0, t.channel).pointer
        if t.taps is None:
            start = b.iadd(b.imul(t.position[-1], a.dilation), -a.low)
            x = self.x.at(*of_x, start, channel).pointer
            offsets = list(range(t.inputs[1]))
            return nest(b, [a.reached(t.position[-1])], tile, lambda q, sums: self._turn(t, x, y, offsets, q[0], sums))
        x = self.x.at(*of_x, 0, channel).pointer
        for stretch in stretches(self.line):
            tile = self._stretch(t, stretch, x, y, tile)
        return tile

    def _stretch(self, t: _Tile, stretch: Stretch, x: Value, y: Value, tile: list[Value]) -> list[Value]:
        """Windows that hold elements at the same positions."""
        assert t.taps is not None
        a, taken, wide = self.last, self.taken, len(t.vectors)
        first, last = max(t.taps[0], stretch.first), min(t.taps[1], stretch.last)
        if first >= last:
            return tile
        offsets = [(p - a.low) * self.x.strides[-2] + i for p in range(first, last) for i in range(taken)]
        begin, end = ((p - t.taps[0]) * taken * wide for p in (first, last))

        def turn(q: Index, sums: list[Value]) -> list[Value]:
            return self._turn(t, x, y, offsets, q, sums)

        some = tile[begin:end]
        if stretch.stop - stretch.start == 1:
            some = turn(stretch.start, some)
        else:
            some = nest(self.b, [(stretch.start, stretch.stop)], some, lambda q, sums: turn(q[0], sums))
        return [*tile[:begin], *some, *tile[end:]]

    def _turn(
        self, t: _Tile, x: Value, y: Value, offsets: Sequence[int], q: Index, tile: list[Value]
    ) -> list[Value]:
        """One window."""
        b, form = self.b, self.form
        y = b.at(y, b.imul(q, self.y.strides[-2]), form.memory)
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
