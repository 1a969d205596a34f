"""Largest elements of windows, taken by the convolution whose results they lie in.

A unit of the convolution is then a row of windows that lie side by side.  The rows of sums that these hold wait on the
stack, some channels of each, so that a maximum costs no trip to memory: what follows from a sum happens when its window
is searched, and results that nobody else reads are written nowhere.  Of each window its largest element is kept and,
where the gradient asks for it, the number of the first position that has it: a byte instead of the elements themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from gradloom.executors.native.blocks import Here
from gradloom.executors.native.builder import Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.conv_form import Form
from gradloom.executors.native.kernels.tiling import Lanes
from gradloom.executors.native.kernels.whole import nest
from gradloom.executors.native.loops import Affine, contiguous
from gradloom.ir.graph import Node

MOST_BYTES = 2**15
"""Of the stack, that waiting sums may take."""
SHORT = 8
"""Instructions that follow a sum, up to which they are written out for every position of a window."""


def window_of(results: Node, largest: Node) -> tuple[int, ...]:
    """The sizes of windows that lie side by side and cover a grid of results."""
    return tuple(n // count for n, count in zip(results.shape[1:-1], largest.shape[1:-1]))


def waiting(results: Node, window: Sequence[int], channels: int) -> int:
    """Sums that a row of windows holds, so many channels of each."""
    return math.prod(window[:-1]) * results.shape[-2] * channels


class PooledRows:
    """The rows of sums in a row of windows, some channels of each, until all are there."""

    def __init__(self, form: Form, channels: int) -> None:
        assert form.kernel.pooling is not None
        self.form, self.b, self.pooling, self.channels = form, form.b, form.kernel.pooling, channels
        self.window = window_of(form.core, self.pooling.largest)
        self.front = self.pooling.largest.shape[:-2]
        self.length = form.core.shape[-2]
        size = waiting(form.core, self.window, channels)
        self.sums = form.b.local(f"[{size} x {form.kind}]", 64)

    def row(self, place: Sequence[Index], line: Index) -> list[Index]:
        """The row of results that is a line of windows whose place is (example, outer axes)."""
        n, *windows = place
        index: list[Index] = []
        for q, size in zip(reversed(windows), reversed(self.window[:-1])):
            index.insert(0, self.b.iadd(self.b.imul(q, size), self.b.irem(line, size)))
            line = self.b.idiv(line, size)
        return [n, *index]

    @property
    def lines(self) -> int:
        """Rows of results in a row of windows."""
        return math.prod(self.window[:-1])

    def keep(self, total: Value, line: Index, at: Index, lanes: Lanes) -> None:
        """Let sums wait: of a line, at a place there, some channels of a tile."""
        b, form = self.b, self.form
        row = b.iadd(b.imul(line, self.length), at)
        place = b.iadd(b.imul(row, self.channels), lanes.first)
        b.store(total, b.at(self.sums, place, form.kind), form.itemsize)

    def take(self, place: Sequence[Index], channel: Index, vectors: Sequence[Lanes]) -> None:
        """The windows of a row, when all their sums are there: the block on each, and the largest results."""
        b, writer, pooling = self.b, self.form.writer, self.pooling
        with b.loop(0, self.length // self.window[-1]) as q:
            for lanes in vectors:
                best, number = self._largest(place, q, b.iadd(channel, lanes.first), lanes)
                here = Here([*place, q, b.iadd(channel, lanes.first)], lanes.width, len(place) + 1, lanes.valid)
                writer.store(best, pooling.largest, Affine(0, contiguous(pooling.largest.shape)), here)
                if pooling.numbers is not None:
                    everywhere = Affine(0, contiguous(pooling.numbers.shape))
                    writer.store(b.convert(number, "i8"), pooling.numbers, everywhere, replace(here, valid=None))

    def _largest(self, place: Sequence[Index], q: Index, channel: Index, lanes: Lanes) -> list[Value]:
        """The first largest result of a window, or the first NaN, and its number."""
        b, form, size = self.b, self.form, self.window[-1]
        start = b.imul(q, size)

        def result(line: Index, p: Index) -> Value:
            at = b.iadd(start, p)
            row = b.imul(b.iadd(b.imul(line, self.length), at), self.channels)
            kind = vector(form.kind, lanes.width)
            total = b.load(b.at(self.sums, b.iadd(row, lanes.first), form.kind), kind, form.itemsize)
            values = form.finish(total, [*self.row(place, line), at, channel], lanes)
            return b.splat(values[self.pooling.value], lanes.width)

        def position(at: list[Index], carried: list[Value]) -> list[Value]:
            x, (best, number) = result(*at), carried
            wins = b.binary("and", b.compare("ugt", x, best), b.compare("ord", best, best))
            here = b.splat(b.convert(b.index(b.iadd(b.imul(at[0], size), at[1])), "i32"), lanes.width)
            return [b.select(wins, x, best), b.select(wins, here, number)]

        if len(form.kernel.block.code) <= SHORT:
            first, *others = product(range(self.lines), range(size))
            best = [result(*first), b.const(vector("i32", lanes.width), 0)]
            for at in others:
                best = position(list(at), best)
            return best
        lowest = [b.const(vector(form.kind, lanes.width), -math.inf), b.const(vector("i32", lanes.width), 0)]
        return nest(b, [(0, self.lines), (0, size)], lowest, position)


def fits(kernel: Kernel, largest: Node, channels: int) -> bool:
    """Whether the sums that wait take little room."""
    assert kernel.core is not None
    size = waiting(kernel.core, window_of(kernel.core, largest), channels)
    return size * kernel.core.dtype.itemsize <= MOST_BYTES
