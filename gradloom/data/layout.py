"""Examples as columns, as in the notes (X of shape (features, m), Y of shape (1, m)), and as rows, as elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.errors import ShapeError


def from_columns(inputs: Any, targets: Any = None) -> Any:
    """Examples along the last axis brought to the first (catalogue 1, A-V 20); nothing is copied.

    Args:
        inputs: shape (features, m) or (..., m).
        targets: shape (1, m) for one number an example, (k, m) for several, or (m,).

    Returns:
        Inputs (m, features), or with targets the pair of both, targets of shape (m,) or (m, k), as ``fit`` takes it.

    Raises:
        ShapeError: there is no axis, or inputs and targets hold different numbers of examples.
    """
    x = _rows(np.asarray(inputs))
    if targets is None:
        return x
    y = _rows(np.asarray(targets))
    if len(x) != len(y):
        rule, got = "inputs and targets have one column for each example", f"{len(x)} and {len(y)}"
        raise ShapeError("from_columns", rule=rule, got=got)
    return x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def to_columns(rows: Any) -> np.ndarray:
    """Examples along the first axis brought to the last: (m, k) becomes (k, m), and (m,) becomes (1, m).

    Raises:
        ShapeError: there is no axis.
    """
    found = np.asarray(rows)
    if not found.ndim:
        raise ShapeError("to_columns", rule="there must be an axis of examples", got="a single number")
    return found[np.newaxis] if found.ndim == 1 else np.moveaxis(found, 0, -1)


def _rows(columns: np.ndarray) -> np.ndarray:
    if not columns.ndim:
        raise ShapeError("from_columns", rule="there must be an axis of examples", got="a single number")
    return np.moveaxis(columns, -1, 0)
