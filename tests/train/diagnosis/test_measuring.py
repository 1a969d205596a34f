"""What the doctor measures, held against NumPy, SciPy, scikit-learn and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special
from scipy import stats as _stats
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.nn.init import Constant
from gradloom.tensor import tensor
from gradloom.train.diagnosis.budget import Budget
from gradloom.train.diagnosis.case import Case, as_case
from gradloom.train.diagnosis.courses import STEPS, Courses
from gradloom.train.diagnosis.curves import LearningCurve
from gradloom.train.diagnosis.drift import two_sample
from gradloom.train.diagnosis.neighbours import NEIGHBOURS, ask
from gradloom.train.diagnosis.probe import Measured, Probe
from gradloom.train.diagnosis.rates import smoothed
from gradloom.train.diagnosis.scales import condition_number
from gradloom.train.diagnosis.units import units
from gradloom.train.step import Recipe

stats: Any = _stats  # its stubs hide the fields of results
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)).astype(np.float32)
Z = rng.normal(size=(40, 1)).astype(np.float32)
ONES = np.ones(40, np.float32)


def begun(model: nn.Module, optimizer: optim.Optimizer, loss: str = "squared_error") -> train.Trainer:
    """A trainer that stands behind an epoch."""
    run = train.Trainer(model, loss, optimizer, executor="reference")
    run.fit((X, Z), epochs=1, batch_size=40, progress="silent")
    return run


def probed(run: train.Trainer, batch: tuple[np.ndarray, ...] = (X, Z, ONES)) -> Measured:
    recipe = Recipe(run.model, run.loss, run.optimizer, [])
    numbers = {k: tensor(v, "float64") for k, v in recipe.hyperparameters(run.l1, run.l2).items()}
    return Probe(recipe, run.executor)(run.snapshot(), batch, numbers)


def rms(x: Any) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def test_the_probe_measures_what_numpy_computes_by_hand():
    run = begun(nn.Sequential(nn.Dense(5, activation="relu"), nn.Dense(1)), optim.SGD(0.25))
    found = probed(run)
    first, second = run.model.parameters()["layers.0"], run.model.parameters()["layers.1"]
    w1, b1, w2, b2 = (np.float64(p[n].numpy()) for p in (first, second) for n in ("weight", "bias"))
    hidden = np.maximum(X @ w1 + b1, 0)
    out = hidden @ w2 + b2
    slope = 2 * (out - Z) / 40
    g2, g1 = hidden.T @ slope, X.T @ ((slope @ w2.T) * (hidden > 0))
    assert_allclose(found.loss, np.mean((out - Z) ** 2), rtol=1e-5)
    relu = next(layer for layer in found.layers if layer.kind == "ReLU")
    assert relu.path == "layers.0/activation"
    assert_allclose([relu.mean, relu.std], [hidden.mean(), hidden.std()], rtol=1e-5)
    assert relu.alive is not None
    assert_allclose(relu.alive, (hidden > 0).mean(0), rtol=1e-6)
    assert [w.path for w in found.weights] == ["layers.0/weight", "layers.1/weight"]
    assert_allclose([w.size for w in found.weights], [rms(w1), rms(w2)], rtol=1e-5)
    assert_allclose([w.gradient for w in found.weights], [rms(g1), rms(g2)], rtol=1e-4)
    assert_allclose([w.update for w in found.weights], [0.25 * rms(g1), 0.25 * rms(g2)], rtol=1e-4)


@pytest.mark.parametrize(("name", "low", "high"), [("sigmoid", 0.015, 0.985), ("tanh", -0.97, 0.97)])
def test_the_probe_counts_units_at_the_ends_of_their_range(name: str, low: float, high: float):
    run = begun(nn.Sequential(nn.Dense(6, activation=name, init=nn.init.Normal(3.0)), nn.Dense(1)), optim.SGD(0.0))
    (layer,) = (layer for layer in probed(run).layers if layer.saturated is not None)
    hidden = run.model[0](X).numpy()  # type: ignore[index]
    assert layer.saturated is not None
    assert_allclose(layer.saturated, ((hidden < low) | (hidden > high)).mean(0), rtol=1e-6)
    assert 0 < layer.saturated.mean() < 1


def test_an_answer_at_the_end_of_its_range_is_not_counted():
    run = begun(nn.Sequential(nn.Dense(1, activation="tanh")), optim.SGD(0.01))
    assert all(layer.saturated is None for layer in probed(run).layers)


def test_courses_are_the_descent_that_numpy_makes_by_hand():
    run = begun(nn.Sequential(nn.Dense(1)), optim.SGD(0.1))
    recipe = Recipe(run.model, run.loss, run.optimizer, [])
    numbers = {k: tensor(v, "float64") for k, v in recipe.hyperparameters(0.0, 0.0).items()}
    rates = np.geomspace(1e-3, 0.2, STEPS)
    course = Courses(recipe, (X, Z, ONES), 40, "native", Budget())(run.snapshot(), rates, numbers)
    layer = run.model.parameters()["layers.0"]
    w, b, losses = np.float64(layer["weight"].numpy()), np.float64(layer["bias"].numpy()), []
    for rate in rates:
        wrong = X @ w + b - Z
        losses.append(np.mean(wrong**2))
        w, b = w - rate * 2 * X.T @ wrong / 40, b - rate * 2 * wrong.mean(0)
    assert_allclose(course.losses, losses, rtol=1e-4)
    assert_allclose(course.carry["parameters"]["layers.0"]["weight"].numpy(), w, rtol=1e-3, atol=1e-5)


def test_the_two_sample_test_has_scipys_distance_and_kolmogorovs_distribution():
    x, y = rng.normal(size=70), rng.normal(0.4, 1.2, size=110)
    distance, chance = two_sample(x, y)
    assert_allclose(distance, stats.ks_2samp(x, y).statistic, rtol=1e-12)
    root = np.sqrt(70 * 110 / 180)
    assert_allclose(chance, special.kolmogorov((root + 0.12 + 0.11 / root) * distance), rtol=1e-9)
    assert_allclose(chance, stats.ks_2samp(x, y, method="exact").pvalue, rtol=0.2)
    assert two_sample(x, x) == (0.0, 1.0)


def test_the_condition_number_is_the_squared_ratio_of_the_scales():
    columns = np.linalg.qr(rng.normal(size=(50, 4)))[0] * [1, 3, 10, 100]
    assert_allclose(condition_number(columns), 1e4, rtol=1e-9)
    with_a_copy = np.column_stack([columns, columns[:, 0]])
    assert_allclose(condition_number(with_a_copy[:, [0, 4]]), 1.0, rtol=1e-9)


def test_neighbours_vote_as_those_of_scikit_learn_do():
    x = np.concatenate([rng.normal(size=(60, 4)), rng.normal(1.2, 1, size=(60, 4))])
    y = np.repeat([0, 1], 60)
    scaled = np.clip(StandardScaler().fit_transform(x), -5, 5)
    votes = KNeighborsClassifier(NEIGHBOURS)
    shares = np.asarray(cross_val_predict(votes, scaled, y, cv=LeaveOneOut(), method="predict_proba"))
    found = ask(x, y, is_classes=True)
    assert found is not None
    assert_allclose(found.error, np.mean(shares.argmax(1) != y))
    assert_allclose(found.contradicted, np.mean((shares.max(1) >= 0.8) & (shares.argmax(1) != y)))
    assert found.chance == 0.5
    assert not found.is_lost
    shuffled = ask(x, rng.permutation(y), is_classes=True)
    assert shuffled is not None
    assert shuffled.is_lost


@pytest.mark.parametrize(("a", "b", "c"), [(0.1, 2.0, 0.5), (0.0, 1.0, 1.0)])
def test_the_learning_curve_finds_a_power_law(a: float, b: float, c: float):
    counts = (50, 100, 200)
    curve = LearningCurve(counts, tuple(a + b * n**-c for n in counts))
    assert_allclose(curve.next, a + b * 400**-c, rtol=1e-9)
    assert_allclose(curve.limit, a, atol=1e-9)


def test_a_learning_curve_that_has_levelled_off_promises_nothing():
    curve = LearningCurve((50, 100, 200), (0.2, 0.1, 0.1))
    assert (curve.gain, curve.next) == (0.0, 0.1)


def test_smoothing_corrects_its_start():
    assert_allclose(smoothed(np.full(5, 3.0)), 3.0)
    assert_allclose(smoothed(np.array([1.0, 2.0]), keep=0.5), [1.0, (0.25 + 1.0) / 0.75])


# Dead units ---------------------------------------------------------------------------------------------------------


def silent_case(model: nn.Module, x: np.ndarray) -> Case:
    """The case of a run that stands at the weights that the model began with."""
    y = np.zeros((len(x), 1), np.float32)
    run = train.Trainer(model, "squared_error", optim.SGD(0.0), executor="reference")
    run.fit((x, y), epochs=1, batch_size=len(x), progress="silent")
    return as_case(run, (x, y), validation=None, test=None, optimal_error=0.0, experiments=False, budget=Budget())


def test_a_unit_that_stands_for_something_rare_is_not_dead():
    """Each of 8 units fires at one of 2000 examples alone: a sample of 256 holds hardly any of these."""
    draw = np.random.default_rng(3).permutation(2000)
    x = np.zeros((2000, 8), np.float32)
    x[draw[:8], np.arange(8)] = 1
    case = silent_case(by_itself(-0.5), x)
    (layer,) = [layer for layer in case.layers_now.layers if layer.alive is not None]
    assert np.mean(layer.alive == 0) > 0.4  # of the sample
    active, examples = case.ever_active(case.now)
    np.testing.assert_array_equal(active[layer.path], np.ones(8, bool))
    assert 256 < examples <= 2000
    assert list(units(case)) == []
    silenced = silent_case(by_itself(-2.0), x)
    (found,) = units(silenced)
    assert "100% of the ReLUs are 0 for all of 2000 training examples" in found.measured


def by_itself(bias: float) -> nn.Module:
    """A network whose first units each see one input."""
    seeing = nn.Dense(8, activation="relu", init=lambda key, shape: gl.eye(shape[0]), bias_init=Constant(bias))
    return nn.Sequential(seeing, nn.Dense(1))


def test_the_unit_of_a_convolution_is_a_channel():
    """Every channel is 0 at all positions but one, and of one channel in two at that as well."""
    x = np.zeros((40, 6, 6, 1), np.float32)
    x[:, 2, 3] = 1
    conv = nn.Conv(10, 1, activation="relu", init=Constant(1.0), bias_init=Constant(-0.5))
    model = nn.Sequential(conv, nn.Flatten(), nn.Dense(1))
    case = silent_case(model, x)
    assert list(units(case)) == []
    conv.bias = tensor(np.where(np.arange(10) < 5, -0.5, -2.0).astype(np.float32))
    again = as_case(
        case.run,
        (x, np.zeros((40, 1), np.float32)),
        validation=None,
        test=None,
        optimal_error=0.0,
        experiments=False,
        budget=Budget(),
    )
    (found,) = units(again)
    assert found.name == "dead_units"
    assert "50% of the ReLUs" in found.measured
