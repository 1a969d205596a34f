"""Values of windows given back to the grid: to all elements of a window, or to the first largest of another grid.

These are the gradients of sums and of largest elements.  Where windows lie side by side and cover the grid, as those
of most poolings do, every element belongs to one window and is written once.  Elsewhere a unit has some channels of
an example to itself: it sets them to 0 and adds what the windows give, one window after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.grid import elements
from gradloom.executors.native.kernels.whole import core_of, each, local_sums, nest, units_for, unravelled
from gradloom.executors.native.kernels.window import Pass, covers, first_largest, start_pass, turns, windows_of
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.records import dataclass

CHANNELS = 64
"""Of an example that a unit has to itself, where these divide all."""


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body."""
    spread = _Spread(start_pass(writer, kernel, target))
    windows = spread.w.windows
    if covers(windows):
        return _write_once(spread, (core_of(kernel).shape[0], *windows.counts))
    return _write_sums(writer, spread, core_of(kernel))


def scratch(node: Node, target: Target) -> int:
    """Bytes of working memory: sums in single precision, for halves."""
    items, _, memory = _parts(node)
    return 0 if covers(windows_of(node)) else units_for(items, memory) * memory


def _parts(node: Node) -> tuple[int, int, int]:
    """Into how many parts the result is divided, the channels of each, and the bytes that its sums take elsewhere."""
    channels = CHANNELS if node.shape[-1] % CHANNELS == 0 else node.shape[-1]
    items = node.shape[0] * (node.shape[-1] // channels if channels else 1)
    apart = node.dtype.kind not in "iub" and node.dtype.itemsize == 2
    return items, channels, 4 * math.prod(node.shape[1:-1]) * channels if apart else 0


@dataclass(frozen=True)
class _Spread:
    """What each window gives to its elements; the operands are the windows' values, and a grid to be searched, or what
    a search has found there (see conv_pool.py)."""

    w: Pass

    def window(
        self, n: Index, at: list[Index], c: Index, lanes: int, valid: int, give: Callable[[list[Index], Value], None]
    ) -> None:
        """Call ``give(element, value)`` for every element of a window on the grid."""
        w, b = self.w, self.w.b
        ranges = [axis.inside(q) for axis, q in zip(w.axes, at)]
        value = w.sources[0].load(n, *at, c, lanes=lanes, valid=valid)
        found = self._found(ranges, n, at, c, lanes, valid) if len(w.sources) > 1 else None

        def position(p: list[Index], _: list[Value]) -> list[Value]:
            given = value
            if found is not None:
                here = b.compare("eq", found, w.number(w.flat(p, w.windows.size), lanes))
                given = b.select(here, value, b.const(value.type, 0))
            give(elements(w.axes, at, p), given)
            return []

        turns(b, ranges, [], position)

    def _found(
        self, ranges: list[tuple[Index, Index]], n: Index, at: list[Index], c: Index, lanes: int, valid: int
    ) -> Value:
        """The number of the position in a window where the searched grid has its first largest element."""
        w, x = self.w, self.w.sources[1]
        if "spatial" in w.node.attrs:  # which a grid to be searched says itself: these are numbers of positions
            return w.b.convert(x.load(n, *at, c, lanes=lanes), "i32", signed=False)

        def position(p: list[Index], carried: list[Value]) -> list[Value]:
            value = x.load(n, *elements(w.axes, at, p), c, lanes=lanes, valid=valid)
            wins = first_largest(w, value, carried)
            here = w.number(w.flat(p, w.windows.size), lanes)
            return [w.b.select(wins, new, old) for new, old in zip((value, here), carried)]

        start = [w.b.const(vector(w.register, lanes), 0), w.number(-1, lanes)]
        return turns(w.b, ranges, start, position)[1]


def _write_once(spread: _Spread, shape: tuple[int, ...]) -> int:
    """Units are rows of windows; each writes the elements of its windows."""
    w, b = spread.w, spread.w.b
    *front, last = shape
    with b.loop(b.param("begin"), b.param("end")) as unit, b.loop(0, last) as q:
        n, *outer = unravelled(b, unit, front)

        def channels(c: Index, lanes: int, valid: int) -> None:
            def give(place: list[Index], value: Value) -> None:
                w.result.store(value, n, *place, c, valid=valid)

            spread.window(n, [*outer, q], c, lanes, valid, give)

        w.row.cover_masked(0, w.channels, channels)
    return math.prod(front)


def _write_sums(writer: BlockWriter, spread: _Spread, node: Node) -> int:
    """Units have channels of an example to themselves."""
    w, b = spread.w, spread.w.b
    items, channels, memory = _parts(node)
    units = units_for(items, memory)
    everywhere = [(0, size) for size in w.windows.spatial]
    with each(b, items, units) as (item, unit):
        n, block = unravelled(b, item, (node.shape[0], items // node.shape[0]))
        result = w.result.at(n, *(0 for _ in everywhere), b.imul(block, channels)).tail(len(everywhere) + 1)
        sums = local_sums(writer, unit, memory, (*w.windows.spatial, channels)) if memory else result

        def through(place: list[Index], change: Callable[[Index, int, int], None]) -> list[Value]:
            w.row.cover_masked(0, channels, change)
            return []

        def clear(place: list[Index], _: list[Value]) -> list[Value]:
            def zero(c: Index, lanes: int, valid: int) -> None:
                sums.store(b.const(vector(sums.element, lanes), 0), *place, c, valid=valid)

            return through(place, zero)

        def add(at: list[Index], _: list[Value]) -> list[Value]:
            def window(c: Index, lanes: int, valid: int) -> None:
                def give(place: list[Index], value: Value) -> None:
                    before = sums.load(*place, c, lanes=lanes, valid=valid)
                    sums.store(b.add(before, value), *place, c, valid=valid)

                spread.window(n, at, b.iadd(c, b.imul(block, channels)), lanes, valid, give)

            return through(at, window)

        def copy(place: list[Index], _: list[Value]) -> list[Value]:
            def move(c: Index, lanes: int, valid: int) -> None:
                result.store(sums.load(*place, c, lanes=lanes, valid=valid), *place, c, valid=valid)

            return through(place, move)

        nest(b, everywhere, [], clear)
        nest(b, [(0, count) for count in w.windows.counts], [], add)
        if memory:
            nest(b, everywhere, [], copy)
    return units
