"""Convolution and its two relatives as plain loops: see ops/convolution.py for the form that they share.

- ``conv``: vectors along output channels; several neighbouring windows at a time share the kernel's elements.
- ``conv_input_gradient``: vectors along the summed output channels, several input channels at a time.
- ``conv_kernel_gradient``: vectors along output channels, several input channels at a time; every example's sum is
  formed by itself.

Where each group has one channel on either side (depthwise convolution), vectors lie along the groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.elementwise import Row, widths
from gradloom.executors.native.kernels.grid import Axis, axes_of, elements, over_windows_with
from gradloom.executors.native.kernels.whole import across, array, core_of, nest, unravelled
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ops.geometry import Windows

TOGETHER = 4
"""Windows, or input channels, that are computed at a time."""

_ARRAYS = {"conv": "xwy", "conv_input_gradient": "ywx", "conv_kernel_gradient": "xyw"}
"""Which of the form's arrays are the operands and the result."""


def _nodes(node: Node) -> dict[str, Node]:
    """The arrays x, w and y of a node."""
    return dict(zip(_ARRAYS[node.op.name], (*node.inputs, node)))


def operations(node: Node) -> int:
    """Rough number of elementary operations: a multiply-add each."""
    arrays = _nodes(node)
    return 2 * arrays["y"].tensor_type.size * math.prod(arrays["w"].shape[:-1])


@dataclass
class _Convolution:
    """The arrays of the form in memory, and its sizes."""

    writer: BlockWriter
    node: Node
    target: Target
    b: Function = field(init=False)

    def __post_init__(self) -> None:
        self.b = self.writer.b
        nodes, a = _nodes(self.node), self.node.attrs
        self.x, self.w, self.y = (array(self.writer, nodes[name]) for name in "xwy")
        x, w, y = (nodes[name].shape for name in "xwy")
        self.windows = Windows(x[1:-1], w[:-2], a["strides"], a["padding"], a["dilation"])
        self.axes: list[Axis] = axes_of(self.b, self.windows)
        self.examples, self.groups = x[0], a["groups"]
        self.taken, self.made = w[-2], w[-1] // self.groups  # channels of a group, in and out
        self.kind = "float" if self.x.element == "half" else self.x.element
        self.lanes = self.target.lanes(4 if self.kind == "float" else 8)
        self.depthwise = self.taken == 1 and self.made == 1
        if self.depthwise:  # one group of so many channels, each of which meets itself alone
            self.groups, self.made = 1, y[-1]

    def sum_of(self, lanes: int) -> Value:
        """An empty sum."""
        return self.b.const(vector(self.kind, lanes), 0)

    def multiply_add(self, x: Value, y: Value, total: Value) -> Value:
        """total + x · y, rounded once where the machine can."""
        lanes = total.lanes
        return self.b.intrinsic("fmuladd", self.b.splat(x, lanes), self.b.splat(y, lanes), total)

    def input_channel(self, group: Index, i: Index, o: Index) -> Index:
        """The channel of x that meets input channel i of a group; in depthwise form the output channel's own."""
        return o if self.depthwise else self.b.iadd(self.b.imul(group, self.taken), i)

    def output_channel(self, group: Index, o: Index) -> Index:
        """The channel of y of output channel o of a group."""
        return self.b.iadd(self.b.imul(group, self.made), o)


# The form solved for y ----------------------------------------------------------------------------------------------


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are rows of windows."""
    c = _Convolution(writer, core_of(kernel), target)
    b, counts = c.b, c.windows.counts
    front = (c.examples, *counts[:-1])
    first, last = c.axes[-1].whole()
    tiled = first + (last - first) // TOGETHER * TOGETHER
    with b.loop(b.param("begin"), b.param("end")) as unit, b.loop(0, c.groups) as group:
        n, *outer = unravelled(b, unit, front)
        ranges = [axis.inside(q) for axis, q in zip(c.axes, outer)]

        def channels(o: Index, lanes: int) -> None:
            for start, stop in ((0, first), (tiled, counts[-1])):
                with b.loop(start, stop) as q:
                    inside = c.axes[-1].inside(q)
                    _windows(c, [n, *outer], q, 1, [*ranges, inside], group, o, lanes)
            if tiled > first:
                with b.loop(first, tiled, TOGETHER) as q:
                    inside = (0, c.windows.size[-1])
                    _windows(c, [n, *outer], q, TOGETHER, [*ranges, inside], group, o, lanes)

        Row(b, c.lanes).cover(0, c.made, channels)
    return math.prod(front)


def _windows(
    c: _Convolution,
    outer: list[Index],
    q: Index,
    count: int,
    ranges: Sequence[tuple[Index, Index]],
    group: Index,
    o: Index,
    lanes: int,
) -> None:
    """Neighbouring windows from q on: ``lanes`` output channels of each, over the same positions."""
    b, (n, *front) = c.b, outer
    channel = c.output_channel(group, o)

    def position(p: list[Index], sums: list[Value]) -> list[Value]:
        weights = c.w.at(*p, 0, channel).tail(2)
        places = [elements(c.axes, [*front, b.iadd(q, k)], p) for k in range(count)]
        inputs = [c.x.at(n, *place, c.input_channel(group, 0, o)).tail(1) for place in places]
        i, totals, finish = b.loop_carrying(0, c.taken, 1, sums)
        weight = weights.load(i, lanes=lanes)
        elements_here = [source.load(i, lanes=lanes if c.depthwise else 1) for source in inputs]
        return finish([c.multiply_add(x, weight, total) for x, total in zip(elements_here, totals)])

    sums = nest(b, ranges, [c.sum_of(lanes)] * count, position)
    for k, total in enumerate(sums):
        c.y.store(total, n, *front, b.iadd(q, k), channel)


# The form solved for x ----------------------------------------------------------------------------------------------


def write_input_gradient(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are rows of the grid."""
    c = _Convolution(writer, core_of(kernel), target)
    b, spatial = c.b, c.windows.spatial
    front = (c.examples, *spatial[:-1])
    full = c.taken // TOGETHER * TOGETHER
    with b.loop(b.param("begin"), b.param("end")) as unit, b.loop(0, spatial[-1]) as u:
        n, *outer = unravelled(b, unit, front)
        if c.depthwise:
            Row(b, c.lanes).cover(0, c.made, lambda o, lanes: _each_channel(c, [n, *outer, u], o, lanes))
        else:
            with b.loop(0, c.groups) as group:
                with b.loop(0, full, TOGETHER) as i:
                    _inputs(c, [n, *outer, u], group, i, TOGETHER)
                if c.taken > full:
                    _inputs(c, [n, *outer, u], group, full, c.taken - full)
    return math.prod(front)


def _each_channel(c: _Convolution, place: list[Index], o: Index, lanes: int) -> None:
    """An element of the grid in depthwise form, ``lanes`` channels at a time."""
    n, *at = place

    def held(p: list[Index], q: list[Index], sums: list[Value]) -> list[Value]:
        return [c.multiply_add(c.y.load(n, *q, o, lanes=lanes), c.w.load(*p, 0, o, lanes=lanes), sums[0])]

    (total,) = over_windows_with(c.axes, at, [c.sum_of(lanes)], held)
    c.x.store(total, *place, o)


def _inputs(c: _Convolution, place: list[Index], group: Index, i: Index, count: int) -> None:
    """Neighbouring input channels from i on, of one element of the grid.

    Each has a vector of sums, and narrower ones for the output channels that do not fill a vector.
    """
    b, (n, *at) = c.b, place
    full, rest = c.made // c.lanes * c.lanes, widths(c.made % c.lanes, c.lanes)
    parts = [c.lanes, *rest] if full else rest
    first_output = c.output_channel(group, 0)

    def held(p: list[Index], q: list[Index], sums: list[Value]) -> list[Value]:
        given = c.y.at(n, *q, first_output).tail(1)
        weights = [c.w.at(*p, b.iadd(i, k), first_output).tail(1) for k in range(count)]

        def meet(o: Index, lanes: int, sums: Sequence[Value]) -> list[Value]:
            y = given.load(o, lanes=lanes)
            return [c.multiply_add(w.load(o, lanes=lanes), y, total) for w, total in zip(weights, sums)]

        found: list[Value] = []
        if full:
            o, inside, finish = b.loop_carrying(0, full, c.lanes, sums[:count])
            found = finish(meet(o, c.lanes, inside))
        done = full
        for lanes in rest:
            found += meet(done, lanes, sums[len(found) : len(found) + count])
            done += lanes
        return found

    sums = over_windows_with(c.axes, at, [c.sum_of(lanes) for lanes in parts for _ in range(count)], held)
    for k in range(count):
        total, *others = (across(b, x) for x in sums[k::count])
        for other in others:
            total = b.add(total, other)
        c.x.store(total, *place, c.input_channel(group, b.iadd(i, k), 0))


# The form solved for w ----------------------------------------------------------------------------------------------


def write_kernel_gradient(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are a few input channels at one position of the kernel."""
    c = _Convolution(writer, core_of(kernel), target)
    b, full = c.b, c.taken // TOGETHER
    tiles = -(-c.taken // TOGETHER)
    with b.loop(b.param("begin"), b.param("end")) as unit:
        *p, tile = unravelled(b, unit, (*c.windows.size, tiles))
        for which, count in (("slt", TOGETHER), ("eq", c.taken % TOGETHER)):
            if count:
                with (
                    b.when(b.compare(which, b.index(tile), b.index(full))),
                    b.loop(0, c.groups) as group,
                ):
                    i = b.imul(tile, TOGETHER)
                    Row(b, c.lanes).cover(
                        0, c.made, lambda o, lanes, g=group, i=i, n=count: _weights(c, p, g, i, n, o, lanes)
                    )
    return math.prod(c.windows.size) * tiles


def _weights(c: _Convolution, p: list[Index], group: Index, i: Index, count: int, o: Index, lanes: int) -> None:
    """Neighbouring input channels from i on, for ``lanes`` output channels."""
    b, channel = c.b, c.output_channel(group, o)
    ranges = [axis.reached(place) for axis, place in zip(c.axes, p)]

    def example(n: list[Index], totals: list[Value]) -> list[Value]:
        def window(q: list[Index], sums: list[Value]) -> list[Value]:
            inputs = c.x.at(*n, *elements(c.axes, q, p), c.input_channel(group, i, o)).tail(1)
            y = c.y.load(*n, *q, channel, lanes=lanes)
            xs = [inputs.load(k, lanes=lanes if c.depthwise else 1) for k in range(count)]
            return [c.multiply_add(x, y, total) for x, total in zip(xs, sums)]

        sums = nest(b, ranges, [c.sum_of(lanes)] * count, window)
        return [b.add(total, x) for total, x in zip(totals, sums)]

    totals = nest(b, [(0, c.examples)], [c.sum_of(lanes)] * count, example)
    for k, total in enumerate(totals):
        c.w.store(total, *p, b.iadd(i, k), channel)
