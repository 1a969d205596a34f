"""A table: named columns of equal length, each a NumPy array with a kind.

Missing cells are NaN in columns of numbers, ``None`` in all others.  A table is what every tabular source gives
(:mod:`gradloom.data.sources`) and what the preprocessing takes (:mod:`gradloom.data.pipeline`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from gradloom.errors import DataError, unknown_name
from gradloom.records import dataclass

Kind = Literal["number", "category", "text", "date", "identifier"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: the column's name.
        kind: ``number`` (float64 values, NaN where missing), ``category`` and ``text`` (str or None: few
            repeated values or free text), ``date`` (datetime64[s], NaT where missing), ``identifier`` (names or
            numbers that only tell rows apart).
        values: the cells, shape (rows,).
    """

    name: str
    kind: Kind
    values: np.ndarray

    def missing(self) -> np.ndarray:
        """Which cells are missing, bool of shape (rows,)."""
        if self.values.dtype.kind == "f":
            return np.isnan(self.values)
        if self.values.dtype.kind == "M":
            return np.isnat(self.values)
        return np.array([cell is None for cell in self.values], dtype=bool)


@dataclass(frozen=True)
class Table:
    """Columns of equal length, in order.

    Attributes:
        columns: the columns by name.
        source: where the table came from, for messages.
        target: the column to predict, where the source itself knows it (scikit-learn's bundled sets).
    """

    columns: Mapping[str, Column]
    source: str = "table"
    target: str | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(column.values) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(self.source, rule="all columns must have the same number of rows", got=str(lengths))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())).values) if self.columns else 0

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return list(self.columns)

    def __getitem__(self, name: str) -> Column:
        if name not in self.columns:
            raise unknown_name(self.source, "column", name, self.columns)
        return self.columns[name]

    def take(self, rows: np.ndarray | Sequence[int]) -> Table:
        """The table of these rows (indices or a bool mask), in that order."""
        chosen = np.asarray(rows)
        picked = {n: replace(c, values=c.values[chosen]) for n, c in self.columns.items()}
        return replace(self, columns=picked)

    def drop(self, names: Iterable[str]) -> Table:
        """The table without these columns."""
        gone = set(names)
        return replace(self, columns={n: c for n, c in self.columns.items() if n not in gone})
