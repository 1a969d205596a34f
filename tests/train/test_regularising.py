"""Regularisers in training: where they lead, and that they are part of the compiled step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression
from small_runs import fit, load, network, same, trainer, weight

from gradloom import nn, optim, train
from gradloom.errors import OptionError
from gradloom.nn.regularizers import L1, L2, Box, Elastic, MaxNorm


def standardised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / x.std(0)


DIABETES = [standardised(np.asarray(part)) for part in load_diabetes(return_X_y=True)]
OPTIMIZERS = {
    "descent": optim.SGD(0.1),
    "momentum": optim.SGD(0.05, 0.9),
    "nesterov": optim.SGD(0.05, 0.9, nesterov="reparametrised"),
    "average": optim.SGD(0.2, 0.9, momentum_form="ewma"),
    "adagrad": optim.AdaGrad(0.1),
    "rmsprop": optim.RMSProp(optim.schedules.Linear(0.01, 1e-6, 1400)),
    "adam": optim.Adam(0.01),
}


def linear(
    loss: str, optimizer: optim.Optimizer, *regularizers: nn.regularizers.Regularizer, bias: bool = True
) -> train.Trainer:
    model = nn.Dense(1, bias=bias)
    return train.Trainer(model, loss, optimizer, regularizers=regularizers, dtype="float64")


def solved(run: train.Trainer, data: tuple[np.ndarray, np.ndarray], steps: int) -> np.ndarray:
    run.fit(data, epochs=steps, batch_size=len(data[0]), shuffle=False, progress="silent")
    return run.model.parameters()["weight"].numpy()[:, 0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_proximal_l1_is_the_lasso(optimizer: optim.Optimizer) -> None:
    """The same support with exact zeros, and coefficients to 1e-4, whatever the optimiser's step sizes."""
    x, y = DIABETES
    expected = Lasso(alpha=0.1, tol=1e-10, max_iter=10000).fit(x, y).coef_
    found = solved(linear("half_squared_error", optimizer, L1(0.1, proximal=True)), (x, y), 1500)
    assert 0 < (expected == 0).sum() < 10
    np.testing.assert_array_equal(found == 0, expected == 0)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_proximal_l1_is_sparse_logistic_regression() -> None:
    features, labels = map(np.asarray, load_breast_cancer(return_X_y=True))
    x, rate = standardised(features), 0.05
    reference = LogisticRegression(
        C=1 / (rate * len(x)), l1_ratio=1.0, solver="liblinear", fit_intercept=False, tol=1e-10, max_iter=10000
    )
    expected = reference.fit(x, labels).coef_[0]
    run = linear("binary_cross_entropy", optim.SGD(0.2, 0.9), L1(rate, proximal=True), bias=False)
    found = solved(run, (x, labels), 3000)
    assert 0 < (expected == 0).sum() < 30
    np.testing.assert_array_equal(found == 0, expected == 0)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_gradient_of_l1_gives_no_zeros() -> None:
    x, y = DIABETES
    found = solved(linear("half_squared_error", optim.SGD(0.1), L1(0.1)), (x, y), 500)
    assert (found != 0).all()
    assert (np.abs(found) < 0.02).any()


def test_proximal_elastic_is_the_elastic_net() -> None:
    """scikit-learn's α (r Σ|w| + (1 - r)/2 Σw²)."""
    x, y = DIABETES
    reference = ElasticNet(alpha=0.3, l1_ratio=0.4, tol=1e-10, max_iter=10000).fit(x, y)
    found = solved(linear("half_squared_error", optim.SGD(0.1), Elastic(0.12, 0.09, proximal=True)), (x, y), 1000)
    np.testing.assert_array_equal(found == 0, reference.coef_ == 0)
    np.testing.assert_allclose(found, reference.coef_, atol=1e-4)


def test_projection_solves_the_constrained_problem() -> None:
    """Non-negative least squares, as SciPy has it."""
    x, y = DIABETES
    found = solved(linear("half_squared_error", optim.SGD(0.1, 0.9), Box(low=0.0), bias=False), (x, y), 2000)
    np.testing.assert_allclose(found, nnls(x, y)[0], atol=1e-4)


def test_penalties_are_the_shorthands() -> None:
    short, long = trainer(l1=0.02, l2=0.03), trainer(regularizers=[L1(0.02), L2(0.03)])
    for run in (short, long):
        fit(run, epochs=3)
    np.testing.assert_allclose(weight(short).numpy(), weight(long).numpy(), rtol=1e-5, atol=1e-7)


def test_per_example_divides_by_the_batch() -> None:
    whole, each = (trainer(regularizers=[r]) for r in (L2(0.01), L2(0.37, scale="per_example")))
    for run in (whole, each):
        fit(run, epochs=3, batch_size=37)
    np.testing.assert_allclose(weight(whole).numpy(), weight(each).numpy(), rtol=1e-5, atol=1e-7)


def test_max_norm_holds_after_every_step_on_the_native_executor() -> None:
    run = trainer(executor="native", optimizer=optim.Adam(0.1), regularizers=[MaxNorm(0.5)])
    fit(run, epochs=5)
    norms = np.linalg.norm(weight(run).numpy(), axis=0)
    assert norms.max() == pytest.approx(0.5, rel=1e-5)


def test_another_rate_compiles_nothing() -> None:
    run = trainer(regularizers=[L1(0.1, proximal=True), MaxNorm(2.0)])
    fit(run)
    first, compiled = weight(run).numpy(), run._compiled
    run.regularizers = [L1(5.0, proximal=True), MaxNorm(1.0)]
    fit(run)
    assert run._compiled is compiled
    assert first.all()
    assert not weight(run).numpy().any()
    run.regularizers = []
    assert run._compiled is not compiled
    fit(run)
    assert weight(run).numpy().all()


def test_a_saved_run_goes_on_with_its_regularizers(tmp_path: Path) -> None:
    def fresh() -> train.Trainer:
        return trainer(
            network(deep=True), optimizer=optim.Adam(0.01), regularizers=[L1(0.01, proximal=True), MaxNorm(1.0)]
        )

    whole, half = fresh(), fresh()
    fit(whole, 4)
    fit(half, 2)
    half.save(tmp_path / "run.safetensors")
    again = load(tmp_path / "run.safetensors")
    assert again.regularizers == whole.regularizers
    fit(again, 2)
    assert same(again, whole)


def test_chunks_of_a_batch_are_regularised_as_the_whole() -> None:
    given = [L1(0.4, scale="per_example", proximal=True), L2(0.1, scale="per_example"), MaxNorm(0.7)]
    whole, cut = (trainer(regularizers=given) for _ in range(2))
    fit(whole, 2, batch_size=8)
    fit(cut, 2, batch_size=8, workers=train.MapReduce(1, chunks=4))
    np.testing.assert_allclose(weight(cut).numpy(), weight(whole).numpy(), rtol=1e-4, atol=1e-6)
    assert (weight(whole).numpy() == 0).any()


def test_refusals() -> None:
    with pytest.raises(OptionError, match="MaxNorm moves the weights after each update"):
        trainer(optimizer=optim.LBFGS(), regularizers=[MaxNorm(1.0)])
    with pytest.raises(OptionError, match="nesterov='reparametrised'"):
        trainer(optimizer=optim.SGD(0.1, 0.9, nesterov=True), regularizers=[L1(0.1, proximal=True)])
    run = trainer(regularizers=[MaxNorm(1.0)])
    with pytest.raises(OptionError, match="MaxNorm moves the weights"):
        run.optimizer = optim.Newton()
    with pytest.raises(OptionError, match="regularizers is a list"):
        trainer(regularizers=L2(0.1))
    with pytest.raises(OptionError, match="regularizers are regularisers; got 'l2'"):
        trainer(regularizers=["l2"])
    trainer(optimizer=optim.LBFGS(), regularizers=[L2(0.1)])
