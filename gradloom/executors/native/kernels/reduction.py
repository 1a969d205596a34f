"""Reductions: sums, extremes, logic, positions, log-sum-exp along axes, and what is computed from the result.

Vectors lie either along the innermost reduced loop (each lane gathers a part, the parts are combined in a fixed tree
at the end) or, where memory runs that way, along the innermost result loop (each lane is a result of its own; a few
vectors side by side make a panel, so that a walk down the rows of a matrix uses whole cache lines of each).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from gradloom.executors.native import scalars
from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Index, Value, first_lanes, vector
from gradloom.executors.native.kernel import REDUCTIONS, Kernel, Store
from gradloom.executors.native.kernels.elementwise import covering, lanes_of, widths
from gradloom.executors.native.kernels.recipes import Pass, recipe
from gradloom.executors.native.kernels.units import decode
from gradloom.executors.native.loops import Block, Gathered, extended, merge
from gradloom.executors.native.target import Target
from gradloom.ops import contraction
from gradloom.records import dataclass

ACCUMULATORS = 4
"""Independent partial results, which hide the latency of an addition."""
LONG = 12
"""Instructions in the reduced element from which on it is written once a turn: more copies gain nothing by it."""


@dataclass(frozen=True)
class Loops:
    """The merged loops of a reduction, results first, and how they are cut.

    Attributes:
        sizes: turns of all loops.
        kept: how many of them are over results.
        inner: the program of the reduced element.
        block: the program behind the result.
        stores: what is written.
        lanes: elements of a full vector.
        panel: widths of the vectors side by side along the last result loop; () where vectors lie along reduced ones.
        panels: number of full panels.
        rest: widths of the vectors of the last, narrower panel.
    """

    sizes: tuple[int, ...]
    kept: int
    inner: Block
    block: Block
    stores: tuple[Store, ...]
    lanes: int
    panel: tuple[int, ...] = ()
    panels: int = 0
    rest: tuple[int, ...] = ()

    @property
    def most(self) -> int:
        """How many partial results there may be side by side; loads from computed positions are long code, for they are
        checked and made lane by lane."""
        short = len(self.inner.code) < LONG and not any(isinstance(i, Gathered) for i in self.inner.code)
        return ACCUMULATORS if short else 1

    @property
    def units(self) -> tuple[int, ...]:
        """The loops that are divided among threads."""
        results = self.sizes[: self.kept]
        return (*results[:-1], self.panels + bool(self.rest)) if self.panel or self.rest else results

    @property
    def reduced(self) -> tuple[int, ...]:
        """Turns of the reduced loops."""
        return self.sizes[self.kept :]


def loops_of(kernel: Kernel, target: Target) -> Loops:
    """Merge a reduction's loops and choose where its vectors lie."""
    assert kernel.inner is not None
    reduced = len(kernel.reduced)
    outer = [*kernel.block.places(), *(s.place for s in kernel.stores)]
    segments = [kernel.shape[: kernel.rows], kernel.shape[kernel.rows :], kernel.reduced]
    merged = merge(segments, [*kernel.inner.places(), *(extended(p, 0, reduced) for p in outer)])
    kept = merged.segments[2].start
    inner = kernel.inner.rewritten(merged.place)
    block = kernel.block.rewritten(lambda p: merged.place(extended(p, 0, reduced)))
    stores = tuple(Store(s.value, s.buffer, merged.place(extended(s.place, 0, reduced))) for s in kernel.stores)
    lanes = lanes_of(target, kernel.inner)
    loops = Loops(merged.sizes, kept, inner, block, stores, lanes)
    if not _along_results(merged.sizes, kept, inner):
        return loops
    count = merged.sizes[kept - 1]
    panel = (lanes,) * min(loops.most, count // lanes)
    panels = count // sum(panel) if panel else 0
    left = count - panels * sum(panel)
    rest = (lanes,) * (left // lanes) + tuple(widths(left % lanes, lanes))
    return replace(loops, panel=panel, panels=panels, rest=rest)


def _along_results(sizes: Sequence[int], kept: int, inner: Block) -> bool:
    """Whether vectors lie along the innermost result loop."""
    if not kept:
        return False
    if kept == len(sizes):
        return True
    loads = [p.strides for p in inner.places()]
    return sum(s[kept - 1] == 1 for s in loads) > sum(s[-1] == 1 for s in loads)


def is_reduction(kernel: Kernel) -> bool:
    """Whether a kernel's loops are these (products with a vector are sums)."""
    core = kernel.core
    if core is None or kernel.operands:
        return False
    return core.op in REDUCTIONS or core.op is contraction.contract


def units(kernel: Kernel, target: Target) -> tuple[int, ...]:
    """The loops over results, which are divided."""
    return loops_of(kernel, target).units


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; returns the number of units."""
    b, r = writer.b, _Reduction(writer, kernel, loops_of(kernel, target))
    loops = r.loops
    with b.loop(writer.begin, writer.end) as unit:
        index = decode(b, unit, loops.units)
        if not (loops.panel or loops.rest):
            r.results(index, ())
        elif not loops.panels:
            r.results([*index[:-1], 0], loops.rest)
        else:
            _panels(r, index)
    return math.prod(loops.units)


def _panels(r: _Reduction, index: list[Index]) -> None:
    """Full panels and the narrower last one have code of their own."""
    b, loops = r.b, r.loops
    *outer, panel = index
    width = sum(loops.panel)
    if not loops.rest:
        r.results([*outer, b.imul(panel, width)], loops.panel)
        return
    with b.when(b.compare("slt", b.index(panel), b.index(loops.panels))):
        r.results([*outer, b.imul(panel, width)], loops.panel)
    with b.when(b.compare("eq", b.index(panel), b.index(loops.panels))):
        r.results([*outer, loops.panels * width], loops.rest)


@dataclass
class _Reduction:
    """Writes the passes of one unit."""

    writer: BlockWriter
    kernel: Kernel
    loops: Loops

    def __post_init__(self) -> None:
        assert self.kernel.core is not None
        self.b = self.writer.b
        self.dtype = self.loops.inner.dtypes[self.kernel.inner_value]
        self.recipe = recipe(self.kernel.core.op.name, self.dtype)

    def results(self, index: list[Index], vectors: Sequence[int]) -> None:
        """Compute one result, or a panel of them that begins at an index, and what follows from them."""
        found: list[list[Value]] = []
        across = bool(vectors)
        places = [(sum(vectors[:j]), width) for j, width in enumerate(vectors)] or [(0, 1)]
        for step in self.recipe.passes:
            kind = step.dtype or scalars.REGISTER[self.dtype.name]
            if across or not self.loops.reduced or self.loops.lanes == 1:
                found.append(self._fold_across(step, kind, index, places, found))
            else:
                found.append([self._fold_along(step, kind, index, [values[0] for values in found])])
        for j, (place, width) in enumerate(places):
            self._finish(self._shifted(index, place), width, [values[j] for values in found])

    def _finish(self, index: list[Index], lanes: int, found: list[Value]) -> None:
        """Compute what follows from the results and write it."""
        core, extreme = self.kernel.core, self.kernel.extreme
        assert core is not None
        here = Here([*index, *([0] * len(self.loops.reduced))], lanes, self.loops.kept - 1)
        given = {core: self.recipe.finish(self.b, found)}
        if extreme is not None:
            given[extreme] = found[0]
        values = self.writer.values(self.loops.block, here, given)
        for s in self.loops.stores:
            self.writer.store(values[s.value], s.buffer, s.place, here)

    def _shifted(self, index: list[Index], place: int) -> list[Index]:
        """An index some results further along the last result loop."""
        return [*index[:-1], self.b.iadd(index[-1], place)] if place else index

    def _element(
        self, step: Pass, index: list[Index], lanes: int, axis: int, earlier: list[Value], valid: int | None = None
    ) -> Value:
        values = self.writer.values(self.loops.inner, Here(index, lanes, axis, valid), {})
        x = self.b.splat(values[self.kernel.inner_value], lanes)
        position = self._position(index, lanes if axis == len(self.loops.sizes) - 1 and self.loops.reduced else 1)
        return step.element(self.b, x, position, earlier)

    def _position(self, index: list[Index], lanes: int) -> Value:
        """The position along the reduced loop (positions are asked for where there is one)."""
        b = self.b
        first = b.index(index[-1] if self.loops.reduced else 0)
        if lanes == 1:
            return first
        steps = ", ".join(f"i64 {i}" for i in range(lanes))
        return b.add(b.splat(first, lanes), Value(f"<{steps}>", vector("i64", lanes)))

    def _fold_across(
        self, step: Pass, kind: str, index: list[Index], places: list[tuple[int, int]], earlier: list[list[Value]]
    ) -> list[Value]:
        """Every lane is a result: walk the reduced loops an element at a time, or a few where the panel is narrow."""
        b, loops = self.b, self.loops
        count = loops.reduced[-1] if loops.reduced else 1
        turns = max(1, min(loops.most // len(places), count))
        full = count // turns * turns

        def added(sums: list[Value], outer: list[Index], i: Index, times: int) -> list[Value]:
            """The sums with ``times`` elements from position ``i`` on; sum number k · places + j is of vector j."""
            found = list(sums)
            for k in range(times):
                at = [*outer, b.iadd(i, k)] if loops.reduced else outer
                for j, (place, width) in enumerate(places):
                    before = [values[j] for values in earlier]
                    x = self._element(step, [*self._shifted(index, place), *at], width, loops.kept - 1, before)
                    found[k * len(places) + j] = step.combine(b, found[k * len(places) + j], x)
            return found

        def body(outer: list[Index], sums: list[Value]) -> list[Value]:
            i, inside, finish = b.loop_carrying(0, full, turns, sums)
            return added(finish(added(inside, outer, i, turns)), outer, full, count - full)

        start = [b.const(vector(kind, width), step.start) for _ in range(turns) for _, width in places]
        sums = self._walk(loops.reduced[:-1], [], start, body)
        while len(sums) > len(places):
            last = len(places) * (len(sums) // len(places) // 2)
            pairs = [step.combine(b, x, y) for x, y in zip(sums[:last], sums[last : 2 * last])]
            sums = [*pairs, *sums[2 * last :]]
        return sums

    def _walk(
        self,
        sizes: Sequence[int],
        outer: list[Index],
        carried: list[Value],
        body: Callable[[list[Index], list[Value]], list[Value]],
    ) -> list[Value]:
        """Loops inside loops that carry partial results."""
        if not sizes:
            return body(outer, carried)
        i, inside, finish = self.b.loop_carrying(0, sizes[0], 1, carried)
        return finish(self._walk(sizes[1:], [*outer, i], inside, body))

    def _fold_along(self, step: Pass, kind: str, index: list[Index], earlier: list[Value]) -> Value:
        """Lanes share one result: vectors along the innermost reduced loop, several sums at a time."""
        b, count = self.b, self.loops.sizes[-1]
        lanes = covering(count, self.loops.lanes)
        sums = min(self.loops.most, ACCUMULATORS if count >= ACCUMULATORS * lanes else 2 if count > lanes else 1)
        axis = len(self.loops.sizes) - 1
        stride = sums * lanes
        full = count // stride * stride
        start = b.const(vector(kind, lanes), step.start)

        def element(outer: list[Index], i: Index, valid: int = lanes) -> Value:
            return self._element(step, [*index, *outer, i], lanes, axis, earlier, valid)

        def body(outer: list[Index], so_far: list[Value]) -> list[Value]:
            totals = list(so_far)
            if full:
                i, inside, finish = b.loop_carrying(0, full, stride, totals)
                parts = [element(outer, b.iadd(i, k * lanes)) for k in range(sums)]
                totals = finish([step.combine(b, t, x) for t, x in zip(inside, parts)])
            for k, done in enumerate(range(full, count, lanes)):
                valid = min(lanes, count - done)
                x = element(outer, done, valid)
                if valid < lanes:
                    x = b.select(first_lanes(lanes, valid), x, start)
                totals[k % sums] = step.combine(b, totals[k % sums], x)
            return totals

        totals = self._walk(self.loops.reduced[:-1], [], [start] * sums, body)
        while len(totals) > 1:
            totals = [step.combine(b, x, y) for x, y in zip(totals[::2], totals[1::2])]
        return self._across(step, totals[0])

    def _across(self, step: Pass, x: Value) -> Value:
        """All lanes combined: halves onto halves."""
        b = self.b
        while x.lanes > 2:
            half = x.lanes // 2
            parts = []
            for first in (0, half):
                places = ", ".join(f"i32 {first + i}" for i in range(half))
                kind, mask = vector(x.element, half), f"<{half} x i32> <{places}>"
                parts.append(b.emit(kind, f"shufflevector {x.type} {x.text}, {x.type} poison, {mask}"))
            x = step.combine(b, *parts)
        return step.combine(b, b.lane(x, 0), b.lane(x, 1)) if x.lanes == 2 else x
