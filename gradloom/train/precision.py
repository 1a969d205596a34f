"""The type of all floats of a run: of data, weights, parameters, state."""

from __future__ import annotations

from typing import Any

from gradloom import tree
from gradloom.ir.tensortype import is_float

FLOATS = ("float32", "float64")


def in_floats(values: Any, dtype: str) -> Any:
    """Nested tensors with every float among them in ``dtype``; whole numbers and booleans stay what they are."""
    return tree.map(lambda leaf: leaf.astype(dtype) if is_float(leaf.dtype) else leaf, values)
