"""Encodings of categories, held against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, OrdinalEncoder

from gradloom.data.encode import FittedOneHot, FittedOrdinal, Labels, OneHot, Ordinal, spelled
from gradloom.errors import GradloomError

WORDS = ["ant", "bee", "cat", "dog", "eel", "fox"]
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40)


def cells(*values: str | None) -> np.ndarray:
    return np.array([*values, None], dtype=object)[:-1]  # None keeps NumPy from making strings of fixed width


def test_seven_samples_of_four_categories_are_vectors_of_four() -> None:
    vectors = OneHot().fit(cells(*"abcdaab")).transform(cells(*"abcdaab"))
    assert vectors.shape == (7, 4)
    np.testing.assert_array_equal(vectors.argmax(axis=1), [0, 1, 2, 3, 0, 0, 1])
    np.testing.assert_array_equal(vectors.sum(axis=1), np.ones(7))


@given(st.permutations(WORDS), st.integers(1, 6), words, st.integers(1, 4), st.none() | st.integers(1, 5))
def test_one_hot_agrees_with_scikit_learn(
    order: list[str], distinct: int, later: list[str], least: int, most: int | None
) -> None:
    # No two categories are equally frequent: where they tie, scikit-learn keeps the last by name and we the first.
    train = [word for count, word in enumerate(order[:distinct], start=1) for _ in range(count)]
    theirs = OneHotEncoder(
        min_frequency=least,
        max_categories=None if most is None else most + 1,  # theirs counts the feature for rare categories as well
        handle_unknown="infrequent_if_exist",
        sparse_output=False,
    ).fit(np.array(train)[:, None])
    ours = OneHot(least, most).fit(cells(*train))
    np.testing.assert_array_equal(ours.transform(cells(*later)), theirs.transform(np.array(later)[:, None]))


def test_unknown_categories_are_zeros_or_other() -> None:
    np.testing.assert_array_equal(OneHot().fit(cells("a", "b")).transform(cells("z")), [[0, 0]])
    pooled = OneHot(min_frequency=2).fit(cells("a", "a", "b"))
    np.testing.assert_array_equal(pooled.transform(cells("z", "b", "a")), [[0, 1], [0, 1], [1, 0]])
    assert pooled.feature_names(("c",)) == ("c=a", "c=(other)")


def test_missing_cells_are_a_category_where_training_had_them() -> None:
    fitted = OneHot().fit(cells("b", None, "a"))
    assert fitted.feature_names(("c",)) == ("c=a", "c=b", "c=(missing)")
    np.testing.assert_array_equal(fitted.transform(cells(None)), [[0, 0, 1]])
    np.testing.assert_array_equal(OneHot().fit(cells("a", "b")).transform(cells(None)), [[0, 0]])


def test_numbers_and_their_spelling_are_one_category_and_sort_by_size() -> None:
    fitted = OneHot().fit(np.array([10.0, 9.0, 2.5, np.nan]))
    assert fitted.categories == ("2.5", "9", "10", None)
    np.testing.assert_array_equal(fitted.transform(cells("9", "10")), fitted.transform(np.array([9.0, 10.0])))


@given(words)
def test_inverse_of_one_hot_and_ordinal(train: list[str]) -> None:
    for encoding in (OneHot(), Ordinal()):
        fitted = encoding.fit(cells(*train))
        assert list(fitted.inverse(fitted.transform(cells(*train)))) == train
        assert list(fitted.inverse(fitted.transform(cells("unknown")))) == [None]


@given(words)
def test_ordinal_agrees_with_scikit_learn(train: list[str]) -> None:
    theirs = OrdinalEncoder().fit_transform(np.array(train)[:, None])[:, 0]
    np.testing.assert_array_equal(Ordinal().fit(cells(*train)).transform(cells(*train)), theirs)


def test_ordinal_in_a_given_order() -> None:
    fitted = Ordinal(("small", "medium", "large")).fit(cells("large", "small"))
    np.testing.assert_array_equal(fitted.transform(cells("medium", "large", None, "huge")), [1, 2, np.nan, np.nan])


@given(words)
def test_labels_agree_with_scikit_learn(train: list[str]) -> None:
    labels = Labels.fit(cells(*train))
    codes = labels.encode(cells(*train))
    np.testing.assert_array_equal(codes, LabelEncoder().fit_transform(train))
    assert codes.dtype == np.int64
    assert list(labels.decode(codes)) == train


@given(words, st.integers(1, 3))
def test_state_round_trip(train: list[str], least: int) -> None:
    values = cells(*train, None)
    for fitted, cls in [
        (OneHot(least).fit(values), FittedOneHot),
        (Ordinal().fit(values), FittedOrdinal),
        (Labels.fit(values), Labels),
    ]:
        assert cls.from_state(json.loads(json.dumps(fitted.state()))) == fitted


def test_spelling_of_every_kind() -> None:
    assert spelled(np.array([1.0, -0.0, 0.1, 1e20, np.nan])) == ["1", "0", "0.1", "100000000000000000000", None]
    assert spelled(np.array(["2020-02-01", "NaT"], dtype="datetime64[D]")) == ["2020-02-01", None]
    assert spelled(cells("x", None)) == ["x", None]


ERRORS = [
    (
        lambda: Labels(("<=50K", ">50K")).encode(cells(">50K", "<=50K."), name="income"),
        "column 'income', row 2: no class has this name; got '<=50K.'. Did you mean '<=50K'? Known: <=50K, >50K.",
    ),
    (
        lambda: Labels(("a", "b")).encode(cells("a", None)),
        "column 'target': every row needs a class; got a missing cell in row 2. Drop the rows without a target first.",
    ),
    (lambda: Labels(("a", "b")).decode(np.array([0, 2])), "Labels: labels must be from 0 to 1; got 2"),
    (lambda: OneHot(0), "OneHot: min_frequency and max_categories must be 1 or more; got 0 and None"),
    (
        lambda: Ordinal(("low", "high")).fit(cells("lwo")),
        "Ordinal order: no category has this name; got 'lwo'. Did you mean 'low'? Known: high, low.",
    ),
    (lambda: Ordinal().fit(cells(None, None)), "Ordinal: at least one cell must be present; got 2 missing ones"),
]


@pytest.mark.parametrize(("act", "message"), ERRORS, ids=[message[:40] for _, message in ERRORS])
def test_errors(act, message: str) -> None:
    with pytest.raises(GradloomError) as caught:
        act()
    assert str(caught.value) == message
