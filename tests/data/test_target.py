"""The target: its task, its labels or scale, and what cannot be a target."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradloom.data.table import Column, Kind
from gradloom.data.target import TargetPipeline
from gradloom.errors import GradloomError, ModelFileError

NAN = np.nan


def number(*cells: float) -> Column:
    return Column("y", "number", np.array(cells, dtype=np.float64))


def words(*cells: str | None, kind: Kind = "category") -> Column:
    return Column("y", kind, np.array([*cells, None], dtype=object)[:-1])


TASKS = [
    (number(0, 1, 1, 0), "binary", "The task is classification, since 'y' takes 2 different whole numbers in 4 rows."),
    (
        number(*range(20), *range(20)),
        "regression",
        "The task is regression, since 'y' takes 20 different whole numbers in 40 rows.",
    ),
    (
        number(*list(range(3)) * 20),
        "multiclass",
        "The task is classification, since 'y' takes 3 different whole numbers in 60 rows.",
    ),
    (
        number(*list(range(21)) * 30),
        "regression",
        "The task is regression, since 'y' takes 21 different whole numbers in 630 rows.",
    ),
    (number(0.5, 1, 0.5, 1), "regression", "The task is regression, since 'y' holds numbers with decimals."),
    (words("yes", "no", "yes"), "binary", "The task is classification, since 'y' holds names."),
    (words(*"abcabc"), "multiclass", "The task is classification, since 'y' holds names."),
    (
        words(*map(str, range(30)), kind="identifier"),
        "regression",
        "The task is regression, since 'y' takes 30 different whole numbers in 30 rows.",
    ),
]


@pytest.mark.parametrize(("column", "task", "sentence"), TASKS, ids=[sentence for _, _, sentence in TASKS])
def test_the_task_is_inferred_and_said(column: Column, task: str, sentence: str) -> None:
    fitted = TargetPipeline.fit(column)
    assert (fitted.task, fitted.notes) == (task, (sentence,))


def test_the_user_decides() -> None:
    assert TargetPipeline.fit(number(0, 1, 1, 0), task="regression").task == "regression"
    assert TargetPipeline.fit(number(0, 1, 1, 0), task="multiclass").task == "multiclass"
    fitted = TargetPipeline.fit(number(1.5, 2, 3, 2, 3, 1.5), task="classification")
    assert (fitted.task, fitted.classes) == ("multiclass", ("1.5", "2", "3"))
    assert fitted.notes == ("The task is classification, as asked.",)


def test_rows_without_a_target_are_told_and_left_out() -> None:
    column = words("yes", None, "no", "yes", "no")
    fitted = TargetPipeline.fit(column)
    np.testing.assert_array_equal(fitted.present(column), [True, False, True, True, True])
    assert fitted.notes[1] == "1 of 5 rows have no 'y' and take no part."
    assert fitted.classes == ("no", "yes")


def test_labels_there_and_back() -> None:
    fitted = TargetPipeline.fit(number(*[10, 9, 1] * 30))
    labels = fitted.encode(number(1, 9, 10))
    np.testing.assert_array_equal(labels, [0, 1, 2])
    assert labels.dtype == np.int64
    assert list(fitted.decode(labels)) == ["1", "9", "10"]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=30, unique=True))
def test_quantities_are_standardised_and_come_back(cells: list[float]) -> None:
    column = number(*cells)
    fitted = TargetPipeline.fit(column, task="regression")
    targets = fitted.encode(column)
    assert targets.dtype == np.float32
    assert targets.shape == (len(cells), 1)
    spread = column.values.std()
    np.testing.assert_allclose(targets[:, 0], (column.values - column.values.mean()) / spread, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fitted.decode(targets), cells, atol=1e-6 * (spread + np.abs(cells).max()))
    np.testing.assert_array_equal(fitted.decode(targets), fitted.decode(targets[:, 0]))


@pytest.mark.parametrize("column", [number(1.5, 0.1, 7), words("a", "b", "a", None)], ids=["regression", "classes"])
def test_state_round_trip(column: Column) -> None:
    fitted = TargetPipeline.fit(column)
    state = json.loads(json.dumps(fitted.state(), allow_nan=False))
    assert TargetPipeline.from_state(state) == fitted
    swapped = "binary" if fitted.task == "regression" else "regression"
    with pytest.raises(ModelFileError, match=f"target_pipeline: task {swapped}"):
        TargetPipeline.from_state(state | {"task": swapped})


ERRORS = [
    (
        lambda: TargetPipeline.fit(words("yes", None, "yes"), source="a.csv"),
        "a.csv, target 'y': a target must take at least two different values; got yes in all 2 rows. "
        "Choose another column, or add rows of other classes.",
    ),
    (
        lambda: TargetPipeline.fit(number(NAN, NAN)),
        "table, target 'y': at least one row needs a target; got only missing cells",
    ),
    (
        lambda: TargetPipeline.fit(words("Ann", "Bob", "Cid", "Ann", kind="text")),
        "table, target 'y': classes must repeat for a model to learn them; got 3 different values in 4 rows. "
        "Choose another column as target.",
    ),
    (
        lambda: TargetPipeline.fit(number(1.5, 2.5, 3.5), task="classification"),
        "table, target 'y': classes must repeat for a model to learn them; got 3 different values in 3 rows. "
        "Say the task (task='regression', or --task regression).",
    ),
    (
        lambda: TargetPipeline.fit(Column("y", "date", np.array(["2020-01-01"], dtype="datetime64[s]"))),
        "table, target 'y': a target must be a number or a class; got dates, such as 2020-01-01T00:00:00. "
        "Turn them into a number, such as the days until then.",
    ),
    (
        lambda: TargetPipeline.fit(number(1.5, np.inf, 2)),
        "table: numbers in column 'y' must be finite; got inf in row 2. Correct the cell or leave it empty (missing).",
    ),
    (
        lambda: TargetPipeline.fit(words("1", "two"), task="regression"),
        "table: column 'y' must hold numbers; got 'two' in row 2. Correct the cell or leave it empty (missing).",
    ),
    (
        lambda: TargetPipeline.fit(words(*"abcabc"), task="binary"),
        "table, target 'y': a binary target has two classes; got 3 classes. "
        "Say the task (task='multiclass', or --task multiclass).",
    ),
    (
        lambda: TargetPipeline.fit(number(1, 2), task="regresion"),  # type: ignore[arg-type]
        "TargetPipeline: no task has this name; got 'regresion'. Did you mean 'regression'? "
        "Known: binary, classification, multiclass, regression.",
    ),
    (
        lambda: TargetPipeline.fit(number(1.5, 2)).encode(number(1, NAN)),
        "table, target 'y': every row needs a target; got a missing cell in row 2. "
        "Drop the rows without a target first.",
    ),
    (
        lambda: TargetPipeline.fit(number(1.5, 2)).encode(number(1, 1e300)),
        "table, target 'y': scaled targets must be within the range of float32; "
        "got 1e+300, far beyond all training values",
    ),
    (
        lambda: TargetPipeline.fit(words("yes", "no")).encode(words("no", "yess")),
        "column 'y', row 2: no class has this name; got 'yess'. Did you mean 'yes'? Known: no, yes.",
    ),
    (
        lambda: TargetPipeline.fit(number(1.5, 2)).decode(np.zeros((3, 2))),
        "target 'y': predictions must be of shape (rows, 1) or (rows,); got (3, 2)",
    ),
]


@pytest.mark.parametrize(("act", "message"), ERRORS, ids=[message[:60] for _, message in ERRORS])
def test_errors(act, message: str) -> None:
    with pytest.raises(GradloomError) as caught:
        act()
    assert str(caught.value) == message
