"""Training through the native executor: many steps in one program, with the reference executor's results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from small_runs import interrupt_at

import gradloom as gl
from gradloom import data, nn, optim, train, tree
from gradloom.errors import NonFiniteError
from gradloom.executors.native import compile as compiling
from gradloom.train import pace
from gradloom.train import trainer as trainer_module
from gradloom.train.step import Recipe


def digits() -> tuple[np.ndarray, np.ndarray]:
    table = data.load("digits")
    target = data.TargetPipeline.fit(table["target"])
    return data.TablePipeline.fit(table, target="target").transform(table), target.encode(table["target"])


def trainer(executor: str, *, lr: float = 3e-3, seed: int = 0) -> train.Trainer:
    model = nn.Sequential(nn.Dense(32, activation="relu"), nn.BatchNorm(), nn.Dropout(0.2), nn.Dense(10))
    return train.Trainer(model, optimizer=optim.Adam(lr), metrics=["accuracy"], seed=seed, l2=1e-4, executor=executor)


def test_the_first_steps_have_the_reference_losses():
    x, y = digits()
    rows = {}
    for executor in ("reference", "native"):
        run = trainer(executor)
        # Epochs of 11 batches, the last of 10 examples: the loss of an epoch is the mean over its steps.
        rows[executor] = run.fit((x[:330], y[:330]), epochs=2, batch_size=32, progress="silent").rows
    for native, reference in zip(rows["native"], rows["reference"], strict=True):
        for name, value in reference.items():
            assert native[name] == pytest.approx(value, abs=1e-4), name


def test_resumed_training_has_the_bits_of_the_unbroken_one(tmp_path):
    x, y = digits()
    whole = trainer("native")
    whole.fit((x, y), epochs=4, progress="silent")
    first = trainer("native")
    first.fit((x, y), epochs=2, progress="silent")
    first.save(tmp_path / "model.safetensors")
    second = train.load(tmp_path / "model.safetensors", executor="native")
    second.fit((x, y), epochs=2, progress="silent")
    assert second.history.rows == whole.history.rows
    pairs = zip(tree.leaves(whole.snapshot()), tree.leaves(second.snapshot()), strict=True)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs)


def test_seeds_penalties_and_short_batches_compile_nothing_new(monkeypatch: pytest.MonkeyPatch):
    """One program trains: 500 examples in batches of 32 leave 20 over, in calls of 5 batches one."""
    x, y = digits()
    monkeypatch.setenv("GRADLOOM_CACHE", "off")
    monkeypatch.setattr(trainer_module, "steps_a_call", lambda *_: 5)
    run = trainer("native")
    run.fit((x[:500], y[:500]), epochs=1, batch_size=32, progress="silent")
    before = compiling.compiled
    run.fit((x[500:1000], y[500:1000]), epochs=1, batch_size=32, progress="silent")
    run.seed, run.l2 = 7, 0.1
    run.fit((x[:500], y[:500]), epochs=1, batch_size=32, shuffle=False, progress="silent")
    assert compiling.compiled == before


def test_a_run_with_another_rate_and_seed_finds_the_program_on_disk():
    x, y = digits()
    trainer("native").fit((x[:500], y[:500]), epochs=1, batch_size=32, progress="silent")
    before = compiling.compiled
    trainer("native", lr=0.1, seed=5).fit((x[:500], y[:500]), epochs=1, batch_size=32, progress="silent")
    assert compiling.compiled == before


@pytest.mark.parametrize("most", [1, 3, 16])
def test_the_number_of_steps_a_call_changes_nothing(most: int, monkeypatch: pytest.MonkeyPatch):
    x, y = digits()
    rows = {}
    for count in (most, 7):
        monkeypatch.setattr(trainer_module, "steps_a_call", lambda *_, count=count: count)
        run = trainer("native")
        rows[count] = run.fit((x[:500], y[:500]), epochs=2, batch_size=32, progress="silent").rows, run.tensors()
    (first, weights), (second, others) = rows.values()
    assert first == second
    assert all(np.array_equal(weights[name], others[name]) for name in weights)


def test_an_epoch_interrupted_between_calls_ends_with_the_bits_of_the_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    x, y = digits()
    monkeypatch.setattr(trainer_module, "steps_a_call", lambda *_: 5)
    whole, broken = trainer("native"), trainer("native")
    whole.fit((x[:500], y[:500]), epochs=2, batch_size=32, progress="silent")
    interrupt_at(broken, 3)
    with pytest.raises(KeyboardInterrupt):
        broken.fit((x[:500], y[:500]), epochs=2, batch_size=32, progress="silent")
    assert (broken.epoch, broken.position) == (0, 8)  # 16 batches in 4 calls of 4
    broken.save(tmp_path / "model.safetensors")
    monkeypatch.setattr(trainer_module, "steps_a_call", lambda *_: 7)  # the rest of the epoch in other calls
    resumed = train.load(tmp_path / "model.safetensors", executor="native")
    resumed.fit((x[:500], y[:500]), epochs=2, batch_size=32, progress="silent")
    assert resumed.history.rows == whole.history.rows
    assert all(np.array_equal(a, whole.tensors()[name]) for name, a in resumed.tensors().items())


def test_calls_take_some_tens_of_milliseconds_whatever_the_network():
    small, large = (nn.Sequential(nn.Dense(n, activation="relu"), nn.Dense(n)) for n in (8, 2048))
    steps = {}
    for model, width in ((small, 8), (large, 2048)):
        model.initialize(np.zeros((2, width), np.float32))
        graph = gl.trace(model, np.zeros((2, width), np.float32))
        steps[width] = pace.steps_a_call("native", graph, 2, 2 * width**2, 256)
        assert pace.steps_a_call("reference", graph, 2, 2 * width**2, 256) == 1
    assert pace.operations(graph) == pytest.approx(2 * 2 * 2 * 2048**2, rel=0.01)
    assert steps[8] > 1000
    assert 1 <= steps[2048] < 10


def modules_of(program: Any) -> int:
    """How many programs a compiled function has."""
    return len(program.programs)


def test_measuring_and_predicting_data_of_many_lengths_takes_few_programs():
    x, y = digits()
    run = trainer("native")
    run.fit((x[:500], y[:500]), epochs=1, batch_size=32, progress="silent")
    wanted = run.predict(x[:64])
    for count in (33, 40, 57, 63):
        np.testing.assert_array_equal(run.predict(x[:count]), wanted[:count])
        run.evaluate((x[:count], y[:count]))
    assert modules_of(run._forward._forward) == modules_of(run._measure._step) == 1


def test_predictions_follow_every_change_of_the_model():
    x, _ = digits()
    run = train.Trainer(nn.Sequential(nn.Dense(4, activation="relu"), nn.Dense(3)), "mse")
    run.fit((x[:64], np.zeros((64, 3))), epochs=1, progress="silent")
    first = run.predict(x[:1])
    layer = run.model.layers[1]
    layer.bias = layer.bias + 1
    np.testing.assert_allclose(run.predict(x[:1]), first + 1, rtol=1e-5, atol=1e-6)
    run.restore({**run.snapshot(), "parameters": tree.map(lambda p: p * 0, run.model.parameters())})
    np.testing.assert_array_equal(run.predict(x[:1]), np.zeros((1, 3)))


@pytest.mark.filterwarnings("ignore::gradloom.train.LinearStackWarning")
def test_a_loss_that_explodes_is_noticed_in_the_middle_of_a_program():
    x, y = digits()
    run = train.Trainer(nn.Sequential(nn.Dense(4), nn.Dense(1)), "squared_error", optim.SGD(1e12), executor="native")
    with pytest.raises(NonFiniteError, match="must stay finite"):
        run.fit((x, y[:, None].astype(np.float32)), epochs=3, batch_size=32, progress="silent")
    assert all(np.isfinite(leaf.numpy()).all() for leaf in tree.leaves(run.model.parameters()))


def table(name: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a table, as the command line prepares them."""
    if name != "digits":
        path = Path(__file__).resolve().parents[2] / "../shared/data/tabular" / name
        if not path.is_file():
            pytest.skip(f"{name} is not among the shared data")
        name = str(path)
    loaded = data.load(name)
    labels = data.TargetPipeline.fit(loaded[target])
    return data.TablePipeline.fit(loaded, target=target).transform(loaded), labels.encode(loaded[target])


TABLES = {
    "digits": ("digits", "target", "cross_entropy", 10),
    "titanic": ("titanic-train.csv", "Survived", "binary_cross_entropy", 1),
    "california": ("california-housing.csv", "median_house_value", "mse", 1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TABLES)
def test_the_first_50_steps_have_the_losses_of_the_reference(name: str, dtype: str):
    """Step by step, from the same weights: to 1e-4 in float32, to 1e-10 in float64."""
    file, target, loss, outputs = TABLES[name]
    x, y = table(file, target)
    model = nn.Sequential(nn.Dense(32, activation="relu"), nn.BatchNorm(), nn.Dropout(0.2), nn.Dense(outputs))
    model.initialize(x[:2])
    recipe = Recipe(model, nn.losses.get(loss), optim.Adam(3e-3), [])

    def of_type(values: Any) -> Any:
        return tree.map(lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf, values)

    parameters = of_type(model.parameters())
    carry = {
        "parameters": parameters,
        "state": of_type(model.state()),
        "optimizer": recipe.optimizer.init(parameters),
        "step": gl.tensor(0),
    }
    whole = tuple(of_type(gl.tensor(part)) for part in (x, y, np.ones(len(x), np.float32)))
    rows = np.random.default_rng(0).integers(0, len(x), (50, 32))
    hyper = {name: gl.tensor(value, "float64") for name, value in recipe.hyperparameters(0.0, 1e-4).items()}
    losses = {}
    for executor in ("reference", "native"):
        last, (_, sums) = gl.jit(recipe.train_many, executor)(carry, whole, rows, gl.random.key(0), hyper)
        assert {leaf.dtype.name for leaf in tree.leaves(last["parameters"])} == {dtype}
        losses[executor] = sums.numpy() / 32
    np.testing.assert_allclose(
        losses["native"], losses["reference"], rtol=0, atol={"float32": 1e-4, "float64": 1e-10}[dtype]
    )
    assert losses["native"][-10:].mean() < losses["native"][:10].mean()


def test_moments_do_not_stay_denormal(tmp_path: Path):
    """Where a gradient stays 0 the first moment of Adam decays: to 0, and not to 1e-45 for ever."""
    x = np.zeros((2400, 2), np.float32)
    x[:, 0], x[:2, 1] = 1, 1
    run = train.Trainer(nn.Sequential(nn.Dense(1)), "mse", optim.Adam(1e-3), seed=1)
    run.fit((x, x[:, :1]), epochs=1, batch_size=2, shuffle=False, progress="silent")
    run.save(tmp_path / "model.safetensors")
    moments = {k: v for k, v in load_file(tmp_path / "model.safetensors").items() if v.dtype == np.float32}
    assert any("optimizer" in name for name in moments)
    assert any(v.size == 2 and v.flat[1] == 0 != v.flat[0] for v in moments.values())
    least = np.finfo(np.float32).tiny
    assert not [name for name, v in moments.items() if ((v != 0) & (np.abs(v) < least)).any()]
