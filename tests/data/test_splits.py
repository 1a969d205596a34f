"""Splits: every row once, in the shares asked for, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from gradloom.data.splits import Split, default_fractions, k_fold, split, split_by_time
from gradloom.errors import GradloomError

shares = st.tuples(st.integers(1, 10), st.integers(0, 10), st.integers(0, 10), st.integers(0, 10)).map(
    lambda parts: tuple(part / sum(parts) for part in parts[:3])
)


def sizes(parts: Split) -> list[int]:
    return [len(parts.train), len(parts.validation), len(parts.test)]


def split_or_error(act: Callable[[], Split]) -> Split | str:
    """What ``act`` gives, or what it says against it."""
    try:
        return act()
    except GradloomError as error:
        return str(error)


def test_default_fractions_of_the_notes() -> None:
    assert default_fractions(100) == default_fractions(10_000) == (0.6, 0.2, 0.2)
    assert default_fractions(1_000_000) == default_fractions(50_000_000) == (0.98, 0.01, 0.01)
    assert sizes(split(1_000_000)) == [980_000, 10_000, 10_000]
    assert sizes(split(10_000)) == [6_000, 2_000, 2_000]


@given(st.integers(1, 3_000_000), st.integers(1, 3_000_000))
def test_default_fractions_fall_while_their_rows_grow(one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    (train, validation, test), later = default_fractions(fewer), default_fractions(more)
    assert train + validation + test == pytest.approx(1)
    assert validation == test
    assert later[0] >= train
    assert later[1] * more >= validation * fewer


@given(st.integers(1, 200), shares, st.integers(0, 3))
def test_parts_are_disjoint_and_in_their_shares(rows: int, fractions: tuple[float, float, float], seed: int) -> None:
    parts = split_or_error(lambda: split(rows, fractions, seed=seed))
    if isinstance(parts, str):
        assert "must have at least one row" in parts
        assert min(share * rows for share in fractions if share > 0) < 1
        return
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert len(set(together)) == len(together)
    if sum(fractions) > 1 - 1e-9:
        np.testing.assert_array_equal(np.sort(together), np.arange(rows))
    for size, share in zip(sizes(parts), fractions):
        assert abs(size - share * rows) < 1
    for part in (parts.train, parts.validation, parts.test):
        assert (np.diff(part) > 0).all()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), shares, st.integers(0, 3))
def test_each_class_keeps_its_share_to_less_than_a_row(
    members: list[int], fractions: tuple[float, float, float], seed: int
) -> None:
    members[0] += 60  # enough rows for every part
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(members)), members))
    parts = split(len(labels), fractions, stratify=labels, seed=seed)
    for label, size in enumerate(members):
        for part, share in zip((parts.train, parts.validation, parts.test), fractions):
            assert abs((labels[part] == label).sum() - share * size) < 1
        assert (labels[parts.train] == label).any()


def test_many_small_classes_fill_every_part() -> None:
    parts = split(300, (0.6, 0.2, 0.2), stratify=np.arange(300) // 3)
    assert np.abs(np.array(sizes(parts)) - [180, 60, 60]).max() <= 1


def test_small_classes_go_to_training_first_and_are_told() -> None:
    labels = ["a"] * 20 + ["lone"] + ["pair"] * 2
    parts = split(23, stratify=labels)
    assert 20 in parts.train
    assert parts.notes[0] == "Class 'lone' has only 1 row: there is none in the validation and test part."
    assert parts.notes[1] in {
        f"Class 'pair' has only 2 rows: there is none in the {part} part." for part in ("validation", "test")
    }


def test_without_a_test_part_the_split_says_what_that_means() -> None:
    parts = split(10, (0.8, 0.2, 0))
    assert sizes(parts) == [8, 2, 0]
    assert parts.notes == (
        "There is no test part: the validation score picks the model, so it is no unbiased estimate of how "
        "the model does on new data.",
    )


def test_the_seed_decides() -> None:
    def train(seed: int) -> list[int]:
        return split(100, seed=seed).train.tolist()

    assert train(1) == train(1) != train(2)
    # Written down once, so that a change of the generator or of the method does not pass unseen.
    assert split(10, seed=0).test.tolist() == [2, 9]


@given(st.integers(2, 60), st.integers(2, 10), st.integers(0, 3))
def test_every_row_is_rated_once_by_k_fold(rows: int, k: int, seed: int) -> None:
    k = min(k, rows)
    folds = k_fold(rows, k, seed=seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.validation for fold in folds])), np.arange(rows))
    for fold in folds:
        assert len(fold.validation) in (rows // k, -(-rows // k))
        np.testing.assert_array_equal(np.union1d(fold.train, fold.validation), np.arange(rows))
        assert len(fold.train) + len(fold.validation) == rows


@given(st.lists(st.integers(5, 30), min_size=2, max_size=5), st.integers(2, 5))
def test_stratified_folds_have_the_proportions_of_scikit_learn(members: list[int], k: int) -> None:
    labels = np.repeat(np.arange(len(members)), members)
    ours = [
        np.bincount(labels[fold.validation], minlength=len(members)) for fold in k_fold(len(labels), k, stratify=labels)
    ]
    theirs = [np.bincount(labels[rows], minlength=len(members)) for _, rows in StratifiedKFold(k).split(labels, labels)]
    # Which fold gets the row that is left over is a matter of order; how many do is not.
    np.testing.assert_array_equal(np.sort(ours, axis=0), np.sort(theirs, axis=0))


def test_k_fold_tells_of_classes_smaller_than_k() -> None:
    folds = k_fold(12, 4, stratify=["a"] * 10 + ["b"] * 2)
    assert folds[0].notes == ("Class 'b' has 2 rows: 2 of 4 folds rate without it.",)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80), shares)
def test_time_never_runs_backwards(times: list[int], fractions: tuple[float, float, float]) -> None:
    dates = np.array(times).astype("datetime64[D]")
    parts = split_or_error(lambda: split_by_time(dates, fractions))
    if isinstance(parts, str):
        assert "must have at least one row" in parts
        return
    filled = [dates[part] for part in (parts.train, parts.validation, parts.test) if len(part)]
    for earlier, later in pairwise(filled):
        assert earlier.max() < later.min()
    rows = np.concatenate([parts.train, parts.validation, parts.test])
    assert len(set(rows)) == len(rows)
    if sum(fractions) > 1 - 1e-9:
        assert len(rows) == len(times)


def test_split_by_time_of_different_times_has_the_exact_shares() -> None:
    times = np.random.default_rng(0).permutation(100).astype(float)
    parts = split_by_time(times)
    assert sorted(times[parts.train]) == list(range(60))
    assert sorted(times[parts.test]) == list(range(80, 100))
    newest = split_by_time(times, (0.2, 0.1, 0.1))
    assert sorted(times[newest.train]) == list(range(60, 80))


ERRORS = [
    (
        lambda: split(10, (0.6, 0.3, 0.2)),
        "split: fractions must be from 0 to 1, that of training above 0, and together at most 1; got (0.6, 0.3, 0.2)",
    ),
    (
        lambda: split(10, (1.1, -0.1, 0)),
        "split: fractions must be from 0 to 1, that of training above 0, and together at most 1; got (1.1, -0.1, 0)",
    ),
    (
        lambda: split(10, (0.8, 0.2)),
        "split: fractions are the three shares of training, validation and test; got (0.8, 0.2). "
        "Write a share of 0 for a part that you do not want.",
    ),
    (
        lambda: split(2),
        "split: the test part must have at least one row; got a share of 0.2 of 2 rows. "
        "Give it a greater share or more rows, or a share of 0 if you do not want it.",
    ),
    (lambda: split(0), "split: there must be rows to split; got 0 rows"),
    (lambda: split(10, seed=-1), "split: the seed must be 0 or more; got -1"),
    (
        lambda: split(4, stratify=[1.5, 2.5, 3.5, 4.5]),
        "split: stratify needs classes, each with several rows; got 4 different values in 4 rows. "
        "Leave stratify out when the target is a quantity.",
    ),
    (
        lambda: split(3, stratify=["a", None, "a"]),
        "split: stratify needs a class in every row; got a missing one in row 2",
    ),
    (lambda: split(3, stratify=["a", "b"]), "split: stratify needs one class a row; got 3 rows and shape (2,)"),
    (
        lambda: k_fold(3, 5),
        "k_fold: there must be at least as many rows as folds; got 3 rows and k=5. Use k=3 (leave one out) or less.",
    ),
    (lambda: k_fold(3, 1), "k_fold: k must be 2 or more; got 1"),
    (
        lambda: split_by_time(np.array(["2020-01-01", "NaT"], dtype="datetime64[D]")),
        "split_by_time: each row needs a time; got a missing one in row 2",
    ),
    (
        lambda: split_by_time(np.array(["1 May", "2 May"])),
        "split_by_time: each row needs a time, a date or a number; got an array of <U5 of shape (2,)",
    ),
    (
        lambda: split_by_time(np.zeros(10)),
        "split_by_time: the training part must have at least one row; got a share of 0.6 of 10 rows. "
        "Give it a greater share or more rows, or a share of 0 if you do not want it.",
    ),
]


@pytest.mark.parametrize(("act", "message"), ERRORS, ids=[message[:50] for _, message in ERRORS])
def test_errors(act, message: str) -> None:
    with pytest.raises(GradloomError) as caught:
        act()
    assert str(caught.value) == message
