"""From data sets to batches: checks, weights, batch size, order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradloom import random
from gradloom.errors import DataError, OptionError, ShapeError
from gradloom.tensor import Tensor

ClassWeight = str | Mapping[int, float] | None


@dataclass(frozen=True)
class Examples:
    """A data set in memory: inputs (n, ...), targets (n, ...), weights (n,)."""

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The batch of these rows."""
        return self.inputs[rows], self.targets[rows], self.weights[rows]


def as_examples(data: Any, who: str, *, class_weight: ClassWeight = None) -> Examples:
    """A data set from (x, y), (x, y, weights), or anything with ``inputs`` and ``targets``.

    Args:
        data: the data set; 64-bit floats become float32 and integers of any width int64.
        who: for messages.
        class_weight: "balanced" (n / (classes · count) for each class) or a weight for each class, multiplied into
            the weights of the examples.

    Raises:
        DataError: no rows, NaN or infinity, no targets.
        ShapeError: inputs, targets and weights differ in length.
    """
    inputs, targets, weights = _parts(data, who)
    x, y = _checked(inputs, f"{who} inputs"), _checked(targets, f"{who} targets")
    w = np.ones(len(x), np.float32) if weights is None else _checked(weights, f"{who} weights")
    if not len(x) == len(y) == len(w):
        raise ShapeError(
            who, rule="inputs, targets and weights must have equal lengths", got=f"{len(x)}, {len(y)} and {len(w)}"
        )
    if (w < 0).any() or not w.any():
        raise DataError(f"{who} weights", rule="weights must not be negative, nor all zero", got=f"least {w.min():g}")
    return Examples(x, y, (w * _class_weights(y, class_weight, who)).astype(np.float32))


def _parts(data: Any, who: str) -> tuple[Any, Any, Any]:
    if hasattr(data, "inputs") and hasattr(data, "targets"):
        parts = (data.inputs, data.targets, getattr(data, "weights", None))
    elif isinstance(data, (tuple, list)) and len(data) in (2, 3):
        parts = (data[0], data[1], data[2] if len(data) == 3 else None)
    else:
        raise DataError(
            who,
            rule="a data set is (inputs, targets) or (inputs, targets, weights)",
            got=type(data).__name__ + (f" of {len(data)}" if isinstance(data, (tuple, list)) else ""),
        )
    if parts[1] is None:
        raise DataError(who, rule="training and evaluation need targets", got="none")
    return parts


def as_inputs(values: Any, who: str) -> np.ndarray:
    """Inputs alone, likewise checked."""
    return _checked(values, f"{who} inputs")


def _checked(values: Any, who: str) -> np.ndarray:
    array = values.numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise DataError(
            who, rule="values must be numbers", got=f"{array.dtype}", fix="Encode text first, e.g. with data.pipeline."
        )
    if array.ndim == 0 or len(array) == 0:
        raise DataError(who, rule="at least one row is needed", got=f"shape {array.shape}")
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False) if array.dtype != np.float16 else array.astype(np.float32)
        finite = np.isfinite(array)
        if not finite.all():
            place = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise DataError(
                who,
                rule="values must be finite",
                got=f"{array[place]} at {place}" + f" ({(~finite).sum()} such values)",
                fix="Impute or drop missing values, and find out where infinities come from.",
            )
        return array
    return array.astype(np.int64) if array.dtype.kind in "iu" and array.dtype != np.uint8 else array


def _class_weights(targets: np.ndarray, class_weight: ClassWeight, who: str) -> np.ndarray:
    """The factor of each example."""
    if class_weight is None:
        return np.ones(len(targets), np.float32)
    if targets.ndim != 1:
        raise DataError(who, rule="class weights need one label an example", got=f"targets of shape {targets.shape}")
    labels = targets.astype(np.int64)
    if class_weight == "balanced":
        counts = np.bincount(labels)
        present = counts > 0
        factors = np.zeros(len(counts))
        factors[present] = len(labels) / (present.sum() * counts[present])
        return factors[labels]
    if isinstance(class_weight, str):
        raise OptionError(who, rule="class_weight is 'balanced' or a weight for each class", got=repr(class_weight))
    missing = sorted(set(np.unique(labels).tolist()) - set(class_weight))
    if missing:
        raise OptionError(who, rule="class_weight must name every class", got=f"none for {missing}")
    return np.array([class_weight[int(label)] for label in labels])


def choose_batch_size(asked: int | str, rows: int) -> int:
    """The batch size: a number, or "auto".

    Auto follows the notes (catalogue 105: powers of two between 64 and 512 where there is much data) but keeps at
    least about 20 updates an epoch, for below 2,000 examples full-batch descent, their advice, needs far more epochs.

    Raises:
        OptionError: not a number from 1 to the number of rows.
    """
    if asked == "auto":
        size = 8
        while size < 512 and rows // (2 * size) >= 20:
            size *= 2
        return min(size, rows)
    if not isinstance(asked, (int, np.integer)) or isinstance(asked, bool) or asked < 1:
        raise OptionError("fit", rule="batch_size is a whole number from 1, or 'auto'", got=repr(asked))
    if asked > rows:
        raise OptionError(
            "fit",
            rule="a batch must not be larger than the data",
            got=f"batch_size {asked} for {rows} examples",
            fix=f"Use at most {rows}, or 'auto'.",
        )
    return int(asked)


def order_of_epoch(key: Tensor, epoch: int, rows: int, shuffle: bool) -> np.ndarray:
    """The order of the examples in an epoch, determined by key and epoch alone."""
    if not shuffle:
        return np.arange(rows)
    return random.permutation(random.fold_in(key, epoch), rows).numpy()


def row_groups(order: np.ndarray, size: int, first: int = 0) -> Iterator[np.ndarray]:
    """The rows of each batch from batch number ``first`` on; the last may be shorter."""
    for start in range(first * size, len(order), size):
        yield order[start : start + size]
