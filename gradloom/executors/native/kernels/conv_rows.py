"""Convolution, and the gradient of its input: rows of results, each a sum over the kernel of rows of a source.

    forward:   y[n, q, o] = Σ  x[n, stride · q + dilation · p - low, i] · w[p, i, o]
    backward:  x[n, u, i] = Σ  y[n, (u + low - dilation · p) / stride, o] · w[p, i, o],   where that is whole

The backward form reads the kernel from its last position to its first and with its channels exchanged (``turned``, a
copy that the plan made); with stride 1 it is the forward form then.

A tile of the result, some neighbours in a row by a few vectors of channels, stays in registers.  Each turn of the
inner loop loads vectors of the kernel and, for every row of the tile, repeats one element of the source: rows ×
vectors multiply-adds.  Input channels and positions that lie side by side in both arrays are one loop.

Where windows overlap, neighbours need the same elements at different positions.  Then the vectors of a row of positions
are *held* in registers too, and each element is loaded once for all of them: a third of the loads of a 3x3 kernel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from operator import itemgetter

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Index, Value, some_lanes, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.conv_form import Form, Sides, sides
from gradloom.executors.native.kernels.conv_pool import PooledRows
from gradloom.executors.native.kernels.conv_tiling import (
    Bundle,
    Line,
    Run,
    Span,
    TileShape,
    backward_lines,
    forward_line,
    runs,
    tile_shape,
)
from gradloom.executors.native.kernels.grid import Axis
from gradloom.executors.native.kernels.tiling import Lanes
from gradloom.executors.native.kernels.whole import core_of, nest, unravelled
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ops import convolution
from gradloom.ops.geometry import Sizes
from gradloom.records import dataclass

LARGE_KERNEL = 400 * 1024  # bytes from which units go through all rows before the next channels
MOST_UNROLLED = 4  # turns of the inner loop that are written one after the other
FEW_SUMS = 7  # of a tile, which would wait for their own last additions: every second element goes to other sums
SHORT = 24  # sums of a tile, beside which counting turns costs: they are written in pairs
MASKED = 32  # vector registers of a machine that has registers for masks
LINE = 64  # bytes of a cache line
NEAREST = 24 * 1024  # bytes of a kernel beyond which its lines are asked for before they are read
AHEAD = 8  # so many turns of the inner loop

MANY_ROWS = 64  # windows for which a copy of the kernel in panels pays for itself

Outer = Callable[[list[Index], list[Index], list[Value]], list[Value]]


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the body of a convolution's function; units are rows, and panels of a large kernel."""
    return Rows(Form(writer, kernel, target), backward=False).write()


def write_input_gradient(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the body of the function of an input's gradient; units likewise."""
    return Rows(Form(writer, kernel, target), backward=True).write()


def goes_by_examples(kernel: Kernel) -> bool:
    """Whether units are rows of one example after another, so that others can do something with it in between."""
    if kernel.core_op not in (convolution.conv, convolution.conv_input_gradient):
        return False
    return not (kernel.pooling or kernel.is_behind_pool or kernel.in_pairs or _is_large(core_of(kernel)))


def units(kernel: Kernel) -> int:
    """Rows of all examples, where units are these."""
    return math.prod(core_of(kernel).shape[:-2])


def _is_large(node: Node) -> bool:
    """Whether a kernel of weights is read once for all rows, some channels at a time."""
    return math.prod(sides(node).w) * node.dtype.itemsize > LARGE_KERNEL


def panels(s: Sides, itemsize: int, target: Target, *, backward: bool) -> int:
    """Into how many panels of channels the copy of a kernel is divided, each in one piece; 0 where none is needed.

    The gradient of an input needs a copy in any case.  Elsewhere it pays where a tile has but a part of the channels:
    what it reads lies apart otherwise, and falls into few sets of a cache.
    """
    tile = tile_of(s, itemsize, target, backward=backward)
    made = s.taken if backward else s.made
    width = tile.vectors * target.lanes(max(itemsize, 4))
    even = s.groups == 1 and made % width == 0
    if backward:
        return made // width if even else 1
    return made // width if even and made > width and math.prod(s.y[:-1]) >= MANY_ROWS else 0


def tile_of(s: Sides, itemsize: int, target: Target, *, backward: bool, bundled: bool = False) -> TileShape:
    """Most rows and vectors of a tile."""
    w, made = s.windows, s.groups if s.depthwise else s.taken if backward else s.made
    stride, taps, longest = w.strides[-1], w.size[-1], w.counts[-1]
    if backward:
        taps = -(-taps * math.gcd(stride, w.dilation[-1]) // stride)
        stride, longest = 1, -(-w.spatial[-1] // stride)
    across = -(-made // target.lanes(max(itemsize, 4)))
    return tile_shape(longest, across, target.registers, 1 if bundled else taps, stride, by_vectors=s.depthwise)


@dataclass(frozen=True)
class _Place:
    """Where tiles lie: the row (example and outer axes), group and panel, first channel, vectors of channels."""

    row: list[Index]
    group: Index
    panel: Index
    channel: Index
    vectors: tuple[Lanes, ...]
    line: Index = 0  # of the rows that a row of windows holds


class Rows:
    """Writes the loops from the units down to the tile.

    Attributes:
        together: how many input channels a turn of the inner loop has.
    """

    together = 1

    def __init__(self, form: Form, *, backward: bool) -> None:
        self.form, self.b = form, form.b
        sides, windows = form.sides, form.sides.windows
        self.backward, self.depthwise = backward, sides.depthwise
        self.taken, self.made = (sides.made, sides.taken) if backward else (sides.taken, sides.made)
        self.groups = sides.groups
        if self.depthwise:
            self.made, self.groups = self.groups, 1
        source, self.result = (sides.y, sides.x) if backward else (sides.x, sides.y)
        self.bundled = "bundle" in form.core.attrs  # so that neighbouring taps share elements
        tile = tile_of(sides, form.itemsize, form.target, backward=backward, bundled=self.bundled)
        self.most, self.wide, self.holds = tile.rows, tile.vectors, tile.held and self.together == 1
        self.panels = panels(sides, form.itemsize, form.target, backward=backward)
        self.pooled = PooledRows(form, self.wide * form.lanes) if form.kernel.pooling else None
        beside = self.result[-1] // max(self.panels, 1)
        self.turns = -(-self.taken // self.together)
        self.kernel_shape: Sizes = (*windows.size, self.turns, beside)
        self.source, self.kernel = form.operand(0, source), form.operand(1, self.kernel_shape)
        self.channels = source[-1]
        self.far = math.prod(sides.w) * form.itemsize > NEAREST
        low = windows.padding[-1][0]
        last = (windows.spatial[-1], windows.size[-1], windows.strides[-1], low, windows.dilation[-1])
        count = windows.counts[-1]
        self.lines = backward_lines(*last, count) if backward else [forward_line(*last, count)]
        self.outer = [self._turned(axis) for axis in form.axes[:-1]] if backward else form.axes[:-1]

    def _turned(self, axis: Axis) -> Axis:
        """The axis of a gradient: with stride 1 another convolution's; else the convolution's own."""
        if axis.stride > 1:
            return axis
        low = axis.dilation * (axis.window - 1) - axis.low
        return Axis(self.b, axis.count, axis.window, 1, low, axis.dilation, axis.size)

    # Loops around a tile ----------------------------------------------------------------------------------------------

    def write(self) -> int:
        """Rows, groups, panels of channels, tiles."""
        b, width = self.b, self.wide * self.form.lanes
        full, rest = self.made // width, self.form.vectors(self.made % width)
        front = self.pooled.front if self.pooled else self.result[:-2]
        large = _is_large(self.form.core)
        counts = (self.groups, full + bool(rest), *front) if large else front
        with b.loop(self.form.writer.begin, self.form.writer.end) as unit:
            found = unravelled(b, unit, counts)
            row = found[-len(front) :]

            def cover(group: Index, panel: Index, vectors: tuple[Lanes, ...]) -> None:
                channel = b.iadd(b.imul(group, self.made), b.imul(panel, width))
                self._rows(_Place(row, group, panel, channel, vectors))

            if large:
                if full:
                    with b.when(b.compare("slt", b.index(found[1]), b.index(full))):
                        cover(found[0], found[1], self.form.vectors(width))
                if rest:
                    with b.when(b.compare("eq", b.index(found[1]), b.index(full))):
                        cover(found[0], full, rest)
                return math.prod(counts)
            with b.loop(0, self.groups) as group:
                if full:
                    with b.loop(0, full) as panel:
                        cover(group, panel, self.form.vectors(width))
                if rest:
                    cover(group, full, rest)
        return math.prod(counts)

    def _rows(self, place: _Place) -> None:
        """A row, or those that a row of windows holds, some channels of each."""
        if self.pooled is None:
            self._row(place)
            return
        with self.b.loop(0, self.pooled.lines) as line:
            self._row(replace(place, row=self.pooled.row(place.row, line), line=line))
        self.pooled.take(place.row, place.channel, place.vectors)

    def _row(self, place: _Place) -> None:
        """All tiles of a row, some channels of each."""
        b, ranges = self.b, self._outer_ranges(place.row[1:])
        for line in self.lines:
            for run in runs(line, self.most):
                if run.count == 1:
                    self._tile(place, ranges, line, run, run.start)
                else:
                    with b.loop(0, run.count) as number:
                        self._tile(place, ranges, line, run, b.iadd(b.imul(number, run.height), run.start))

    def _outer_ranges(self, at: Sequence[Index]) -> list[tuple[Index, Index]]:
        """The positions along each outer axis that the rows of a unit visit."""
        strided = [self.backward and axis.stride > 1 for axis in self.outer]
        return [(0, axis.window) if s else axis.inside(q) for s, axis, q in zip(strided, self.outer, at)]

    def _outside(
        self, ranges: Sequence[tuple[Index, Index]], at: Sequence[Index], tile: list[Value], body: Outer
    ) -> list[Value]:
        """Loops over positions along the outer axes; ``body(positions, elements, tile)``."""
        b = self.b
        if not ranges:
            return body([], [], tile)
        axis = self.outer[len(self.outer) - len(ranges)]

        def position(p: list[Index], tile: list[Value]) -> list[Value]:
            def further(element: Index, tile: list[Value]) -> list[Value]:
                return self._outside(
                    ranges[1:], at[1:], tile, lambda ps, es, values: body([*p, *ps], [element, *es], values)
                )

            if not (self.backward and axis.stride > 1):
                return further(axis.element(at[0], p[0]), tile)
            exists, window = axis.window_with(at[0], b.iadd(b.imul(p[0], -1), axis.window - 1))
            once = b.select(exists, b.index(1), b.index(0))
            return nest(b, [(0, once)], tile, lambda _, tile: further(window, tile))

        return nest(b, [ranges[0]], tile, position)

    # The tile -----------------------------------------------------------------------------------------------------

    def _tile(self, place: _Place, ranges: list[tuple[Index, Index]], line: Line, run: Run, first: Index) -> None:
        """The results of a row from ``first`` on: summed in registers, then finished."""
        b, form = self.b, self.form
        wide = len(place.vectors)

        def position(ps: list[Index], elements: list[Index], tile: list[Value]) -> list[Value]:
            channel = place.channel if self.depthwise else b.imul(place.group, self.taken)
            x = self.source.at(place.row[0], *elements, b.imul(first, line.stride), channel).pointer
            w = self._kernel_at(place, ps)
            if self.holds:
                return self._held(line, run.spans, x, w, place.vectors, tile)
            for span, mask in self._masked(run.spans, place.vectors):
                begin, end = (row * wide for row in span.rows)
                before = tile[begin:end]
                after = self._span(line, span, x, w, place.vectors, before, mask)
                tile = [*tile[:begin], *after, *tile[end:]]
            return tile

        zeros = form.zeros(run.height, place.vectors)
        tile = self._outside(ranges, place.row[1:], zeros, position) if run.spans else zeros
        self._finish(place, line, run, first, tile)

    def _kernel_at(self, place: _Place, positions: list[Index]) -> Value:
        """The kernel at the first tap, for the first channels of a tile."""
        if self.panels <= 1:
            return self.kernel.at(*positions, 0, 0, place.channel).pointer
        start = self.b.imul(place.panel, math.prod(self.kernel_shape))
        return self.b.at(self.kernel.at(*positions).pointer, start, self.form.memory)

    def _masked(self, spans: Sequence[Span], vectors: Sequence[Lanes]) -> Iterator[tuple[Span, Value | None]]:
        """The spans, and of bundles those parts of them that the same lanes meet, with a mask of these."""
        bundle: Bundle | None = self.form.core.attrs.get("bundle")
        for span in spans:
            if bundle is None:
                yield span, None
                continue
            for (begin, end), taps in groupby(range(span.first, span.last), key=bundle.lanes):
                first, *others = taps
                part = replace(span, first=first, last=first + 1 + len(others))
                if begin < end:
                    all_lanes = end - begin == bundle.pixels * bundle.channels
                    self.b.cut()
                    yield part, None if all_lanes else self._mask(vectors[0].width, begin, end)

    def _mask(self, lanes: int, begin: int, end: int) -> Value:
        """A mask of some lanes: for a mask register unknown to LLVM, which would mix known lanes in by moves."""
        if self.form.target.registers < MASKED:
            return some_lanes(lanes, begin, end)
        bits = self.b.unknown(f"i{lanes}", (1 << end) - (1 << begin))
        return self.b.emit(vector("i1", lanes), f"bitcast {bits.type} {bits.text} to {vector('i1', lanes)}")

    def _span(
        self,
        line: Line,
        span: Span,
        x: Value,
        w: Value,
        vectors: Sequence[Lanes],
        tile: list[Value],
        mask: Value | None = None,
    ) -> list[Value]:
        """Add what some taps give to the rows that meet them, or to their lanes of a mask."""
        b, row, taps = self.b, self.kernel.strides[-2], span.last - span.first
        of_x, of_w, by_tap = self.source.element, self.kernel.element, line.tap_step * self.kernel.strides[-3]
        w = b.at(w, self._tap(line, span.first), of_w)
        places = [line.element(r, span.first) * self.channels for r in range(*span.rows)]

        def run(count: int, dx: int, dw: int, x: Value, w: Value, tile: list[Value]) -> list[Value]:
            if count <= MOST_UNROLLED:
                for k in range(count):
                    if k and self.bundled:
                        b.cut()
                    at = [place + k * dx for place in places]
                    tile = self._turn(at, x, b.at(w, k * dw, of_w), vectors, tile, mask)
                return tile

            def turn(k: Index, tile: list[Value]) -> list[Value]:
                x_k, w_k = b.at(x, b.imul(k, dx), of_x), b.at(w, b.imul(k, dw), of_w)
                return self._turn(places, x_k, w_k, vectors, tile, mask)

            return self._summed(count, tile, turn)

        whole, rest = divmod(self.taken, self.together)
        if self.taken == self.channels and line.step == line.tap_step == 1 and not rest:
            return run(taps * whole, self.together, row, x, w, tile)
        if self.taken == 1:
            return run(taps, line.step * self.channels, by_tap, x, w, tile)

        def tap(t: list[Index], tile: list[Value]) -> list[Value]:
            x_t, w_t = b.at(x, b.imul(t[0], line.step * self.channels), of_x), b.at(w, b.imul(t[0], by_tap), of_w)
            tile = run(whole, self.together, row, x_t, w_t, tile)
            if not rest:
                return tile
            last = [place + self.taken - 1 for place in places]
            return self._last_turn(last, x_t, b.at(w_t, whole * row, of_w), vectors, tile)

        return tap([0], tile) if taps == 1 else nest(b, [(0, taps)], tile, tap)

    def _held(
        self, line: Line, spans: Sequence[Span], x: Value, w: Value, vectors: Sequence[Lanes], tile: list[Value]
    ) -> list[Value]:
        """Add what a row of the kernel gives: its vectors are held, and each element is loaded once for all taps."""
        b, form, row = self.b, self.form, self.kernel.strides[-2]
        met = sorted((line.element(r, t), t, r) for s in spans for t in range(s.first, s.last) for r in range(*s.rows))
        taps, wide = sorted({t for _, t, _ in met}), len(vectors)

        def turn(i: Index, tile: list[Value]) -> list[Value]:
            sums, x_i, w_i = list(tile), b.at(x, i, form.memory), b.at(w, b.imul(i, row), form.memory)
            starts = {t: b.at(w_i, self._tap(line, t), form.memory) for t in taps}
            factors = {t: self._factors(start, vectors) for t, start in starts.items()}
            for element, here in groupby(met, key=itemgetter(0)):
                values = self._elements(b.at(x_i, element * self.channels, form.memory), vectors)
                for (_, t, r), j in itertools.product(here, range(wide)):
                    sums[r * wide + j] = b.muladd(values[j], factors[t][j], sums[r * wide + j])
            return sums

        count = 1 if self.depthwise else self.taken
        return turn(0, tile) if count == 1 else self._summed(count, tile, turn)

    def _elements(self, place: Value, vectors: Sequence[Lanes]) -> list[Value]:
        """An element of the source for each vector of a tile; of a depthwise convolution a vector of them."""
        if self.depthwise:
            return [self.form.load(self.b.at(place, lanes.first, self.form.memory), lanes) for lanes in vectors]
        element = self.form.load(place)
        return [self.b.splat(element, lanes.width) for lanes in vectors]

    def _factors(self, place: Value, vectors: Sequence[Lanes]) -> list[Value]:
        """Vectors of the kernel."""
        self._ask_ahead(place, vectors)
        return [self.form.load(self.b.at(place, lanes.first, self.form.memory), lanes) for lanes in vectors]

    def _summed(self, count: int, tile: list[Value], turn: Callable[[Index, list[Value]], list[Value]]) -> list[Value]:
        """A loop of so many turns over a tile; short ones come in pairs, very short ones with sums of their own."""
        b, size, even = self.b, len(tile), count % 2 == 0
        if even and size <= FEW_SUMS:
            zeros = [b.const(total.type, 0) for total in tile]
            k, carried, finish = b.loop_carrying(0, count, 2, [*tile, *zeros])
            total = finish([*turn(k, carried[:size]), *turn(b.iadd(k, 1), carried[size:])])
            return [b.add(one, other) for one, other in zip(total[:size], total[size:])]
        together = 2 if even and size <= SHORT and not self.holds else 1
        k, sums, finish = b.loop_carrying(0, count, together, tile)
        for i in range(together):
            sums = turn(b.iadd(k, i), sums)
        return finish(sums)

    def _tap(self, line: Line, t: int) -> int:
        """Where a tap lies from its row of the kernel on."""
        return (line.first_tap + t * line.tap_step) * self.kernel.strides[-3]

    def _turn(
        self,
        places: Sequence[int],
        x: Value,
        w: Value,
        vectors: Sequence[Lanes],
        tile: list[Value],
        mask: Value | None,
    ) -> list[Value]:
        """One summed element."""
        b, form = self.b, self.form
        ys = self._factors(w, vectors)
        if self.depthwise:
            starts = [place + lanes.first for place in places for lanes in vectors]
            xs = [form.load(b.at(x, at, form.memory), vectors[i % len(vectors)]) for i, at in enumerate(starts)]
            return form.add_products(xs, ys, tile, pairwise=True)
        found = form.add_products([form.load(b.at(x, place, form.memory)) for place in places], ys, tile)
        return found if mask is None else [b.select(mask, new, old) for new, old in zip(found, tile)]

    def _last_turn(
        self, places: Sequence[int], x: Value, w: Value, vectors: Sequence[Lanes], tile: list[Value]
    ) -> list[Value]:
        """The summed element that turns of several leave over."""
        raise NotImplementedError("a turn has one")

    def _ask_ahead(self, w: Value, vectors: Sequence[Lanes]) -> None:
        """Ask for the lines of a large kernel that a later turn reads."""
        if self.far:
            for lanes in vectors:
                self.b.prefetch(self.b.at(w, AHEAD * self.kernel.strides[-2] + lanes.first, self.kernel.element))

    def _finish(self, place: _Place, line: Line, run: Run, first: Index, tile: list[Value]) -> None:
        """What follows from the sums: written out where they are only stored, else a loop over the tile's rows."""
        b, form, vectors = self.b, self.form, place.vectors

        def row(i: Index, totals: Sequence[Value]) -> None:
            result = b.iadd(b.imul(b.iadd(first, i), line.result_step), line.first_result)
            for total, lanes in zip(totals, vectors):
                if self.pooled is not None:
                    self.pooled.keep(total, place.line, result, lanes)
                else:
                    form.finish(total, [*place.row, result, b.iadd(place.channel, lanes.first)], lanes)

        wide = len(vectors)
        if form.only_stored or self.pooled is not None:
            for i in range(run.height):
                row(i, tile[i * wide : (i + 1) * wide])
            return
        width = sum(lanes.width for lanes in vectors)
        size = 8 if form.kind == "double" else 4
        for number, total in enumerate(tile):
            at = number // wide * width + vectors[number % wide].first
            b.store(total, b.at(self._sums, at, form.kind), size)
        with b.loop(0, run.height) as i:
            start = b.at(self._sums, b.imul(i, width), form.kind)
            kinds = [vector(form.kind, lanes.width) for lanes in vectors]
            row(i, [b.load(b.at(start, v.first, form.kind), kind, size) for v, kind in zip(vectors, kinds)])

    @cached_property
    def _sums(self) -> Value:
        """Room on the stack for the sums of a tile."""
        return self.b.local(f"[{self.most * self.wide * self.form.lanes} x {self.form.kind}]", LINE)
