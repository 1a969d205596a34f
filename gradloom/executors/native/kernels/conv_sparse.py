"""The gradient of a kernel in front of a pool: each window gives a value to one of its positions, and zero to others.

    w[p, i, o] = Σ  x[n, window + position + p, i] · value[n, window, o]   over windows; position depends on n and o

A window of four positions needs a quarter of the multiply-adds of its zeros and its value together.  Positions differ
from channel to channel, so vectors lie along the input channels: for one output channel all positions of the kernel,
by some vectors, stay in registers while windows pass by.

Windows come in chunks of rows, whose part of the input is copied to the stack, with zeros around where there is
padding; blocks of chunks are summed apart (convolve.py adds them up), as w[o, p, i] with channels that fill vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradloom.executors.native.builder import Index, Value, vector
from gradloom.executors.native.kernels.conv_form import Form, Sides
from gradloom.executors.native.kernels.conv_tiling import gradient_cut, heights
from gradloom.executors.native.kernels.tiling import Split
from gradloom.executors.native.kernels.whole import nest, unravelled
from gradloom.executors.native.target import Target
from gradloom.records import dataclass

PATCH_BYTES = 2**14
"""Of a chunk's input that are to stay in the nearest cache."""
OTHERS = 4
"""Vector registers that are not for sums."""
GAIN = 2
"""Times as many multiply-adds that zeros must take, for this to pay: each needs a load here."""


@dataclass(frozen=True)
class SparseCut:
    """How such a gradient is cut.

    Attributes:
        chunks: of rows of windows, in an example.
        blocks: of chunks that are summed apart.
        vectors: of input channels in a tile.
        taps: positions of the kernel in each tile.
        channels: input channels, filled up to whole tiles.
    """

    chunks: Split
    blocks: Split
    vectors: int
    taps: list[int]
    channels: int


def cut(s: Sides, pooled: Sequence[int], itemsize: int, target: Target) -> SparseCut | None:
    """Cut by sizes alone; None where zeros had better be multiplied as well."""
    lanes, windows, most = target.lanes(itemsize), s.windows, target.registers - OTHERS
    across = -(-s.taken // lanes)
    plain = set(windows.strides) | set(windows.dilation) == {1} and len(windows.size) == 2 and s.groups == 1
    size = math.prod(windows.counts) // math.prod(pooled[1:-1])
    if not plain or s.taken * size < GAIN * across * lanes:
        return None
    taps = heights(math.prod(windows.size), most)
    vectors = max(v for v in range(1, across + 1) if across % v == 0 and (v == 1 or v * taps[0] <= most))
    rows, height = pooled[1], windows.counts[0] // pooled[1]
    row_bytes = (windows.counts[1] + windows.size[1] - 1) * across * lanes * itemsize
    together = max(1, (PATCH_BYTES // row_bytes - windows.size[0] + 1) // height)
    chunks = Split(rows, -(-rows // together))
    lines = s.examples * chunks.parts
    moved = (math.prod(s.x) + math.prod(pooled)) * itemsize
    blocks = gradient_cut(lines, 1, max(1, moved // lines), math.prod(s.w) * itemsize, 1).blocks
    return SparseCut(chunks, Split(lines, blocks), vectors, taps, across * lanes)


class SparseGradient:
    """Writes the loops; the operands are the convolution's input, the values of the windows, and their positions."""

    def __init__(self, form: Form, cut: SparseCut) -> None:
        self.form, self.b, self.cut = form, form.b, cut
        s, (_, values, numbers) = form.sides, (load.buffer for load in form.kernel.operands)
        self.x, self.shape, self.stored = form.operand(0, s.x), values.shape, numbers.shape[-1]
        self.values, self.numbers = (form.writer.pointers[buffer] for buffer in (values, numbers))
        self.result = form.writer.pointers[form.kernel.stores[0].buffer]
        self.window = tuple(n // m for n, m in zip(s.windows.counts, values.shape[1:-1]))
        self.width = s.windows.counts[1] + s.windows.size[1] - 1
        self.taps = [(p, q) for p in range(s.windows.size[0]) for q in range(s.windows.size[1])]
        most = (cut.chunks.size + bool(cut.chunks.larger)) * self.window[0] + s.windows.size[0] - 1
        self.patch = form.b.local(f"[{most * self.width * cut.channels} x {form.memory}]", 64)
        self.outputs = s.groups * s.made

    def write(self) -> int:
        """Blocks; chunks, output channels, tiles."""
        b, c = self.b, self.cut
        block_size = self.outputs * len(self.taps) * c.channels
        with b.loop(b.param("begin"), b.param("end")) as unit:
            result = b.at(self.result, b.imul(unit, block_size), self.form.memory)
            with b.loop(0, block_size, self.form.lanes) as i:
                b.store(self._zero(), b.at(result, i, self.form.memory), self.form.itemsize)
            begin, end = b.bounds(c.blocks.size, c.blocks.larger, unit)
            with b.loop(b.index(begin), b.index(end)) as chunk:
                n, part = unravelled(b, chunk, (self.form.sides.examples, c.chunks.parts))
                first, last = b.bounds(c.chunks.size, c.chunks.larger, part)
                self._copy(n, first, last)
                with b.loop(0, self.outputs) as o:
                    self._channel(
                        b.at(result, b.imul(o, block_size // self.outputs), self.form.memory), n, first, last, o
                    )
        return c.blocks.parts

    def _zero(self) -> Value:
        return self.b.const(vector(self.form.memory, self.form.lanes), 0)

    def _copy(self, n: Index, first: Index, last: Index) -> None:
        """The input that some rows of windows reach, and zeros around it."""
        b, form, s = self.b, self.form, self.form.sides
        (above, _), (before, _) = s.windows.padding
        vectors = form.vectors(s.taken)
        rows = b.iadd(b.imul(b.iadd(last, b.imul(first, -1)), self.window[0]), s.windows.size[0] - 1)
        with b.loop(0, b.index(rows)) as row, b.loop(0, self.width) as column:
            to = b.at(self.patch, b.imul(b.iadd(b.imul(row, self.width), column), self.cut.channels), form.memory)
            at = [b.iadd(b.iadd(b.imul(first, self.window[0]), row), -above), b.iadd(column, -before)]
            inside = [b.compare("ult", b.index(i), b.index(size)) for i, size in zip(at, s.windows.spatial)]
            exists = b.binary("and", *inside)
            with b.when(exists):
                for lanes in vectors:
                    x = form.load(self.x.at(n, *at, lanes.first).pointer, lanes)
                    b.store(x, b.at(to, lanes.first, form.memory), form.itemsize)
            with b.when(b.binary("xor", exists, b.const("i1", 1))):
                for place in range(0, self.cut.channels, form.lanes):
                    b.store(self._zero(), b.at(to, place, form.memory), form.itemsize)

    def _channel(self, result: Value, n: Index, first: Index, last: Index, o: Index) -> None:
        """All tiles of an output channel."""
        b, c, start = self.b, self.cut, 0
        rows, columns = self.shape[1:-1]
        begin = b.imul(b.iadd(b.imul(n, rows), first), columns)  # windows before these
        count = b.iadd(last, b.imul(first, -1))
        for height in c.taps:
            taps = self.taps[start : start + height]
            with b.loop(0, c.channels, c.vectors * self.form.lanes) as i:
                self._tile(b.at(result, b.iadd(i, start * c.channels), self.form.memory), taps, i, begin, count, o)
            start += height

    def _tile(
        self, result: Value, taps: Sequence[tuple[int, int]], i: Index, begin: Index, count: Index, o: Index
    ) -> None:
        """Some positions and input channels, over all windows of a chunk."""
        b, form, c = self.b, self.form, self.cut
        kind, columns = vector(form.memory, form.lanes), self.shape[-2]
        parts = [v * form.lanes for v in range(c.vectors)]
        places = [b.at(result, t * c.channels + v, form.memory) for t in range(len(taps)) for v in parts]
        steps = [(p * self.width + q) * c.channels + v for p, q in taps for v in parts]

        def window(at: list[Index], sums: list[Value]) -> list[Value]:
            number = b.iadd(begin, b.iadd(b.imul(at[0], columns), at[1]))
            value = b.load(
                b.at(self.values, b.iadd(b.imul(number, self.outputs), o), form.memory), form.memory, form.itemsize
            )
            place = b.load(b.at(self.numbers, b.iadd(b.imul(number, self.stored), o), "i8"), "i8", 1)
            down, right = unravelled(b, b.convert(place, "i64", signed=False), self.window)
            row = b.iadd(b.imul(at[0], self.window[0]), down)
            pixel = b.iadd(b.imul(row, self.width), b.iadd(b.imul(at[1], self.window[1]), right))
            x = b.at(self.patch, b.iadd(b.imul(pixel, c.channels), i), form.memory)
            factor = b.splat(value, form.lanes)
            xs = (b.load(b.at(x, step, form.memory), kind, form.itemsize) for step in steps)
            return [b.muladd(y, factor, total) for y, total in zip(xs, sums)]

        sums = [b.load(place, kind, form.itemsize) for place in places]
        sums = nest(b, [(0, count), (0, columns)], sums, window)
        for total, place in zip(sums, places):
            b.store(total, place, form.itemsize)
