"""Reductions: sums, extremes, logic, positions, log-sum-exp along axes, and what is computed from the result.

Vectors lie either along the innermost reduced loop (each lane gathers a part, the parts are combined in a fixed tree
at the end) or, where memory runs that way, along the innermost result loop (each lane is a result of its own).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gradloom.executors.native import scalars, vectormath
from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.kernels.elementwise import lanes_of, widths
from gradloom.executors.native.loops import Block, extended, merge
from gradloom.executors.native.target import Target

Combine = Callable[[Function, Value, Value], Value]
ACCUMULATORS = 4  # independent sums that hide the latency of an addition


@dataclass(frozen=True)
class Pass:
    """One sweep over the reduced loops.

    Attributes:
        start: the identity of the combination.
        combine: joins two partial results.
        element: the value to combine from the operand's element, its position and the results of earlier passes.
        dtype: the LLVM element type of the partial results, None for the operand's.
    """

    start: float | int
    combine: Combine
    element: Callable[[Function, Value, Value, list[Value]], Value] = lambda b, x, position, earlier: x
    dtype: str | None = None


@dataclass(frozen=True)
class Recipe:
    """The passes of a reduction, and its result from theirs."""

    passes: tuple[Pass, ...]
    finish: Callable[[Function, list[Value]], Value] = lambda b, found: found[-1]


def _add(b: Function, x: Value, y: Value) -> Value:
    return b.add(x, y)


def _extreme(name: str) -> Callable[[np.dtype], Combine]:
    return lambda dtype: lambda b, x, y: scalars.CODE[name](b, (x, y), dtype)


def _bounds(dtype: np.dtype) -> tuple[float, float]:
    if dtype.kind == "f":
        return -math.inf, math.inf
    if dtype.kind == "b":
        return 0, 1
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _position_recipe(name: str, dtype: np.dtype) -> Recipe:
    """The extreme value, then the least position that attains it (or is NaN, which counts as extreme)."""
    low, high = _bounds(dtype)
    combine = _extreme("maximum" if name == "argmax" else "minimum")(dtype)
    never = 2**62

    def where(b: Function, x: Value, position: Value, earlier: list[Value]) -> Value:
        best = b.splat(earlier[0], x.lanes)
        attained = b.compare("ueq" if x.is_float else "eq", x, best)
        if x.is_float:  # if the best is a number then no element is NaN; if it is NaN look for NaN alone
            nan_best = b.compare("uno", best, best)
            attained = b.select(nan_best, b.compare("uno", x, x), attained)
        return b.select(attained, b.splat(position, x.lanes), b.const(vector("i64", x.lanes), never))

    def least(b: Function, x: Value, y: Value) -> Value:
        return b.select(b.compare("slt", x, y), x, y)

    first = Pass(low if name == "argmax" else high, combine)
    return Recipe((first, Pass(never, least, where, "i64")))


def _logsumexp_recipe(dtype: np.dtype) -> Recipe:
    """The largest element m, then log Σ e^(x - m) + m; an infinite m is not subtracted."""

    def shift(b: Function, peak: Value) -> Value:
        finite = b.compare("one", b.intrinsic("fabs", peak), b.const(peak.type, math.inf))
        return b.select(finite, peak, b.const(peak.type, 0))

    def raised(b: Function, x: Value, position: Value, earlier: list[Value]) -> Value:
        return vectormath.exp(b, b.sub(x, b.splat(shift(b, earlier[0]), x.lanes)))

    def finish(b: Function, found: list[Value]) -> Value:
        return b.add(vectormath.log(b, found[1]), shift(b, found[0]))

    return Recipe((Pass(-math.inf, _extreme("maximum")(dtype)), Pass(-0.0, _add, raised)), finish)


def recipe(name: str, dtype: np.dtype) -> Recipe:
    """How a reduction primitive is computed."""
    low, high = _bounds(dtype)
    if name in ("argmax", "argmin"):
        return _position_recipe(name, dtype)
    if name == "logsumexp":
        return _logsumexp_recipe(dtype)
    simple = {
        "contract": Pass(0, _add),
        "reduce_sum": Pass(-0.0 if dtype.kind == "f" else 0, _add),
        "reduce_prod": Pass(1, lambda b, x, y: b.mul(x, y)),
        "reduce_max": Pass(low, _extreme("maximum")(dtype)),
        "reduce_min": Pass(high, _extreme("minimum")(dtype)),
        "reduce_any": Pass(0, lambda b, x, y: b.binary("or", x, y)),
        "reduce_all": Pass(1, lambda b, x, y: b.binary("and", x, y)),
    }
    return Recipe((simple[name],))


NAMES = (
    *("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_any", "reduce_all"),
    *("argmax", "argmin", "logsumexp"),
)


@dataclass
class _Reduction:
    """A reduction kernel with its loops merged: results first, reduced loops after."""

    writer: BlockWriter
    kernel: Kernel
    target: Target

    def __post_init__(self) -> None:
        kernel = self.kernel
        assert kernel.inner is not None
        results, reduced = len(kernel.shape), len(kernel.reduced)
        outer = [*kernel.block.places(), *(s.place for s in kernel.stores)]
        places = [*kernel.inner.places(), *(extended(p, 0, reduced) for p in outer)]
        merged = merge([kernel.shape, kernel.reduced], places)
        self.sizes = merged.sizes
        self.kept, self.folded = (len(r) for r in merged.segments)
        self.inner: Block = kernel.inner.rewritten(merged.place)
        self.block = kernel.block.rewritten(lambda p: merged.place(extended(p, 0, reduced)))
        self.stores = [Store(s.value, s.buffer, merged.place(extended(s.place, 0, reduced))) for s in kernel.stores]
        self.dtype = kernel.inner.dtypes[kernel.inner_value]
        self.lanes = lanes_of(self.target, kernel.inner)
        assert kernel.core is not None
        self.recipe = recipe(kernel.core.op.name, self.dtype)
        self.b = self.writer.b
        assert results + reduced >= self.kept + self.folded

    def along_results(self) -> bool:
        """Whether vectors lie along the innermost result loop."""
        if not self.kept or self.sizes[self.kept - 1] < 2:
            return False
        if not self.folded:
            return True
        last_kept, last = self.kept - 1, len(self.sizes) - 1
        loads = [p.strides for p in self.inner.places()]
        return sum(s[last_kept] == 1 for s in loads) > sum(s[last] == 1 for s in loads)

    # One result, or a vector of results --------------------------------------------------------------------------

    def result(self, index: list[Index], lanes: int) -> None:
        """Compute the results at an index (``lanes`` of them along the last result loop) and what follows."""
        found: list[Value] = []
        for step in self.recipe.passes:
            kind = step.dtype or scalars.REGISTER[self.dtype.name]
            if lanes > 1 or not self.folded or self.lanes == 1:
                found.append(self._fold_across(step, kind, index, lanes, found))
            else:
                found.append(self._fold_along(step, kind, index, found))
        here = Here([*index, *([0] * self.folded)], lanes, self.kept - 1)
        assert self.kernel.core is not None
        values = self.writer.values(self.block, here, {self.kernel.core: self.recipe.finish(self.b, found)})
        for s in self.stores:
            self.writer.store(values[s.value], s.buffer, s.place, here)

    def _element(self, step: Pass, index: list[Index], lanes: int, axis: int, earlier: list[Value]) -> Value:
        values = self.writer.values(self.inner, Here(index, lanes, axis), {})
        x = self.b.splat(values[self.kernel.inner_value], lanes)
        position = self._position(index, lanes if axis == len(self.sizes) - 1 and self.folded else 1)
        return step.element(self.b, x, position, earlier)

    def _position(self, index: list[Index], lanes: int) -> Value:
        """The position along the reduced loop (positions are asked for where there is one)."""
        b = self.b
        first = b.index(index[-1] if self.folded else 0)
        if lanes == 1:
            return first
        steps = ", ".join(f"i64 {i}" for i in range(lanes))
        return b.add(b.splat(first, lanes), Value(f"<{steps}>", vector("i64", lanes)))

    def _fold_across(self, step: Pass, kind: str, index: list[Index], lanes: int, earlier: list[Value]) -> Value:
        """Every lane is a result: walk the reduced loops one element at a time."""
        start = self.b.const(vector(kind, lanes), step.start)

        def body(reduced: list[Index], so_far: list[Value]) -> list[Value]:
            x = self._element(step, [*index, *reduced], lanes, self.kept - 1, earlier)
            return [step.combine(self.b, so_far[0], x)]

        return self._walk(self.sizes[self.kept :], [], [start], body)[0]

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
        b, count, lanes = self.b, self.sizes[-1], self.lanes
        sums = ACCUMULATORS if count >= ACCUMULATORS * lanes else 1
        axis = len(self.sizes) - 1
        stride = sums * lanes
        full = count // stride * stride
        wide = [b.const(vector(kind, lanes), step.start)] * sums

        def element(outer: list[Index], i: Index, width: int) -> Value:
            return self._element(step, [*index, *outer, i], width, axis, earlier)

        def body(outer: list[Index], so_far: list[Value]) -> list[Value]:
            totals, rest = list(so_far[:sums]), so_far[sums]
            if full:
                i, inside, finish = b.loop_carrying(0, full, stride, totals)
                parts = [element(outer, b.iadd(i, k * lanes), lanes) for k in range(sums)]
                totals = finish([step.combine(b, t, x) for t, x in zip(inside, parts)])
            done = full
            while count - done >= lanes:
                totals[0] = step.combine(b, totals[0], element(outer, done, lanes))
                done += lanes
            for width in widths(count - done, lanes):
                rest = step.combine(b, rest, self._across(step, element(outer, done, width)))
                done += width
            return [*totals, rest]

        *totals, rest = self._walk(self.sizes[self.kept : -1], [], [*wide, b.const(kind, step.start)], body)
        while len(totals) > 1:
            totals = [step.combine(b, x, y) for x, y in zip(totals[::2], totals[1::2])]
        return step.combine(b, self._across(step, totals[0]), rest)

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


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; returns the number of units, turns of the outermost result loop."""
    b = writer.b
    r = _Reduction(writer, kernel, target)
    across = r.along_results()
    begin, end = b.param("begin"), b.param("end")

    def inside(sizes: Sequence[int], index: list[Index]) -> None:
        if not sizes:
            r.result(index, 1)
        elif len(sizes) == 1 and across:
            _vectors(r, index, 0, sizes[0])
        else:
            with b.loop(0, sizes[0]) as i:
                inside(sizes[1:], [*index, i])

    results = r.sizes[: r.kept]
    if not results:
        with b.when(b.compare("slt", begin, end)):  # one unit, for one of the threads
            r.result([], 1)
        return 1
    if len(results) == 1 and across:
        return _blocks_of_vectors(r, results[0])
    with b.loop(begin, end) as first:
        inside(results[1:], [first])
    return results[0]


def _vectors(r: _Reduction, index: list[Index], start: Index, count: int) -> None:
    """A run of results, in vectors."""
    b = r.b
    full = count // r.lanes * r.lanes
    if full:
        with b.loop(0, full, r.lanes) as i:
            r.result([*index, b.iadd(start, i)], r.lanes)
    done = full
    for width in widths(count - full, r.lanes):
        r.result([*index, b.iadd(start, done)], width)
        done += width


def _blocks_of_vectors(r: _Reduction, count: int) -> int:
    """One loop over results, a vector a unit; the last unit may be narrower."""
    b = r.b
    full, rest = divmod(count, r.lanes)
    if full:
        with b.loop(b.param("begin"), b.imin(b.param("end"), full)) as block:
            r.result([b.imul(block, r.lanes)], r.lanes)
    if rest:
        with b.when(b.compare("sgt", b.param("end"), b.index(full))):
            _vectors(r, [], full * r.lanes, rest)
    return full + (1 if rest else 0)
