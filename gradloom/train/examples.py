"""Data sets in memory: inputs, targets and weights of examples, checked before any training."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from gradloom import random, tree
from gradloom.errors import DataError, OptionError, ShapeError
from gradloom.ir.tensortype import is_float, kind_of
from gradloom.records import dataclass
from gradloom.semantics import unevenness
from gradloom.tensor import Tensor
from gradloom.train.inputs import Inputs, checked_inputs

_ONE_THREAD = 8192
"""Numbers that BLAS squares and sums without waking threads, which would look for more work for a while and be in the
way of the program's own."""


@dataclass(frozen=True)
class Examples:
    """A data set: inputs (n, ...), targets (n, ...), weights (n,) or maps of weights (n, ...).

    Several inputs are a dict or a tuple of arrays, see train/inputs.py.
    """

    inputs: Inputs
    targets: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: slice | np.ndarray) -> tuple[Inputs, np.ndarray, np.ndarray]:
        """The batch of these rows."""
        return tree.map(lambda array: array[rows], (self.inputs, self.targets, self.weights))

    @cached_property
    def arrays(self) -> tuple[Inputs, np.ndarray, np.ndarray]:
        """All of it, for programs that take their batches out of it themselves."""
        return tree.map(np.ascontiguousarray, (self.inputs, self.targets, self.weights))

    @cached_property
    def leaves(self) -> list[np.ndarray]:
        """The same arrays one after the other, as programs take them."""
        return tree.leaves(self.arrays)


def as_examples(data: Any, who: str, dtype: Any = "float32") -> Examples:
    """A data set from (x, y), (x, y, weights), or anything with ``inputs`` and ``targets``; x may be several arrays.

    Booleans and integers become int64; uint8, the type of images, is kept.

    Args:
        data: the data set.
        who: for messages.
        dtype: what floats become, and weights.

    Raises:
        DataError: no rows, no numbers, NaN or infinity, no targets, negative weights.
        ShapeError: inputs, targets and weights differ in length.
    """
    inputs, targets, weights = parts_of(data, who)
    floats = np.dtype(dtype)
    x, y = as_inputs(inputs, who, dtype), _checked(targets, f"{who} targets", floats)
    rows = len(tree.leaves(x)[0])
    w = np.ones(rows, floats) if weights is None else _checked(weights, f"{who} weights", floats).astype(floats)
    if not rows == len(y) == len(w):
        raise ShapeError(
            who, rule="inputs, targets and weights must have equal lengths", got=f"{rows}, {len(y)} and {len(w)}"
        )
    if w.ndim != 1 and w.shape not in (y.shape, y.shape[:-1]):
        also, of = (", or for each position of the targets", f" for {y.shape}") if y.ndim > 1 else ("", "")
        rule = f"there must be one weight for each example{also}"
        raise ShapeError(f"{who} weights", rule=rule, got=f"shape {w.shape}{of}")
    if (w < 0).any() or not w.any():
        raise DataError(f"{who} weights", rule="weights must not be negative, nor all zero", got=f"least {w.min():g}")
    return Examples(x, y, w)


def as_inputs(values: Any, who: str, dtype: Any = "float32") -> Inputs:
    """Inputs alone, likewise checked."""
    floats = np.dtype(dtype)
    return checked_inputs(values, f"{who} inputs", lambda array, name: _checked(array, name, floats))


def hold_out(examples: Examples, share: float, key: Tensor) -> tuple[Examples, Examples]:
    """Two data sets, the second a random ``share`` of the examples.

    Args:
        examples: what to divide.
        share: between 0 and 1; each part gets at least one example.
        key: determines which examples are held out.

    Raises:
        OptionError: the share lies outside, or there is only one example.
    """
    if not 0 < share < 1 or len(examples) < 2:
        raise OptionError(
            "fit",
            rule="validation as a number is the share, between 0 and 1, of at least 2 examples",
            got=f"{share} of {len(examples)}",
        )
    held = held_out(len(examples), share)
    order = random.permutation(key, len(examples)).numpy()
    # Sorted, so that without shuffling the examples keep their order.
    return Examples(*examples.take(np.sort(order[held:]))), Examples(*examples.take(np.sort(order[:held])))


def held_out(count: int, share: float) -> int:
    """How many of some examples a share of them is; at least one, and not all."""
    return min(max(round(share * count), 1), count - 1)


def first_weights(weights: np.ndarray, count: int) -> np.ndarray:
    """The weights of a batch of which only the first examples count."""
    return np.where(
        np.arange(len(weights)).reshape(-1, *[1] * (weights.ndim - 1)) < count, weights, weights.dtype.type(0)
    )


def parts_of(data: Any, who: str) -> tuple[Any, Any, Any]:
    """Inputs, targets and weights (None where there are none) of a data set.

    Raises:
        DataError: it is no data set, or has no targets.
    """
    if hasattr(data, "inputs") and hasattr(data, "targets"):
        parts = (data.inputs, data.targets, getattr(data, "weights", None))
    elif isinstance(data, (tuple, list)) and len(data) in (2, 3):
        parts = (data[0], data[1], data[2] if len(data) == 3 else None)
    else:
        raise DataError(
            who,
            rule="a data set is (inputs, targets) or (inputs, targets, weights)",
            got=type(data).__name__ + (f" of {len(data)}" if isinstance(data, (tuple, list)) else ""),
            fix="Chunks that come one after the other are train.Stream(function)." if callable(data) else "",
        )
    if parts[1] is None:
        raise DataError(who, rule="training and evaluation need targets", got="none")
    return parts


def _checked(values: Any, who: str, floats: np.dtype) -> np.ndarray:
    """Numbers as an array with at least one row, all finite."""
    if type(values) is np.ndarray and values.dtype == floats and values.ndim and values.size and are_finite(values):
        return values  # by far the most usual
    try:
        array = values.numpy() if isinstance(values, Tensor) else np.asarray(values)
    except ValueError:
        raise DataError(
            who,
            rule="all rows must have one shape",
            got=unevenness(values),
            fix="Fill up the short rows, or cut the long ones.",
        ) from None
    if kind_of(array.dtype) not in "fiub":
        raise DataError(
            who,
            rule="values must be numbers",
            got=f"{array.dtype}",
            fix="Encode text first, e.g. with data.pipeline.",
        )
    if array.ndim == 0 or len(array) == 0:
        raise DataError(who, rule="at least one row is needed", got=f"shape {array.shape}")
    if is_float(array.dtype):
        return _finite(array, who, floats)
    return array if array.dtype == np.uint8 else array.astype(np.int64)


def _finite(array: np.ndarray, who: str, floats: np.dtype) -> np.ndarray:
    """Floats in one type, none of them NaN, infinite, or beyond the range of that type."""
    if array.dtype == floats and are_finite(array):
        return array
    _refuse_where(
        ~np.isfinite(array),
        array,
        who,
        rule="values must be finite",
        fix="Impute or drop missing values, and find out where infinities come from.",
    )
    with np.errstate(over="ignore"):
        found = array.astype(floats, copy=False)
    rule = f"values must be within the range of {floats.name}"
    _refuse_where(np.isinf(found), array, who, rule=rule, fix="Scale them first, e.g. with data.Standardize.")
    return found


def are_finite(array: np.ndarray) -> bool:
    """Whether no number is NaN or infinite; the sum of squares says so in one pass, unless it overflows itself."""
    if array.size <= _ONE_THREAD:
        if math.isfinite(np.vdot(array, array)):
            return True
    elif array.flags.c_contiguous:
        flat = array.reshape(-1)
        parts = [flat[start : start + _ONE_THREAD] for start in range(0, flat.size, _ONE_THREAD)]
        if all(map(math.isfinite, map(np.vdot, parts, parts))):
            return True
    return bool(np.isfinite(array).all())


def _refuse_where(wrong: np.ndarray, array: np.ndarray, who: str, *, rule: str, fix: str) -> None:
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(who, rule=rule, got=f"{array[place]:g} at {place} ({wrong.sum()} such values)", fix=fix)
