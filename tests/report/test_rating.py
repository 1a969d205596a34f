"""Figures of a rated part against scikit-learn and SciPy, intervals, calibration, importance of columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

import gradloom as gl
from gradloom import nn, report, train
from gradloom.errors import DataError, ShapeError
from gradloom.report.calibration import calibration
from gradloom.report.importance import permutation_importance
from gradloom.report.intervals import bootstrap, wilson
from gradloom.report.rating import Rated, rated
from gradloom.report.scores import confusion, scores

RNG = np.random.default_rng(3)


def of_classes(count: int = 200, classes: int = 4) -> Rated:
    """Answers of a made-up model that is right now and then; the last class never occurs in the truth."""
    logits = RNG.standard_normal((count, classes))
    truth = RNG.integers(0, classes - 1, count)
    logits[np.arange(count), truth] += 1.5
    said = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Rated("classes", truth, said, tuple("abcd"[:classes]), np.zeros((count, 1)))


def values(of: Rated) -> dict[str, float]:
    return {score.name: score.value for score in scores(of)}


def test_figures_of_classes_are_those_of_scikit_learn() -> None:
    of = of_classes()
    truth, chosen, found = of.truth, of.said.argmax(1), values(of)
    several: dict[str, Any] = {"average": "macro", "zero_division": 0}
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, chosen))
    assert found["mean recall"] == pytest.approx(metrics.recall_score(truth, chosen, **several))
    assert found["mean precision"] == pytest.approx(metrics.precision_score(truth, chosen, **several))
    assert found["mean F1"] == pytest.approx(metrics.f1_score(truth, chosen, **several))
    assert found["cross-entropy"] == pytest.approx(metrics.log_loss(truth, of.said, labels=range(4)))
    np.testing.assert_array_equal(confusion(of), metrics.confusion_matrix(truth, chosen, labels=range(4)))


def test_briers_score_is_that_of_scikit_learn() -> None:
    of = of_classes()
    expected = sum(((of.said[:, k] - (of.truth == k)) ** 2).mean() for k in range(4))
    assert values(of)["Brier score"] == pytest.approx(expected)


def test_figures_of_numbers_are_those_of_scikit_learn() -> None:
    truth = RNG.standard_normal(80)
    of = Rated("numbers", truth, truth + 0.3 * RNG.standard_normal(80), (), np.zeros((80, 1)))
    found = values(of)
    assert found["R²"] == pytest.approx(metrics.r2_score(truth, of.said))
    assert found["root mean squared error"] == pytest.approx(metrics.root_mean_squared_error(truth, of.said))
    assert found["mean absolute error"] == pytest.approx(metrics.mean_absolute_error(truth, of.said))


def test_figures_of_pixels_are_those_of_scikit_learn() -> None:
    truth = RNG.integers(0, 3, (5, 6, 7))
    chosen = np.where(RNG.random(truth.shape) < 0.7, truth, 0)
    of = Rated("pixels", truth, chosen, ("a", "b", "c"), np.zeros((5, 6, 7, 1)), np.full(truth.shape, 0.7))
    found, flat = values(of), (truth.reshape(-1), chosen.reshape(-1))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(*flat))
    assert found["mean IoU"] == pytest.approx(metrics.jaccard_score(*flat, average="macro"))
    assert found["mean Dice"] == pytest.approx(metrics.f1_score(*flat, average="macro"))


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 30), (30, 30), (29, 30), (1, 500), (250, 500)])
def test_wilsons_interval_is_that_of_scipy(successes: int, trials: int) -> None:
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_bootstrap_gives_what_scipys_does() -> None:
    sample = RNG.gamma(2.0, size=300)
    found = bootstrap(lambda rows: float(sample[rows].mean()), 300)
    expected = stats.bootstrap((sample,), np.mean, method="percentile", rng=np.random.default_rng(1))
    # Both are random: an end varies by about a tenth of the deviation of the mean.
    error = sample.std() / 300**0.5
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.4 * error)
    assert bootstrap(lambda rows: float(sample[rows].mean()), 300) == found


def test_draws_without_a_figure_take_no_part() -> None:
    low, high = bootstrap(lambda rows: 1.0 if 0 in rows else float("nan"), 3)
    assert (low, high) == (1.0, 1.0)
    assert np.isnan(bootstrap(lambda rows: float("nan"), 3)).all()


def test_every_interval_holds_its_figure() -> None:
    for of in (of_classes(), Rated("numbers", np.arange(9.0), np.arange(9.0) + 1, (), np.zeros((9, 1)))):
        for score in scores(of):
            assert score.interval[0] <= score.value <= score.interval[1], score.name


def test_calibration_by_hand() -> None:
    """Of two answers with 0.6 one is right, of three with 0.9 all: |0.5 - 0.6|·2/5 + |1 - 0.9|·3/5 = 0.1."""
    sure = np.array([0.6, 0.6, 0.9, 0.9, 0.9])
    of = Rated("classes", np.array([0, 1, 0, 0, 0]), np.stack([sure, 1 - sure], 1), ("a", "b"), np.zeros((5, 1)))
    found = calibration(of)
    assert found.error == pytest.approx(0.1)
    assert [(b.count, b.accuracy) for b in found.bins] == [(2, 0.5), (3, 1.0)]
    assert [(b.low, b.high) for b in found.bins] == [(0.5, 0.6), (0.8, 0.9)]


def test_a_model_that_draws_from_its_own_probabilities_is_calibrated() -> None:
    sure = RNG.uniform(0.5, 1, 20_000)
    truth = (RNG.random(20_000) > sure).astype(int)
    of = Rated("classes", truth, np.stack([sure, 1 - sure], 1), ("a", "b"), np.zeros((20_000, 1)))
    assert calibration(of).error < 0.015
    certain = Rated("classes", truth, np.eye(2)[np.zeros(20_000, int)], ("a", "b"), of.inputs)
    assert calibration(certain).error == pytest.approx(truth.mean())


def test_the_importance_of_a_linear_model_is_known() -> None:
    """Of y = Σ w x the mean squared error rises by 2 w² σ² when x is shuffled."""
    x, weights = RNG.standard_normal((4000, 3)), np.array([2.0, 0.0, 1.0])
    y = x @ weights
    found = permutation_importance(
        lambda inputs: -float(((inputs @ weights - y) ** 2).mean()), x, {"a": [0], "b": [1], "c": [2]}
    )
    assert [one.name for one in found] == ["a", "c", "b"]
    assert [one.mean for one in found] == pytest.approx([8.0, 2.0, 0.0], rel=0.1)
    assert found[2].drops == (0.0,) * 5
    assert found[0].deviation == pytest.approx(np.std(found[0].drops, ddof=1))


def test_features_of_one_column_are_shuffled_together() -> None:
    x = np.repeat(RNG.standard_normal((50, 1)), 2, axis=1)
    found = permutation_importance(
        lambda inputs: -float(np.abs(inputs[:, 0] - inputs[:, 1]).max()), x, {"both": [0, 1]}
    )
    assert found[0].drops == (0.0,) * 5


def ready(units: int, **options: Any) -> train.Trainer:
    run = train.Trainer(nn.Sequential(nn.Dense(units)), executor="reference", **options)
    run.model.initialize(np.zeros((1, 2), np.float32))
    run.input_type = "float32", (2,)
    run.model.load({"layers.0": {"weight": gl.ones((2, units)), "bias": gl.zeros(units)}}, {})
    return run


def test_two_classes_with_one_output() -> None:
    found = rated(
        ready(1, loss="binary_cross_entropy"), "test", (np.array([[1.0, 1.0], [-3.0, 0.0]]), np.array([1.0, 0.0]))
    )
    assert found.classes == ("0", "1")
    np.testing.assert_allclose(found.said[:, 1], 1 / (1 + np.exp([-2.0, 3.0])), rtol=1e-6)
    np.testing.assert_array_equal(found.chosen, [1, 0])


def test_what_cannot_be_rated_is_refused() -> None:
    with pytest.raises(ShapeError, match="page: the model must give one number an example; got shape \\(2, 3\\)"):
        rated(ready(3, loss="squared_error"), "page", (np.zeros((2, 2)), np.zeros((2, 3))))
    with pytest.raises(DataError, match="page: targets are classes from 0 to 2, one an example"):
        rated(ready(3), "page", (np.zeros((2, 2)), np.array([0, 3])))


def test_pixels_that_the_loss_ignores_do_not_count() -> None:
    images = RNG.random((6, 5, 4, 1)).astype(np.float32)
    masks = RNG.integers(0, 3, (6, 5, 4))
    masks[0], masks[:, 0] = 255, 255
    run = train.Trainer(nn.Conv(3, 1), nn.losses.CrossEntropy(ignore=255), executor="reference")
    run.fit((images, masks), epochs=1, progress="silent")
    of, known = rated(run, "page", (images, masks)), masks != 255
    chosen = run.predict(images).argmax(-1)
    np.testing.assert_array_equal(confusion(of), metrics.confusion_matrix(masks[known], chosen[known]))
    found = {score.name: score.value for score in scores(of)}
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(masks[known], chosen[known]))
    assert found["mean IoU"] == pytest.approx(metrics.jaccard_score(masks[known], chosen[known], average="macro"))
    assert sum(b.count for b in calibration(of).bins) == known.sum()
    assert "Masks" in report.page(run, {"test": (images, masks)}).html
    with pytest.raises(DataError, match="pixels are of classes from 0 to 2; got none that counts"):
        rated(run, "page", (images, np.full_like(masks, 255)))
