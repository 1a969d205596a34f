"""Learning from a stream, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from small_runs import X, Y, Z, fit, network, same, trainer, weight

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.errors import DataError, NonFiniteError, OptionError, UnknownNameError
from gradloom.nn import init


def linear(rate: float = 0.1, **options: Any) -> train.Trainer:
    model = nn.Sequential(nn.Dense(1, bias=False, init=init.zeros), nn.Flatten())
    return trainer(model, loss="half_squared_error", optimizer=optim.SGD(rate), dtype="float64", **options)


def test_one_example_moves_the_weights_by_the_notes_rule():
    """θ ← θ - α (h(x) - y) x, catalogue 219."""
    run, theta = linear(), np.zeros(4)
    for x, y in zip(X.astype(float), Z.astype(float)):
        told = run.partial_fit(x[None], [[y]])
        error = theta @ x - y
        assert told["loss"] == pytest.approx(error**2 / 2)
        theta -= 0.1 * error * x
    np.testing.assert_allclose(weight(run).numpy()[:, 0], theta, rtol=1e-12)
    assert run.step == len(X)
    assert (run.epoch, run.history.rows) == (0, [])


def test_updates_of_fewer_rows_are_by_their_own_mean_in_one_program():
    run, theta, start = linear(), np.zeros(4), 0
    programs = []
    for count in (1, 4, 2, 3, 9):  # the last in three updates
        x, y = X[start : start + count].astype(float), Z[start : start + count].astype(float)
        run.partial_fit(x, y[:, None], batch_size=4)
        for i in range(0, count, 4):
            rows = x[i : i + 4]
            theta -= 0.1 * rows.T @ (rows @ theta - y[i : i + 4]) / len(rows)
        start += count
        programs.append(run._learner)
    np.testing.assert_allclose(weight(run).numpy()[:, 0], theta, rtol=1e-12)
    assert all(program is programs[0] for program in programs)


def test_full_batches_in_order_are_those_of_fit():
    whole, bits = trainer(network(deep=True)), trainer(network(deep=True))
    plain = trainer()
    for start in range(0, 32, 8):
        plain.partial_fit(X[start : start + 8], Y[start : start + 8])
    other = trainer()
    fit(other, 1, (X[:32], Y[:32]), shuffle=False)
    assert all(
        np.array_equal(a.numpy(), b.numpy()) for a, b in zip(*(gl.tree.leaves(r.snapshot()) for r in (plain, other)))
    )
    for run in (whole, bits):  # dropout and statistics follow from the seed
        for start in range(0, 32, 8):
            run.partial_fit(X[start : start + 8], Y[start : start + 8])
    assert same(whole, bits)


def test_another_optimiser_or_penalty_takes_part_at_once():
    run = linear()
    run.partial_fit(X[:1], Z[:1, None])
    run.optimizer = optim.SGD(0.0)
    before = weight(run).numpy()
    run.partial_fit(X[:1], Z[:1, None])
    np.testing.assert_array_equal(weight(run).numpy(), before)
    run.optimizer = optim.SGD(1.0)
    run.l2 = 0.25  # w ← w - 2 λ w, with weight 0 of the loss' own gradient
    run.partial_fit(np.zeros((1, 4)), [[0.0]])
    np.testing.assert_allclose(weight(run).numpy(), before / 2)
    learner = run._learner
    run.optimizer = optim.SGD(0.5)
    run.partial_fit(np.zeros((1, 4)), [[0.0]])
    np.testing.assert_allclose(weight(run).numpy(), before / 2 * 0.75)
    assert run._learner is learner  # a number compiles nothing
    run.optimizer = optim.Adam(0.5)
    run.partial_fit(np.zeros((1, 4)), [[0.0]])
    assert run._learner is not learner


def drifting(items: int, at: int, rows: int = 1) -> Iterator[Any]:
    """The sign of a feature, which from ``at`` on is turned around."""
    rng = np.random.default_rng(0)
    for i in range(items):
        x = rng.normal(size=(rows, 3)).astype(np.float32)
        yield x, ((x[:, 0] > 0) ^ (i >= at)).astype(int)


def follower(**options: Any) -> train.Trainer:
    return train.Trainer(nn.Dense(2), optimizer=optim.SGD(0.3), metrics=["accuracy"], **options)


def test_a_stream_that_drifts_is_followed_and_the_drift_told():
    told = list(train.online(follower(), drifting(1200, 600), drift=train.PageHinkley(threshold=20), window=100))
    assert [row["rows"] for row in told] == list(range(1, 1201))
    assert told[599]["accuracy"] > 0.95
    assert told[640]["accuracy"] < told[599]["accuracy"] - 0.1
    assert told[-1]["accuracy"] > 0.9
    drifts = [row["rows"] for row in told if row["drift"]]
    assert len(drifts) == 1
    assert 600 < drifts[0] < 650


def test_the_error_is_that_of_the_last_rows_before_they_were_learnt():
    run, again = follower(executor="reference"), follower(executor="reference")
    told = list(train.online(run, drifting(12, 6, rows=3), window=7))
    rows = [again.partial_fit(*item) for item in drifting(12, 6, rows=3)]
    for i, row in enumerate(told):
        last = rows[max(0, i - 2) : i + 1]  # three items of three rows are the least that hold 7
        assert row["loss"] == pytest.approx(np.mean([r["loss"] for r in last]))
        assert row["accuracy"] == pytest.approx(np.mean([r["accuracy"] for r in last]))


class At(train.DriftDetector):
    """Tells a drift at one place."""

    def __init__(self, place: int) -> None:
        self.left = place

    def update(self, error: float) -> bool:
        self.left -= 1
        return not self.left


@pytest.mark.parametrize("on_drift", ["tell", "forget", "restart"])
def test_what_is_done_at_a_drift(on_drift: str):
    run = trainer(optimizer=optim.SGD(0.1, momentum=0.9))
    rows = [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 16, 4)]
    run.partial_fit(*rows[0])
    start = weight(run).numpy()
    for row in train.online(run, rows[1:3], drift=At(2), on_drift=on_drift):
        moved = np.any(weight(run).numpy() != start)
        assert moved == (on_drift != "restart" or not row["drift"])
    velocity = [leaf.numpy() for leaf in gl.tree.leaves(run.optimizer_state) if leaf.ndim]
    assert all(np.any(v) == (on_drift == "tell") for v in velocity)
    assert run.step == 3


def test_refusals():
    run = follower(executor="reference")
    for wrong in (dict[str, Any](window=0), dict[str, Any](on_drift="panic")):
        with pytest.raises(OptionError):
            next(train.online(run, [(X[:1], Y[:1])], **wrong))
    with pytest.raises(UnknownNameError, match="'accuracy'"):
        next(train.online(run, [(X[:1, :3], Y[:1] % 2)], monitor="acuracy"))
    with pytest.raises(DataError, match="shape"):
        run.partial_fit(X[:1, :2], Y[:1] % 2)
    with pytest.raises(OptionError, match="batch_size"):
        run.partial_fit(X[:1, :3], Y[:1] % 2, batch_size=-1)
    with pytest.raises(OptionError, match="balanced"):
        trainer(class_weight="balanced").partial_fit(X[:1], Y[:1])
    wild = linear(1e200)
    wild.partial_fit(X[:1], Z[:1, None])
    with pytest.raises(NonFiniteError, match="in update 2"):
        wild.partial_fit(X[:1], Z[:1, None])
    assert wild.step == 1
