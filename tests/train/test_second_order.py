"""Training by methods that take the loss itself, and the curvature where it ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_runs import ROWS, X, Y, fit, load, network, same, trainer

import gradloom as gl
from gradloom import nn, optim
from gradloom.errors import OptionError

METHODS: dict[str, optim.SecondOrder] = {
    "lbfgs": optim.LBFGS(),
    "newton": optim.Newton(),
    "newton cg": optim.Newton("cg"),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_an_epoch_is_one_step_on_all_examples(method: optim.SecondOrder) -> None:
    run = trainer(optimizer=method, l2=1e-2)
    history = fit(run, epochs=12, batch_size="auto")
    assert (run.batch_size, run.step, len(run._compiled.programs)) == (ROWS, 12, 1)
    losses = np.array([row["loss"] for row in history.rows])
    assert losses[-1] < 0.5 * losses[0]
    slow = trainer(optimizer=optim.SGD(0.1), l2=1e-2)
    fit(slow, epochs=12, batch_size=ROWS)
    assert run.evaluate((X, Y))["loss"] < slow.evaluate((X, Y))["loss"]


def test_the_minimum_is_that_of_minimize() -> None:
    run = trainer(optimizer=optim.LBFGS(), l2=1e-2)
    fit(run, epochs=60, batch_size="auto")

    def loss(p: dict[str, gl.Tensor], x: gl.Tensor, y: gl.Tensor) -> gl.Tensor:
        z = x @ p["w"] + p["b"]
        picked = gl.sum(z * gl.one_hot(y, 3, "float64"), axis=1)
        return gl.mean(gl.logsumexp(z, axis=1) - picked) + 1e-2 * gl.sum(p["w"] ** 2)

    start = {"w": gl.zeros((4, 3), "float64"), "b": gl.zeros(3, "float64")}
    best = optim.minimize(loss, start, X.astype(np.float64), Y, tolerance=1e-9, executor="reference")
    np.testing.assert_allclose(run.model.parameters()["layers.0"]["weight"], best.parameters["w"], atol=2e-4)


@pytest.mark.parametrize("method", [optim.LBFGS(history=3), optim.Newton("cg")], ids=["lbfgs", "newton cg"])
def test_a_run_goes_on_from_its_file(method: optim.SecondOrder, tmp_path: Path) -> None:
    whole, first = (trainer(network(deep=True), optimizer=method) for _ in range(2))
    fit(whole, epochs=4, batch_size="auto")
    fit(first, epochs=2, batch_size="auto")
    first.save(tmp_path / "half.safetensors")
    second = load(tmp_path / "half.safetensors")
    assert second.optimizer == method
    fit(second, epochs=2, batch_size="auto")
    assert same(whole, second)


def test_native_steps_are_those_of_the_reference() -> None:
    runs = [trainer(optimizer=optim.LBFGS(), executor=name) for name in ("native", "reference")]
    for run in runs:
        fit(run, epochs=5, batch_size="auto")
    losses = [[row["loss"] for row in run.history.rows] for run in runs]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_curvature_where_training_ends() -> None:
    run = trainer(optimizer=optim.Newton(), l2=1e-2)
    with pytest.raises(OptionError, match="curvature: the model must be trained or loaded first"):
        run.curvature((X, Y))
    fit(run, epochs=30, batch_size="auto")
    found = run.curvature((X, Y))
    # A number added to all three logits changes nothing, and biases have no penalty.
    assert found.verdict == "flat minimum"
    assert (found.parameters, found.spectrum.negative, found.spectrum.positive) == (15, 0, 14)
    penalty = 1e-2 * float((run.model.parameters()["layers.0"]["weight"].numpy() ** 2).sum())
    assert found.value == pytest.approx(run.evaluate((X, Y))["loss"] + penalty, rel=1e-6)


def test_curvature_has_no_dropout_and_counts_class_weights() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Dense(3))
    run = trainer(model, optimizer=optim.Newton(), class_weight={0: 3.0, 1: 1.0, 2: 1.0})
    fit(run, batch_size="auto")
    first, again = run.curvature((X, Y)), run.curvature((X, Y), method="lanczos", seed=3)
    assert first.value == again.value
    weights = np.where(Y == 0, 3.0, 1.0).astype(np.float32)
    assert first.value == pytest.approx(run.evaluate((X, Y, weights))["loss"], rel=1e-6)
