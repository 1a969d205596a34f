"""Training in float64, from the data to the model file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_runs import CLASSES, X, Y, fit, network, same, tensors, trainer

from gradloom import data, nn, optim, train, tree
from gradloom.errors import DataError, ModelFileError, OptionError
from gradloom.train import checkpoint


def wide(executor: str = "reference", **options: object) -> train.Trainer:
    chosen = {"optimizer": optim.Adam(3e-3), "l2": 1e-4, "metrics": ["accuracy"], **options}
    return trainer(network(deep=True), dtype="float64", executor=executor, **chosen)


def floats(run: train.Trainer) -> set[str]:
    return {leaf.dtype.name for leaf in tree.leaves(run.snapshot()) if leaf.dtype.kind == "f"}


def test_the_executors_agree_to_ten_digits_over_fifty_steps():
    """Losses and weights of digits with batch normalisation, dropout and a short last batch."""
    table = data.load("digits")
    assert isinstance(table, data.Table)
    labels = data.TargetPipeline.fit(table["target"])
    x = data.TablePipeline.fit(table, target="target").transform(table).astype(np.float64)
    y = labels.encode(table["target"])
    runs = {}
    for executor in ("reference", "native"):
        model = nn.Sequential(nn.Dense(16, activation="tanh"), nn.BatchNorm(), nn.Dropout(0.2), nn.Dense(10))
        run = runs[executor] = train.Trainer(model, optimizer=optim.Adam(3e-3), dtype="float64", executor=executor)
        run.fit((x[:316], y[:316]), validation=(x[316:400], y[316:400]), epochs=5, batch_size=32, progress="silent")
        assert run.step == 50
    first, second = runs.values()
    for column in ("loss", "val_loss"):
        np.testing.assert_allclose(first.history.column(column), second.history.column(column), rtol=0, atol=1e-10)
    for a, b in zip(tensors(first), tensors(second), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)
    np.testing.assert_allclose(first.predict(x[:40]), second.predict(x[:40]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_every_float_is_wide_and_survives_the_file(executor: str, tmp_path: Path):
    run = wide(executor)
    fit(run, 2)
    assert floats(run) == {"float64"}
    assert run.predict(X).dtype == np.float64
    run.save(tmp_path / "m")
    again = train.load(tmp_path / "m", executor=executor)
    assert again.dtype == "float64"
    assert same(run, again)
    assert again.evaluate((X, Y)) == run.evaluate((X, Y))
    for each in (run, again):
        fit(each, 1)
    assert same(run, again)


def test_digits_beyond_float32_count():
    shifted = X.astype(np.float64) + 1e-12
    wider, narrow = wide(), trainer(network(deep=True))
    for run in (wider, narrow):
        fit(run)
    assert (wider.predict(shifted) != wider.predict(X)).any()
    np.testing.assert_array_equal(narrow.predict(shifted), narrow.predict(X))
    assert floats(narrow) == {"float32"}


def test_the_range_is_that_of_the_type():
    huge = X.astype(np.float64)
    huge[0, 0] = 1e300
    run = trainer(nn.Dense(CLASSES), dtype="float64")
    fit(run)
    assert np.isfinite(run.predict(huge[1:])).all()
    with pytest.raises(DataError, match="range of float32"):
        fit(trainer(), data=(huge, Y))


def test_streams_weights_and_whole_numbers():
    weights = {0: 1.0, 1: 3.0, 2: 0.5}
    streamed, resident = (wide(class_weight=weights) for _ in range(2))
    assert fit(streamed, data=train.Stream([(X, Y)]), shuffle=False).rows == fit(resident, shuffle=False).rows
    assert floats(streamed) == {"float64"}
    counted = trainer(nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Dense(CLASSES)), dtype="float64")
    fit(counted, data=(np.arange(len(Y))[:, np.newaxis] % 5, Y))
    assert floats(counted) == {"float64"}
    assert counted.input_type == ("int64", (1,))


def test_refusals(tmp_path: Path):
    with pytest.raises(OptionError, match="dtype"):
        trainer(dtype="float16")
    run = wide()
    fit(run)
    run.save(tmp_path / "m")
    told, arrays = checkpoint.read(tmp_path / "m")
    checkpoint.write(tmp_path / "m", {**told, "dtype": "float32"}, arrays)
    with pytest.raises(ModelFileError, match="must be float32"):
        train.load(tmp_path / "m")
    checkpoint.write(tmp_path / "m", {**told, "dtype": "bfloat16"}, arrays)
    with pytest.raises(ModelFileError, match="'dtype' of the description must be float32 or float64"):
        train.load(tmp_path / "m")
