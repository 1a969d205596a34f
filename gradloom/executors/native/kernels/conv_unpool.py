"""The gradient of an input in front of a pool: each window gives a value to one of its positions, and zero to others.

    x[n, window + position + p, i] += value[n, window, o] · w[p, i, o]   for all p and i; position depends on n and o

A window of four positions needs a quarter of the multiply-adds of its zeros and its value together.  Where a value goes
differs from channel to channel.  So the channels of a window are sorted by their positions first, which takes one
instruction for a vector of them; values that are zero are left out.  Then the sums around a window stay in registers, a
vector of input channels of each, while its channels pass by: those with the first position, which add to the sums
around that, those with the second, and so on.

Sums wait on the stack, with room around for what falls into the padding.  Windows come in chunks of rows, few enough
for their sums and lists to stay near; rows that no later window reaches are finished, and the others move up.  Of the
kernel a block of output channels is read by all windows of a chunk, from the nearest cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.conv_form import Form, Sides, sides
from gradloom.executors.native.kernels.conv_tiling import heights
from gradloom.executors.native.kernels.tiling import Lanes, Split
from gradloom.executors.native.kernels.whole import ascending, nest, unravelled
from gradloom.executors.native.target import Target
from gradloom.ops import convolution
from gradloom.records import dataclass

SORTED_BYTES = 64
"""Of a vector whose lanes one instruction moves together."""
NEAR_BYTES = 2**14
"""Of the sums of a chunk, and nearly of the kernel that its windows read, that are to stay in the nearest cache."""
KERNEL_BYTES = 20 * 2**10
LIST_BYTES = 2**15
"""Of the stack, that the channels of a chunk's windows may take."""
PLACE = 4
"""Bytes of the place of a channel in the kernel."""
OTHERS = 4
"""Vector registers that are not for sums."""
GAIN = 3
"""Times as many multiply-adds that zeros must take, for this to pay."""
FEWEST_UNITS = 8
"""Parts of the work, without which threads would have none."""


@dataclass(frozen=True)
class UnpoolCut:
    """How such a gradient is cut.

    Attributes:
        chunks: of rows of windows, in an example.
        panels: of input channels, a vector or less of each.
        blocks: of output channels.
        rows: of the kernel whose positions are visited together.
    """

    chunks: Split
    panels: int
    blocks: int
    rows: list[int]


def cut(s: Sides, pooled: Sequence[int], itemsize: int, target: Target) -> UnpoolCut | None:
    """Cut by sizes alone; None where zeros had better be multiplied as well."""
    windows, lanes = s.windows, target.lanes(itemsize)
    panels = -(-s.taken // lanes)
    plain = set(windows.strides) | set(windows.dilation) == {1} and len(windows.size) == 2 and s.groups == 1
    inside = all(0 <= end < n for ends, n in zip(windows.padding, windows.size) for end in ends)
    even = target.vector_bytes == SORTED_BYTES and s.taken % panels == s.made % lanes == 0
    size = math.prod(windows.counts) // math.prod(pooled[1:-1])
    if not (plain and inside and even) or s.taken * size < GAIN * panels * lanes:
        return None
    height, width = (n // m for n, m in zip(windows.counts, pooled[1:-1]))
    most = (target.registers - OTHERS) // (width + windows.size[1] - 1) - height + 1
    row_bytes = (windows.counts[1] + windows.size[1] - 1) * lanes * itemsize
    around, list_bytes = windows.size[0] - 1, pooled[2] * s.made * (itemsize + PLACE)
    together = min((NEAR_BYTES // row_bytes - around) // height, LIST_BYTES // list_bytes)
    if most < 1 or together < 1 or s.examples * panels < FEWEST_UNITS:
        return None
    across = s.made // lanes
    near = max(1, KERNEL_BYTES // (math.prod(windows.size) * lanes * lanes * itemsize))
    blocks = min(n for n in range(1, across + 1) if across % n == 0 and across // n <= near)
    return UnpoolCut(Split(pooled[1], -(-pooled[1] // together)), panels, blocks, heights(windows.size[0], most))


def unpool_cut(kernel: Kernel, target: Target) -> UnpoolCut | None:
    """How a gradient is cut whose first operand is given by a pool's windows."""
    if kernel.core is None or kernel.core.op is not convolution.conv_input_gradient or not kernel.is_behind_pool:
        return None
    return cut(sides(kernel.core), kernel.operands[0].buffer.shape, kernel.core.dtype.itemsize, target)


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are panels of input channels in examples."""
    found = unpool_cut(kernel, target)
    assert found is not None
    return _Unpooled(Form(writer, kernel, target), found).write()


class _Lists:
    """The channels of a chunk's windows, sorted by the positions that their values go to.

    Of each window and block of channels: the values that are not zero, the places of their channels in the kernel, and
    how many there are up to each position.
    """

    def __init__(self, form: Form, cut: UnpoolCut, windows: int, positions: int) -> None:
        self.form, self.b, self.positions, self.blocks = form, form.b, positions, cut.blocks
        values, _, numbers = (load.buffer for load in form.kernel.operands)
        self.given, self.stored, self.size = values.shape[-1], numbers.shape[-1], values.shape[-1] // cut.blocks
        self.values, self.numbers = (form.writer.pointers[x] for x in (values, numbers))
        most = windows * self.given + form.lanes  # a vector is stored whole, over what the next list will be
        self.factors = form.b.local(f"[{most} x {form.memory}]", 64)
        self.places = form.b.local(f"[{most} x i32]", 64)
        self.ends = form.b.local(f"[{windows * cut.blocks * positions} x i64]", 64)

    def sort(self, first: Index, count: Index, step: int) -> None:
        """Sort the channels of some windows; the kernel has ``step`` elements of each channel."""
        with self.b.loop(0, self.b.index(count)) as window, self.b.loop(0, self.blocks) as block:
            number = self.b.iadd(self.b.imul(window, self.blocks), block)
            self._sort(self.b.iadd(first, window), block, number, step)

    def _sort(self, window: Index, block: Index, number: Index, step: int) -> None:
        b, form, lanes = self.b, self.form, self.form.lanes
        start = b.imul(block, self.size)
        found = []
        for c in range(0, self.size, lanes):
            channel = b.iadd(start, c)
            at = b.at(self.values, b.iadd(b.imul(window, self.given), channel), form.memory)
            value = b.load(at, vector(form.memory, lanes), form.itemsize)
            at = b.at(self.numbers, b.iadd(b.imul(window, self.stored), channel), "i8")
            number_of = b.load(at, vector("i8", lanes), 1)
            given = b.compare("une", value, b.const(value.type, 0))
            place = b.mul(ascending(b, "i32", lanes, c), b.const(vector("i32", lanes), step))
            found.append((value, number_of, given, place))
        end: Index = b.imul(number, self.size)
        for position in range(self.positions):
            for value, number_of, given, place in found:
                here = b.compare("eq", number_of, b.const(number_of.type, position))
                taken = b.binary("and", here, given)
                b.store(_compressed(self.form, value, taken), b.at(self.factors, end, form.memory), form.itemsize)
                b.store(_compressed(self.form, place, taken), b.at(self.places, end, "i32"), PLACE)
                bits = b.emit(f"i{lanes}", f"bitcast {taken.type} {taken.text} to i{lanes}")
                end = b.iadd(end, b.convert(b.intrinsic("ctpop", bits), "i64", signed=False))
            b.store(b.index(end), b.at(self.ends, b.iadd(b.imul(number, self.positions), position), "i64"), 8)

    def of(self, number: Index, position: int) -> tuple[Index, Index]:
        """Where the list of a window, a block and a position begins and ends."""
        at = self.b.iadd(self.b.imul(number, self.positions), position)
        begin = self.b.imul(number, self.size) if position == 0 else self._end(self.b.iadd(at, -1))
        return begin, self._end(at)

    def _end(self, at: Index) -> Value:
        return self.b.load(self.b.at(self.ends, at, "i64"), "i64", 8)

    def item(self, at: Index) -> tuple[Value, Value]:
        """A value of a list, and the place of its channel in the kernel."""
        b, form = self.b, self.form
        value = b.load(b.at(self.factors, at, form.memory), form.memory, form.itemsize)
        return value, b.convert(b.load(b.at(self.places, at, "i32"), "i32", PLACE), "i64", signed=False)


def _compressed(form: Form, x: Value, taken: Value) -> Value:
    """The lanes that are taken, side by side; what the others hold is not known."""
    kind = {"i32": "i32", "float": "f32", "double": "f64"}[x.element]
    return form.b.call(f"llvm.x86.avx512.mask.compress.v{x.lanes}{kind}", x.type, x, Value("poison", x.type), taken)


class _Unpooled:
    """Writes the loops; the operands are the values of the windows, the kernel as w[panel, o, p, i], and where values
    go."""

    def __init__(self, form: Form, cut: UnpoolCut) -> None:
        self.form, self.b, self.cut = form, form.b, cut
        s, (values, weights, _) = form.sides, (load.buffer for load in form.kernel.operands)
        self.weights, self.grid = form.writer.pointers[weights], values.shape[1:-1]
        self.window = tuple(n // m for n, m in zip(s.windows.counts, self.grid))
        self.around = s.windows.size[0] - 1
        self.channels = s.taken // cut.panels
        self.lanes = Lanes(0, form.lanes, self.channels)
        self.row = (s.windows.counts[1] + s.windows.size[1] - 1) * form.lanes
        largest = cut.chunks.size + bool(cut.chunks.larger)
        rows = largest * self.window[0] + self.around
        self.sums = form.b.local(f"[{rows * self.row} x {form.memory}]", 64)
        self.lists = _Lists(form, cut, largest * self.grid[1], math.prod(self.window))
        self.kind = vector(form.memory, form.lanes)

    def write(self) -> int:
        """Examples and panels of input channels; chunks."""
        b, s, c = self.b, self.form.sides, self.cut
        with b.loop(b.param("begin"), b.param("end")) as unit:
            n, panel = unravelled(b, unit, (s.examples, c.panels))
            self._clear(0, self.around)
            with b.loop(0, c.chunks.parts) as chunk:
                first, last = b.bounds(c.chunks.size, c.chunks.larger, chunk)
                count = b.iadd(last, b.imul(first, -1))
                self._chunk(n, panel, first, count)
                done = b.imul(count, self.window[0])
                self._finish(n, panel, b.imul(first, self.window[0]), done)
                with b.loop(0, self.around * self.row, self.form.lanes) as i:
                    b.store(self._sum(b.iadd(i, b.imul(done, self.row))), self._at(i), self.form.itemsize)
            self._finish(n, panel, s.windows.counts[0], self.around)
        return s.examples * c.panels

    def _at(self, place: Index) -> Value:
        return self.b.at(self.sums, place, self.form.memory)

    def _sum(self, place: Index) -> Value:
        return self.b.load(self._at(place), self.kind, self.form.itemsize)

    def _clear(self, first: Index, last: Index) -> None:
        """Let some rows of sums be zero."""
        b = self.b
        with b.loop(b.imul(first, self.row), b.imul(last, self.row), self.form.lanes) as i:
            b.store(b.const(self.kind, 0), self._at(i), self.form.itemsize)

    def _chunk(self, n: Index, panel: Index, first: Index, count: Index) -> None:
        """What some rows of windows give."""
        b, s = self.b, self.form.sides
        columns, taps = self.grid[1], math.prod(s.windows.size)
        self._clear(self.around, b.iadd(b.imul(count, self.window[0]), self.around))
        start = b.imul(b.iadd(b.imul(n, self.grid[0]), first), columns)
        self.lists.sort(start, b.imul(count, columns), taps * self.channels)
        with b.loop(0, self.cut.blocks) as block:
            channel = b.iadd(b.imul(panel, s.made), b.imul(block, self.lists.size))
            p = 0
            for rows in self.cut.rows:
                place = b.iadd(b.imul(channel, taps * self.channels), p * s.windows.size[1] * self.channels)
                w = b.at(self.weights, place, self.form.memory)

                def window(at: list[Index], _: list[Value], p: int = p, rows: int = rows, w: Value = w) -> list[Value]:
                    number = b.iadd(b.imul(b.iadd(b.imul(at[0], columns), at[1]), self.cut.blocks), block)
                    row, column = b.iadd(b.imul(at[0], self.window[0]), p), b.imul(at[1], self.window[1])
                    self._window(number, b.iadd(b.imul(row, self.row), b.imul(column, self.form.lanes)), rows, w)
                    return []

                nest(b, [(0, count), (0, columns)], [], window)
                p += rows

    def _window(self, number: Index, place: Index, rows: int, w: Value) -> None:
        """What a window gives by some rows of the kernel, to the sums from a place on."""
        b, form, (height, width) = self.b, self.form, self.window
        size = self.form.sides.windows.size[1]
        box = [(i, j) for i in range(height + rows - 1) for j in range(width + size - 1)]
        places = [b.iadd(place, i * self.row + j * form.lanes) for i, j in box]
        sums = [self._sum(at) for at in places]
        taps = [(p, q) for p in range(rows) for q in range(size)]
        for position in range(height * width):
            down, right = divmod(position, width)
            met = [box.index((down + p, right + q)) for p, q in taps]
            begin, end = self.lists.of(number, position)
            at, inside, finish = b.loop_carrying(b.index(begin), b.index(end), 1, [sums[i] for i in met])
            value, channel = self.lists.item(at)
            factor, w_o = b.splat(value, form.lanes), b.at(w, channel, form.memory)
            factors = [form.load(b.at(w_o, k * self.channels, form.memory), self.lanes) for k in range(len(taps))]
            for i, total in zip(met, finish([b.muladd(f, factor, t) for f, t in zip(factors, inside)])):
                sums[i] = total
        for at, total in zip(places, sums):
            b.store(total, self._at(at), form.itemsize)

    def _finish(self, n: Index, panel: Index, begin: Index, count: Index) -> None:
        """The block on the first rows of sums, whose first is ``begin`` rows behind the padding's begin."""
        b, form, windows = self.b, self.form, self.form.sides.windows
        (above, _), (before, _) = windows.padding
        begin = b.iadd(begin, -above)
        first, last = b.imax(0, b.imul(begin, -1)), b.imin(count, b.iadd(b.imul(begin, -1), windows.spatial[0]))
        with b.loop(first, last) as row, b.loop(0, windows.spatial[1]) as column:
            place = b.iadd(b.imul(row, self.row), b.imul(b.iadd(column, before), form.lanes))
            form.finish(self._sum(place), [n, b.iadd(begin, row), column, b.imul(panel, self.channels)], self.lanes)
