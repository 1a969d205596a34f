"""Class weights: examples of rare classes count more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gradloom.errors import DataError, OptionError
from gradloom.train.examples import Examples
from gradloom.train.settings import ClassWeight


def with_class_weights(examples: Examples, class_weight: ClassWeight) -> Examples:
    """The examples, each weight multiplied by that of its class.

    Args:
        examples: with class indices as targets, shape (n,) or (n, 1), or masks of them, whose weights become maps.
        class_weight: a weight for each class, or "balanced": n / (classes · n_c) for the n_c of n examples that are
            of class c, so that all classes weigh the same together; None leaves the examples as they are.

    Raises:
        DataError: the targets are no class indices, or no example has a weight above 0.
        OptionError: a class has no weight.
    """
    if class_weight is None:
        return examples
    factors = _factors(_labels(examples.targets), class_weight)
    given = examples.weights.reshape(*examples.weights.shape, *[1] * (factors.ndim - examples.weights.ndim))
    weights = (given * factors).astype(examples.weights.dtype)
    if not weights.any():
        raise DataError("class_weight", rule="some example must have a weight above 0", got="0 for all classes there")
    return replace(examples, weights=weights)


def refuse_balanced_stream(class_weight: ClassWeight) -> None:
    """Classes of a stream cannot be counted before.

    Raises:
        OptionError: the weights are to be balanced.
    """
    if class_weight == "balanced":
        raise OptionError(
            "class_weight",
            rule="balanced weights need all examples at once",
            got="a stream",
            fix="Count the classes before, and pass a weight for each.",
        )


def _labels(targets: np.ndarray) -> np.ndarray:
    """The class of each example, or of each position of a mask."""
    labels = targets.reshape(-1) if targets.shape == (len(targets), 1) else targets
    if (labels.ndim != 1 and labels.dtype.kind == "f") or (labels < 0).any() or (labels != np.rint(labels)).any():
        raise DataError(
            "class_weight",
            rule="class weights need one class index from 0 for each example",
            got=f"targets {targets.dtype}{list(targets.shape)}",
        )
    return labels.astype(np.int64)


def _factors(labels: np.ndarray, class_weight: str | Mapping[int, float]) -> np.ndarray:
    """The weight of each example's class."""
    if isinstance(class_weight, str):
        _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        return (labels.size / (len(counts) * counts))[classes].reshape(labels.shape)
    present, classes = np.unique(labels, return_inverse=True)
    missing = sorted(set(present.tolist()) - set(class_weight))
    if missing:
        raise OptionError("class_weight", rule="every class needs a weight", got=f"none for {missing}")
    return np.array([class_weight[label] for label in present.tolist()], np.float64)[classes].reshape(labels.shape)
