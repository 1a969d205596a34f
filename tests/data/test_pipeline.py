"""Tables to features and back from a file: what is learned, from which rows, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from gradloom.data.impute import Impute
from gradloom.data.pipeline import TablePipeline
from gradloom.data.schema import build_table
from gradloom.data.sources import load
from gradloom.data.table import Column, Kind, Table
from gradloom.errors import GradloomError

TABULAR = Path(__file__).resolve().parents[2] / "../shared/data/tabular"
NAN = np.nan


def number(name: str, *cells: float) -> Column:
    return Column(name, "number", np.array(cells, dtype=np.float64))


def words(name: str, *cells: str | None, kind: Kind = "category") -> Column:
    return Column(name, kind, np.array([*cells, None], dtype=object)[:-1])


def dates(name: str, *cells: str) -> Column:
    return Column(name, "date", np.array(cells, dtype="datetime64[s]"))


def table(*columns: Column) -> Table:
    return Table({column.name: column for column in columns}, source="people.csv")


@pytest.fixture
def people() -> Table:
    return table(
        words("id", "1", "2", "3", "4", kind="identifier"),
        number("age", 20, 30, NAN, 40),
        words("sex", "f", "m", "f", "f"),
        words("name", "Ann", "Bob", "Cid", "Dot", kind="text"),
        words("cabin", "C85", None, None, "B2 B3", kind="text"),
        dates("born", "2000-01-01", "2000-01-03", "2001-02-05", "NaT"),
        number("planet", 3, 3, 3, 3),
        number("empty", NAN, NAN, NAN, NAN),
        number("rich", 0, 1, 0, 1),
    )


def round_trip(fitted: TablePipeline) -> TablePipeline:
    return TablePipeline.from_state(json.loads(json.dumps(fitted.state(), allow_nan=False)))


def test_every_kind_of_column(people: Table) -> None:
    fitted = TablePipeline.fit(people, target="rich")
    assert fitted.features == (
        "age",
        "age is missing",
        "sex=f",
        "sex=m",
        "cabin is missing",
        "born year",
        "born month",
        "born day of week",
        "born elapsed days",
        "born is missing",
    )
    assert fitted.left_out == ("id", "name", "planet", "empty")
    assert fitted.notes == (
        "Column 'id' is left out: it only tells rows apart.",
        "Column 'age' lacks 1 of 4 cells: a feature says where it does.",
        "Column 'name' is left out: it is free text, with 4 different values in 4 rows.",
        "Column 'cabin' is left out: it is free text, with 2 different values in 4 rows.",
        "Column 'cabin' lacks 2 of 4 cells: a feature says where it does.",
        "Column 'born' is a date; its features are year, month, day of week, elapsed days.",
        "Column 'born' lacks 1 of 4 cells: a feature says where it does.",
        "Column 'planet' is left out: all its cells that are present hold the same value.",
        "Column 'empty' is left out: all its cells are missing.",
    )
    features = fitted.transform(people)
    assert features.dtype == np.float32
    assert features.shape == (4, 10)
    sd = np.sqrt(50)  # ages 20, 30, 30 (the median), 40
    np.testing.assert_allclose(features[:, 0], np.array([-10, 0, 0, 10]) / sd, rtol=1e-6)
    np.testing.assert_array_equal(
        features[:, [1, 2, 3, 4, 9]], [[0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [1, 1, 0, 1, 0], [0, 1, 0, 0, 1]]
    )


def test_date_parts_by_hand() -> None:
    days = dates("d", "2024-02-29T12:00:00", "2024-03-03", "1969-12-31T06:00:00")
    fitted = TablePipeline.fit(table(days), target=None, numeric="unscaled")
    assert fitted.features == ("d year", "d month", "d day of week", "d hour", "d elapsed days")
    expected = [[2024, 2, 3, 12, 19783.25], [2024, 3, 6, 0, 19785.75], [1969, 12, 2, 6, 0]]
    np.testing.assert_array_equal(fitted.transform(table(days)), np.array(expected, dtype=np.float32))


def test_numbers_and_categories_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    ages = np.where(random.random(80) < 0.2, NAN, random.normal(40, 10, 80))
    towns = random.choice(["York", "Bath", "Ely"], 80)
    people = table(number("age", *ages), words("town", *towns))
    train = np.arange(50)
    theirs = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age"]),
            ("c", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["town"]),
        ]
    )
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": ages, "town": towns})
    theirs.fit(frame.iloc[train])
    features = TablePipeline.fit(people.take(train), target=None).transform(people)
    np.testing.assert_allclose(features[:, [0, 2, 3, 4]], theirs.transform(frame), rtol=1e-6, atol=1e-6)


cells = st.floats(-1e6, 1e6, width=32) | st.just(NAN)


@given(st.lists(cells, min_size=2, max_size=12), st.lists(cells, min_size=1, max_size=12), st.data())
def test_training_rows_alone_decide_and_state_keeps_every_bit(train: list[float], later: list[float], data) -> None:
    train[:2] = [1.0, 2.0]
    letters = st.sampled_from(["a", "b", None])
    both = table(
        number("x", *train, *later),
        words("c", "a", "b", *(data.draw(letters) for _ in range(len(train) + len(later) - 2))),
    )
    other = replace(both, columns={n: replace(c, values=c.values.copy()) for n, c in both.columns.items()})
    other["x"].values[len(train) :] = 12345.0
    rows = np.arange(len(train))
    fitted = TablePipeline.fit(both.take(rows), target=None)
    assert TablePipeline.fit(other.take(rows), target=None) == fitted
    features = fitted.transform(both)
    np.testing.assert_array_equal(fitted.transform(other)[rows], features[rows])
    again = round_trip(fitted)
    assert again == fitted
    assert again.transform(both).tobytes() == features.tobytes()


def test_heavy_tails_are_drawn_in_unless_told_otherwise() -> None:
    incomes = table(number("income", *np.random.default_rng(0).lognormal(10, 1.5, 200)))
    drawn_in = TablePipeline.fit(incomes, target=None)
    assert drawn_in.notes == ("Column 'income' is heavy-tailed (skewness 2.5): log(1 + x/median) is taken first.",)
    assert drawn_in.transform(incomes).max() < 4
    for plain in (
        TablePipeline.fit(incomes, target=None, log_skewed=False),
        TablePipeline.fit(incomes, target=None, overrides={"income": "standardize"}),
    ):
        assert plain.notes == ()
        assert plain.transform(incomes).max() > 4.9
    assert TablePipeline.fit(incomes, target=None, impute=Impute("constant", fill=-1)).notes == ()
    below_zero = table(number("income", *-incomes["income"].values))
    assert TablePipeline.fit(below_zero, target=None).notes == ()


def test_rare_categories_share_a_feature_that_newcomers_join() -> None:
    towns = words("town", *["York"] * 600, *["Bath"] * 5, *["Ely"] * 4, "Wells")
    fitted = TablePipeline.fit(table(towns), target=None)
    assert fitted.features == ("town=Bath", "town=York", "town=(other)")
    assert fitted.notes == ("Column 'town' pools its rare categories, 2 of 4, in one feature.",)
    np.testing.assert_array_equal(fitted.transform(table(words("town", "Ely", "Rome"))), [[0, 0, 1], [0, 0, 1]])


def test_options_and_overrides(people: Table) -> None:
    fitted = TablePipeline.fit(
        people,
        target="rich",
        numeric="minmax",
        categorical="ordinal",
        impute=Impute("constant", fill=0),
        overrides={"born": "leave_out", "planet": "onehot", "age": "onehot", "cabin": "ordinal"},
    )
    assert fitted.features == ("age=20", "age=30", "age=40", "age=(missing)", "sex", "cabin", "cabin is missing")
    assert "Column 'born' is left out: as asked." in fitted.notes
    np.testing.assert_array_equal(fitted.transform(people)[:, 4], [0, 1, 0, 0])
    assert round_trip(fitted) == fitted


def test_columns_may_be_reordered_and_extra_ones_are_told(people: Table) -> None:
    fitted = TablePipeline.fit(people, target="rich")
    turned = Table(dict(reversed(people.columns.items())))
    np.testing.assert_array_equal(fitted.transform(turned), fitted.transform(people))
    more = table(*people.columns.values(), number("wealth", 1, 2, 3, 4)).drop(["rich", "id"])
    np.testing.assert_array_equal(fitted.transform(more), fitted.transform(people))
    assert fitted.unused(people) == ()
    assert fitted.unused(more) == ("Column 'wealth' was not in the training table and is ignored.",)


def test_cells_count_and_not_the_kind_that_a_few_rows_suggest(people: Table) -> None:
    fitted = TablePipeline.fit(people, target="rich")
    alike = table(
        words("age", "30", "40", kind="identifier"),
        number("sex", NAN, NAN),
        words("cabin", "A1", None),
        number("born", NAN, NAN),
    )
    assert fitted.transform(alike).shape == (2, 10)
    np.testing.assert_array_equal(fitted.transform(alike)[:, :2], fitted.transform(people)[[1, 3], :2])


def test_what_counts_rows_is_left_out_with_the_way_to_keep_it() -> None:
    counted = build_table({"age": np.arange(1, 31), "year": np.arange(1990, 2020)}, source="t")
    fitted = TablePipeline.fit(counted, target=None)
    assert fitted.features == ("year",)
    assert fitted.notes == (
        "Column 'age' is left out: its values only tell rows apart, as numbers of rows do; if it measures something, "
        "say kinds={'age': 'number'} (or --kinds age=number).",
    )
    kept = build_table({"age": np.arange(1, 31)}, source="t", kinds={"age": "number"})
    assert TablePipeline.fit(kept, target=None).features == ("age",)


def test_no_rows_give_no_features_and_one_row_is_as_good_as_many(people: Table) -> None:
    fitted = TablePipeline.fit(people, target="rich")
    assert fitted.transform(people.take(np.arange(0))).shape == (0, 10)
    np.testing.assert_array_equal(fitted.transform(people.take([2])), fitted.transform(people)[[2]])


def fit(*columns: Column, **options: object) -> TablePipeline:
    return TablePipeline.fit(table(*columns), target=None, **options)  # type: ignore[arg-type]


AGES = number("age", 20, 30, 40)
ERRORS = [
    (
        lambda: fit(AGES, number("fare", 1, 2, 4)).transform(table(number("Age", 1), number("pet", 2))),
        "people.csv: all columns that the model learned from must be there; got none called 'age' (nearest: 'Age'), "
        "'fare'. Add or rename them; leave cells empty where the value is not known.",
    ),
    (
        lambda: fit(AGES).transform(table(words("age", "31", None, "old"))),
        "people.csv: column 'age' must hold numbers; got 'old' in row 3. Correct the cell or leave it empty (missing).",
    ),
    (
        lambda: fit(dates("born", "2000-01-01", "2001-01-01")).transform(table(number("born", 2000))),
        "people.csv: column 'born' must hold dates; got '2000.0' in row 1. "
        "Correct the cell or leave it empty (missing).",
    ),
    (
        lambda: fit(number("age", 1, np.inf)),
        "people.csv: numbers in column 'age' must be finite; got inf in row 2. "
        "Correct the cell or leave it empty (missing).",
    ),
    (
        lambda: fit(AGES).transform(table(number("age", 1, -np.inf))),
        "people.csv: numbers in column 'age' must be finite; got -inf in row 2. "
        "Correct the cell or leave it empty (missing).",
    ),
    (
        lambda: fit(AGES).transform(table(number("age", 1e300))),
        "people.csv: scaled numbers must be within the range of float32; got feature 'age' in row 1, "
        "far beyond all training values. Correct the cell or leave it empty (missing).",
    ),
    (
        lambda: fit(number("age", 1e308, -1e308)),
        "in column 'age': Standardize: mean and spread must be within the range of float64; "
        "got values from -1e+308 to 1e+308 in feature 0. Divide the values by a power of ten first.",
    ),
    (
        lambda: fit(words("name", "Ann", "Bob", kind="text")),
        "people.csv: at least one column must give a feature; got Column 'name' is left out: it is free text, with 2 "
        "different values in 2 rows. "
        "Say how a column is to be used (overrides={'name': 'onehot'}, or --kinds name=category).",
    ),
    (lambda: fit(number("age")), "people.csv: there must be rows to learn from; got none"),
    (
        lambda: fit(AGES, numeric="standardise"),
        "TablePipeline: no scaling of numbers has this name; got 'standardise'. Did you mean 'standardize'? "
        "Known: minmax, range, standardize, unscaled.",
    ),
    (
        lambda: fit(AGES, categorical="hot"),
        "TablePipeline: no encoding of categories has this name; got 'hot'. Did you mean 'onehot'? "
        "Known: onehot, ordinal.",
    ),
    (
        lambda: fit(AGES, overrides={"aeg": "onehot"}),
        "people.csv: no column has this name; got 'aeg'. Did you mean 'age'? Known: age.",
    ),
    (
        lambda: fit(AGES, overrides={"age": "leaveout"}),
        "TablePipeline, column 'age': no treatment has this name; got 'leaveout'. Did you mean 'leave_out'? "
        "Known: date, leave_out, minmax, onehot, ordinal, range, standardize, unscaled.",
    ),
    (
        lambda: TablePipeline.fit(table(AGES), target="age", overrides={"age": "range"}),
        "TablePipeline: overrides are for columns that give features; got the target 'age'",
    ),
    (
        lambda: TablePipeline.fit(table(AGES), target="aeg"),
        "people.csv: no column has this name; got 'aeg'. Did you mean 'age'? Known: age.",
    ),
]


@pytest.mark.parametrize(("act", "message"), ERRORS, ids=[message[:60] for _, message in ERRORS])
def test_errors(act, message: str) -> None:
    with pytest.raises(GradloomError) as caught:
        act()
    assert str(caught.value) == message


@pytest.mark.skipif(not TABULAR.exists(), reason="the shared data sets are not here")
def test_titanic() -> None:
    train = load(TABULAR / "titanic-train.csv")
    unlabelled = load(TABULAR / "titanic-test-unlabelled.csv")
    assert isinstance(train, Table)
    assert isinstance(unlabelled, Table)
    fitted = TablePipeline.fit(train, target="Survived")
    assert fitted.left_out == ("PassengerId", "Name", "Ticket")
    assert {"Age is missing", "Cabin is missing", "Sex=female"} <= set(fitted.features)
    assert fitted.transform(unlabelled).shape == (418, len(fitted.features))
    assert fitted.transform(unlabelled.take([0])).shape == (1, len(fitted.features))
