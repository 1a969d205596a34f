"""What each reduction computes: passes over the reduced elements, and the result from what these find."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gradloom.executors.native import scalars, vectormath
from gradloom.executors.native.builder import Function, Value, vector
from gradloom.records import dataclass

Combine = Callable[[Function, Value, Value], Value]


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
