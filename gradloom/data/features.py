"""From one column to some features: the cells read as the training part had them, and the steps applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from gradloom.data.schema import column_from_cells, is_date, is_number
from gradloom.data.state import Fitted, Stateful
from gradloom.data.table import Column
from gradloom.errors import DataError
from gradloom.records import dataclass

Reading = Literal["number", "date", "any"]


@dataclass(frozen=True)
class Block(Stateful, kind="block"):
    """Fitted steps that turn one column into features.

    Attributes:
        column: the column's name.
        reading: what its cells must be: numbers, dates, or anything.
        steps: applied in order; the first takes the cells.
    """

    column: str
    reading: Reading
    steps: tuple[Fitted, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features."""
        names: tuple[str, ...] = (self.column,)
        for step in self.steps:
            names = step.feature_names(names)
        return names

    def transform(self, column: Column, *, source: str) -> np.ndarray:
        """The features, float32 of shape (rows, features).

        Args:
            column: the column of this name; its kind may differ if its cells can be read alike.
            source: where it came from, for messages.

        Raises:
            DataError: a cell cannot be read, or is infinite.
        """
        values = read_cells(column, self.reading, source=source)
        with np.errstate(over="ignore"):  # whoever puts the blocks together looks for what is not finite
            for step in self.steps:
                values = step.transform(values)
            return values.reshape(len(values), len(self.features)).astype(np.float32)


def read_cells(column: Column, reading: Reading, *, source: str) -> np.ndarray:
    """The cells as numbers (float64), as dates (datetime64[s]), or as they are.

    A few rows to predict can look like another kind than the training part did (a column that is empty there, or
    whole numbers that all differ), so it is the cells that count.

    Args:
        column: the column.
        reading: what its cells must be.
        source: where it came from, for messages.

    Raises:
        DataError: a cell is something else, or infinite.
    """
    values = column.values
    if reading == "any":
        return values
    if column.missing().all():
        return np.full(len(values), np.nan if reading == "number" else np.datetime64("NaT", "s"))
    if reading == "date":
        return values if values.dtype.kind == "M" else _parsed(column, "date", is_date, source)
    numbers = values.astype(np.float64) if values.dtype.kind in "biuf" else _parsed(column, "number", is_number, source)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise DataError(
            source,
            rule=f"numbers in column {column.name!r} must be finite",
            got=f"{numbers[infinite[0]]} in row {infinite[0] + 1}",
            fix="Correct the cell or leave it empty (missing).",
        )
    return numbers


def _parsed(column: Column, reading: Literal["number", "date"], fits: Callable[[str], bool], source: str) -> np.ndarray:
    cells = [None if gone else str(cell) for cell, gone in zip(column.values, column.missing())]
    for row, cell in enumerate(cells, start=1):
        # Dates have a type of their own: one that stands where numbers belong is no text that could be read as one.
        if cell is not None and not (column.values.dtype.kind == "O" and fits(cell)):
            raise DataError(
                source,
                rule=f"column {column.name!r} must hold {reading}s",
                got=f"{cell!r} in row {row}",
                fix="Correct the cell or leave it empty (missing).",
            )
    return column_from_cells(column.name, cells, source=source, kind=reading).values
