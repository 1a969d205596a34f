"""Kinds of columns: the documented rules, one by one, and the errors of an impossible override."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradloom.data.schema import build_table, column_from_cells, column_from_values, infer_kind
from gradloom.errors import DataError, UnknownNameError

MANY = [f"word {i}" for i in range(100)]


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("x", ["1", "-2.5e3", "+7", ".5", "5.", "inf"], "number"),
        ("x", ["1", None, "3"], "number"),
        ("x", [None, None], "number"),
        ("class", ["1", "2", "3", "1", "2", "3"], "number"),
        ("x", ["1,234", "2,345"], "category"),
        ("x", ["1_000", "2_000"], "category"),
        ("x", ["١", "٢"], "category"),
        ("x", ["True", "False", "True"], "category"),
        ("x", ["yes", "no", None], "category"),
        ("day", ["2020-01-31", None], "date"),
        ("day", ["2020/01/31", "2020/02/01"], "date"),
        ("day", ["2020-01-31 12:30", "2020-01-31T12:30:15.5"], "date"),
        ("month", ["1949-01", "1949-02"], "date"),
        ("day", ["2020-02-30", "2020-01-01"], "category"),
        ("day", ["2020-01/31"], "category"),
        ("day", ["today", "now"], "category"),
        ("PassengerId", ["5", "1", "9"], "identifier"),
        ("row_id", ["a7", "b9"], "identifier"),
        ("uuid", ["a7", "b9"], "identifier"),
        ("id", ["a7", "a7"], "category"),
        ("id", ["1", "1"], "number"),
        ("id", ["0.5", "1.5"], "number"),
        ("paid", ["5", "1", "9"], "number"),
        ("Covid", ["5", "1", "9"], "number"),
        ("n", [str(i) for i in range(1, 21)], "identifier"),
        ("year", [str(i) for i in range(1990, 2020)], "number"),
        ("n", [str(i) for i in reversed(range(20))], "identifier"),
        ("n", [str(i) for i in range(19)], "number"),
        ("n", [str(2 * i) for i in range(30)], "number"),
        ("n", [*(str(i) for i in range(30)), None], "number"),
        ("n", [f"{i}.0" for i in range(30)], "number"),
        ("n", [f"{i / 7}" for i in range(30)], "number"),
        ("s", MANY[:20], "category"),
        ("s", MANY[:21], "text"),
        ("s", MANY[:21] * 5, "category"),
        ("s", MANY[:21] * 4, "text"),
        ("s", MANY[:25] * 4 + [None] * 400, "category"),
    ],
)
def test_rules(name: str, cells: list[str | None], kind: str) -> None:
    assert infer_kind(name, cells) == kind


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=1))
def test_numbers_written_by_python_come_back_to_the_bit(numbers: list[float | None]) -> None:
    column = column_from_cells("x", [None if n is None else repr(n) for n in numbers], source="t")
    assert column.kind == "number"
    assert column.values.dtype == np.float64
    assert [None if np.isnan(v) else v for v in column.values] == numbers


@given(st.lists(st.datetimes().map(lambda d: d.replace(microsecond=0)), min_size=1))
def test_dates_written_by_python_come_back(dates: list[datetime]) -> None:
    column = column_from_cells("day", [d.isoformat(sep=" ") for d in dates], source="t")
    assert column.kind == "date"
    assert column.values.tolist() == dates


def test_zones_are_taken_to_utc() -> None:
    cells = ["2020-01-01T00:30+01:00", "2020-01-01T00:30:00Z", None]
    column = column_from_cells("t", cells, source="t")
    expected = np.array(["2019-12-31T23:30", "2020-01-01T00:30", "NaT"], dtype="datetime64[s]")
    np.testing.assert_array_equal(column.values, expected)


def test_a_zone_that_leaves_the_calendar_makes_no_date() -> None:
    assert infer_kind("t", ["0001-01-01T00:00+05:00"]) == "category"


def test_override_keeps_the_spelling_of_cells() -> None:
    column = column_from_cells("Pclass", ["3", None, "1"], source="t", kind="category")
    assert column.kind == "category"
    assert column.values.tolist() == ["3", None, "1"]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (np.array([1, 2, 2]), "number", [1.0, 2.0, 2.0]),
        (np.arange(20), "identifier", [str(i) for i in range(20)]),
        (np.arange(20.0), "number", list(np.arange(20.0))),
        (np.array([True, False]), "category", ["True", "False"]),
        (np.array(["a", "b"]), "category", ["a", "b"]),
        (np.array([1, "?", None, np.nan], dtype=object), "category", ["1", "?", None, None]),
        (np.array([90, 30], dtype="timedelta64[m]"), "number", [5400.0, 1800.0]),
    ],
)
def test_arrays(values: np.ndarray, kind: str, expected: list[object]) -> None:
    column = column_from_values("x", values, source="t")
    assert column.kind == kind
    assert column.values.tolist() == expected


def test_whole_floats_and_integers_are_one_category() -> None:
    floats = column_from_values("x", np.array([1.0, 2.5, np.nan]), source="t", kind="category")
    integers = column_from_values("x", np.array([1]), source="t", kind="category")
    assert floats.values.tolist() == ["1", "2.5", None]
    assert integers.values.tolist() == ["1"]


def test_impossible_number_names_column_row_and_cell() -> None:
    with pytest.raises(DataError) as caught:
        build_table({"Age": ["22", None, "old", "x"]}, source="t.csv", kinds={"Age": "number"})
    assert str(caught.value) == (
        "t.csv: column 'Age' was asked to be of kind 'number', and every cell must be one; "
        "got 'old' in row 3. Correct the cell, or read the column as 'category' or 'text'."
    )


def test_impossible_date_names_column_row_and_cell() -> None:
    with pytest.raises(DataError) as caught:
        build_table({"day": ["2020-01-01", "1.2.2020"]}, source="t.csv", kinds={"day": "date"})
    assert str(caught.value) == (
        "t.csv: column 'day' was asked to be of kind 'date', and every cell must be one; "
        "got '1.2.2020' in row 2. Correct the cell, or read the column as 'category' or 'text'."
    )


def test_override_of_an_unknown_column_proposes_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        build_table({"Pclass": ["1"], "Sex": ["f"]}, source="t.csv", kinds={"PClas": "category"})
    assert str(caught.value) == (
        "t.csv: no column has this name; got 'PClas'. Did you mean 'Pclass'? Known: Pclass, Sex."
    )


def test_override_with_an_unknown_kind_proposes_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        build_table({"Sex": ["f"]}, source="t.csv", kinds={"Sex": "categorical"})  # pyright: ignore
    assert str(caught.value) == (
        "t.csv: no kind of column has this name; got 'categorical'. Did you mean 'category'? "
        "Known: category, date, identifier, number, text."
    )


def test_a_container_in_a_cell() -> None:
    values = np.empty(2, dtype=object)
    values[:] = ["a", (1, 2)]
    with pytest.raises(DataError) as caught:
        column_from_values("pair", values, source="t")
    assert str(caught.value) == "t: column 'pair' must hold one plain value per row; got tuple in row 2"


def test_a_type_that_is_no_cell() -> None:
    with pytest.raises(DataError) as caught:
        column_from_values("z", np.array([1j]), source="t")
    assert str(caught.value) == (
        "t: column 'z' must hold numbers, strings, booleans or dates; got data type complex128"
    )
