"""Tables from memory: frames of pandas and polars, dicts of columns, matrices."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from gradloom.data.frames import is_frame, table_from_columns, table_from_frame, table_from_matrix
from gradloom.data.table import Column
from gradloom.errors import DataError

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

NOON = datetime(2020, 1, 2, 12)


def cells(column: Column) -> list[object]:
    return [None if m else c for c, m in zip(column.values.tolist(), column.missing())]


@pytest.mark.parametrize(
    ("series", "kind", "expected"),
    [
        (polars.Series([1, 2, None]), "number", [1, 2, None]),
        (polars.Series([1.5, None, float("nan")]), "number", [1.5, None, None]),
        (polars.Series([True, None]), "category", ["True", None]),
        (polars.Series(["NA", None, ""]), "category", ["NA", None, ""]),
        (polars.Series([NOON, None]), "date", [NOON, None]),
        (polars.Series([NOON]).dt.replace_time_zone("Europe/Rome"), "date", [datetime(2020, 1, 2, 11)]),
        (polars.Series([date(2020, 1, 2)]), "date", [datetime(2020, 1, 2)]),
        (polars.Series([timedelta(minutes=2), None]), "number", [120, None]),
        (polars.Series([Decimal("1.5")]), "number", [1.5]),
        (polars.Series([f"c{i}" for i in range(30)], dtype=polars.Categorical), "category",
         [f"c{i}" for i in range(30)]),
        (polars.Series([None, None]), "number", [None, None]),
    ],
)  # fmt: skip
def test_polars_columns(series, kind: str, expected: list[object]) -> None:
    column = table_from_frame(polars.DataFrame({"x": series}), source="f")["x"]
    assert column.kind == kind
    assert cells(column) == expected


@pytest.mark.parametrize(
    ("series", "kind", "expected"),
    [
        (pandas.Series([1, 2]), "number", [1, 2]),
        (pandas.array([1, 2, None], dtype="Int64"), "number", [1, 2, None]),
        (pandas.array([1, 2], dtype="Int64"), "number", [1, 2]),
        (pandas.array([True, None], dtype="boolean"), "category", ["True", None]),
        (pandas.array(["NA", None], dtype="string"), "category", ["NA", None]),
        (pandas.Series(["a", None], dtype=object), "category", ["a", None]),
        (pandas.Series([1, "?", None], dtype=object), "category", ["1", "?", None]),
        (pandas.Series([NOON, None]), "date", [NOON, None]),
        (pandas.Series([NOON]).dt.tz_localize("Europe/Rome"), "date", [datetime(2020, 1, 2, 11)]),
        (pandas.Series([timedelta(minutes=2), None]), "number", [120, None]),
        (pandas.Categorical([1, None, 1]), "category", ["1", None, "1"]),
        (pandas.Series(np.arange(20)), "identifier", [str(i) for i in range(20)]),
    ],
)
def test_pandas_columns(series, kind: str, expected: list[object]) -> None:
    column = table_from_frame(pandas.DataFrame({"x": series}), source="f")["x"]
    assert column.kind == kind
    assert cells(column) == expected


def test_names_of_a_frame_become_strings_and_the_index_is_left_out() -> None:
    table = table_from_frame(pandas.DataFrame([[1, 2]], columns=[0, "b"], index=["row"]), source="f")
    assert table.names == ["0", "b"]


def test_a_class_derived_from_a_frame_is_a_frame() -> None:
    derived = type("Derived", (pandas.DataFrame,), {})
    assert is_frame(derived({"a": [1]}))
    assert not is_frame({"a": [1]})
    assert not is_frame(polars.DataFrame({"a": [1]}).lazy())


def test_columns_of_a_dict() -> None:
    table = table_from_columns(
        {
            "n": [1, None, 3],
            "s": ["a", None, "b"],
            "f": np.array([1.0, np.nan, 2.0]),
            "b": (True, False, True),
            "na": [pandas.NA, 1, 2],
            "pandas": pandas.Series([1, pandas.NA, 2], dtype="Int64"),
            "polars": polars.Series([1, None, 2]),
        },
        source="dict",
    )
    assert {name: cells(column) for name, column in table.columns.items()} == {
        "n": [1, None, 3],
        "s": ["a", None, "b"],
        "f": [1, None, 2],
        "b": ["True", "False", "True"],
        "na": [None, 1, 2],
        "pandas": [1, None, 2],
        "polars": [1, None, 2],
    }


def test_columns_of_a_matrix_are_numbers_even_where_they_count() -> None:
    table = table_from_matrix(np.stack([np.arange(50), np.arange(50) % 2], axis=1), source="array")
    assert table.names == ["column_1", "column_2"]
    assert {c.kind for c in table.columns.values()} == {"number"}
    codes = table_from_matrix(np.eye(2), source="array", kinds={"column_1": "category"})["column_1"]
    assert (codes.kind, codes.values.tolist()) == ("category", ["1", "0"])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: table_from_frame(pandas.DataFrame([[1, 2]], columns=["a", "a"]), source="f"),
            "f: column names must differ; got 'a' for columns 1 and 2. Rename one of them.",
        ),
        (
            lambda: table_from_frame(polars.DataFrame({"l": [[1, 2], [3]]}), source="f"),
            "f: column 'l' must hold one plain value per row; got ndarray in row 1",
        ),
        (
            lambda: table_from_frame(polars.DataFrame(), source="f"),
            "f: a table needs at least one row and one column; got 0 rows of 0 columns",
        ),
        (
            lambda: table_from_columns({"a": [1], "b": [1, 2]}, source="dict"),
            "dict: all columns must have the same number of rows; got {'a': 1, 'b': 2}",
        ),
        (
            lambda: table_from_columns({"a": "abc"}, source="dict"),
            "dict: column 'a' must be an array or a list of cells; got str",
        ),
        (
            lambda: table_from_columns({"a": [[1, 2], [3, 4]]}, source="dict"),
            "dict: column 'a' must hold one plain value per row; got list in row 1",
        ),
        (
            lambda: table_from_columns({"a": np.ones((2, 2))}, source="dict"),
            "dict: column 'a' must be one-dimensional; got an array of shape (2, 2)",
        ),
        (
            lambda: table_from_matrix(np.ones((0, 3)), source="array"),
            "array: a table needs at least one row and one column; got 0 rows of 3 columns",
        ),
    ],
)
def test_refusals(build, message: str) -> None:
    with pytest.raises(DataError) as caught:
        build()
    assert str(caught.value) == message


def test_neither_library_is_imported_to_look_at_a_dict() -> None:
    program = (
        "import sys; from gradloom.data.sources import load; load({'a': [1.0, 2.0]});"
        "assert not {'pandas', 'polars', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
