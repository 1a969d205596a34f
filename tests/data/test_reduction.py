"""Principal components and the removal of features, held against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import decomposition
from sklearn.feature_selection import VarianceThreshold

from gradloom import data
from gradloom.data.state import Fitted
from gradloom.errors import DataError, ModelFileError, OptionError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5)) @ RNG.standard_normal((5, 5)) + 3


@pytest.mark.parametrize(("components", "whiten"), [(None, False), (2, False), (3, True), (0.9, False), (0.999, True)])
def test_components_are_those_of_scikit_learn(components: int | float | None, whiten: bool) -> None:
    ours, found = data.PCA(components, whiten).fit_transform(X)
    theirs = decomposition.PCA(components, whiten=whiten, svd_solver="full")
    wanted = theirs.fit_transform(X)
    assert found.shape == wanted.shape
    signs = np.sign((found * wanted).sum(0))
    # scikit-learn divides variances by m - 1, we by m, as in Standardize.
    scale = np.sqrt(len(X) / (len(X) - 1)) if whiten else 1.0
    np.testing.assert_allclose(found, wanted * signs * scale, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.shares, theirs.explained_variance_ratio_, rtol=1e-12)
    np.testing.assert_allclose(ours.inverse(found), theirs.inverse_transform(wanted), rtol=1e-9)
    assert ours.feature_names(tuple("abcde"))[0] == "component 1"


def test_all_components_lose_nothing() -> None:
    fitted, found = data.PCA(whiten=True).fit_transform(X)
    np.testing.assert_allclose(np.cov(found.T, bias=True), np.eye(5), atol=1e-10)
    np.testing.assert_allclose(fitted.inverse(found), X, rtol=1e-10)


def test_directions_without_variance_are_no_components() -> None:
    flat = np.outer(RNG.standard_normal(20), [1.0, -2.0, 0.5])
    fitted = data.PCA().fit(flat)
    np.testing.assert_allclose(np.array(fitted.components), [np.array([-1.0, 2.0, -0.5]) / np.sqrt(5.25)], rtol=1e-12)
    with pytest.raises(DataError, match=r"the data vary along 1 direction; got components=2. Use at most 1."):
        data.PCA(2).fit(flat)


def test_features_that_hardly_vary_go() -> None:
    x = np.column_stack([X, np.full(40, 0.1), X[:, 0] * 1e-3])
    fitted, found = data.DropFeatures(1e-3).fit_transform(x)
    np.testing.assert_array_equal(found, VarianceThreshold(1e-3).fit_transform(x))
    assert fitted.feature_names(tuple("abcdefg")) == tuple("abcde")


def test_features_that_repeat_another_go() -> None:
    noise = RNG.standard_normal(40)
    x = np.column_stack([X[:, 0], -2 * X[:, 0] + 1, noise, noise + 0.01 * RNG.standard_normal(40), np.ones(40)])
    assert data.DropFeatures(correlation=0.99).fit(x).kept == (0, 2)
    assert data.DropFeatures().fit(x).kept == (0, 1, 2, 3)


@pytest.mark.parametrize("step", [data.PCA(2), data.DropFeatures()])
def test_state_keeps_every_bit(step: data.PCA | data.DropFeatures) -> None:
    fitted = step.fit(X)
    again = Fitted.from_state(json.loads(json.dumps(fitted.state())))
    assert again == fitted
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))


def test_errors() -> None:
    with pytest.raises(OptionError, match=r"a share of the variance lies between 0 and 1; got 1.5"):
        data.PCA(1.5)
    with pytest.raises(DataError, match=r"got nan in row 2, feature 0. Fill missing cells first"):
        data.PCA().fit(np.array([[1.0, 2.0], [np.nan, 1.0]]))
    with pytest.raises(DataError, match="some feature must vary"):
        data.PCA().fit(np.ones((3, 2)))
    with pytest.raises(DataError, match="some feature must stay"):
        data.DropFeatures().fit(np.ones((3, 2)))
    with pytest.raises(ShapeError, match=r"5 features, as in the training part\); got \(40, 3\)"):
        data.PCA().fit(X).transform(X[:, :3])
    state = data.PCA(2).fit(X).state()
    with pytest.raises(ModelFileError, match="lengths that do not fit"):
        Fitted.from_state({**state, "variances": [1.0]})
    with pytest.raises(ModelFileError, match="a feature that is not there"):
        Fitted.from_state({"kind": "selection", "kept": [7], "of": 2})
