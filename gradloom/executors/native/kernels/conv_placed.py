"""The gradient of a pool, given back where a kernel's gradient reads it: a few rows of windows at a time.

Of a grid of maxima the kernel has the windows' values and, of each, the number of the position that they go to.  Rows
of results, zeros but for these, lie on the stack while all positions of the convolution's kernel visit them, and the
whole grid never lies in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradloom.executors.native.builder import Index, Value, vector
from gradloom.executors.native.kernels.conv_form import Form, Sides
from gradloom.executors.native.kernels.tiling import Lanes

MOST_BYTES = 2**16
"""Of the stack, that rows of results may take."""


def room(s: Sides, pooled: Sequence[int], lines: int, channels: int) -> int:
    """Elements of so many rows of results, with all of the windows at both ends, and so many channels of each."""
    height = _height(s, pooled)
    return (-(-lines // height) + 1) * height * s.windows.counts[-1] * channels


def lie_in_rows(s: Sides, pooled: Sequence[int]) -> bool:
    """Whether the rows of results that a row of windows holds are neighbours."""
    return s.windows.counts[:-2] == tuple(pooled[1:-3])


def _height(s: Sides, pooled: Sequence[int]) -> int:
    """Rows of results in a row of windows."""
    return s.windows.counts[-2] // pooled[-3] if len(pooled) > 3 else 1


class PlacedRows:
    """Some rows of results, some channels of each.

    Args:
        form: of the gradient; its operands are the convolution's input, the values of the windows, and their numbers.
        lines: rows at most.
        channels: at most.
    """

    def __init__(self, form: Form, lines: int, channels: int) -> None:
        self.form, self.b, self.channels = form, form.b, channels
        _, values, numbers = (load.buffer for load in form.kernel.operands)
        self.given, self.stored = values.shape[-1], numbers.shape[-1]
        self.height, self.length = _height(form.sides, values.shape), form.sides.windows.counts[-1]
        self.width = self.length // values.shape[-2]
        self.values, self.numbers = (form.writer.pointers[buffer] for buffer in (values, numbers))
        self.rows = form.b.local(f"[{room(form.sides, values.shape, lines, channels)} x {form.memory}]", 64)

    def fill(self, begin: Index, end: Index, channel: Index, vectors: Sequence[Lanes]) -> Index:
        """Give back what the windows that hold some rows have; gives the first of the rows that are there then."""
        b, count = self.b, self.length // self.width
        first = b.idiv(begin, self.height)
        with b.loop(b.index(first), b.index(b.idiv(b.iadd(end, self.height - 1), self.height))) as row:
            line = b.imul(b.iadd(row, b.imul(first, -1)), self.height)
            with b.loop(0, count) as q:
                window = b.iadd(b.imul(row, count), q)
                for lanes in vectors:
                    self._give(window, b.iadd(b.imul(line, self.length), b.imul(q, self.width)), channel, lanes)
        return b.imul(first, self.height)

    def _give(self, window: Index, place: Index, channel: Index, lanes: Lanes) -> None:
        """A window's value to the position that it goes to, zero to the others."""
        b, form, first = self.b, self.form, self.b.iadd(channel, lanes.first)
        value = form.load(b.at(self.values, b.iadd(b.imul(window, self.given), first), form.memory), lanes)
        at = b.at(self.numbers, b.iadd(b.imul(window, self.stored), first), "i8")
        number = b.convert(b.load(at, vector("i8", lanes.width), 1), "i32", signed=False)
        for p in range(self.height):
            for t in range(self.width):
                here = b.compare("eq", number, b.const(number.type, p * self.width + t))
                to = b.iadd(place, p * self.length + t)
                given = b.select(here, value, b.const(value.type, 0))
                b.store(
                    given, b.at(self.rows, b.iadd(b.imul(to, self.channels), lanes.first), form.memory), form.itemsize
                )

    def at(self, line: Index, first: Index) -> Value:
        """Where a row lies, if ``first`` is the first that is there."""
        b = self.b
        row = b.iadd(line, b.imul(first, -1))
        return b.at(self.rows, b.imul(row, self.length * self.channels), self.form.memory)
