"""Training through the native executor: many steps in one program, with the reference executor's results."""

from __future__ import annotations

import numpy as np
import pytest

from gradloom import data, nn, optim, train, tree
from gradloom.executors.native import compile as compiling
from gradloom.train.batches import grouped


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
        # One epoch of 50 batches, then another: the loss of an epoch is the mean over its steps.
        rows[executor] = run.fit((x[:1600], y[:1600]), epochs=2, batch_size=32, progress="silent").rows
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


def test_rates_seeds_and_short_batches_compile_nothing_new():
    x, y = digits()
    trainer("native").fit((x[:500], y[:500]), epochs=1, batch_size=32, progress="silent")  # 15 batches, and 20 rows
    run = trainer("native")
    run.fit((x[:500], y[:500]), epochs=1, batch_size=32, progress="silent")
    before = compiling.compiled
    run.fit((x[:500], y[:500]), epochs=2, batch_size=32, progress="silent")
    trainer("native", lr=0.1, seed=5).fit((x[:500], y[:500]), epochs=1, batch_size=32, progress="silent")
    assert compiling.compiled == before


def test_a_loss_that_explodes_is_noticed_in_the_middle_of_a_program():
    x, y = digits()
    run = train.Trainer(nn.Sequential(nn.Dense(4), nn.Dense(1)), "squared_error", optim.SGD(1e12), executor="native")
    with pytest.raises(train.trainer.NonFiniteError, match="must stay finite"):
        run.fit((x, y[:, None].astype(np.float32)), epochs=3, batch_size=32, progress="silent")
    assert all(np.isfinite(leaf.numpy()).all() for leaf in tree.leaves(run.model.parameters()))


@pytest.mark.parametrize(
    ("full", "short", "most"), [(10, 0, 64), (10, 1, 4), (7, 1, 3), (1, 1, 64), (1, 0, 1), (9, 0, 1)]
)
def test_batches_are_grouped_evenly_and_kept_in_order(full: int, short: int, most: int):
    batches = [np.arange(8) + 8 * i for i in range(full)] + [np.arange(3) + 100] * short
    groups = grouped(batches, most)
    flat = [rows for group in groups for rows in group]
    assert all(np.array_equal(a, b) for a, b in zip(flat, batches, strict=True))
    sizes = {len(group) for group in groups if len(group) > 1}
    assert len(sizes) <= 1
    assert all(size <= most for size in sizes)
    assert all(len({len(rows) for rows in group}) == 1 for group in groups)
