"""Trainer(precision="bfloat16"): the model computes in bfloat16, everything that adds up over steps stays float32."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from small_runs import fit, network, same, trainer

import gradloom as gl
from gradloom import data, nn, optim, train, tree
from gradloom.errors import MissingPackageError, ModelFileError, OptionError
from gradloom.executors.native.program import NativeProgram
from gradloom.ir.graph import Graph
from gradloom.train import checkpoint
from gradloom.train.step import Recipe


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images of 8 x 8 pixels, and their labels."""
    table = data.load("digits")
    assert isinstance(table, data.Table)
    labels = data.TargetPipeline.fit(table["target"])
    pixels = [column.values for name, column in table.columns.items() if name != "target"]
    return np.stack(pixels, -1).astype(np.float32).reshape(-1, 8, 8, 1) / 16, labels.encode(table["target"])


def learnt(digits: tuple[np.ndarray, np.ndarray], precision: str | None) -> train.Trainer:
    """A small convolutional network, trained on two thirds of the digits."""
    x, y = digits
    layers = nn.Conv(8, 3, padding="same"), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2), nn.Flatten(), nn.Dense(10)
    run = train.Trainer(
        nn.Sequential(*layers), optimizer=optim.Adam(1e-2), metrics=["accuracy"], seed=1, precision=precision
    )
    run.fit((x[:1200], y[:1200]), validation=(x[1200:], y[1200:]), epochs=6, batch_size=60, progress="silent")
    return run


def test_digits_are_learnt_as_well(digits: tuple[np.ndarray, np.ndarray]):
    wide, narrow = (learnt(digits, precision) for precision in (None, "bfloat16"))
    first, second = (run.history.rows[-1] for run in (wide, narrow))
    assert second["val_accuracy"] > 0.9
    assert abs(second["val_accuracy"] - first["val_accuracy"]) < 0.02
    assert second["loss"] == pytest.approx(first["loss"], rel=0.05)
    assert second["loss"] != first["loss"]
    kinds = {leaf.dtype.name for leaf in tree.leaves(narrow.snapshot())}
    assert kinds == {"float32", "int64"}
    assert narrow.predict(digits[0][:5]).dtype == np.float32


def step_graph(precision: str | None, layers: int = 8, width: int = 64, batch: int = 2048) -> Graph:
    """One update of a deep network by plain descent."""
    model = nn.Sequential(*(nn.Dense(width, activation="tanh") for _ in range(layers)), nn.Dense(10))
    optimizer = optim.SGD(0.1)
    x, y, weights = gl.zeros((batch, width)), gl.zeros(batch, "int64"), gl.ones(batch)
    model.initialize(x)
    recipe = Recipe(model, nn.losses.CrossEntropy(), optimizer, [], precision=precision)
    parameters = model.parameters()
    carry = {
        "parameters": parameters,
        "state": model.state(),
        "optimizer": optimizer.init(parameters),
        "step": gl.tensor(0),
    }
    return gl.trace(recipe.train, carry, (x, y, weights), gl.random.key(0), recipe.hyperparameters(0, 0))


def test_what_is_computed_in_which_type():
    graph = step_graph("bfloat16")
    kinds: dict[str, set[str]] = {}
    for node in graph.nodes:
        kinds.setdefault(node.op.name, set()).add(str(node.type).split("[")[0])
    assert kinds["contract"] == {"bfloat16"}
    assert kinds["tanh"] == {"bfloat16"}
    assert kinds["logsumexp"] == {"float32"}
    assert {t.dtype.name for t in graph.output_types} == {"float32", "int64"}


def test_activations_take_less_memory():
    wide, narrow = (NativeProgram(step_graph(precision)).plan.size for precision in (None, "bfloat16"))
    assert narrow < 0.7 * wide  # not half: products read copies in float32, which live for one kernel


def test_normalisation_has_its_statistics_in_single_precision():
    x = 1000 + np.arange(8, dtype=np.float32)[:, np.newaxis] * np.ones((8, 4), np.float32) * 8  # exact in bfloat16
    given = gl.tensor(x, "bfloat16")
    assert given.tolist() == x.tolist()
    for layer in (nn.BatchNorm(), nn.LayerNorm(), nn.GroupNorm(2), nn.BatchNorm(affine=False)):
        layer.initialize(gl.tensor(x))
        (wide, state), (narrow, other) = (
            nn.apply(layer, layer.parameters(), layer.state(), inputs, training=True)
            for inputs in (gl.tensor(x), given)
        )
        assert narrow.dtype == gl.bfloat16
        np.testing.assert_array_equal(narrow.numpy(), wide.numpy().astype(ml_dtypes.bfloat16))
        for first, second in zip(tree.leaves(state), tree.leaves(other)):
            np.testing.assert_array_equal(first.numpy(), second.numpy())


def test_softmax_is_rounded_once():
    x = gl.tensor(np.random.default_rng(0).normal(size=(5, 30)) * 5, "bfloat16")
    for f in (gl.softmax, gl.log_softmax):
        wanted = f(x.astype("float32")).numpy().astype(ml_dtypes.bfloat16)
        np.testing.assert_array_equal(f(x).numpy(), wanted)


def test_whole_numbers_are_normalised_in_the_precision_of_the_run():
    layer = nn.Normalize([100.0], [50.0])
    x = gl.tensor(np.arange(6, dtype=np.uint8).reshape(2, 3, 1))
    found, _ = nn.apply(layer, {}, {}, x, training=True, floats="bfloat16")
    assert (found.dtype, layer(x).dtype) == (gl.bfloat16, np.float32)


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_a_run_goes_on_from_its_file(executor: str, tmp_path: Path):
    run = trainer(network(deep=True), precision="bfloat16", executor=executor)
    fit(run, 2)
    run.save(tmp_path / "m")
    again = train.load(tmp_path / "m", executor=executor)
    assert again.precision == "bfloat16"
    for each in (run, again):
        fit(each, 1)
    assert same(run, again)


def test_files_hold_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = trainer()
    fit(run)
    run.save(tmp_path / "m")
    told, arrays = checkpoint.read(tmp_path / "m")
    short = np.random.default_rng(0).normal(size=(3, 5)).astype(ml_dtypes.bfloat16)
    checkpoint.write(tmp_path / "n", told, {**arrays, "short": short, "scalar": short[0, 0], "none": short[:0]})
    found = checkpoint.read(tmp_path / "n")[1]
    assert found["short"].dtype == gl.bfloat16
    assert found["short"].tobytes() == short.tobytes()
    assert (found["scalar"].shape, found["none"].shape) == ((), (0, 5))
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(MissingPackageError, match="bfloat16"):
        checkpoint.read(tmp_path / "n")


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wrong: list[dict[str, Any]] = [{"precision": "float16"}, {"precision": "bfloat16", "dtype": "float64"}]
    for options in wrong:
        with pytest.raises(OptionError, match="precision is None, or 'bfloat16' where dtype is 'float32'"):
            trainer(**options)
    run = trainer()
    fit(run)
    with pytest.raises(OptionError, match="precision"):
        run.precision = "bfloat16"
    run.save(tmp_path / "m")
    told, arrays = checkpoint.read(tmp_path / "m")
    checkpoint.write(tmp_path / "m", {**told, "precision": "float8"}, arrays)
    with pytest.raises(ModelFileError, match="'precision' of the description must be null or 'bfloat16'"):
        train.load(tmp_path / "m")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(MissingPackageError, match="gradloom"):
        trainer(precision="bfloat16")
