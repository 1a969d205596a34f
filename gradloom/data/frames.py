"""Tables already in memory: data frames of pandas and polars, dicts of columns, two-dimensional arrays.

A frame is known by where its class comes from, so that neither library is imported to look at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gradloom.data.schema import build_table, unique_names
from gradloom.data.table import Kind, Table
from gradloom.errors import DataError


def is_frame(value: object) -> bool:
    """Whether a value is a DataFrame of pandas or polars (or of a class derived from one)."""
    return _library(value, "DataFrame") is not None


def table_from_frame(frame: Any, *, source: str, kinds: Mapping[str, Kind] | None = None) -> Table:
    """A table from a DataFrame of pandas or polars; the index of a pandas frame is left out.

    Args:
        frame: the data frame; null, ``None``, ``pd.NA``, NaN and NaT are missing, strings are taken as they
            are, and columns of a categorical type are categories.
        source: where it came from, for messages.
        kinds: kinds of columns that the user has said; the others are inferred.

    Raises:
        DataError: names that occur twice, no rows, cells that are lists or other containers, or a cell that
            is not of the kind asked for.
        UnknownNameError: ``kinds`` names a column or a kind that does not exist.
    """
    names = unique_names(map(str, frame.columns), source=source)
    if _library(frame, "DataFrame") == "pandas":
        columns = {name: frame.iloc[:, position] for position, name in enumerate(names)}
        values = {name: _pandas_values(series) for name, series in columns.items()}
    else:
        columns = dict(zip(names, frame.iter_columns()))
        values = {name: series.to_numpy() for name, series in columns.items()}
    categorical: dict[str, Kind] = {n: "category" for n, series in columns.items() if _is_categorical(series)}
    return build_table(values, source=source, kinds={**categorical, **(kinds or {})})


def table_from_columns(columns: Mapping[str, Any], *, source: str, kinds: Mapping[str, Kind] | None = None) -> Table:
    """A table from a dict of columns.

    Args:
        columns: per name an array or a sequence of shape (rows,); None and NaN are missing.
        source: where they came from, for messages.
        kinds: kinds of columns that the user has said; the others are inferred.

    Raises:
        DataError: columns of different length or of more dimensions, no rows, or a cell that is not of the
            kind asked for.
        UnknownNameError: ``kinds`` names a column or a kind that does not exist.
    """
    values = {str(name): _column_values(str(name), cells, source) for name, cells in columns.items()}
    return build_table(values, source=source, kinds=kinds)


def table_from_matrix(matrix: np.ndarray, *, source: str, kinds: Mapping[str, Kind] | None = None) -> Table:
    """A table whose columns ``column_1``, ``column_2``, ... are those of a two-dimensional array.

    Args:
        matrix: shape (rows, columns).  Columns of a numeric array are numbers, never identifiers: whoever
            made it has chosen them already.
        source: where it came from, for messages.
        kinds: kinds of columns that the user has said.

    Raises:
        DataError: the array is empty, or a cell is not of the kind asked for.
        UnknownNameError: ``kinds`` names a column or a kind that does not exist.
    """
    columns = {f"column_{i}": column for i, column in enumerate(matrix.T, start=1)}
    numeric: dict[str, Kind] = dict.fromkeys(columns, "number") if matrix.dtype.kind in "biuf" else {}
    return build_table(columns, source=source, kinds={**numeric, **(kinds or {})})


def _library(value: object, class_name: str) -> str | None:
    """Which library's class of this name the value belongs to."""
    for cls in type(value).__mro__:
        library = cls.__module__.partition(".")[0]
        if cls.__name__ == class_name and library in ("pandas", "polars"):
            return library
    return None


def _is_categorical(series: Any) -> bool:
    return str(series.dtype).startswith(("category", "Categorical", "Enum"))


def _pandas_values(series: Any) -> np.ndarray:
    """The values of a pandas column; missing is NaN among numbers, NaT among dates, None elsewhere."""
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    missing = series.isna().to_numpy()
    kind = series.dtype.kind
    if kind == "m":
        return series.to_numpy()
    if kind == "M":
        return series.to_numpy(dtype="datetime64[s]")
    if kind in "iu" and not missing.any():
        return series.to_numpy(dtype=f"{kind}8")
    if kind in "iuf":
        return series.to_numpy(dtype="f8", na_value=np.nan)
    values = np.array(series.to_numpy(dtype=object), dtype=object)
    values[missing] = None
    return values


def _column_values(name: str, cells: Any, source: str) -> np.ndarray:
    if isinstance(cells, np.ndarray):
        return cells
    if isinstance(cells, str) or not isinstance(cells, Iterable):
        raise DataError(
            source,
            rule=f"column {name!r} must be an array or a list of cells",
            got=type(cells).__name__,
        )
    if _library(cells, "Series") == "pandas":
        return _pandas_values(cells)
    if hasattr(cells, "__array__"):
        return np.asarray(cells)
    # Through object, because NumPy would turn the None or NaN of a list of strings into the word.
    return np.fromiter(cells, dtype=object)
