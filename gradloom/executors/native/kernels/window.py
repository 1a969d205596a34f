"""Windows over a grid: laid out one by one and put back, summed, searched for their largest element.

Vectors lie along the channels.  Positions of a window that lie in the padding are not visited: the loops over a
window go from its first position on the grid to its last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

from gradloom.executors.native import scalars
from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.elementwise import Row
from gradloom.executors.native.kernels.grid import Axis, axes_of, elements, over_windows_with
from gradloom.executors.native.kernels.whole import Array, Turn, array, core_of, nest, unravelled
from gradloom.executors.native.loops import contiguous
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ops.geometry import Windows
from gradloom.records import dataclass

WRITTEN_OUT = 16
"""Positions of a window up to which there is code for each, and no loop."""


def windows_of(node: Node) -> Windows:
    """The windows that a node is about."""
    a = node.attrs
    spatial = a.get("spatial") or node.inputs[-1].shape[1:-1]
    return Windows(spatial, a["window"], a["strides"], a["padding"], a["dilation"])


def operations(node: Node) -> int:
    """Rough number of elementary operations: an element of a window each."""
    windows = windows_of(node)
    return node.shape[0] * math.prod(windows.counts) * math.prod(windows.size) * node.shape[-1]


def covers(windows: Windows) -> bool:
    """Whether every element belongs to one window."""
    apart = windows.strides == windows.size and set(windows.dilation) == {1}
    return apart and all(n * k == size for n, k, size in zip(windows.counts, windows.size, windows.spatial))


@dataclass(frozen=True)
class Pass:
    """A kernel under construction: operands and result, the axes of windows, vectors along channels."""

    b: Function
    node: Node
    sources: list[Array]
    result: Array
    windows: Windows
    axes: list[Axis]
    row: Row

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.node.shape[-1]

    def flat(self, place: Sequence[Index], sizes: Sequence[int]) -> Index:
        """The number of a place in a box of these sizes."""
        total: Index = 0
        for i, step in zip(place, contiguous(sizes)):
            total = self.b.iadd(total, self.b.imul(i, step))
        return total

    @property
    def register(self) -> str:
        """The type in which elements are computed with."""
        element = self.sources[-1].element
        return "float" if element == "half" else element

    def number(self, x: Index, lanes: int) -> Value:
        """The number of a position in a window, for all lanes."""
        return self.b.splat(self.b.convert(self.b.index(x), "i32"), lanes)


def start_pass(writer: BlockWriter, kernel: Kernel, target: Target, *, bits: bool = False) -> Pass:
    node = core_of(kernel)
    *sources, result = (array(writer, x, bits=bits) for x in (*node.inputs, *kernel.nodes))
    windows, b = windows_of(node), writer.b
    # Elements of type half are computed with as float, positions are int64.
    size = max(sources[0].itemsize, result.itemsize, 4 if result.element == "half" else 1)
    return Pass(b, node, sources, result, windows, axes_of(b, windows), Row(b, target.lanes(size)))


def turns(b: Function, ranges: Sequence[tuple[Index, Index]], carried: list[Value], body: Turn) -> list[Value]:
    """The positions of a window in order, written out where they are few and known."""
    known = [(first, last) for first, last in ranges if isinstance(first, int) and isinstance(last, int)]
    if len(known) == len(ranges) and math.prod(last - first for first, last in known) <= WRITTEN_OUT:
        for p in product(*(range(first, last) for first, last in known)):
            carried = body(list(p), carried)
        return carried
    return nest(b, ranges, carried, body)


# A result a window: sums, largest elements, where they lie, and what lies there -------------------------------------


def write_pooling(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are rows of windows."""
    w = start_pass(writer, kernel, target)
    b, counts = w.b, w.windows.counts
    start, visit = _POOLINGS[w.node.op.name]
    front = (w.node.shape[0], *counts[:-1])
    with b.loop(b.param("begin"), b.param("end")) as unit, b.loop(0, counts[-1]) as last:
        n, *outer = unravelled(b, unit, front)
        at = [*outer, last]
        ranges = [axis.inside(q) for axis, q in zip(w.axes, at)]

        def channels(c: Index, lanes: int, valid: int) -> None:
            def position(p: list[Index], carried: list[Value]) -> list[Value]:
                place = elements(w.axes, at, p)
                found = [source.load(n, *place, c, lanes=lanes, valid=valid) for source in w.sources]
                return visit(w, found, place, carried)

            found = turns(b, ranges, start(w, lanes), position)
            w.result.store(found[-1], n, *at, c, valid=valid)

        w.row.cover_masked(0, w.channels, channels)
    return math.prod(front)


def _zero(w: Pass, lanes: int) -> list[Value]:
    return [w.b.const(vector(w.register, lanes), 0)]


def _add(w: Pass, found: list[Value], place: list[Index], carried: list[Value]) -> list[Value]:
    return [w.b.add(carried[0], found[0])]


def _lowest(w: Pass, lanes: int) -> list[Value]:
    dtype = w.node.dtype
    lowest = -math.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)
    return [w.b.const(vector(w.register, lanes), lowest)]


def _larger(w: Pass, found: list[Value], place: list[Index], carried: list[Value]) -> list[Value]:
    return [scalars.CODE["maximum"](w.b, (carried[0], found[0]), w.node.dtype)]


def _nothing(w: Pass, lanes: int) -> list[Value]:
    return [*_zero(w, lanes), w.b.const(vector("i64", lanes), -1)]


def first_largest(w: Pass, x: Value, carried: list[Value]) -> Value:
    """Whether an element wins over (the best so far, its number): larger, or the first, or the first NaN."""
    b, (best, number, *_) = w.b, carried
    kind = w.node.inputs[-1].dtype.kind
    if kind == "f":
        wins = b.binary("and", b.compare("ugt", x, best), b.compare("ord", best, best))
    else:
        wins = b.compare("sgt" if kind == "i" else "ugt", x, best)
    return b.binary("or", wins, b.compare("slt", number, b.const(number.type, 0)))


def _where(w: Pass, found: list[Value], place: list[Index], carried: list[Value]) -> list[Value]:
    b, (x,) = w.b, found
    wins = first_largest(w, x, carried)
    here = b.splat(b.index(w.flat(place, w.windows.spatial)), x.lanes)
    return [b.select(wins, new, old) for new, old in zip((x, here), carried)]


def _nothing_picked(w: Pass, lanes: int) -> list[Value]:
    return [*_zero(w, lanes), w.number(-1, lanes), *_zero(w, lanes)]


def _pick(w: Pass, found: list[Value], place: list[Index], carried: list[Value]) -> list[Value]:
    t, x = found
    wins = first_largest(w, x, carried)
    return [w.b.select(wins, new, old) for new, old in zip((x, w.number(0, x.lanes), t), carried)]


_POOLINGS = {
    "window_sum": (_zero, _add),
    "window_max": (_lowest, _larger),
    "window_argmax": (_nothing, _where),
    "window_pick": (_nothing_picked, _pick),
}
"""What a window starts with, and what becomes of it with one more element; the last value is the result."""

# Windows laid out, and put back -------------------------------------------------------------------------------------


def write_patches(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are rows of windows."""
    w = start_pass(writer, kernel, target, bits=True)
    b, counts = w.b, w.windows.counts
    front = (w.node.shape[0], *counts[:-1])

    with b.loop(b.param("begin"), b.param("end")) as unit, b.loop(0, counts[-1]) as last:
        n, *outer = unravelled(b, unit, front)
        at = [*outer, last]

        def position(p: list[Index], _: list[Value]) -> list[Value]:
            place = elements(w.axes, at, p)
            to = w.result.at(n, *at, w.flat(p, w.windows.size)).tail(1)
            inside = b.const("i1", 1)
            for axis, e in zip(w.axes, place):
                inside = b.binary("and", inside, b.compare("ult", b.index(e), b.index(axis.size)))
            with b.when(inside):
                w.row.cover(0, w.channels, lambda c, lanes: to.store(w.sources[0].load(n, *place, c, lanes=lanes), c))
            with b.when(b.binary("xor", inside, b.const("i1", 1))):
                w.row.cover(0, w.channels, lambda c, lanes: to.store(b.const(vector(to.element, lanes), 0), c))
            return []

        nest(b, [(0, size) for size in w.windows.size], [], position)
    return math.prod(front)


def write_fold(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are rows of the grid.  Every element adds up the windows that hold it."""
    w = start_pass(writer, kernel, target)
    b, spatial = w.b, w.windows.spatial
    front = (w.node.shape[0], *spatial[:-1])
    with b.loop(b.param("begin"), b.param("end")) as unit, b.loop(0, spatial[-1]) as last:
        n, *outer = unravelled(b, unit, front)
        at = [*outer, last]

        def channels(c: Index, lanes: int) -> None:
            def held(p: list[Index], q: list[Index], carried: list[Value]) -> list[Value]:
                return [b.add(carried[0], w.sources[0].load(n, *q, w.flat(p, w.windows.size), c, lanes=lanes))]

            (total,) = over_windows_with(w.axes, at, _zero(w, lanes), held)
            w.result.store(total, n, *at, c)

        w.row.cover(0, w.channels, channels)
    return math.prod(front)
