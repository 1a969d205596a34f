"""The small real data sets that scikit-learn carries with it, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gradloom.data.schema import build_table
from gradloom.data.table import Kind, Table
from gradloom.errors import MissingPackageError, unknown_name

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")
TARGET = "target"


def load_bundled(name: str, *, kinds: Mapping[str, Kind] | None = None) -> Table:
    """A data set that comes with scikit-learn, with its column ``target`` to predict.

    Args:
        name: one of :data:`BUNDLED`.  ``iris``, ``wine`` and ``breast_cancer`` have the names of their
            classes as targets, ``digits`` the digits as categories (its columns are ``pixel_0_0`` to
            ``pixel_7_7``, row and column of the image), ``diabetes`` a number.
        kinds: kinds of columns that the user wants otherwise; the features are numbers.

    Returns:
        The table, which knows its target.

    Raises:
        DataError: a cell is not of the kind asked for.
        MissingPackageError: scikit-learn is not installed.
        UnknownNameError: there is no set of this name, or ``kinds`` names a column or a kind that does not
            exist.
    """
    if name not in BUNDLED:
        raise unknown_name("load_bundled", "bundled data set", name, BUNDLED)
    try:
        from sklearn import datasets  # noqa: PLC0415
    except ImportError:
        raise MissingPackageError(
            "load_bundled",
            rule=f"the data set {name!r} comes with scikit-learn",
            fix="Run: pip install 'gradloom[cli]'.",
        ) from None
    loaders = {
        "breast_cancer": datasets.load_breast_cancer,
        "diabetes": datasets.load_diabetes,
        "digits": datasets.load_digits,
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
    }
    bunch = loaders[name]()
    features = {str(feature): values for feature, values in zip(bunch.feature_names, bunch.data.T)}
    classes = bunch.get("target_names")
    target = bunch.target if classes is None else np.array([str(c) for c in classes])[bunch.target]
    own_kinds: dict[str, Kind] = dict.fromkeys(features, "number")
    own_kinds[TARGET] = "number" if classes is None else "category"
    table = build_table({**features, TARGET: target}, source=name, kinds={**own_kinds, **(kinds or {})})
    return replace(table, target=TARGET)
