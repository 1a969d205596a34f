"""The value of a formula, in float64: the way back from what a person reads to numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradloom.autodiff.formula.expression import (
    EULER,
    PI,
    Expression,
    Function,
    Index,
    Number,
    Product,
    Reduction,
    Sum,
    Symbol,
)
from gradloom.ops import elementwise as ew

Array = np.ndarray

_COMPUTE: dict[str, Callable[..., Any]] = {
    "σ": ew.sigmoid.meaning,
    "max": np.maximum,
    "min": np.minimum,
    "trunc": np.trunc,
    **{op.name: op.meaning for op in (ew.abs, ew.sign, ew.floor, ew.ceil, ew.round, ew.log, ew.softplus, ew.erf)},
    **{op.name: op.meaning for op in (ew.sin, ew.cos, ew.tan, ew.asin, ew.acos, ew.atan, ew.atan2)},
    **{op.name: op.meaning for op in (ew.sinh, ew.cosh, ew.tanh, ew.asinh, ew.acosh, ew.atanh)},
    "=": np.equal,
    "≠": np.not_equal,
    "<": np.less,
    "≤": np.less_equal,
    ">": np.greater,
    "≥": np.greater_equal,
}
_REDUCE: dict[str, Callable[..., Array]] = {
    "sum": np.sum,
    "max": np.max,
    "min": np.min,
    "logsumexp": lambda x, axis: np.logaddexp.reduce(x, axis=axis),
}


def evaluate(x: Expression, values: Mapping[str, Array], rank: int) -> Array:
    """The value of a formula.

    Args:
        x: an expression whose free indices are below ``rank``.
        values: the value of every symbol in it, by name.
        rank: the number of axes of the result; those whose index does not occur have size 1.
    """
    with np.errstate(all="ignore"):
        return _Evaluation(values, {i: i for i in range(rank)}).of(x)


class _Evaluation:
    """Values with an axis for every index in sight, in the order of ``places``; absent indices have size 1."""

    def __init__(self, values: Mapping[str, Array], places: dict[Index, int]) -> None:
        self.values, self.places = values, places

    def of(self, x: Expression) -> Array:
        if isinstance(x, Number):
            return self.placed(np.float64(x.value), ())
        if isinstance(x, Symbol):
            known = {EULER: math.e, PI: math.pi}
            return self.placed(np.float64(known[x]) if x in known else self.values[x.name], x.indices)
        if isinstance(x, Sum):
            return sum((float(c) * self.of(monomial) for monomial, c in x.terms), np.zeros((1,) * len(self.places)))
        if isinstance(x, Product):
            found = self.placed(np.float64(x.coefficient), ())
            for base, exponent in x.factors:
                found = found * self.power(base, exponent)
            return found
        if isinstance(x, Reduction):
            return self.reduced(x)
        assert isinstance(x, Function)
        args = np.broadcast_arrays(*(self.of(a) for a in x.args))
        if x.along is not None:
            weights = np.exp(args[0] - args[0].max(axis=self.places[x.along], keepdims=True))
            return weights / weights.sum(axis=self.places[x.along], keepdims=True)
        return np.asarray(_COMPUTE[x.name](*args), np.float64)

    def placed(self, value: Any, indices: tuple[Index, ...]) -> Array:
        """An array with its axes put where their indices belong."""
        array = np.asarray(value, np.float64)
        array = array.reshape([n for n in array.shape if n != 1] if array.ndim != len(indices) else array.shape)
        order = sorted(range(len(indices)), key=lambda n: self.places[indices[n]])
        shape = [1] * len(self.places)
        for n, index in enumerate(indices):
            shape[self.places[index]] = array.shape[n]
        return array.transpose(order).reshape(shape)

    def power(self, base: Expression, exponent: Expression) -> Array:
        if base is EULER or base == EULER:
            return np.exp(self.of(exponent))
        if isinstance(exponent, Number) and exponent.whole is not None:
            return self.of(base) ** float(exponent.whole)
        return np.power(self.of(base), self.of(exponent))

    def reduced(self, x: Reduction) -> Array:
        rank = len(self.places)
        inner = _Evaluation(self.values, {**self.places, **{i: rank + n for n, i in enumerate(x.indices)}})
        return _REDUCE[x.name](inner.of(x.body), axis=tuple(range(rank, rank + len(x.indices))))
