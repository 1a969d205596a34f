"""Options of ``gradloom train`` that say how training goes: each reaches the trainer and does what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_files import flowers, prices
from picture_files import cells, shapes

from gradloom import nn, optim, train
from gradloom.cli import job
from gradloom.cli.schedules import SCHEDULES, Length, build_schedule
from gradloom.tensor import tensor

FLOWERS = ["train", "flowers.csv", "--target", "kind", "--quiet", "--epochs", "4"]
SHAPES = ["train", "shapes", "--model", "smallcnn", "--batch-size", "6", "--executor", "reference", "--epochs", "1"]


def trained(cli, words: list[str], *more: str, out: str = "run") -> train.Trainer:
    found = cli(*words, *more, "--out", out)
    assert found.code == 0, found.err
    return train.load(Path(out) / "model.safetensors")


def weights(run: train.Trainer) -> dict[str, np.ndarray]:
    return {name: value for name, value in run.tensors().items() if name.startswith("parameters")}


def test_any_number_of_workers_gives_the_same_bits(cli, tmp_path: Path):
    flowers(tmp_path)
    one, two = (weights(trained(cli, FLOWERS, "--workers", count, out=count)) for count in ("1", "2"))
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_advice_about_workers_is_a_note(cli, tmp_path: Path):
    flowers(tmp_path)
    found = cli("train", "flowers.csv", "--target", "kind", "--epochs", "1", "--workers", "2")
    assert "workers=2 will not help: a step takes about" in found.out
    assert "RuntimeWarning" not in found.out + found.err


def test_penalties_bounds_and_decay_reach_the_trainer(cli, tmp_path: Path):
    flowers(tmp_path)
    said = ["--l1", "0.01", "--l2", "0.02", "--max-norm", "0.2", "--weight-decay", "0.03", "--class-weight", "balanced"]
    run = trained(cli, FLOWERS, *said, "--precision", "bfloat16")
    assert (run.l1, run.l2, run.class_weight, run.precision) == (0.01, 0.02, "balanced", "bfloat16")
    assert isinstance(run.optimizer, optim.Adam)
    assert run.optimizer.weight_decay == 0.03
    matrices = [value for name, value in weights(run).items() if name.endswith("weight")]
    longest = [float(np.linalg.norm(matrix, axis=0).max()) for matrix in matrices]
    assert 0.1 < max(longest) < 0.2 * (1 + 1e-6), "the rule of He begins them near 1.4"


def test_a_penalty_on_sizes_makes_weights_small(cli, tmp_path: Path):
    prices(tmp_path)
    words = ["train", "prices.csv", "--target", "price", "--model", "linear", "--quiet"]
    words += ["--validation", "0", "--lr", "0.05"]
    free, held = (trained(cli, words, "--l1", rate, out=rate) for rate in ("0", "10"))
    sizes = [np.abs(weights(run)["parameters/layers.0/weight"]).sum() for run in (free, held)]
    assert sizes[1] < 0.2 * sizes[0]


def test_dropout_of_tables_and_of_images(cli, tmp_path: Path):
    flowers(tmp_path)
    shapes(tmp_path)
    for words in (FLOWERS, SHAPES):
        model = trained(cli, words, "--dropout", "0.35").model
        found = [module.rate for _, module in _modules(model) if isinstance(module, nn.Dropout)]
        assert found
        assert set(found) == {0.35}


def _modules(module: nn.Module):
    for name, child in module.children():
        yield name, child
        yield from _modules(child)


FIRST_AND_LAST = {
    "constant": (1, 1),
    "linear": (1, 0),
    "cosine": (1, 0),
    "polynomial": (1, 0),
    "step": (1, 0.01),
    "exponential": (1, 0.01),
    "inverse-time": (1, 0.1),
    "inverse-sqrt": (1, 0.1**0.5),
    "restarts": (1, 0),
    "cyclical": (0.1, 0.1),
    "one-cycle": (0.1, 0),
}
"""The rates at the first update and at the last of 1200, where the greatest is 1."""


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_spans_the_run(name: str):
    made = build_schedule(name, 1.0, None, Length(epochs=12, updates=100))
    assert isinstance(made, optim.schedules.Schedule)
    found = [float(made(tensor(k), made.hyperparameters()).numpy()) for k in range(1200)]
    assert (found[0], found[-1]) == pytest.approx(FIRST_AND_LAST[name], abs=0.01)
    assert 0.99 < max(found) <= 1 + 1e-6


def test_a_warm_up_rises_to_the_rate_and_leaves_the_rest_to_the_schedule():
    made = build_schedule("linear", 1.0, 2, Length(epochs=10, updates=50))
    assert isinstance(made, optim.schedules.Schedule)
    found = [float(made(tensor(k), made.hyperparameters()).numpy()) for k in (0, 49, 100, 300, 500)]
    assert found == pytest.approx([1 / 101, 50 / 101, 1, 0.5, 0], abs=1e-6)


def test_a_schedule_is_kept_in_the_model_file(cli, tmp_path: Path):
    flowers(tmp_path)
    run = trained(cli, FLOWERS, "--schedule", "cosine", "--warmup", "1", "--batch-size", "12", "--lr", "0.01")
    assert isinstance(run.optimizer, optim.Adam)
    assert run.optimizer.lr == optim.schedules.WarmUp(optim.schedules.Cosine(0.01, 9), 3)  # 36 rows: 3 updates an epoch


def test_images_have_rates_and_lengths_of_their_own(cli, tmp_path: Path):
    shapes(tmp_path)
    run = trained(cli, SHAPES, "--schedule", "cosine")
    assert isinstance(run.optimizer, optim.Adam)
    assert run.optimizer.lr == optim.schedules.Cosine(1e-3, 2)  # 12 images in batches of 6


def test_masks_take_them_too(cli, tmp_path: Path):
    cells(tmp_path)
    words = ["train", "cells", "--masks", "masks", "--model", "unet-small", "--executor", "reference", "--epochs", "1"]
    run = trained(cli, words, "--class-weight", "balanced", "--dropout", "0.1", "--weight-decay", "0.001")
    assert run.class_weight == "balanced"


def test_patience_ends_a_run_or_lets_it_go_on(cli, tmp_path: Path):
    flowers(tmp_path)
    words = [*FLOWERS[:-1], "60", "--json"]
    epochs = [json.loads(cli(*words, "--lr", "0.03", "--patience", n).out)["epochs"] for n in ("1", "0")]
    assert epochs[0] < epochs[1] == 60


def test_a_checkpoint_is_there_before_the_end(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    flowers(tmp_path)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "write_run", die)
    assert cli(*FLOWERS, "--checkpoint", "--out", "run").code == 130
    assert train.load(tmp_path / "run" / "model.safetensors").epoch == 4


def test_all_of_them_are_in_the_command_of_the_report(cli, tmp_path: Path):
    flowers(tmp_path)
    said = "--l1 0.01 --weight-decay 0.1 --max-norm 3.0 --dropout 0.1 --class-weight balanced --schedule linear"
    said += " --warmup 1 --patience 2 --workers 1 --precision bfloat16 --debug-nans --checkpoint"
    trained(cli, FLOWERS, *said.split())
    assert cli("report", "run", "--quiet").code == 0
    page = (tmp_path / "run" / "report.html").read_text()
    command = page.split("<code>gradloom ")[1].split("</code>")[0].split()
    assert set(said.split()) <= set(command)
