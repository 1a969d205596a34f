"""What happens between epochs; above all, that the best weights come back whatever ended training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import X, Y, fit, interrupt_at, load, network, same, tensors, trainer

from gradloom import optim, train
from gradloom.errors import NonFiniteError, OptionError, UnknownNameError
from gradloom.train.history import History, is_better


class Watch(train.Callback):
    """Notes the weights after every epoch, and does something after one of them."""

    def __init__(self, epoch: int = 0, problem: BaseException | None = None) -> None:
        self.epoch, self.problem = epoch, problem
        self.weights: dict[int, list[bytes]] = {}
        self.calls: list[str] = []
        self.stopped = ""

    def on_start(self, run: Any) -> None:
        self.calls.append("start")

    def on_epoch(self, run: Any, row: dict[str, float]) -> None:
        self.calls.append(f"epoch {row['epoch']}")
        self.weights[int(row["epoch"])] = [t.tobytes() for t in tensors(run)]
        if row["epoch"] == self.epoch and self.problem is not None:
            raise self.problem

    def on_end(self, run: Any) -> None:
        self.calls.append("end")
        self.stopped = run.history.stopped


class Script(train.Callback):
    """Puts values of a made-up quantity into the history."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def on_epoch(self, run: Any, row: dict[str, float]) -> None:
        row["quantity"] = self.values[int(row["epoch"]) - 1]


def weights_of(run: train.Trainer) -> list[bytes]:
    return [t.tobytes() for t in tensors(run)]


QUANTITY = (5.0, 3.0, 4.0, 3.5, 3.2, 9.0)  # the second is the best


@pytest.mark.parametrize("patience", [1, 2, 3, 9])
def test_the_best_weights_come_back_after_patience_or_the_last_epoch(patience: int):
    run, watch = trainer(network(deep=True), optimizer=optim.Adam(1e-2)), Watch()
    stopping = train.EarlyStopping(patience, monitor="quantity")
    history = fit(run, epochs=6, callbacks=[Script(*QUANTITY), watch, stopping])
    assert len(history.rows) == min(2 + patience, 6)
    assert history.best_epoch == 2
    assert weights_of(run) == watch.weights[2]
    ended = "6 epochs are done" if patience == 9 else f"quantity has not improved for {patience} epochs"
    assert history.stopped == ended


ENDS = {
    "Ctrl-C": (KeyboardInterrupt(), "interrupted by Ctrl-C"),
    "an exception in a callback": (RuntimeError("mine"), "an error (RuntimeError)"),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_best_weights_come_back_after(name: str):
    problem, stopped = ENDS[name]
    run, watch = trainer(), Watch(4, problem)
    with pytest.raises(type(problem)):
        fit(run, epochs=6, callbacks=[Script(*QUANTITY), train.EarlyStopping(monitor="quantity"), watch])
    assert run.history.best_epoch == 2
    assert weights_of(run) == watch.weights[2]
    assert run.history.stopped == watch.stopped == stopped


def test_the_best_weights_come_back_after_ctrl_c_within_an_epoch():
    run, watch = trainer(), Watch()
    interrupt_at(run, 18)  # in the fourth epoch
    with pytest.raises(KeyboardInterrupt):
        fit(run, epochs=6, callbacks=[Script(*QUANTITY), watch, train.EarlyStopping(monitor="quantity")])
    assert weights_of(run) == watch.weights[2]
    assert (run.epoch, run.position) == (3, 0)  # training would go on with a whole epoch


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_best_weights_come_back_after_divergence():
    run, watch = trainer(loss="mse", optimizer=optim.SGD(1e3)), Watch()
    data = X, np.eye(3, dtype=np.float32)[Y]
    with pytest.raises(NonFiniteError, match=r"the loss must stay finite; got NaN or infinity in batch \d of 5"):
        fit(run, 50, data, callbacks=[watch, train.EarlyStopping(50, monitor="loss")])
    assert run.history.best_epoch == 1
    assert weights_of(run) == watch.weights[1]
    assert run.history.stopped == "an error (NonFiniteError)"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_leaves_the_weights_of_the_last_epoch():
    run, watch = trainer(loss="mse", optimizer=optim.SGD(1e3)), Watch()
    with pytest.raises(NonFiniteError):
        fit(run, 50, (X, np.eye(3, dtype=np.float32)[Y]), callbacks=[watch])
    assert weights_of(run) == watch.weights[run.epoch]
    assert all(np.isfinite(t).all() for t in tensors(run))
    assert len(run.history.rows) == run.epoch


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_only_the_last_batch_made_infinite_are_noticed():
    """The loss is measured before an update, so that of a single batch is finite."""
    run = trainer(loss="mse", optimizer=optim.SGD(3e38))
    with pytest.raises(NonFiniteError, match="every weight must stay finite; got NaN or infinity in the last batch"):
        fit(run, data=(X, 100 * np.eye(3, dtype=np.float32)[Y]), batch_size=len(X))
    assert run.epoch == 0
    assert all(np.isfinite(t).all() for t in tensors(run))


def test_the_best_weights_after_ctrl_c_are_a_place_to_go_on_from(tmp_path: Path):
    """Where the best epoch is the last whole one, nothing is lost at all."""
    unbroken, run = trainer(), trainer()
    fit(unbroken, epochs=4)
    with pytest.raises(KeyboardInterrupt):
        fit(
            run,
            epochs=4,
            callbacks=[Script(3, 2, 1, 0), train.EarlyStopping(monitor="quantity"), Watch(3, KeyboardInterrupt())],
        )
    run.save(tmp_path / "m")
    resumed = load(tmp_path / "m")
    fit(resumed)
    assert same(unbroken, resumed)


def test_weights_stay_where_no_epoch_was_finished():
    run = trainer()
    interrupt_at(run, 4)
    with pytest.raises(KeyboardInterrupt):
        fit(run, callbacks=[train.EarlyStopping(monitor="loss")])
    assert (run.step, run.position, run.history.best_epoch) == (3, 3, None)


def test_a_margin_and_a_warm_up():
    run = trainer()
    stopping = train.EarlyStopping(1, monitor="quantity", margin=0.5, warmup=3)
    history = fit(run, 9, callbacks=[Script(5.0, 4.6, 4.2, 4.1, 4.0, 4.0), stopping])
    assert len(history.rows) == 4  # 4.6 is no improvement, 4.2 is one, 4.1 is none
    assert history.best_epoch == 3


def test_what_should_rise_is_kept_at_its_highest():
    run, watch = trainer(metrics=["accuracy", "error_rate"]), Watch()
    assert run.falls("loss")
    assert run.falls("val_error_rate")
    assert not run.falls("val_accuracy")
    stopping = train.EarlyStopping(50, monitor="val_accuracy")
    history = fit(run, 5, validation=(X, Y), callbacks=[watch, stopping])
    values = history.column("val_accuracy")
    best = 1 + int(np.argmax(values))
    assert history.best_epoch == best
    assert weights_of(run) == watch.weights[best]
    assert run.evaluate((X, Y))["accuracy"] == max(values)


def test_a_second_fit_forgets_the_best_of_the_first():
    run = trainer()
    fit(run, 3, callbacks=[train.EarlyStopping(monitor="loss")])
    assert run.history.best_epoch == 3
    fit(run)
    assert run.history.best_epoch is None


def test_nan_is_never_an_improvement():
    assert not is_better(math.nan, math.inf, falls=True)
    assert not is_better(math.nan, -math.inf, falls=False)
    run = trainer()
    history = fit(
        run, 4, callbacks=[Script(math.nan, 1.0, math.nan, math.nan), train.EarlyStopping(monitor="quantity")]
    )
    assert history.best_epoch == 2


MONITORS = {
    "val_los": "Did you mean 'val_loss'?",
    "acuracy": "Did you mean 'accuracy'?",
    "nonsense": "Known: accuracy, epoch, loss, val_accuracy, val_loss.",
}


@pytest.mark.parametrize("monitor", MONITORS)
def test_an_unknown_monitor_is_answered_with_the_nearest(monitor: str):
    run = trainer(metrics=["accuracy"])
    with pytest.raises(UnknownNameError, match="no column of the history has this name") as caught:
        fit(run, validation=(X, Y), callbacks=[train.EarlyStopping(monitor=monitor)])
    assert MONITORS[monitor] in str(caught.value)


def test_a_monitor_of_validation_without_validation():
    with pytest.raises(UnknownNameError, match=r"got 'val_loss'.*Pass validation data to fit"):
        fit(trainer(), callbacks=[train.EarlyStopping()])


@pytest.mark.parametrize(
    "options", [{"patience": 0}, {"patience": 1.5}, {"margin": -1}, {"margin": math.nan}, {"warmup": -1}]
)
def test_options_of_early_stopping(options: dict[str, Any]):
    with pytest.raises(OptionError, match=next(iter(options))):
        train.EarlyStopping(**options)


def test_hooks_are_called_in_order_and_all_are_told_of_the_end():
    class Fails(Watch):
        def on_end(self, run: Any) -> None:
            super().on_end(run)
            raise ValueError("in on_end")

    first, second = Fails(), Watch()
    with pytest.raises(ValueError, match="in on_end"):
        fit(trainer(), 2, callbacks=[first, second])
    assert first.calls == second.calls == ["start", "epoch 1", "epoch 2", "end"]
    assert second.stopped == "2 epochs are done"


def test_a_callback_can_end_training():
    class Stops(train.Callback):
        def on_epoch(self, run: Any, row: dict[str, float]) -> None:
            run.stop("good enough")

    history = fit(trainer(), 5, callbacks=[Stops()])
    assert (len(history.rows), history.stopped) == (1, "good enough")


def test_the_checkpoint_is_the_run_after_each_epoch(tmp_path: Path):
    path = tmp_path / "models" / "last.safetensors"

    class Reads(train.Callback):
        def on_epoch(self, run: Any, row: dict[str, float]) -> None:
            assert train.read_header(path)["epoch"] == row["epoch"]

    run = trainer()
    fit(run, 3, callbacks=[train.Checkpoint(path), Reads()])
    assert same(run, load(path))


def test_a_callback_may_add_to_the_history(tmp_path: Path):
    class Adds(train.Callback):
        def on_epoch(self, run: Any, row: dict[str, float]) -> None:
            row["norm"], row["count"] = np.float32(0.5), np.int64(3)  # type: ignore[assignment]

    run = trainer()
    fit(run, callbacks=[Adds()])
    run.save(tmp_path / "m")
    assert load(tmp_path / "m").history.column("norm") == [0.5]


def test_the_history_as_files(tmp_path: Path):
    history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "val_loss": 1.0}], 2, "done")
    history.write_csv(tmp_path / "h.csv")
    assert (tmp_path / "h.csv").read_text().splitlines() == ["epoch,loss,val_loss", "1,0.5,", "2,0.25,1.0"]
    history.write_json(tmp_path / "h.json")
    assert '"best_epoch": 2' in (tmp_path / "h.json").read_text()
    assert history.column("val_loss") == [1.0]
    with pytest.raises(UnknownNameError, match="Did you mean 'loss'"):
        history.column("los")
