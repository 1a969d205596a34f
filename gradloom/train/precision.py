"""The type of all floats of a run: data, weights, parameters, state; and the shorter one its model may compute in."""

from __future__ import annotations

from typing import Any

from gradloom import tree
from gradloom.errors import OptionError
from gradloom.ir.tensortype import as_dtype, is_float

FLOATS = ("float32", "float64")
PRECISIONS = (None, "bfloat16")
"""In what a model may compute while training: in the type of its parameters, or another."""


def in_floats(values: Any, dtype: str) -> Any:
    """Nested tensors with every float among them in ``dtype``; whole numbers and booleans stay what they are."""
    return tree.map(lambda leaf: leaf.astype(dtype) if is_float(leaf.dtype) else leaf, values)


def check_precision(precision: str | None, dtype: str) -> str | None:
    """The precision of a run with floats of type ``dtype``.

    Raises:
        OptionError: there is no such precision, or it does not go with the type.
        MissingPackageError: the package that brings bfloat16 is not installed.
    """
    if precision not in PRECISIONS or (precision and dtype != "float32"):
        raise OptionError(
            "Trainer",
            rule="precision is None, or 'bfloat16' where dtype is 'float32'",
            got=f"precision={precision!r} and dtype={dtype!r}",
        )
    if precision:
        as_dtype(precision, "Trainer")
    return precision
