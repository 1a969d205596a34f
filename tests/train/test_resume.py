"""A run is determined by its seed, and one that was interrupted ends as if it had not been, bit by bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import ROWS, X, Y, fit, interrupt_at, load, network, same, tensors, trainer

import gradloom as gl
from gradloom import optim, train
from gradloom.errors import OptionError
from gradloom.train.batches import Batches

OPTIMIZERS = {
    "momentum": optim.SGD(0.05, momentum=0.9),
    "nesterov": optim.SGD(0.05, momentum=0.9, nesterov=True),
    "adagrad": optim.AdaGrad(0.05),
    "adadelta": optim.AdaDelta(),
    "rmsprop": optim.RMSProp(1e-2, momentum=0.5),
    "adam": optim.Adam(1e-2),
    "clipped": optim.AdamW(optim.schedules.WarmUp(optim.schedules.Cosine(0.05, steps=20), steps=3), clip_norm=0.5),
}


def run_with(optimizer: optim.Optimizer) -> train.Trainer:
    """A run with dropout, running statistics, metrics and penalties."""
    return trainer(network(deep=True), optimizer=optimizer, metrics=["accuracy"], l2=1e-3, seed=5)


def through_a_file(run: train.Trainer, folder: Path) -> train.Trainer:
    run.save(folder / "model.safetensors")
    return load(folder / "model.safetensors")


def test_the_seed_determines_the_weights():
    first, second, other = (trainer(network(deep=True), seed=seed) for seed in (3, 3, 4))
    for run in (first, second, other):
        fit(run, epochs=2)
    assert same(first, second)
    assert not same(first, other)


@pytest.mark.parametrize(
    ("examples", "size", "counts"),
    [(10, 5, [5, 5]), (12, 5, [5, 5, 2]), (11, 5, [5, 5, 1]), (1, 1, [1]), (3, 1, [1, 1, 1]), (3, 5, [3])],
)
@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_hold_every_example_once_and_fill_up_with_the_first(
    examples: int, size: int, counts: list[int], shuffle: bool
):
    batches = Batches(examples, size)
    found = batches.rows(gl.random.key(3) if shuffle else None, 0, len(batches)).numpy()
    assert found.shape == (len(counts), size)
    assert batches.counts(0, len(batches)).tolist() == counts
    order = np.concatenate([row[:count] for row, count in zip(found, counts)])
    np.testing.assert_array_equal(np.sort(order) if shuffle else order, range(examples))
    filled = found[-1, counts[-1] :]
    np.testing.assert_array_equal(filled, [order[i % examples] for i in range(len(filled))])


def test_an_epoch_may_be_cut_into_calls_anywhere():
    batches, key = Batches(23, 4), gl.random.key(1)
    whole, counts = batches.rows(key, 0, 6).numpy(), batches.counts(0, 6).numpy()
    for first in range(6):
        np.testing.assert_array_equal(batches.rows(key, first, 6 - first).numpy(), whole[first:])
        np.testing.assert_array_equal(batches.counts(first, 6 - first).numpy(), counts[first:])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_four_epochs_are_two_a_file_and_two(name: str, tmp_path: Path):
    unbroken, broken = run_with(OPTIMIZERS[name]), run_with(OPTIMIZERS[name])
    fit(unbroken, epochs=4)
    fit(broken, epochs=2)
    resumed = through_a_file(broken, tmp_path)
    assert same(broken, resumed)
    fit(resumed, epochs=2)
    assert same(unbroken, resumed)
    assert unbroken.history == resumed.history


@pytest.mark.parametrize("batch", [1, 3, 5, 6, 8])
@pytest.mark.parametrize("name", ["nesterov", "adam"])
def test_ctrl_c_between_batches_loses_nothing(name: str, batch: int, tmp_path: Path):
    unbroken, broken = run_with(OPTIMIZERS[name]), run_with(OPTIMIZERS[name])
    fit(unbroken, epochs=3, validation=(X, Y))
    interrupt_at(broken, batch)
    with pytest.raises(KeyboardInterrupt):
        fit(broken, epochs=3, validation=(X, Y))
    assert (broken.epoch, broken.position) == divmod(batch - 1, 5)
    assert broken.history.stopped == "interrupted by Ctrl-C"
    resumed = through_a_file(broken, tmp_path)
    fit(resumed, epochs=3 - resumed.epoch, validation=(X, Y), batch_size="auto")  # auto keeps the batch size
    assert same(unbroken, resumed)
    assert unbroken.history == resumed.history


def test_ctrl_c_twice_in_one_epoch(tmp_path: Path):
    unbroken, run = run_with(OPTIMIZERS["adam"]), run_with(OPTIMIZERS["adam"])
    fit(unbroken, epochs=2)
    for _ in range(2):
        interrupt_at(run, 3)
        with pytest.raises(KeyboardInterrupt):
            fit(run, epochs=2)
        run = through_a_file(run, tmp_path)
    assert (run.epoch, run.position) == (0, 4)
    fit(run, epochs=2)
    assert same(unbroken, run)
    assert unbroken.history == run.history


def test_ctrl_c_while_validating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The epoch counts only once it is measured; its batches are not run again."""
    unbroken, run = run_with(OPTIMIZERS["adam"]), run_with(OPTIMIZERS["adam"])
    fit(unbroken, epochs=2, validation=(X, Y))

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(run, epochs=2, validation=(X, Y))
    assert (run.epoch, run.position, run.history.rows) == (0, 5, [])
    resumed = through_a_file(run, tmp_path)
    fit(resumed, epochs=2, validation=(X, Y))
    assert same(unbroken, resumed)
    assert unbroken.history == resumed.history


class _InterruptAfter(train.Callback):
    def on_epoch(self, run: Any, row: dict[str, float]) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_in_a_callback(tmp_path: Path):
    unbroken, run = run_with(OPTIMIZERS["momentum"]), run_with(OPTIMIZERS["momentum"])
    fit(unbroken, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        fit(run, epochs=3, callbacks=[_InterruptAfter()])
    assert (run.epoch, run.position) == (1, 0)
    resumed = through_a_file(run, tmp_path)
    fit(resumed, epochs=2)
    assert same(unbroken, resumed)


def test_a_run_that_was_killed_goes_on_from_its_checkpoint(tmp_path: Path):
    path = tmp_path / "last.safetensors"
    unbroken, killed = run_with(OPTIMIZERS["adam"]), run_with(OPTIMIZERS["adam"])
    fit(unbroken, epochs=3)
    interrupt_at(killed, 8)  # in the second epoch
    with pytest.raises(KeyboardInterrupt):
        fit(killed, epochs=3, checkpoint=path)
    resumed = load(path)
    assert (resumed.epoch, resumed.position) == (1, 0)
    fit(resumed, epochs=2)
    assert same(unbroken, resumed)


def test_ctrl_c_that_comes_after_the_step_but_before_it_is_noted():
    """The step is run again, from where it began."""
    unbroken, run = run_with(OPTIMIZERS["adam"]), run_with(OPTIMIZERS["adam"])
    fit(unbroken, epochs=1)
    interrupt_at(run, 3, after=True)
    with pytest.raises(KeyboardInterrupt):
        fit(run)
    assert (run.step, run.position) == (2, 2)
    fit(run)
    assert same(unbroken, run)


OTHERS: dict[str, Callable[[train.Trainer], Any]] = {
    "batch size": lambda run: fit(run, batch_size=9),
    "data": lambda run: fit(run, data=(X[:30], Y[:30])),
}


@pytest.mark.parametrize("name", OTHERS)
def test_an_interrupted_epoch_is_not_finished_with_others(name: str):
    run = trainer()
    interrupt_at(run, 3)
    with pytest.raises(KeyboardInterrupt):
        fit(run)
    with pytest.raises(OptionError, match=rf"an interrupted epoch must go on .* after {ROWS} in batches of 8"):
        OTHERS[name](run)
    assert run.position == 2


def test_restoring_a_snapshot_undoes_training():
    run = run_with(OPTIMIZERS["adam"])
    fit(run)
    snapshot, before = run.snapshot(), tensors(run)
    fit(run)
    run.restore(snapshot)
    assert [a.tobytes() for a in tensors(run)] == [a.tobytes() for a in before]


def test_a_loaded_run_is_the_one_that_was_saved(tmp_path: Path):
    weights = {np.int64(0): 1, 1: np.float32(2.5), 2: 1}
    run = trainer(
        network(deep=True), metrics=["accuracy", "top_3", "roc_auc"], seed=2**63 + 1, l1=0.1, class_weight=weights
    )
    fit(run, validation=0.2)
    found = through_a_file(run, tmp_path)
    assert same(run, found)
    assert (found.seed, found.l1, found.class_weight) == (2**63 + 1, 0.1, {0: 1.0, 1: 2.5, 2: 1.0})
    assert (found.loss, found.optimizer, found.metrics) == (run.loss, run.optimizer, run.metrics)
    assert dataclasses.asdict(found.history) == dataclasses.asdict(run.history)
    assert found.evaluate((X, Y)) == run.evaluate((X, Y))
    np.testing.assert_array_equal(found.predict(X), run.predict(X))
