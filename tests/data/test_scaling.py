"""Scaling, held against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from gradloom.data.scaling import Affine, FittedLog, Log, MinMax, Range, Standardize, skewness
from gradloom.data.state import Fitted
from gradloom.errors import GradloomError, ModelFileError

SCALINGS = [Standardize(), MinMax(), MinMax(low=-2, high=3), Range()]
moderate = st.floats(-1e6, 1e6, allow_nan=False, width=32)
matrices = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=moderate)


@pytest.fixture
def numbers() -> np.ndarray:
    values = np.random.default_rng(0).lognormal(size=(50, 4)) * [1, 1e3, 1e-4, 1]
    values[3, 1] = values[7, 2] = np.nan
    values[:, 3] = 0.1  # a constant column: the mean of 50 times 0.1 is not 0.1
    return values


def test_standardize_agrees_with_scikit_learn(numbers: np.ndarray) -> None:
    ours = Standardize().fit(numbers).transform(numbers)
    np.testing.assert_allclose(ours, StandardScaler().fit_transform(numbers), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 5.0)])
def test_minmax_agrees_with_scikit_learn(numbers: np.ndarray, low: float, high: float) -> None:
    ours = MinMax(low=low, high=high).fit(numbers).transform(numbers)
    theirs = MinMaxScaler(feature_range=(low, high)).fit_transform(numbers)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_standardize_by_hand() -> None:
    fitted, scaled = Standardize().fit_transform(np.array([1.0, 2.0, 3.0, 6.0]))
    assert fitted == Affine((3.0,), (np.sqrt(3.5),))
    np.testing.assert_allclose(scaled, np.array([-2, -1, 0, 3]) / np.sqrt(3.5))


def test_range_by_hand() -> None:
    _, scaled = Range().fit_transform(np.array([1.0, 2.0, 3.0, 6.0]))
    np.testing.assert_allclose(scaled, [-0.4, -0.2, 0.0, 0.6])


@given(matrices)
def test_range_lies_within_one(values: np.ndarray) -> None:
    scaled = Range().fit(values).transform(values)
    assert np.abs(scaled).max() <= 1 + 1e-12


@pytest.mark.parametrize("scaling", SCALINGS, ids=repr)
@given(values=matrices)
def test_inverse_undoes_transform(scaling: Standardize | MinMax | Range, values: np.ndarray) -> None:
    fitted = scaling.fit(values)
    size = np.abs(values).max(initial=1.0)
    np.testing.assert_allclose(fitted.inverse(fitted.transform(values)), values, rtol=0, atol=1e-13 * size)


@pytest.mark.parametrize("scaling", SCALINGS, ids=repr)
def test_constant_columns_become_the_offset_and_come_back_exactly(scaling: Standardize | MinMax | Range) -> None:
    values = np.full(7, 0.1)
    fitted = scaling.fit(values)
    assert (fitted.transform(values) == fitted.offset).all()
    if fitted.offset == 0:
        assert (fitted.inverse(fitted.transform(values)) == values).all()


@pytest.mark.parametrize("scaling", SCALINGS, ids=repr)
@given(values=matrices)
def test_state_keeps_every_bit(scaling: Standardize | MinMax | Range, values: np.ndarray) -> None:
    fitted = scaling.fit(values)
    assert Affine.from_state(json.loads(json.dumps(fitted.state(), allow_nan=False))) == fitted


def test_missing_cells_stay_missing(numbers: np.ndarray) -> None:
    scaled = Standardize().fit(numbers).transform(numbers)
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(numbers))


@given(hnp.arrays(np.float64, st.integers(2, 20), elements=st.floats(0, 1e6, width=32)), st.sampled_from([0.01, 1000]))
def test_log_does_not_depend_on_the_unit_and_comes_back(values: np.ndarray, unit: float) -> None:
    values[0] = 1.0
    fitted = Log().fit(values)
    np.testing.assert_allclose(Log().fit(values * unit).transform(values * unit), fitted.transform(values), rtol=1e-9)
    np.testing.assert_allclose(fitted.inverse(fitted.transform(values)), values, rtol=1e-9)


def test_log_of_a_negative_newcomer_mirrors_the_positive_one() -> None:
    fitted = Log().fit(np.array([0.0, 2.0, 4.0, 6.0]))
    assert fitted == FittedLog(4.0)
    np.testing.assert_allclose(fitted.transform(np.array([-4.0, 4.0])), [-np.log(2), np.log(2)])


def test_skewness_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).exponential(size=500)
    np.testing.assert_allclose(skewness(values * 1e150), stats.skew(values), rtol=1e-10)
    assert skewness(np.array([2.0, 2.0, np.nan])) == 0


ERRORS = [
    (
        lambda: Standardize().fit(np.array([1.0, np.inf])),
        "Standardize: values must be finite; got an infinite one in feature 0",
    ),
    (
        lambda: Range().fit(np.array([[1.0, np.nan]])),
        "Range: a feature needs at least one value to fit; got none in feature 1",
    ),
    (lambda: MinMax(low=1, high=1), "MinMax: low must be less than high; got 1 and 1"),
    (lambda: MinMax().fit(np.array(["a"])), "MinMax: values must be numbers; got data type <U1"),
    (
        lambda: MinMax().fit(np.zeros((2, 2, 2))),
        "MinMax: values must be of shape (rows,) or (rows, features); got (2, 2, 2)",
    ),
    (
        lambda: Standardize().fit(np.zeros((2, 2))).transform(np.zeros((2, 3))),
        "scaling: the number of features must be that of the training part; got 3 features, fitted on 2",
    ),
    (
        lambda: Standardize().fit(np.array([1e308, -1e308])),
        "Standardize: mean and spread must be within the range of float64; "
        "got values from -1e+308 to 1e+308 in feature 0. Divide the values by a power of ten first.",
    ),
    (
        lambda: Log().fit(np.array([-1.0, 2.0])),
        "Log: the training values must be 0 or more, and some above 0; got values from -1 to 2. Use Standardize alone.",
    ),
]


@pytest.mark.parametrize(("act", "message"), ERRORS, ids=[message[:40] for _, message in ERRORS])
def test_errors(act, message: str) -> None:
    with pytest.raises(GradloomError) as caught:
        act()
    assert str(caught.value) == message


GOOD = {"kind": "affine", "center": [1.0], "spread": [2.0], "offset": 0.0}
DAMAGED = [
    None,
    [],
    {},
    GOOD | {"kind": "os.system"},
    GOOD | {"kind": ["affine"]},
    GOOD | {"kind": "labels"},
    GOOD | {"extra": 1},
    {name: GOOD[name] for name in ("kind", "center", "spread")},
    GOOD | {"offset": "0"},
    GOOD | {"offset": True},
    GOOD | {"offset": float("nan")},
    GOOD | {"center": 1.0},
    GOOD | {"center": [1.0, 2.0]},
    GOOD | {"spread": [0.0]},
]


@pytest.mark.parametrize("state", DAMAGED, ids=str)
def test_a_damaged_state_is_refused(state: object) -> None:
    assert Affine.from_state(GOOD) == Affine((1.0,), (2.0,))
    with pytest.raises(ModelFileError, match="the state must be one that gradloom wrote"):
        Affine.from_state(state)


def test_a_state_names_its_class_by_a_closed_list() -> None:
    with pytest.raises(ModelFileError) as caught:
        Fitted.from_state({"kind": "afine"})
    assert "no fitted object is of kind 'afine'. Did you mean 'affine'?" in str(caught.value)
