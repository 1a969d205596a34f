"""A summary of a table: one line per column, with what a first look at data asks for."""

from __future__ import annotations

from collections import Counter

import numpy as np

from gradloom.data.table import Column, Kind, Table
from gradloom.records import dataclass


@dataclass(frozen=True)
class ColumnSummary:
    """What is in one column; a field is None where it makes no sense for the column's kind.

    Attributes:
        name: the column's name.
        kind: its kind.
        missing: how many cells are missing.
        distinct: how many different values there are, the missing ones aside.
        mean: mean of a column of numbers, over the finite cells.
        std: their standard deviation, the square root of Σ(x - mean)² / n.
        minimum: the smallest number (``-inf`` shows), or the earliest date in ISO format.
        maximum: the largest number, or the latest date.
        most_frequent: the value that occurs most often, for categories, text and identifiers.
        frequency: how often it occurs.
    """

    name: str
    kind: Kind
    missing: int
    distinct: int
    mean: float | None = None
    std: float | None = None
    minimum: float | str | None = None
    maximum: float | str | None = None
    most_frequent: str | None = None
    frequency: int | None = None


def describe(table: Table) -> list[ColumnSummary]:
    """The summary of every column, in the order of the table.

    Args:
        table: the table.
    """
    return [_describe_column(column) for column in table.columns.values()]


def _describe_column(column: Column) -> ColumnSummary:
    absent = column.missing()
    present = column.values[~absent]
    missing = int(absent.sum())
    if column.kind == "number":
        return _describe_numbers(column, present, missing)
    if column.kind == "date":
        distinct = len(np.unique(present))
        if not distinct:
            return ColumnSummary(column.name, column.kind, missing, 0)
        days = present.astype("datetime64[D]")
        shown = days if (days == present).all() else present
        first, last = str(shown.min()), str(shown.max())
        return ColumnSummary(column.name, column.kind, missing, distinct, minimum=first, maximum=last)
    counts = Counter(present.tolist())
    value, count = counts.most_common(1)[0] if counts else (None, None)
    return ColumnSummary(column.name, column.kind, missing, len(counts), most_frequent=value, frequency=count)


def _describe_numbers(column: Column, present: np.ndarray, missing: int) -> ColumnSummary:
    if not len(present):
        return ColumnSummary(column.name, column.kind, missing, 0)
    finite = present[np.isfinite(present)]
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near 1e308 have no standard deviation
        mean, std = (float(finite.mean()), float(finite.std())) if len(finite) else (None, None)
    return ColumnSummary(
        column.name,
        column.kind,
        missing,
        len(np.unique(present)),
        mean=mean,
        std=std,
        minimum=float(present.min()),
        maximum=float(present.max()),
    )
