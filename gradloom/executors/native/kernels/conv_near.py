"""Rows of y copied near, where a kernel's gradient reads them: some channels side by side on the stack.

All positions of the kernel and all input channels read the same part of y, a few vectors of each pixel.  In memory
these are as far apart as pixels are, and where that is a power of two they meet in a few places of the nearest cache,
which holds a small part of them then.  A copy fills it evenly, and its vectors begin where cache lines do.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradloom.executors.native.builder import Index, Value
from gradloom.executors.native.kernels.conv_form import Form
from gradloom.executors.native.kernels.tiling import Lanes
from gradloom.executors.native.kernels.whole import Array


class NearRows:
    """Some channels of some rows of y.

    Args:
        form: of the gradient.
        y: the operand.
        lines: rows at most.
        channels: at most, whole vectors.
    """

    def __init__(self, form: Form, y: Array, lines: int, channels: int) -> None:
        self.form, self.b, self.y, self.channels = form, form.b, y, channels
        self.length = form.sides.windows.counts[-1]
        self.rows = form.b.local(f"[{lines * self.length * channels} x {form.memory}]", 64)

    def fill(self, begin: Index, end: Index, channel: Index, vectors: Sequence[Lanes]) -> Index:
        """Copy the rows from ``begin`` to ``end``, from a channel on; gives the first of the rows that are there."""
        b, form = self.b, self.form
        first = b.imul(begin, self.length)
        with b.loop(b.index(first), b.index(b.imul(end, self.length))) as pixel:
            place = b.imul(b.iadd(pixel, b.imul(first, -1)), self.channels)
            for lanes in vectors:
                source = b.iadd(b.imul(pixel, self.y.strides[-2]), b.iadd(channel, lanes.first))
                copied = form.load(b.at(self.y.pointer, source, form.memory), lanes)
                b.store(copied, b.at(self.rows, b.iadd(place, lanes.first), form.memory), form.itemsize)
        return begin

    def at(self, line: Index, first: Index) -> Value:
        """Where a row lies, if ``first`` is the first that is there."""
        b = self.b
        row = b.iadd(line, b.imul(first, -1))
        return b.at(self.rows, b.imul(row, self.length * self.channels), self.form.memory)
