"""Imputation, held against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer

from gradloom.data.impute import FittedImpute, Impute, MissingFlag
from gradloom.errors import GradloomError

NAN = np.nan


@pytest.fixture
def numbers() -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 5, size=(30, 3)).astype(float)
    values[::4, 0] = values[::7, 2] = NAN
    return values


@pytest.mark.parametrize("indicator", [False, True])
@pytest.mark.parametrize("strategy", ["median", "mean", "most_frequent", "constant"])
def test_impute_agrees_with_scikit_learn(numbers: np.ndarray, strategy, indicator: bool) -> None:
    fill = 7.5 if strategy == "constant" else None
    later = np.where(np.random.default_rng(1).random(numbers.shape) < 0.3, NAN, numbers)
    ours = Impute(strategy, fill=fill, indicator=indicator).fit(numbers)
    theirs = SimpleImputer(strategy=strategy, fill_value=fill, add_indicator=indicator).fit(numbers)
    if indicator:  # scikit-learn refuses missing cells where the training part had none; we fill them
        later[:, 1] = numbers[:, 1]
    np.testing.assert_array_equal(ours.transform(later), theirs.transform(later))


def test_features_are_named_and_only_those_with_missing_cells_are_flagged(numbers: np.ndarray) -> None:
    fitted = Impute(indicator=True).fit(numbers)
    assert fitted.flagged == (True, False, True)
    assert fitted.feature_names(("a", "b", "c")) == ("a", "b", "c", "a is missing", "c is missing")
    assert Impute().fit(numbers).feature_names(("a", "b", "c")) == ("a", "b", "c")


def test_one_feature_keeps_its_shape_unless_flagged() -> None:
    values = np.array([1.0, NAN, 5.0])
    np.testing.assert_array_equal(Impute("mean").fit(values).transform(values), [1, 3, 5])
    flagged = Impute("mean", indicator=True).fit(values).transform(values)
    np.testing.assert_array_equal(flagged, [[1, 0], [3, 1], [5, 0]])


@given(st.lists(st.floats(-1e9, 1e9) | st.just(NAN), min_size=1), st.lists(st.floats(-1e9, 1e9) | st.just(NAN)))
def test_fills_come_from_the_training_part_and_present_cells_stay(train: list[float], later: list[float]) -> None:
    fitted = Impute("constant", fill=0).fit(np.array(train))
    cells = np.array(later, dtype=float)
    np.testing.assert_array_equal(fitted.transform(cells), np.nan_to_num(cells, nan=0.0))
    assert FittedImpute.from_state(json.loads(json.dumps(fitted.state()))) == fitted


@pytest.mark.parametrize(
    "cells",
    [
        np.array([1.0, NAN]),
        np.array(["2020-01-01", "NaT"], dtype="datetime64[s]"),
        np.array(["x", None], dtype=object),
    ],
    ids=["number", "date", "text"],
)
def test_missing_flag_reads_every_kind(cells: np.ndarray) -> None:
    np.testing.assert_array_equal(MissingFlag().transform(cells), [0, 1])


ERRORS = [
    (
        lambda: Impute("medain"),  # type: ignore[arg-type]
        "Impute: no strategy has this name; got 'medain'. Did you mean 'median'? "
        "Known: constant, mean, median, most_frequent.",
    ),
    (
        lambda: Impute("constant"),
        "Impute: fill is the value for strategy 'constant', and for no other; got strategy 'constant' and fill None",
    ),
    (
        lambda: Impute("mean").fit(np.array([NAN])),
        "Impute: the mean needs at least one present cell; got none in feature 0. "
        "Leave the feature out, or use Impute('constant', fill=0).",
    ),
    (
        lambda: Impute("mean").fit(np.array([1e308, 1e308])),
        "Impute: the mean must be finite; got values from 1e+308 to 1e+308 in feature 0",
    ),
    (
        lambda: Impute().fit(np.array([1.0])).transform(np.zeros((1, 2))),
        "Impute: the number of features must be that of the training part; got 2 features, fitted on 1",
    ),
]


@pytest.mark.parametrize(("act", "message"), ERRORS, ids=[message[:40] for _, message in ERRORS])
def test_errors(act, message: str) -> None:
    with pytest.raises(GradloomError) as caught:
        act()
    assert str(caught.value) == message
