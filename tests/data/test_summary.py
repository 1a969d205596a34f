"""The summary of a table against statistics worked out by the standard library."""

from __future__ import annotations

import statistics

import pytest

from gradloom.data.frames import table_from_columns
from gradloom.data.summary import ColumnSummary, describe

NUMBERS = [3.0, -1.5, 7.25, 3.0]


def test_one_row_per_column_with_what_fits_its_kind() -> None:
    table = table_from_columns(
        {
            "n": [*NUMBERS, None],
            "c": ["a", "b", None, "b", None],
            "d": ["2020-01-05", None, "2019-12-31", "2020-01-05", None],
            "t": ["2020-01-05 06:00", None, "2019-12-31", None, None],
        },
        source="t",
    )
    n, c, d, t = describe(table)
    assert n.mean == pytest.approx(statistics.fmean(NUMBERS), rel=1e-15)
    assert n.std == pytest.approx(statistics.pstdev(NUMBERS), rel=1e-15)
    assert (n.missing, n.distinct, n.minimum, n.maximum) == (1, 3, -1.5, 7.25)
    assert c == ColumnSummary("c", "category", missing=2, distinct=2, most_frequent="b", frequency=2)
    assert d == ColumnSummary("d", "date", 2, 2, minimum="2019-12-31", maximum="2020-01-05")
    assert t == ColumnSummary("t", "date", 3, 2, minimum="2019-12-31T00:00:00", maximum="2020-01-05T06:00:00")


def test_infinity_shows_in_the_extremes_and_spares_the_mean() -> None:
    (row,) = describe(table_from_columns({"n": [1.0, 3.0, float("inf")]}, source="t"))
    assert (row.mean, row.std, row.minimum, row.maximum) == (2.0, 1.0, 1.0, float("inf"))


def test_numbers_without_a_finite_mean_warn_nobody() -> None:
    (row,) = describe(table_from_columns({"n": [1e308, 1e308, -1e308]}, source="t"))
    assert (row.minimum, row.maximum) == (-1e308, 1e308)


@pytest.mark.parametrize("kind", ["number", "date", "category"])
def test_a_column_without_any_cell(kind) -> None:
    (row,) = describe(table_from_columns({"n": [None, None]}, source="t", kinds={"n": kind}))
    assert row == ColumnSummary("n", kind, missing=2, distinct=0)
