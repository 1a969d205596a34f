"""The value of a formula as it is written: what a person would compute who reads it.

The notation is evaluated by the rules that the documentation states, apart from the expression behind it, so a
wrong transposition or a lost bracket shows.  A vector is a column in a matrix product, and beside a matrix a row, as in
NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradloom.autodiff.formula.layout import ONES, Notation, transposed

CALLS = {
    "σ": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "log": np.log,
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "sign": np.sign,
    "abs": np.abs,
}
RELATIONS = {">": np.greater, "≤": np.less_equal, "<": np.less, "≥": np.greater_equal, "=": np.equal}


class NotMatrices(Exception):
    """The formula is written with indices."""


@dataclass
class Value:
    """An array and its rank; of a matrix an axis of size 1 stands for one along which it is the same."""

    array: np.ndarray  # of two axes; a vector is a column
    rank: int

    def row(self) -> np.ndarray:
        """As it stands beside a matrix."""
        return self.array.reshape(1, -1) if self.rank == 1 else self.array


def value_of(x: Notation, names: dict[str, np.ndarray]) -> Value:
    """The value of a piece of notation."""
    if x.kind == "number":
        return Value(np.full((1, 1), float(x.value)), 0)
    if x.kind == "symbol":
        array = np.asarray({"π": np.pi, "e": np.e, "𝟏": 1.0}.get(x.word, names.get(x.word)), float)
        if x == ONES:
            return Value(np.ones((1, 1)), 1)
        return Value(array if array.ndim == 2 else array.reshape(-1, 1), array.ndim)
    if x.kind == "matmul":
        return chain(x.parts, names)
    if x.kind == "transposed":
        inner = value_of(x.parts[0], names)
        return Value(inner.array.T, 2)
    if x.kind == "call":
        return call(x, names)
    if x.kind == "over":
        raise NotMatrices
    return together(x, [value_of(p, names) for p in x.parts])


def together(x: Notation, parts: list[Value]) -> Value:
    """What works element by element."""
    rank = max(p.rank for p in parts)
    arrays = [p.row() if rank == 2 else p.array for p in parts]
    if x.kind == "sum":
        return Value(sum(s * a for s, a in zip(x.signs, arrays)), rank)
    if x.kind in ("times", "hadamard"):
        return Value(np.prod(np.broadcast_arrays(*arrays), axis=0), rank)
    functions = {
        "negative": lambda a: -a,
        "fraction": lambda a, b: a / b,
        "power": lambda a, b: a**b,
        "root": np.sqrt,
        "exponential": np.exp,
        "condition": lambda a, b: RELATIONS[x.word](a, b).astype(float),
    }
    return Value(functions[x.kind](*arrays), rank)


def chain(parts: tuple[Notation, ...], names: dict[str, np.ndarray]) -> Value:
    """A matrix product; ones take the size of what they meet."""
    arrays = []
    for part in parts:
        if part.kind == "diagonal":
            arrays.append(np.diag(value_of(part.parts[0], names).array.ravel()))
        else:
            arrays.append(value_of(part, names).array)
    starts, ends = parts[0].kind == "transposed", parts[-1].kind == "transposed"
    found = arrays[0]
    for array in arrays[1:]:
        inner = max(found.shape[1], array.shape[0])
        found = np.broadcast_to(found, (found.shape[0], inner)) @ np.broadcast_to(array, (inner, array.shape[1]))
    left = starts and is_vector(parts[0].parts[0], names)
    right = not ends and is_vector(parts[-1], names)
    if left and right:
        return Value(found, 0)
    return Value(found.reshape(-1, 1), 1) if left or right else Value(found, 2)


def is_vector(x: Notation, names: dict[str, np.ndarray]) -> bool:
    return x.kind != "diagonal" and value_of(x, names).rank == 1


def call(x: Notation, names: dict[str, np.ndarray]) -> Value:
    args = [value_of(p, names) for p in x.parts]
    if x.word == "sum":
        return Value(args[0].array.sum().reshape(1, 1), 0)
    if x.word in ("softmax", "logsumexp", "max") and len(args) == 1:
        (arg,) = args
        axis = 1 if arg.rank == 2 else 0
        if x.word == "softmax":
            weights = np.exp(arg.array)
            return Value(weights / weights.sum(axis, keepdims=True), arg.rank)
        reduced = np.log(np.exp(arg.array).sum(axis)) if x.word == "logsumexp" else arg.array.max(axis)
        return Value(reduced.reshape(-1, 1), arg.rank - 1)
    rank = max(a.rank for a in args)
    arrays = [a.row() if rank == 2 else a.array for a in args]
    return Value({**CALLS, "max": np.maximum}[x.word](*arrays), rank)


def written_value(x: Notation, names: dict[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The value of a formula of this shape as it is written."""
    found = value_of(x, names)
    if len(shape) == 2:
        return np.broadcast_to(found.row(), shape)
    return np.broadcast_to(found.array.ravel(), shape) if shape else found.array.ravel()[0]


__all__ = ["NotMatrices", "transposed", "written_value"]
