"""Examples drawn by their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import X, Y, fit, interrupt_at, load, network, same, trainer, weight

import gradloom as gl
from gradloom import optim, train
from gradloom.errors import OptionError
from gradloom.train.examples import as_examples
from gradloom.train.sampling import sampled
from gradloom.train.source import Resident

KEY = gl.random.key(4)


def test_with_replacement_examples_come_as_often_as_their_weights_say() -> None:
    weights = np.array([0.0, 1.0, 2.0, 0.0, 5.0, 0.0])
    rows = train.WeightedSampling(draws=80_000).drawn(KEY, weights)
    shares = np.bincount(rows, minlength=6) / len(rows)
    expected = weights / weights.sum()
    assert not shares[expected == 0].any()
    assert (np.abs(shares - expected) < 5 * np.sqrt(expected * (1 - expected) / len(rows)) + 1e-12).all()


def test_without_replacement_the_first_draws_have_the_probabilities_of_the_urn() -> None:
    """P(first = i) = wᵢ/Σw and P(second = j | first = i) = wⱼ/(Σw - wᵢ), by counting 4000 epochs."""
    weights, sampling, epochs = np.array([1.0, 2.0, 0.0, 3.0]), train.WeightedSampling(False), 4000
    orders = np.array([sampling.drawn(gl.random.fold_in(KEY, k), weights) for k in range(epochs)])
    assert orders.shape == (epochs, 3)
    assert (np.sort(orders, 1) == [0, 1, 3]).all()
    for i, j in ((0, 1), (1, 3), (3, 0)):
        wanted = weights[i] / 6 * weights[j] / (6 - weights[i])
        found = ((orders[:, 0] == i) & (orders[:, 1] == j)).mean()
        assert found == pytest.approx(wanted, abs=5 * np.sqrt(wanted * (1 - wanted) / epochs))


def drawn_in(run: train.Trainer, epochs: int, weights: np.ndarray, **options: Any) -> train.History:
    return fit(run, epochs, data=(X, Y, weights), **{"sampling": "weights", **options})


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_an_update_is_that_of_the_drawn_examples(executor: str) -> None:
    """An example of all the weight is trained on alone, and counts once."""
    weights = np.zeros(len(X))
    weights[7] = 3.0
    run, alone = trainer(executor=executor), trainer()
    history = drawn_in(run, 1, weights, batch_size=len(X))
    expected = fit(alone, 1, data=(X[[7]], Y[[7]]), batch_size=1)
    assert history.rows[0]["loss"] == pytest.approx(expected.rows[0]["loss"], rel=1e-5)
    for a, b in zip(run.model.parameters()["layers.0"].values(), alone.model.parameters()["layers.0"].values()):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def test_balanced_class_weights_draw_all_classes_alike() -> None:
    source = sampled(trainer(class_weight="balanced")._sources((X, Y), None)[0], "weights")
    portion = next(iter(source.epoch(KEY, 0, 37, True)))
    assert portion.rows is not None
    many = train.WeightedSampling(draws=30_000).drawn(KEY, source.sample().weights)
    np.testing.assert_allclose(np.bincount(Y[many]) / len(many), 1 / 3, atol=0.02)
    assert (portion.examples.weights == 1).all()


def test_epochs_differ_runs_repeat_and_go_on_exactly(tmp_path: Path) -> None:
    weights = np.arange(1.0, 38.0)

    def fresh() -> train.Trainer:
        return trainer(network(deep=True), optimizer=optim.Adam(0.01))

    whole, cut = fresh(), fresh()
    drawn_in(whole, 3, weights)
    drawn_in(cut, 1, weights)
    interrupt_at(cut, 3)
    with pytest.raises(KeyboardInterrupt):
        drawn_in(cut, 1, weights)
    cut.save(tmp_path / "cut.safetensors")
    again = load(tmp_path / "cut.safetensors")
    drawn_in(again, 2, weights)
    assert same(again, whole)
    first, second = (
        next(iter(sampled(Resident(as_examples((X, Y, weights), "fit")), "weights").epoch(KEY, k, 8, True)))
        for k in (0, 1)
    )
    assert (first.rows != second.rows).any()


def test_chunks_are_cut_from_what_was_drawn() -> None:
    weights = np.arange(1.0, 38.0)
    whole, cut = trainer(), trainer()
    drawn_in(whole, 2, weights)
    drawn_in(cut, 2, weights, workers=train.MapReduce(1, chunks=4))
    np.testing.assert_allclose(weight(cut).numpy(), weight(whole).numpy(), rtol=1e-5, atol=1e-6)


def test_draws_may_be_few() -> None:
    run = trainer(metrics=["accuracy"])
    drawn_in(run, 2, np.ones(37), sampling=train.WeightedSampling(False, 16))
    assert (run.rows, run.step) == (16, 4)


def test_refusals() -> None:
    weights = np.ones(37)
    with pytest.raises(OptionError, match="no such sampling"):
        drawn_in(trainer(), 1, weights, sampling="weight")
    with pytest.raises(OptionError, match="37 examples have a weight above 0; got 38 draws"):
        drawn_in(trainer(), 1, weights, sampling=train.WeightedSampling(False, 38))
    with pytest.raises(OptionError, match="examples are drawn from data in memory with one weight each; got a stream"):
        fit(trainer(), data=train.Stream([(X, Y)]), sampling="weights")
