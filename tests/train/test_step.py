"""A training step is one pure graph whose numbers are inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_runs import CLASSES, ROWS, X, Y, Z, fit, network, tensors, trainer

import gradloom as gl
from gradloom import nn, optim
from gradloom.nn import metrics
from gradloom.train.examples import as_examples, hold_out
from gradloom.train.regularising import penalty
from gradloom.train.step import Recipe

OPTIMIZERS = {
    "sgd": optim.SGD(0.1),
    "nesterov": optim.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": optim.Adam(1e-2),
    "adamw": optim.AdamW(1e-2),
    "rmsprop": optim.RMSProp(1e-2),
    "schedule": optim.Adam(optim.schedules.Cosine(1e-2, steps=100)),
}


def arguments(recipe: Recipe, *, rows: int = 8, lr: float = 0.1, l2: float = 0.0, seed: int = 0) -> tuple[Any, ...]:
    """What a step is given, after the model's parameters were made."""
    recipe.model.initialize(X[:2])
    carry = {
        "parameters": recipe.model.parameters(),
        "state": recipe.model.state(),
        "optimizer": recipe.optimizer.init(recipe.model.parameters()),
        "step": gl.tensor(0),
    }
    hyper = {name: gl.tensor(value, "float64") for name, value in recipe.hyperparameters(0.0, l2).items()}
    if "lr" in hyper:
        hyper["lr"] = gl.tensor(lr, "float64")
    return carry, (X[:rows], Y[:rows], np.ones(rows, np.float32)), gl.random.key(seed), hyper


def programs(step: Any) -> int:
    """How often a function was compiled."""
    return len(step.programs)


def recipe(optimizer: optim.Optimizer) -> Recipe:
    return Recipe(network(deep=True), nn.losses.CrossEntropy(), optimizer, [metrics.Accuracy()])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_one_closed_graph_in_which_every_number_is_an_input(name: str):
    made = recipe(OPTIMIZERS[name])
    given = arguments(made)
    graph = gl.trace(made.train, *given)
    graph.verify()
    assert not graph.free
    used = {x for node in graph.nodes for x in node.inputs}
    names = {x.attrs["name"] for x in graph.inputs if x in used}
    assert {f"hyper.{number}" for number in made.hyperparameters(0.0, 0.0)} <= names


def test_another_learning_rate_penalty_or_seed_compiles_nothing():
    made = recipe(optim.SGD(0.1))
    step = gl.jit(made.train)
    results = []
    for lr, l2, seed in ((0.1, 0.1, 0), (0.2, 0.1, 0), (0.1, 0.5, 0), (0.1, 0.1, 7)):
        new, _ = step(*arguments(made, lr=lr, l2=l2, seed=seed))
        results.append(new["parameters"]["layers.0"]["weight"].numpy())
    assert programs(step) == 1
    assert len({result.tobytes() for result in results}) == 4  # each of them matters


def test_a_penalty_of_rate_0_is_not_computed():
    made = recipe(optim.SGD(0.1))
    without, both = (gl.trace(made.train, *arguments(made, l2=l2)) for l2 in (0.0, 0.5))
    counts = [sum(n.scope.startswith("penalty") for n in graph.nodes if n.inputs) for graph in (without, both)]
    assert counts[0] <= 1 < counts[1]  # the sum with the loss alone


def test_a_penalty_that_is_switched_on_or_off_takes_part_at_once():
    switched, steady = trainer(), trainer(l2=0.5)
    for run in (switched, steady):
        fit(run, epochs=1)
    switched.l2 = 0.5
    steady.restore(switched.snapshot())
    assert fit(switched, epochs=1).rows[-1]["loss"] == fit(steady, epochs=1).rows[-1]["loss"]
    assert all(np.array_equal(a, b) for a, b in zip(tensors(switched), tensors(steady)))
    switched.l2 = 0.0
    assert switched.penalty() == 0.0


@pytest.mark.parametrize("size", [37, 8, 36, 12, 1])
def test_all_batches_are_one_program(size: int):
    run = trainer()
    fit(run, epochs=3, batch_size=size)
    assert programs(run._compiled) == 1


def test_a_last_batch_that_is_filled_up_trains_as_the_short_one():
    """The update, the loss and the metrics are those of the examples left over alone."""
    run, by_hand = (trainer(metrics=["accuracy"], l2=1e-2) for _ in range(2))
    shown = fit(run, data=(X[:11], Y[:11]), batch_size=8, shuffle=False).rows[0]
    first = fit(by_hand, data=(X[:8], Y[:8]), batch_size=8, shuffle=False).rows[0]
    second = fit(by_hand, data=(X[8:11], Y[8:11]), batch_size=3, shuffle=False).rows[1]
    for a, b in zip(tensors(run), tensors(by_hand)):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    for name in ("loss", "accuracy"):
        assert shown[name] == pytest.approx((8 * first[name] + 3 * second[name]) / 11, rel=1e-6)


def test_the_first_update_is_that_of_the_formula():
    """w ← w - η (Xᵀ(p - y)/n + 2λ₂w + λ₁ sign w), b ← b - η Σ(p - y)/n, in float64 by hand."""
    lr, l1, l2 = 0.1, 0.02, 0.03
    run = trainer(l1=l1, l2=l2)
    run.model.initialize(X[:2], seed=0)
    layer = run.model.parameters()["layers.0"]
    w, b = (layer[name].numpy().astype(np.float64) for name in ("weight", "bias"))
    scores = np.exp(X @ w + b)
    error = scores / scores.sum(1, keepdims=True) - np.eye(CLASSES)[Y]
    history = fit(run, batch_size=ROWS)
    after = run.model.parameters()["layers.0"]
    wanted = w - lr * (X.T @ error / ROWS + 2 * l2 * w + l1 * np.sign(w))
    np.testing.assert_allclose(after["weight"].numpy(), wanted, atol=1e-6)
    np.testing.assert_allclose(after["bias"].numpy(), b - lr * error.sum(0) / ROWS, atol=1e-6)
    losses = -np.log((scores / scores.sum(1, keepdims=True))[np.arange(ROWS), Y])
    assert history.rows[0]["loss"] == pytest.approx(losses.mean(), rel=1e-6)  # without penalties


def test_penalties_leave_vectors_out():
    parameters = {"weight": gl.tensor([[1.0, -2.0]]), "bias": gl.tensor([5.0])}
    assert penalty(parameters, {"l1": 0.5, "l2": 0.25}).item() == 0.5 * 3 + 0.25 * 5
    slope = gl.grad(lambda p: penalty(p, {"l1": 0.5, "l2": 0.25}))(parameters)
    np.testing.assert_array_equal(slope["weight"].numpy(), [[0.5 + 0.5 * 1, -0.5 - 0.5 * 2]])
    np.testing.assert_array_equal(slope["bias"].numpy(), [0.0])


def test_an_example_of_weight_0_is_as_if_it_were_not_there():
    weights = np.ones(16, np.float32)
    weights[10:] = 0
    strange = X[:16].copy()
    strange[10:] = 1000
    results = []
    for x in (X[:16], strange):
        run = trainer(metrics=["accuracy"])
        history = fit(run, epochs=3, data=(x, Y[:16], weights), batch_size=16, shuffle=False)
        results.append((tensors(run), history.rows))
    for a, b in zip(results[0][0], results[1][0]):
        assert a.tobytes() == b.tobytes()
    assert results[0][1] == results[1][1]
    alone = trainer(metrics=["accuracy"])
    history = fit(alone, epochs=3, data=(X[:10], Y[:10]), batch_size=10, shuffle=False)
    for a, b in zip(results[0][0], tensors(alone)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert history.rows[-1]["accuracy"] == results[0][1][-1]["accuracy"]


def test_a_weight_of_2_is_as_good_as_the_example_twice():
    twice = np.concatenate([X, X[:5]]), np.concatenate([Y, Y[:5]])
    weights = np.ones(ROWS)
    weights[:5] = 2
    first, second = trainer(), trainer()
    fit(first, epochs=3, data=(X, Y, weights), batch_size=ROWS)
    fit(second, epochs=3, data=twice, batch_size=ROWS + 5)
    for a, b in zip(tensors(first), tensors(second)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", ["mse", "absolute_error", "huber"])
def test_targets_of_shape_n_and_n_1_train_alike(loss: str):
    runs = [trainer(nn.Sequential(nn.Dense(1)), loss=loss, metrics=["r2"]) for _ in range(2)]
    rows = [fit(run, 2, data=(X, z)).rows for run, z in zip(runs, (Z, Z[:, np.newaxis]))]
    assert rows[0] == rows[1]
    for a, b in zip(tensors(runs[0]), tensors(runs[1])):
        np.testing.assert_array_equal(a, b)


def test_binary_targets_may_be_integers_booleans_or_floats():
    positive = Y > 0
    rows = []
    for targets in (positive, positive.astype(int), positive.astype(float), positive[:, np.newaxis]):
        run = trainer(nn.Sequential(nn.Dense(1)), loss="binary_cross_entropy", metrics=["accuracy"])
        rows.append(fit(run, 2, data=(X, targets)).rows)
    assert rows[0] == rows[1] == rows[2] == rows[3]


def test_metrics_understand_probabilities():
    """A network that ends in a sigmoid is measured as the same network without it."""
    plain = trainer(nn.Sequential(nn.Dense(1)), loss="binary_cross_entropy", metrics=["accuracy", "f1", "roc_auc"])
    ends = nn.Sequential(nn.Dense(1, activation="sigmoid"))
    squashed = trainer(ends, loss=nn.losses.BinaryCrossEntropy(from_logits=False), metrics=plain.metrics)
    for run in (plain, squashed):
        fit(run, 5, data=(X, Y > 0))
    expected, found = (run.evaluate((X, Y > 0)) for run in (plain, squashed))
    assert 0.5 < expected["accuracy"] < 1  # neither all right nor all of one class
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_step_counts_in_the_graph():
    run = trainer()
    fit(run, epochs=2)
    assert run.step == 2 * 5
    assert run.epoch == 2
    assert run.snapshot()["step"].item() == 10


def test_the_loss_of_a_sum_is_shown_by_example():
    run = trainer(loss=nn.losses.CrossEntropy(reduction="sum"), optimizer=optim.SGD(0.0))
    mean = trainer(optimizer=optim.SGD(0.0))
    assert fit(run).rows[0]["loss"] == pytest.approx(fit(mean).rows[0]["loss"], rel=1e-6)


def test_inputs_of_integers_train_an_embedding():
    words = np.random.default_rng(0).integers(0, 5, (ROWS, 2))
    run = trainer(nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Dense(CLASSES)), optimizer=optim.Adam(0.1))
    history = fit(run, 40, data=(words, words[:, 0] % CLASSES))
    assert history.rows[-1]["loss"] < 0.5 * history.rows[0]["loss"]
    assert run.predict(words).shape == (ROWS, CLASSES)


def test_a_share_can_be_held_out():
    first, second = trainer(), trainer()
    history = fit(first, 2, validation=0.25)
    assert fit(second, 2, validation=0.25).rows == history.rows
    assert first.rows == ROWS - round(0.25 * ROWS)
    assert set(history.rows[0]) == {"epoch", "loss", "val_loss"}
    assert fit(trainer(seed=1), 2, validation=0.25).rows[0]["val_loss"] != history.rows[0]["val_loss"]


def test_held_out_examples_are_not_trained_on():
    data = as_examples((np.arange(20.0)[:, np.newaxis], np.arange(20)), "test")
    kept, held = hold_out(data, 0.3, gl.random.key(0))
    assert (len(kept), len(held)) == (14, 6)
    assert sorted([*kept.targets, *held.targets]) == list(range(20))
    np.testing.assert_array_equal(kept.inputs[:, 0], kept.targets)
