"""Regularisers: what keeps the parameters of a network simple; see docs/regularisation.md."""

from __future__ import annotations

from collections.abc import Iterable

from gradloom import description
from gradloom.description import Description
from gradloom.equations import written_in
from gradloom.nn.regularizers.base import Constraint, Penalty, Regularizer
from gradloom.nn.regularizers.constraints import Box, L1Ball, MaxNorm, NonNegative, UnitNorm
from gradloom.nn.regularizers.penalties import L1, L2, Elastic

written_in("gradloom.nn.regularizers.formulas")

__all__ = [
    "L1",
    "L2",
    "REGULARIZERS",
    "Box",
    "Constraint",
    "Elastic",
    "L1Ball",
    "MaxNorm",
    "NonNegative",
    "Penalty",
    "Regularizer",
    "UnitNorm",
    "build",
    "describe",
]

REGULARIZERS: tuple[type[Regularizer], ...] = (L1, L2, Elastic, MaxNorm, UnitNorm, L1Ball, Box, NonNegative)
"""Every regulariser that a model file may name."""

_TABLE = description.table_of(REGULARIZERS)


def describe(regularizer: Regularizer) -> Description:
    """A regulariser as JSON."""
    return description.encode(regularizer, _TABLE)


def build(described: object, extra: Iterable[type[Regularizer]] = ()) -> Regularizer:
    """The regulariser of a description.

    Args:
        described: what :func:`describe` gave.
        extra: classes of your own that may occur; they cannot take the names of the library's.

    Raises:
        ModelFileError: the description is damaged or names a regulariser that is not known.
    """
    return description.decode(described, {**description.table_of(extra), **_TABLE}, Regularizer)
