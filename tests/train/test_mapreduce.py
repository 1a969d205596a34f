"""Worker processes share each batch, and the bits do not depend on how many there are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from small_runs import CLASSES, X, Y, fit, load, network, same, tensors, trainer

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.errors import OptionError, ShapeError, WorkerError
from gradloom.train.mapreduce import MapReduceSteps

pytestmark = pytest.mark.filterwarnings("ignore:fit. workers=")


def trained(
    workers: int | train.MapReduce | None, model: nn.Module | None = None, batch_size: int = 8, **options: Any
) -> train.Trainer:
    run = trainer(model, **{"metrics": ["accuracy"], **options})
    fit(run, 2, batch_size=batch_size, workers=workers)
    return run


@pytest.mark.parametrize(
    "optimizer",
    [optim.SGD(0.1), optim.SGD(0.1, momentum=0.9, nesterov=True), optim.Adam(0.01, clip_norm=0.5)],
    ids=["sgd", "nesterov", "adam"],
)
def test_the_weights_are_those_of_the_trainer_but_for_rounding(optimizer: optim.Optimizer):
    given = X, Y, np.linspace(0.1, 3, len(X))
    runs = [trainer(optimizer=optimizer, l1=1e-3, l2=1e-2, dtype="float64", metrics=["accuracy"]) for _ in range(2)]
    for run, workers in zip(runs, (None, 1)):
        fit(run, 3, given, workers=workers)
    for plain, chunked in zip(*map(tensors, runs)):
        np.testing.assert_allclose(plain, chunked, rtol=1e-12, atol=1e-14)
    for a, b in zip(*(run.history.rows for run in runs)):
        assert a == pytest.approx(b, rel=1e-12)


def test_regularisers_see_the_whole_batch():
    given = (nn.regularizers.L2(0.1, scale="half_per_example"), nn.regularizers.MaxNorm(0.8))
    runs = [trainer(regularizers=given, dtype="float64") for _ in range(2)]
    for run, workers in zip(runs, (None, 1)):
        fit(run, 3, workers=workers)
    for plain, chunked in zip(*map(tensors, runs)):
        np.testing.assert_allclose(plain, chunked, rtol=1e-12, atol=1e-14)


def test_examples_that_are_drawn_are_those_of_the_trainer():
    weights = np.linspace(0.1, 3, len(X))
    runs = [trainer(dtype="float64") for _ in range(2)]
    for run, workers in zip(runs, (None, 1)):
        fit(run, 3, (X, Y, weights), sampling="weights", workers=workers)
    for plain, chunked in zip(*map(tensors, runs)):
        np.testing.assert_allclose(plain, chunked, rtol=1e-12, atol=1e-14)


class Exchange(train.Callback):
    """Another rate after the first epoch, another optimiser after the second."""

    def on_epoch(self, run: Any, row: dict[str, float]) -> None:
        run.optimizer = optim.SGD(0.02) if row["epoch"] == 1 else optim.Adam(0.01)


def test_what_a_callback_exchanges_takes_part_at_once():
    runs = [trainer(dtype="float64") for _ in range(2)]
    for run, workers in zip(runs, (None, 1)):
        fit(run, 3, workers=workers, callbacks=[Exchange()])
    for plain, chunked in zip(*map(tensors, runs)):
        np.testing.assert_allclose(plain, chunked, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_reductions_and_weights_of_zero_keep_their_meaning(reduction: str):
    weights = np.where(np.arange(len(X)) < 8, 0.0, 1.0)  # the first batch counts nothing
    runs = [trainer(loss=nn.losses.CrossEntropy(reduction=reduction), dtype="float64") for _ in range(2)]
    for run, workers in zip(runs, (None, 1)):
        fit(run, 1, (X, Y, weights), shuffle=False, workers=workers)
    for plain, chunked in zip(*map(tensors, runs)):
        np.testing.assert_allclose(plain, chunked, rtol=1e-12, atol=1e-14)


def test_any_number_of_workers_gives_the_same_bits_native_too():
    """Dropout, batch normalisation, a short last batch, chunks that do not fit, a penalty, Adam."""
    options: dict[str, Any] = {"l2": 1e-3, "optimizer": optim.Adam(0.01), "executor": "native"}
    first, *others = [trained(n, network(deep=True), batch_size=12, **options) for n in (1, 2, 3)]
    assert all(same(first, other) and first.history.rows == other.history.rows for other in others)


def test_a_batch_of_few_examples_is_cut_into_so_many():
    assert same(trained(1, batch_size=3), trained(3, batch_size=3))
    with pytest.raises(OptionError, match="4 workers for 3 chunks"):
        trained(4, batch_size=3)


def test_a_chunk_that_is_too_small_for_its_statistics_is_told_as_such():
    with pytest.raises(ShapeError) as found:
        trained(1, network(deep=True), batch_size=8)
    assert found.value.__notes__ == ["Workers cut this batch of 8 into 8 chunks; see train.MapReduce(chunks=...)."]
    trained(train.MapReduce(1, chunks=4), network(deep=True), batch_size=8)


def test_streams_are_shared_chunk_by_chunk():
    parts = [(X[:16], Y[:16]), (X[16:32], Y[16:32]), (X[32:], Y[32:])]
    runs = [trainer(), trainer()]
    for run, workers in zip(runs, (1, 2)):
        fit(run, 2, train.Stream(parts), batch_size=4, workers=workers)
    assert same(*runs)


def test_images_are_changed_by_their_numbers():
    images = np.random.default_rng(0).integers(0, 255, (24, 6, 6, 1), np.uint8)
    model = lambda: nn.Sequential(nn.Rescale(1 / 255), nn.Flatten(), nn.Dense(CLASSES))  # noqa: E731
    runs = [trainer(model(), augment=gl.data.augment.Flip(), dtype="float64") for _ in range(2)]
    for run, workers in zip(runs, (None, 1)):
        fit(run, 2, (images, np.arange(24) % CLASSES), workers=workers)
    for plain, chunked in zip(*map(tensors, runs)):
        np.testing.assert_allclose(plain, chunked, rtol=1e-11, atol=1e-13)


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int, how: Any) -> None:
    """Let something happen at the beginning of a call to come; a call is a step on the reference executor."""
    call, left = MapReduceSteps.__call__, at

    def wrapped(self: MapReduceSteps, *args: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            how(self)
        return call(self, *args)

    monkeypatch.setattr(MapReduceSteps, "__call__", wrapped)


def raise_interrupt(steps: MapReduceSteps) -> None:
    raise KeyboardInterrupt


def kill_a_worker(steps: MapReduceSteps) -> None:
    os.kill(steps._crew.processes[1], signal.SIGKILL)


@pytest.mark.parametrize(("how", "error"), [(raise_interrupt, KeyboardInterrupt), (kill_a_worker, WorkerError)])
def test_what_was_interrupted_goes_on_exactly(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, how: Any, error: Any):
    whole = trained(1, network(deep=True), batch_size=16)
    run = trainer(network(deep=True), metrics=["accuracy"])
    with monkeypatch.context() as during:
        interrupt(during, 5, how)
        with pytest.raises(error):
            fit(run, 2, batch_size=16, workers=2)
    assert (run.epoch, run.position) == (1, 1)
    run.save(tmp_path / "half.safetensors")
    again = load(tmp_path / "half.safetensors")
    fit(again, batch_size=16, workers=1)
    assert same(whole, again)
    assert whole.history.rows == again.history.rows


SCRIPT = """
import sys, numpy as np
from gradloom import nn, train
from gradloom.train.mapreduce import MapReduceSteps
enter = MapReduceSteps.__enter__
def told(self):
    enter(self)
    print(*self._crew.processes, flush=True)
    return self
MapReduceSteps.__enter__ = told
x = np.ones((64, 3), np.float32)
run = train.Trainer(nn.Dense(2), executor="reference")
class Tell(train.Callback):
    def on_epoch(self, run, row):
        if row["epoch"] == 1: print("trains", flush=True)
how = train.MapReduce(2, advise=False)
run.fit((x, np.zeros(64, int)), epochs=10**6, callbacks=[Tell()], progress="silent", workers=how)
"""


def is_running(process: int) -> bool:
    """Whether there is such a process, unless it has ended and nobody has asked how."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    return found.stdout.strip()[:1] not in ("", "Z")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_master(how: signal.Signals):
    """A script without a guard around it; the signal goes to its whole group, as Ctrl-C does."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as script:
        assert script.stdout is not None
        assert script.stderr is not None
        workers = [int(number) for number in script.stdout.readline().split()]
        assert len(workers) == 2
        assert script.stdout.readline() == "trains\n"
        os.killpg(script.pid, how)
        told = script.stderr.read()
        script.wait(60)
    assert script.returncode in (-how, 130)
    assert told.strip().endswith("KeyboardInterrupt") if how == signal.SIGINT else not told
    ended = time.monotonic() + 60
    while any(map(is_running, workers)) and time.monotonic() < ended:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(OptionError, match="an optimiser of first order needs; got LBFGS"):
        trained(1, optimizer=optim.LBFGS())
    with pytest.raises(OptionError, match="9 workers for 8 chunks"):
        trained(9)
    with pytest.raises(OptionError, match="workers"):
        trained(0)

    class Counting(nn.Module):
        def build(self, x: Any) -> None:
            self.add_state("calls", np.int64(0))

        def forward(self, x: Any) -> Any:
            self.calls = self.calls + 1
            return x

    with pytest.raises(OptionError, match="it must be of floats; got state of int64"):
        trained(1, nn.Sequential(Counting(), nn.Dense(CLASSES)))
