"""Windows over a grid: laid out one by one and put back, summed, searched for their largest element.

Vectors lie along the channels.  Positions of a window that lie in the padding are not visited: the loops over a
window go from its first position on the grid to its last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradloom.executors.native import scalars
from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.elementwise import Row
from gradloom.executors.native.kernels.grid import Axis, axes_of, elements, over_windows_with
from gradloom.executors.native.kernels.whole import Array, array, core_of, nest, unravelled
from gradloom.executors.native.loops import contiguous
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ops.geometry import Windows


def windows_of(node: Node) -> Windows:
    """The windows that a node is about."""
    a = node.attrs
    spatial = a.get("spatial") or node.inputs[0].shape[1:-1]
    return Windows(spatial, a["window"], a["strides"], a["padding"], a["dilation"])


def operations(node: Node) -> int:
    """Rough number of elementary operations: an element of a window each."""
    windows = windows_of(node)
    return node.shape[0] * math.prod(windows.counts) * math.prod(windows.size) * node.shape[-1]


@dataclass(frozen=True)
class _Pass:
    """A kernel under construction: operand and result, the axes of windows, vectors along channels."""

    b: Function
    node: Node
    source: Array
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


def _pass(writer: BlockWriter, kernel: Kernel, target: Target, *, bits: bool = False) -> _Pass:
    node = core_of(kernel)
    source, result = (array(writer, x, bits=bits) for x in (node.inputs[0], node))
    windows, b = windows_of(node), writer.b
    # Elements of type half are computed with as float, positions are int64.
    size = max(source.itemsize, result.itemsize, 4 if source.element == "half" else 1)
    return _Pass(b, node, source, result, windows, axes_of(b, windows), Row(b, target.lanes(size)))


# A result a window: sums, largest elements and where they lie -------------------------------------------------------


def write_pooling(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are rows of windows."""
    w = _pass(writer, kernel, target)
    b, counts = w.b, w.windows.counts
    start = {"window_sum": _zero, "window_max": _lowest, "window_argmax": _nothing}[w.node.op.name]
    visit = {"window_sum": _add, "window_max": _larger, "window_argmax": _first_largest}[w.node.op.name]
    front = (w.node.shape[0], *counts[:-1])
    with b.loop(b.param("begin"), b.param("end")) as unit, b.loop(0, counts[-1]) as last:
        n, *outer = unravelled(b, unit, front)
        at = [*outer, last]
        ranges = [axis.inside(q) for axis, q in zip(w.axes, at)]

        def channels(c: Index, lanes: int) -> None:
            def position(p: list[Index], carried: list[Value]) -> list[Value]:
                place = elements(w.axes, at, p)
                return visit(w, w.source.load(n, *place, c, lanes=lanes), place, carried)

            found = nest(b, ranges, start(w, lanes), position)
            w.result.store(found[-1], n, *at, c)

        w.row.cover(0, w.channels, channels)
    return math.prod(front)


def _register(w: _Pass) -> str:
    """The type in which elements are computed with."""
    return "float" if w.source.element == "half" else w.source.element


def _zero(w: _Pass, lanes: int) -> list[Value]:
    return [w.b.const(vector(_register(w), lanes), 0)]


def _add(w: _Pass, x: Value, place: list[Index], carried: list[Value]) -> list[Value]:
    return [w.b.add(carried[0], x)]


def _lowest(w: _Pass, lanes: int) -> list[Value]:
    dtype = w.node.dtype
    lowest = -math.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)
    return [w.b.const(vector(_register(w), lanes), lowest)]


def _larger(w: _Pass, x: Value, place: list[Index], carried: list[Value]) -> list[Value]:
    return [scalars.CODE["maximum"](w.b, (carried[0], x), w.node.dtype)]


def _nothing(w: _Pass, lanes: int) -> list[Value]:
    return [*_zero(w, lanes), w.b.const(vector("i64", lanes), -1)]


def _first_largest(w: _Pass, x: Value, place: list[Index], carried: list[Value]) -> list[Value]:
    """The element wins if it is the first, larger than the best so far, or the first NaN."""
    b, (best, found) = w.b, carried
    kind = w.node.inputs[0].dtype.kind
    wins = b.compare({"f": "ogt", "i": "sgt"}.get(kind, "ugt"), x, best)
    if kind == "f":
        wins = b.binary("or", wins, b.binary("and", b.compare("uno", x, x), b.compare("ord", best, best)))
    wins = b.binary("or", wins, b.compare("slt", found, b.const(found.type, 0)))
    here = b.splat(b.index(w.flat(place, w.windows.spatial)), found.lanes)
    return [b.select(wins, x, best), b.select(wins, here, found)]


# Windows laid out, and put back -------------------------------------------------------------------------------------


def write_patches(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are rows of windows."""
    w = _pass(writer, kernel, target, bits=True)
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
                w.row.cover(0, w.channels, lambda c, lanes: to.store(w.source.load(n, *place, c, lanes=lanes), c))
            with b.when(b.binary("xor", inside, b.const("i1", 1))):
                w.row.cover(0, w.channels, lambda c, lanes: to.store(b.const(vector(to.element, lanes), 0), c))
            return []

        nest(b, [(0, size) for size in w.windows.size], [], position)
    return math.prod(front)


def write_fold(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are rows of the grid.  Every element adds up the windows that hold it."""
    w = _pass(writer, kernel, target)
    b, spatial = w.b, w.windows.spatial
    front = (w.node.shape[0], *spatial[:-1])
    with b.loop(b.param("begin"), b.param("end")) as unit, b.loop(0, spatial[-1]) as last:
        n, *outer = unravelled(b, unit, front)
        at = [*outer, last]

        def channels(c: Index, lanes: int) -> None:
            def held(p: list[Index], q: list[Index], carried: list[Value]) -> list[Value]:
                return [b.add(carried[0], w.source.load(n, *q, w.flat(p, w.windows.size), c, lanes=lanes))]

            (total,) = over_windows_with(w.axes, at, _zero(w, lanes), held)
            w.result.store(total, n, *at, c)

        w.row.cover(0, w.channels, channels)
    return math.prod(front)
