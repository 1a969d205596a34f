"""The kind of a column: what its cells say they are, or what the user says.

The rules, in order; missing cells take no part in them:

1. **number**: every cell is a decimal number (``-1.5e3``, ``inf``; not ``1,234``, not ``1_000``, not
   ``True``). A column without any cell counts as one.  Few distinct integers stay a number; say
   ``kinds={"Pclass": "category"}`` where they are codes.
2. ... but **identifier** if the numbers are whole, all distinct, and either count at least 20 rows from 0 or 1
   without a gap and without a missing cell, or the column's name says so (``id``, ``index``, ``uuid``,
   ``passenger_id``, ``PassengerId``).  Numbers with decimals are never an identifier, nor are years without a gap.
3. **date**: every cell is an ISO 8601 date ``YYYY-MM-DD`` (``/`` for ``-`` will do), a month ``YYYY-MM``, or
   a date with a time of day; times with a zone are taken to UTC.
4. **identifier** if the strings are all distinct and the name says so.
5. **category** if the strings are few: at most 20 different ones, or 5% of the rows, or each used 5 times on
   average.  ``True``/``False`` and ``yes``/``no`` are categories.
6. **text** otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import get_args

import numpy as np

from gradloom.data.table import Column, Kind, Table
from gradloom.errors import DataError, unknown_name

Cells = Sequence[str | None]

FEW_VALUES = 20
FEW_VALUES_SHARE = 0.05
MEAN_REPETITION = 5
CONSECUTIVE_ROWS = 20

_IDENTIFIER_NAME = re.compile(r"(?i:id|index|uuid|guid)|.*(?:_(?i:id|uuid|guid)|[a-z0-9]I[dD])")
_DATE = re.compile(
    r"\d{4}([-/])(?:0[1-9]|1[0-2])"
    r"(?:\1\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?)?",
    re.ASCII,
)


def infer_kind(name: str, cells: Cells) -> Kind:
    """The kind that the cells of a column suggest, by the rules at the head of this module.

    Args:
        name: the column's name, which can tell an identifier.
        cells: the stripped cells as strings, None where missing.
    """
    return _inferred(name, cells).kind


def column_from_cells(name: str, cells: Cells, *, source: str, kind: Kind | None = None) -> Column:
    """A column from strings.

    Args:
        name: the column's name.
        cells: the stripped cells as strings, None where missing.
        source: where they came from, for messages.
        kind: the kind to read them as; inferred if None.

    Raises:
        DataError: a cell is not of the kind asked for.
    """
    if kind is None:
        return _inferred(name, cells)
    if kind == "number":
        return Column(name, kind, _all_parsed(name, cells, _as_numbers, "number", source))
    if kind == "date":
        return Column(name, kind, _all_parsed(name, cells, _as_dates, "date", source))
    return Column(name, kind, _as_objects(cells))


def column_from_values(name: str, values: np.ndarray, *, source: str, kind: Kind | None = None) -> Column:
    """A column from an array, whose data type already says much.

    Args:
        name: the column's name.
        values: shape (rows,): numbers (NaN where missing), dates (NaT), durations (read as seconds),
            booleans, strings or objects (None or NaN).
        source: where they came from, for messages.
        kind: the kind to read them as; inferred if None.

    Raises:
        DataError: the array is not one-dimensional, holds something else, or is not of the kind asked for.
    """
    if values.ndim != 1:
        raise DataError(
            source, rule=f"column {name!r} must be one-dimensional", got=f"an array of shape {values.shape}"
        )
    kind_of_dtype = values.dtype.kind
    if kind_of_dtype in "iuf" or (kind_of_dtype == "b" and kind == "number"):
        return _column_from_numbers(name, values, source, kind)
    if kind_of_dtype == "M" and kind in (None, "date"):
        return Column(name, "date", values.astype("datetime64[s]"))
    if kind_of_dtype == "m":
        return _column_from_numbers(name, values / np.timedelta64(1, "s"), source, kind)
    if kind_of_dtype in "bMUOT":
        return column_from_cells(name, _spelled(name, values, source), source=source, kind=kind)
    raise DataError(
        source,
        rule=f"column {name!r} must hold numbers, strings, booleans or dates",
        got=f"data type {values.dtype}",
    )


def build_table(
    columns: Mapping[str, np.ndarray | Cells], *, source: str, kinds: Mapping[str, Kind] | None = None
) -> Table:
    """A table from its columns, each an array or a list of string cells.

    Args:
        columns: the columns by name.
        source: where they came from, for messages.
        kinds: kinds that the user has said; those of the other columns are inferred.

    Raises:
        DataError: there are no rows, columns differ in length, or a cell is not of the kind asked for.
        UnknownNameError: ``kinds`` names a column or a kind that does not exist.
    """
    said: dict[str, Kind] = {**(kinds or {})}
    for name, kind in said.items():
        if name not in columns:
            raise unknown_name(source, "column", name, columns)
        if kind not in get_args(Kind):
            raise unknown_name(source, "kind of column", kind, get_args(Kind))
    built = {
        name: column_from_values(name, cells, source=source, kind=said.get(name))
        if isinstance(cells, np.ndarray)
        else column_from_cells(name, cells, source=source, kind=said.get(name))
        for name, cells in columns.items()
    }
    table = Table(built, source=source)
    if table.rows == 0:
        raise DataError(
            source,
            rule="a table needs at least one row and one column",
            got=f"{table.rows} rows of {len(built)} columns",
        )
    return table


def unique_names(names: Iterable[str], *, source: str) -> list[str]:
    """The column names, once it is sure that none occurs twice.

    Raises:
        DataError: a name occurs twice.
    """
    seen: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if name in seen:
            raise DataError(
                source,
                rule="column names must differ",
                got=f"{name!r} for columns {seen[name]} and {position}",
                fix="Rename one of them.",
            )
        seen[name] = position
    return list(seen)


def is_name_of_identifier(name: str) -> bool:
    """Whether a column's name says that it only tells rows apart."""
    return _IDENTIFIER_NAME.fullmatch(name) is not None


def is_number(cell: str) -> bool:
    """Whether a cell is a decimal number by rule 1."""
    return _as_numbers([cell]) is not None


def is_date(cell: str) -> bool:
    """Whether a cell is a date by rule 3."""
    return _as_dates([cell]) is not None


def _inferred(name: str, cells: Cells) -> Column:
    numbers = _as_numbers(cells)
    if numbers is not None:
        whole = all(cell.isdigit() for cell in cells if cell is not None)
        if whole and _tells_rows_apart(name, numbers):
            return Column(name, "identifier", _as_objects(cells))
        return Column(name, "number", numbers)
    dates = _as_dates(cells)
    if dates is not None:
        return Column(name, "date", dates)
    return Column(name, _kind_of_strings(name, cells), _as_objects(cells))


def _kind_of_strings(name: str, cells: Cells) -> Kind:
    present = [cell for cell in cells if cell is not None]
    distinct = len(set(present))
    if distinct == len(present) and is_name_of_identifier(name):
        return "identifier"
    few = distinct <= max(FEW_VALUES, FEW_VALUES_SHARE * len(cells))
    return "category" if few or distinct * MEAN_REPETITION <= len(present) else "text"


def _tells_rows_apart(name: str, numbers: np.ndarray) -> bool:
    """Whether whole numbers are an identifier: all distinct, and counting the rows or with a telling name."""
    present = numbers[~np.isnan(numbers)]
    if len(present) == 0 or len(np.unique(present)) < len(present):
        return False
    if is_name_of_identifier(name):
        return True
    counts = present.min() in (0, 1) and np.ptp(present) == len(present) - 1
    return bool(counts) and len(present) == len(numbers) >= CONSECUTIVE_ROWS


def _column_from_numbers(name: str, values: np.ndarray, source: str, kind: Kind | None) -> Column:
    numbers = values.astype(np.float64)
    if kind is None:
        whole = values.dtype.kind in "iu"
        kind = "identifier" if whole and _tells_rows_apart(name, numbers) else "number"
    if kind == "number":
        return Column(name, kind, numbers)
    return column_from_cells(name, _spelled(name, values, source), source=source, kind=kind)


def _spelled(name: str, values: np.ndarray, source: str) -> list[str | None]:
    """The values as strings; a whole number without decimals, so that 3.0 and 3 are one category."""
    cells: list[str | None] = []
    for row, value in enumerate(values, start=1):
        if isinstance(value, list | tuple | dict | set | bytes | np.ndarray):
            raise DataError(
                source,
                rule=f"column {name!r} must hold one plain value per row",
                got=f"{type(value).__name__} in row {row}",
            )
        if _is_missing(value):
            cells.append(None)
        elif isinstance(value, float | np.floating) and value.is_integer():
            cells.append(str(int(value)))
        else:
            cells.append(str(value))
    return cells


def _is_missing(value: object) -> bool:
    # NaN and NaT differ from themselves; pandas' NA (known by name, not imported) refuses the comparison.
    return value is None or type(value).__name__ == "NAType" or value != value


def _all_parsed(
    name: str,
    cells: Cells,
    parse: Callable[[Cells], np.ndarray | None],
    kind: Kind,
    source: str,
) -> np.ndarray:
    values = parse(cells)
    if values is not None:
        return values
    row, cell = next((r, c) for r, c in enumerate(cells, start=1) if parse([c]) is None)
    raise DataError(
        source,
        rule=f"column {name!r} was asked to be of kind {kind!r}, and every cell must be one",
        got=f"{cell!r} in row {row}",
        fix="Correct the cell, or read the column as 'category' or 'text'.",
    )


def _as_objects(cells: Cells) -> np.ndarray:
    values = np.empty(len(cells), dtype=object)
    values[:] = cells
    return values


def _as_numbers(cells: Cells) -> np.ndarray | None:
    """The cells as float64, NaN where missing; None if one is no number."""
    try:
        values = np.array([math.nan if cell is None else float(cell) for cell in cells], dtype=np.float64)
    except ValueError:
        return None
    # Python's float also takes 1_000 and digits of every script; in a data file those are text.
    spelled = "".join([cell for cell in cells if cell is not None])
    return values if spelled.isascii() and "_" not in spelled else None


def _as_dates(cells: Cells) -> np.ndarray | None:
    """The cells as datetime64[s], NaT where missing; None if one is no date."""
    dates: list[datetime | None] = []
    for cell in cells:
        if cell is None:
            dates.append(None)
            continue
        if not _DATE.fullmatch(cell):
            return None
        try:
            date = datetime.fromisoformat(_full_date(cell))
            dates.append(date if date.tzinfo is None else date.astimezone(UTC).replace(tzinfo=None))
        except (ValueError, OverflowError):  # the 30th of February; a zone that leaves the year 1
            return None
    return np.array(dates, dtype="datetime64[us]").astype("datetime64[s]")


def _full_date(cell: str) -> str:
    iso = cell.replace("/", "-")
    return f"{iso}-01" if len(iso) == len("YYYY-MM") else iso
