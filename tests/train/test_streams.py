"""Data that do not fit into memory: chunks and memory maps train as the same data in memory do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import CLASSES, FEATURES, ROWS, X, Y, fit, interrupt_at, load, network, same, tensors, trainer

from gradloom import train
from gradloom.errors import DataError, OptionError, ShapeError
from gradloom.train import source

PARTS = [(X[i : i + 16], Y[i : i + 16]) for i in range(0, ROWS, 16)]  # 16, 16 and 5 examples


def test_one_chunk_in_order_is_the_data_in_memory():
    streamed, resident = trainer(metrics=["accuracy"]), trainer(metrics=["accuracy"])
    rows = fit(streamed, 3, data=train.Stream([(X, Y)]), shuffle=False).rows
    assert rows == fit(resident, 3, shuffle=False).rows
    assert same(streamed, resident)


def test_chunks_in_order_train_as_one_data_set_and_are_one_program():
    """Two chunks of 2 batches and one of 1, which is short: the batches of the whole."""
    streamed, resident = trainer(metrics=["accuracy"]), trainer(metrics=["accuracy"])
    rows = fit(streamed, 2, data=train.Stream(PARTS), shuffle=False).rows
    assert rows == fit(resident, 2, shuffle=False).rows
    assert same(streamed, resident)
    assert len(streamed._compiled.programs) == 1


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_an_iterator_serves_each_epoch_anew(executor: str):
    made = 0

    def chunks() -> Iterator[Any]:
        nonlocal made
        made += 1
        yield from PARTS

    first, second = trainer(executor=executor), trainer(executor=executor)
    assert fit(first, 2, data=train.Stream(chunks)).rows == fit(second, 2, data=train.Stream(chunks)).rows
    assert same(first, second)
    assert made == 2 * 3  # one to look at the first chunk


def test_every_epoch_has_an_order_of_chunks_and_of_examples_that_the_seed_determines():
    class Watched(list[Any]):
        def __getitem__(self, place: Any) -> Any:
            asked.append(place)
            return super().__getitem__(place)

    asked: list[int] = []
    orders, runs = [], []
    for seed in (0, 0, 1):
        run = trainer(seed=seed)
        asked.clear()
        fit(run, 4, data=train.Stream(Watched(PARTS)))
        orders.append(asked[1:13])
        runs.append(run)
    assert orders[0] == orders[1] != orders[2]
    assert same(runs[0], runs[1])
    epochs = [tuple(orders[0][i : i + 3]) for i in range(0, 12, 3)]
    assert all(sorted(order) == [0, 1, 2] for order in epochs)
    assert len(set(epochs)) > 1


def test_an_interrupted_epoch_of_a_stream_goes_on(tmp_path: Path):
    whole, broken = (trainer(network(deep=True), seed=3) for _ in range(2))
    data = train.Stream(PARTS, rows=ROWS)
    fit(whole, 2, data=data)
    interrupt_at(broken, 4)
    with pytest.raises(KeyboardInterrupt):
        fit(broken, 2, data=data)
    assert (broken.epoch, broken.position) == (0, 3)
    broken.save(tmp_path / "m")
    resumed = load(tmp_path / "m")
    fit(resumed, 2, data=data)
    assert same(whole, resumed)
    assert resumed.history.rows == whole.history.rows


def test_the_next_chunk_is_made_on_another_thread():
    threads: list[str] = []

    def chunks() -> Iterator[Any]:
        for part in PARTS:
            threads.append(threading.current_thread().name)
            yield part

    fit(trainer(), data=train.Stream(chunks))
    assert len(threads) == 1 + 3
    assert all(name.startswith("gradloom-ahead") for name in threads[1:])


def test_validation_and_evaluation_of_a_stream():
    run, other = (trainer(metrics=["accuracy", "roc_auc"]) for _ in range(2))
    rows = fit(run, data=train.Stream(PARTS), validation=train.Stream(PARTS)).rows
    found = run.evaluate(train.Stream(PARTS))
    wanted = run.evaluate((X, Y))
    assert found == pytest.approx(wanted, rel=1e-6)
    assert rows[0]["val_loss"] == pytest.approx(wanted["loss"], rel=1e-6)
    with pytest.raises(OptionError, match="model must be trained or loaded first"):
        other.evaluate(train.Stream(PARTS))


def test_a_memory_map_is_read_slice_by_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No more than a few slices of it lie in memory at once."""
    rows = 6000
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(rows, FEATURES)).astype(np.float32))
    labels = rng.integers(0, CLASSES, rows)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr(source, "SLICE_BYTES", 16 * 1024)  # 1024 rows of 16 + 8 bytes are more
    kept: list[int] = []
    lengths = source.as_examples
    monkeypatch.setattr(source, "as_examples", lambda data, *rest: kept.append(len(data[0])) or lengths(data, *rest))
    run = trainer()
    history = fit(run, 2, data=(mapped, labels), batch_size=64)
    assert max(kept) == 1024
    assert sum(kept) == 1024 + 2 * rows
    assert run.rows == rows
    assert run.step == 2 * (5 * 16 + 14)
    other = trainer()
    assert fit(other, 2, data=(np.array(mapped), labels), batch_size=64).rows[1]["loss"] == pytest.approx(
        history.rows[1]["loss"], rel=0.05
    )


def test_a_small_memory_map_is_read_whole(tmp_path: Path):
    np.save(tmp_path / "x.npy", X)
    run, other = trainer(), trainer()
    assert fit(run, data=(np.load(tmp_path / "x.npy", mmap_mode="r"), Y)).rows == fit(other).rows
    assert all(np.array_equal(a, b) for a, b in zip(tensors(run), tensors(other)))


def with_nan() -> np.ndarray:
    wrong = X[16:32].copy()
    wrong[3, 1] = np.nan
    return wrong


REFUSALS: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "nan in the second chunk": (
        lambda: train.Stream([PARTS[0], (with_nan(), Y[16:32])]),
        {},
        DataError,
        r"fit chunk 1 inputs: values must be finite; got nan at \(3, 1\)",
    ),
    "another shape": (
        lambda: train.Stream([PARTS[0], (X[16:32, :3], Y[16:32])]),
        {},
        DataError,
        r"fit chunk 1: each example must have the shape .* got \(3,\), not \(4,\)",
    ),
    "a label too many": (
        lambda: train.Stream([PARTS[0], (X[16:32], Y[16:32] + 2)]),
        {},
        DataError,
        "fit chunk 1 targets: class indices go from 0 to 2",
    ),
    "lengths": (lambda: train.Stream([(X, Y[:-1])]), {}, ShapeError, "fit chunk 0: .* equal lengths"),
    "nothing": (lambda: train.Stream(lambda: iter(())), {}, DataError, "fit: a stream must give at least one chunk"),
    "an iterator that ended": (
        lambda: train.Stream((lambda chunks: lambda: chunks)(iter(PARTS))),
        {},
        DataError,
        "a function that makes a new iterator at each call",
    ),
    "a bare iterator": (lambda: train.Stream(iter(PARTS)), {}, OptionError, "Stream: .* serves one epoch only"),
    "balanced": (lambda: train.Stream(PARTS), {"class_weight": "balanced"}, OptionError, "balanced weights need all"),
    "a share": (lambda: train.Stream(PARTS), {"validation": 0.2}, OptionError, "only of data in memory"),
    "a large batch": (lambda: train.Stream(PARTS), {"batch_size": 17}, OptionError, "batch_size 17 for 16 examples"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name: str):
    make, options, error, message = REFUSALS[name]
    made = {key: value for key, value in options.items() if key == "class_weight"}
    with pytest.raises(error, match=message):
        fit(trainer(**made), 2, data=make(), **{k: v for k, v in options.items() if k not in made})


def test_class_weights_are_applied_chunk_by_chunk():
    weights = {0: 1.0, 1: 3.0, 2: 0.5}
    streamed, resident = (trainer(class_weight=weights) for _ in range(2))
    assert fit(streamed, data=train.Stream(PARTS), shuffle=False).rows == fit(resident, shuffle=False).rows
