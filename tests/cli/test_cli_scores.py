"""The figures against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from gradloom.cli.scores import Baseline, classification_scores, regression_scores
from gradloom.data.table import Column
from gradloom.data.target import TargetPipeline


def test_regression_scores_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    truth, predicted = random.normal(1e5, 2e4, 50), random.normal(1e5, 2e4, 50)
    found = regression_scores(truth, predicted)
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, predicted), rel=1e-12)
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, predicted), rel=1e-12)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, predicted), rel=1e-12)


def test_r2_of_a_constant_truth_is_not_a_number():
    assert np.isnan(regression_scores(np.ones(3), np.arange(3.0))["r2"])


def test_classification_scores_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    labels, probabilities = random.integers(0, 3, 50), random.dirichlet(np.ones(3), 50)
    found = classification_scores(labels, probabilities)
    assert found["accuracy"] == metrics.accuracy_score(labels, probabilities.argmax(axis=1))
    assert found["cross_entropy"] == pytest.approx(metrics.log_loss(labels, probabilities), rel=1e-12)


def test_a_class_with_probability_zero_costs_much_but_not_infinitely_much():
    found = classification_scores(np.array([0]), np.array([[0.0, 1.0]]))
    assert 700 < found["cross_entropy"] < 710


def test_baseline_of_classes_says_the_most_frequent_class_of_the_training_part():
    target = TargetPipeline.fit(Column("y", "category", np.array(["b", "a", "b", "b"], dtype=object)))
    baseline = Baseline.fit(np.array([1, 0, 1, 1]), target)
    assert baseline.name == "always 'b'"
    found = baseline.rate(np.array([0, 1]))
    assert found["accuracy"] == 0.5
    assert found["cross_entropy"] == pytest.approx(-(np.log(0.25) + np.log(0.75)) / 2)


def test_baseline_of_quantities_says_the_mean_of_the_training_part():
    target = TargetPipeline.fit(Column("y", "number", np.array([0.5, 1.5, 4.0])))
    baseline = Baseline.fit(np.array([0.5, 1.5, 4.0]), target)
    found = baseline.rate(np.array([2.0, 4.0]))
    assert baseline.name == "always the mean, 2"
    assert (found["mae"], found["rmse"]) == (1.0, pytest.approx(np.sqrt(2)))
    assert found["r2"] == pytest.approx(-1.0)  # 1 - (0 + 4)/(1 + 1)
