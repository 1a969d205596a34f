"""Bundled sets against scikit-learn's own arrays."""

from __future__ import annotations

import numpy as np
import pytest

from gradloom.data.bundled import BUNDLED, load_bundled
from gradloom.errors import UnknownNameError

datasets = pytest.importorskip("sklearn.datasets")


@pytest.mark.parametrize("name", BUNDLED)
def test_features_are_those_of_scikit_learn(name: str) -> None:
    bunch = getattr(datasets, f"load_{name}")()
    table = load_bundled(name)
    assert table.target == "target"
    assert table.source == name
    assert table.names == [*bunch.feature_names, "target"]
    assert {table[n].kind for n in bunch.feature_names} == {"number"}
    np.testing.assert_array_equal(np.stack([table[n].values for n in bunch.feature_names], axis=1), bunch.data)


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("iris", {"setosa": 50, "versicolor": 50, "virginica": 50}),
        ("wine", {"class_0": 59, "class_1": 71, "class_2": 48}),
        ("breast_cancer", {"benign": 357, "malignant": 212}),
        ("digits", {str(d): n for d, n in enumerate([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])}),
    ],
)
def test_targets_are_class_names(name: str, classes: dict[str, int]) -> None:
    target = load_bundled(name)["target"]
    labels, counts = np.unique(target.values.astype(str), return_counts=True)
    assert target.kind == "category"
    assert dict(zip(labels.tolist(), counts.tolist())) == classes


def test_diabetes_is_a_regression() -> None:
    target = load_bundled("diabetes")["target"]
    assert target.kind == "number"
    np.testing.assert_array_equal(target.values, datasets.load_diabetes().target)


def test_columns_of_digits_say_where_the_pixel_is() -> None:
    table = load_bundled("digits")
    assert table["pixel_2_5"].values[7] == datasets.load_digits().images[7, 2, 5]


def test_kinds_override() -> None:
    assert load_bundled("wine", kinds={"proline": "category"})["proline"].values[0] == "1065"


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_bundled("irsi")
    assert str(caught.value) == (
        "load_bundled: no bundled data set has this name; got 'irsi'. Did you mean 'iris'? "
        "Known: breast_cancer, diabetes, digits, iris, wine."
    )
