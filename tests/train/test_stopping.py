"""Stop rules, checks and curves of the cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_runs import ROWS, X, Y, fit, network, tensors, trainer, weight

from gradloom import optim, train
from gradloom.errors import OptionError, TrainingError, UnknownNameError
from gradloom.nn.regularizers import L2


class Script(train.Callback):
    """Puts made-up values into the columns of the history."""

    def __init__(self, **columns: list[float]) -> None:
        self.columns = columns
        self.weights: list[list[bytes]] = []

    def on_epoch(self, run: Any, row: dict[str, float]) -> None:
        row |= {name: values[int(row["epoch"]) - 1] for name, values in self.columns.items()}
        self.weights.append([t.tobytes() for t in tensors(run)])


@pytest.mark.parametrize(
    ("restore", "warmup", "epoch"), [("best", 0, 3), ("best_gap", 0, 1), ("best_gap", 1, 4), ("last", 0, None)]
)
def test_what_early_stopping_gives_back(restore: str, warmup: int, epoch: int | None) -> None:
    """The losses of validation are least in epoch 3; the gaps are 0, 0.7, 0.4, 0.2, 0.6."""
    script = Script(loss=[2.0, 0.9, 0.8, 1.5, 0.9], val_loss=[2.0, 1.6, 1.2, 1.3, 1.5])
    run = trainer()
    stopping = train.EarlyStopping(9, restore=restore, warmup=warmup)
    history = fit(run, 5, callbacks=[script, stopping])
    assert history.best_epoch == epoch
    assert [t.tobytes() for t in tensors(run)] == script.weights[(epoch or 5) - 1]


def test_patience_goes_by_the_monitored_column_whatever_is_given_back() -> None:
    script = Script(loss=[1.0] * 6, val_loss=[1.0, 0.5, 0.6, 0.7, 0.8, 0.9])
    history = fit(trainer(), 6, callbacks=[script, train.EarlyStopping(2, restore="best_gap")])
    assert (len(history.rows), history.best_epoch) == (4, 1)


def test_stop_at_target() -> None:
    run = trainer(metrics=["accuracy"])
    script = Script(loss=[3.0, 2.0, 1.0, 0.5], accuracy=[0.1, 0.5, 0.9, 0.8])
    assert len(fit(run, 4, callbacks=[script, train.StopAtTarget(1.0)]).rows) == 3
    assert run.history.stopped == "loss has reached 1"
    again = trainer(metrics=["accuracy"])
    assert len(fit(again, 4, callbacks=[script, train.StopAtTarget(0.5, monitor="accuracy")]).rows) == 2
    with pytest.raises(UnknownNameError, match="no column of the history has this name; got 'val_loss'"):
        fit(trainer(), callbacks=[train.StopAtTarget(1.0, monitor="val_loss")])


def test_stop_at_rest_measures_the_whole_step() -> None:
    """Halfway between two lengths of steps, it stops at the shorter one."""
    run, lengths = trainer(), []
    before = None
    for _ in range(5):
        fit(run, batch_size=ROWS)
        now = np.concatenate([t.numpy().ravel() for t in run.model.parameters()["layers.0"].values()])
        lengths += [] if before is None else [float(np.linalg.norm(now.astype(float) - before))]
        before = now.astype(float)
    assert sorted(lengths, reverse=True) == lengths
    other = trainer()
    fit(other, 9, batch_size=ROWS, callbacks=[train.StopAtRest((lengths[1] + lengths[2]) / 2)])
    assert other.epoch == 4
    assert "moved the weights by" in other.history.stopped


def test_full_batch_descent_falls_and_a_step_too_large_is_found() -> None:
    check = train.AssertMonotone()
    fit(trainer(), 30, batch_size=ROWS, callbacks=[check])
    with pytest.raises(TrainingError, match="the cost of all examples falls in every iteration; got"):
        fit(trainer(optimizer=optim.SGD(50.0)), 30, batch_size=ROWS, callbacks=[check])
    with pytest.raises(OptionError, match="batches of 8 of 37 examples"):
        fit(trainer(), callbacks=[check])


@pytest.mark.parametrize("penalty", [{"l2": 0.5}, {"regularizers": [L2(37.0, scale="half_per_example")]}])
def test_the_cost_that_falls_is_that_with_penalties(penalty: dict[str, Any]) -> None:
    """The loss alone rises, as the penalty draws the weights back from where they fit."""
    run = trainer(optimizer=optim.SGD(0.1))
    fit(run, 60, batch_size=ROWS)
    strong = trainer(run.model, optimizer=optim.SGD(0.1), **penalty)
    losses = fit(strong, 10, batch_size=ROWS, callbacks=[train.AssertMonotone()]).column("loss")
    assert losses[-1] > losses[0]


def test_generalization_notes_the_errors_of_the_weights_as_they_are() -> None:
    run = trainer(network(deep=True))
    history = fit(
        run, 3, data=(X[:30], Y[:30]), validation=(X[30:], Y[30:]), callbacks=[train.Generalization((X[:30], Y[:30]))]
    )
    row = history.rows[-1]
    assert row["e_in"] == pytest.approx(run.evaluate((X[:30], Y[:30]))["loss"])
    assert row["e_out"] == row["val_loss"]
    assert row["e_gen"] == row["e_out"] - row["e_in"]
    assert row["e_in"] != row["loss"]  # which has dropout on


def test_running_average() -> None:
    """Against NumPy's convolution, and the losses of batches by hand."""
    run = trainer(metrics=["accuracy"])
    history = fit(run, 4, batch_size=8)
    costs = history.costs
    assert costs.shape == (20,)
    shares = np.tile([8, 8, 8, 8, 5], 4)
    for k, loss in enumerate(history.column("loss")):
        assert loss == pytest.approx(np.average(costs[5 * k : 5 * k + 5], weights=shares[:5]))
    curve = history.running_average(6)
    np.testing.assert_allclose(curve[5:], np.convolve(costs, np.ones(6) / 6, "valid"))
    np.testing.assert_allclose(curve[:5], np.cumsum(costs)[:5] / np.arange(1, 6))


def test_a_plateau_lowers_the_rate_at_once_and_compiles_nothing() -> None:
    run = trainer(optimizer=optim.SGD(0.1, 0.5))
    script = Script(val_loss=[1.0, 1.0, 0.9, 0.9, 0.9, 0.9, 0.9])
    seen: list[Any] = []

    class Watch(train.Callback):
        def on_epoch(self, run: Any, row: dict[str, float]) -> None:
            seen.append((run.optimizer.lr, weight(run).numpy()))

    compiled = run._compiled
    plateau = train.ReduceOnPlateau(0.1, 2, least=0.002)
    fit(run, 7, callbacks=[script, plateau, Watch()], batch_size=ROWS, shuffle=False)
    assert [rate for rate, _ in seen] == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.002])
    assert run._compiled is compiled
    by_hand = trainer(optimizer=optim.SGD(0.1, 0.5))
    fit(by_hand, 5, batch_size=ROWS, shuffle=False)
    by_hand.optimizer = optim.SGD(0.01, 0.5)
    fit(by_hand, 2, batch_size=ROWS, shuffle=False)
    np.testing.assert_array_equal(weight(by_hand).numpy(), seen[-1][1])
    chunked = trainer(optimizer=optim.SGD(0.1, 0.5))
    fit(chunked, 7, callbacks=[script, plateau], batch_size=ROWS, shuffle=False, workers=train.MapReduce(1, chunks=1))
    np.testing.assert_allclose(weight(chunked).numpy(), seen[-1][1], rtol=1e-5, atol=1e-6)
    with pytest.raises(OptionError, match="it multiplies a learning rate that is a number"):
        fit(trainer(optimizer=optim.SGD(optim.schedules.Linear(0.1, 0.01, 9))), callbacks=[plateau])
