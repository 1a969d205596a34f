"""The estimators among scikit-learn's own: its checks, its tools, and results beside its own models."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn import datasets as bundled
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gradloom import nn
from gradloom.errors import OptionError, ShapeError, UnknownNameError
from gradloom.estimators import NeuralClassifier, NeuralRegressor, NeuralTransformer, Perceptron

datasets: Any = bundled  # what its functions give depends on their arguments


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([NeuralClassifier(), NeuralRegressor(), NeuralTransformer(), Perceptron()])
def test_scikit_learn_finds_nothing(estimator, check):
    check(estimator)


# Results --------------------------------------------------------------------------------------------------------


def test_without_hidden_layers_it_is_scikit_learns_logistic_regression():
    x, y = datasets.load_iris(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    ours = NeuralClassifier((), optimizer="lbfgs", l2=0.01, epochs=100, patience=None, random_state=0).fit(x, y)
    theirs = LogisticRegression(C=1 / (2 * 0.01 * len(x)), tol=1e-9, max_iter=10_000).fit(x, y)
    assert np.allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-6)


def test_without_hidden_layers_the_regressor_finds_least_squares():
    x, y = datasets.load_diabetes(return_X_y=True)
    ours = NeuralRegressor((), optimizer="lbfgs", epochs=100, patience=None, random_state=0).fit(x, y)
    assert ours.predict(x) == pytest.approx(LinearRegression().fit(x, y).predict(x), rel=1e-5)


@pytest.mark.parametrize("multiclass", ["softmax", "one_vs_rest"])
def test_it_generalises_on_wine(multiclass):
    x, y = datasets.load_wine(return_X_y=True)
    model = NeuralClassifier((32,), multiclass=multiclass, l2=1e-3, random_state=0)
    assert cross_val_score(model, x, y, cv=3).mean() > 0.95
    probabilities = model.fit(x, y).predict_proba(x)
    assert probabilities.sum(1) == pytest.approx(1)
    assert (model.classes_[probabilities.argmax(1)] == model.predict(x)).all()


def test_several_targets_keep_their_units():
    x = np.random.default_rng(0).standard_normal((200, 3))
    y = np.stack([1000 * x[:, 0], 0.01 * x[:, 1] + 5], 1)
    model = NeuralRegressor((), epochs=2000, learning_rate=0.03, patience=None, random_state=0).fit(x, y)
    assert model.predict(x).shape == (200, 2)
    assert model.score(x, y) > 0.9999


def test_a_transformer_without_hidden_layers_finds_the_space_of_pca():
    x = StandardScaler().fit_transform(datasets.load_iris().data)
    model = NeuralTransformer((), components=2, epochs=4000, patience=None, standardize=False, random_state=0).fit(x)
    back = model.inverse_transform(model.transform(x))
    lost = np.linalg.svd(x, compute_uv=False)[2:]
    assert np.square(x - back).sum() == pytest.approx(np.square(lost).sum(), rel=0.01)


# Weights --------------------------------------------------------------------------------------------------------


def test_a_weight_of_two_is_a_row_given_twice():
    x, y = datasets.load_iris(return_X_y=True)
    weights = np.random.default_rng(0).integers(0, 3, len(x))
    options = {"hidden": (8,), "epochs": 50, "random_state": 0}
    weighted = NeuralClassifier(**options).fit(x, y, sample_weight=weights)
    repeated = NeuralClassifier(**options).fit(np.repeat(x, weights, 0), np.repeat(y, weights))
    assert np.allclose(weighted.predict_proba(x), repeated.predict_proba(x), atol=1e-7)


def test_class_weights_move_the_boundary():
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(0, 1, (300, 2)), random.normal(1.5, 1, (30, 2))])
    y = np.repeat([0, 1], [300, 30])
    plain, balanced = (
        NeuralClassifier((), class_weight=w, random_state=0).fit(x, y).predict(x[300:]).mean()
        for w in (None, "balanced")
    )
    assert balanced > plain + 0.1


def test_class_weights_count_in_partial_fit_too():
    x, y = datasets.load_iris(return_X_y=True)
    weights = {0: 1.0, 1: 1.0, 2: 50.0}
    by_class = NeuralClassifier((), class_weight=weights, random_state=0).partial_fit(x, y, [0, 1, 2])
    by_row = NeuralClassifier((), random_state=0)
    by_row.partial_fit(x, y, [0, 1, 2], sample_weight=np.array(list(weights.values()))[y])
    assert np.array_equal(by_class.predict_proba(x), by_row.predict_proba(x))
    with pytest.raises(OptionError, match="it does not know all rows; got class_weight='balanced'"):
        NeuralClassifier(class_weight="balanced").partial_fit(x, y, [0, 1, 2])


def test_a_part_can_be_held_out_whatever_the_batch():
    x, y = datasets.load_iris(return_X_y=True)
    for batch_size in ("auto", 150):
        model = NeuralClassifier((), validation_fraction=0.2, batch_size=batch_size, epochs=3).fit(x, y)
        assert len(model.trainer_.history.column("val_loss")) == 3
        assert model.trainer_.batch_size == 120


@pytest.mark.parametrize("unit", [2.0**-800, 2.0**800])
def test_squares_of_features_and_targets_stay_within_the_range_of_numbers(unit):
    x, y = datasets.load_diabetes(return_X_y=True)
    usual = NeuralRegressor((), epochs=5, random_state=0).fit(x, y)
    model = NeuralRegressor((), epochs=5, random_state=0).fit(unit * x, unit * y)
    assert model.predict(unit * x) / unit == pytest.approx(usual.predict(x), rel=1e-6)


def test_targets_stay_as_many():
    x, y = datasets.load_diabetes(return_X_y=True)
    model = NeuralRegressor((), epochs=1).partial_fit(x, np.stack([y, y], 1))
    with pytest.raises(ShapeError, match="later targets must be as many as the first; got 1, not 2"):
        model.partial_fit(x, y)


def test_the_mean_of_many_float32_weights_is_exact():
    """A perceptron that never errs again: its mean weights tend to the last, with a sum beyond float32."""
    x = np.array([[1000.0], [-1001.0]], np.float32)
    x = np.repeat(x, 10_000, 0)
    model = Perceptron(average=True, shuffle=False).fit(x, x[:, 0] > 0)
    weights = np.zeros(2)
    total = np.zeros(2)
    for _ in range(model.n_iter_):
        for value in x[:, 0].astype(np.float64):
            wanted = 1 if value > 0 else -1
            if (1 if weights @ [-1, value] >= 0 else -1) != wanted:
                weights += np.array([-1, value]) * wanted
            total += weights
    assert model.coef_[0, 0] == pytest.approx(total[1] / (model.n_iter_ * len(x)), rel=1e-12)


# Tools ----------------------------------------------------------------------------------------------------------


def test_pipeline_grid_search_and_clone():
    x, y = datasets.load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NeuralClassifier(epochs=200, random_state=0))
    search = GridSearchCV(pipeline, {"neuralclassifier__hidden": [(), (8,)]}, cv=2).fit(x, y)
    assert search.best_score_ > 0.8
    again: Any = clone(search.best_estimator_)
    assert again.get_params()["neuralclassifier__epochs"] == 200


def test_set_output_names_the_features():
    x = datasets.load_iris(as_frame=True).data
    codes = NeuralTransformer((4,), components=3, epochs=2).set_output(transform="pandas").fit_transform(x)
    assert list(codes.columns) == ["neuraltransformer0", "neuraltransformer1", "neuraltransformer2"]


def test_partial_fit_follows_a_drift():
    random = np.random.default_rng(0)
    model = NeuralClassifier((), random_state=0, learning_rate=0.05)

    def rows(sign):
        x = random.standard_normal((100, 2))
        return x, np.where(sign * x[:, 0] > 0, "up", "down")

    for sign in (1, -1):
        for _ in range(60):
            model.partial_fit(*rows(sign), classes=["down", "up"])
        assert model.score(*rows(sign)) > 0.9
    with pytest.raises(OptionError, match="sideways"):
        model.partial_fit(np.zeros((1, 2)), ["sideways"])


def test_warm_start_goes_on():
    x, y = datasets.load_iris(return_X_y=True)
    model = NeuralClassifier((8,), epochs=5, warm_start=True, random_state=0).fit(x, y)
    first = model.loss_
    model.fit(x, y)
    assert model.n_iter_ == 10
    assert model.loss_ < first
    assert model.set_params(warm_start=False).fit(x, y).n_iter_ == 5


def test_own_validation_rows_stop_training():
    x, y = datasets.load_breast_cancer(return_X_y=True)
    x, held_x, y, held_y = train_test_split(x, y, random_state=0)
    model = NeuralClassifier((64,), patience=3, epochs=500, random_state=0).fit(x, y, validation=(held_x, held_y))
    assert model.n_iter_ < 500
    assert "val_loss" in model.trainer_.history.rows[0]
    assert model.score(held_x, held_y) > 0.93


def test_a_pickle_holds_the_model_file_and_goes_on():
    x, y = datasets.load_iris(return_X_y=True)
    model = NeuralClassifier((8,), epochs=5, warm_start=True, random_state=0).fit(x, y)
    copied = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copied.predict_proba(x), model.predict_proba(x))
    assert np.array_equal(copied.fit(x, y).predict_proba(x), model.fit(x, y).predict_proba(x))


def own_model(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Dense(6, activation="tanh"), nn.LayerNorm(), nn.Dense(outputs))


def test_a_model_of_your_own():
    x, y = datasets.load_iris(return_X_y=True)
    assert NeuralClassifier(model=own_model, random_state=0).fit(x, y).score(x, y) > 0.95


def test_options_are_checked_in_fit():
    x, y = datasets.load_iris(return_X_y=True)
    with pytest.raises(UnknownNameError, match="adam"):
        NeuralClassifier(optimizer="adan").fit(x, y)
    with pytest.raises(OptionError, match="multiclass"):
        NeuralClassifier(multiclass="ovr").fit(x, y)
    with pytest.raises(OptionError, match="1 class"):
        NeuralClassifier().fit(x, np.zeros(len(x)))
    with pytest.raises(ValueError, match="eights"):
        NeuralClassifier().fit(x, y, sample_weight=np.zeros(len(x)))


# The perceptron -------------------------------------------------------------------------------------------------


def test_the_perceptron_follows_its_rule():
    """Against the rule as the notes write it, a row at a time."""
    random = np.random.default_rng(3)
    x = random.standard_normal((40, 2))
    y = np.where(x @ [1.0, -2.0] > 0.3, 1, -1)
    model = Perceptron(0.5, shuffle=False).fit(x, y)
    weights, mistakes = np.zeros(3), []
    while not mistakes or mistakes[-1]:
        mistakes.append(0)
        for row, wanted in zip(np.hstack([np.full((40, 1), -1), x]), y):
            if (1 if weights @ row >= 0 else -1) != wanted:
                weights = weights + 0.5 * wanted * row
                mistakes[-1] += 1
    assert model.mistakes_ == mistakes
    assert np.allclose([-model.intercept_[0], *model.coef_[0]], weights)
    assert model.score(x, y) == 1


def test_no_perceptron_computes_exclusive_or_but_a_network_does():
    x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    assert Perceptron(epochs=200).fit(x, y).score(x, y) < 1
    network = NeuralClassifier((8,), activation="tanh", random_state=0, patience=None).fit(x, y)
    assert network.score(x, y) == 1


def test_several_perceptrons_tell_each_class_from_the_rest():
    x, y = datasets.load_iris(return_X_y=True)
    assert Perceptron(average=True, random_state=0).fit(x, y).score(x, y) > 0.85


@pytest.mark.parametrize("several", [{"a": np.ones((4, 2))}, (np.ones((4, 2)), np.ones((4, 2)))], ids=["dict", "tuple"])
def test_several_inputs_are_refused_in_our_words(several):
    for use in (lambda: NeuralClassifier().fit(several, [0, 1, 0, 1]), lambda: NeuralTransformer().fit(several)):
        with pytest.raises(OptionError, match=r"take one matrix of features; got a .* arrays. Train a network"):
            use()
