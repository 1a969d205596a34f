"""``gradloom train`` from end to end on small data."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from cli_files import flowers, prices

from gradloom import train
from gradloom.cli.job import shortened
from gradloom.cli.optimizers import OPTIMIZERS
from gradloom.cli.runs import make_folder

FLOWERS = ["train", "flowers.csv", "--target", "kind"]


def test_a_run_says_what_it_found_and_writes_everything(cli, tmp_path: Path):
    flowers(tmp_path)
    found = cli(*FLOWERS)
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0] == "The task is classification, since 'kind' holds names."
    assert "Rows: 36 training, 12 validation, 12 test. Network: 6 > 128 > 64 > 1." in lines
    assert "Baseline: always 'rose' (test)." in lines
    assert lines[-1].startswith("Written: runs/flowers-001/model.safetensors, ")
    folder = tmp_path / "runs/flowers-001"
    assert {file.name for file in folder.iterdir()} == {
        "model.safetensors",
        "history.csv",
        "history.json",
        "metrics.json",
    }
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["metrics"]["test"]["accuracy"] > 0.9
    assert metrics["baseline"]["accuracy"] == 0.5
    with open(folder / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == metrics["epochs"]
    assert float(rows[metrics["best_epoch"] - 1]["val_loss"]) == min(float(row["val_loss"]) for row in rows)


def test_the_table_shows_the_figures_of_the_json(cli, tmp_path: Path):
    flowers(tmp_path)
    found = cli(*FLOWERS, "--epochs", "3")
    figures = json.loads((tmp_path / "runs/flowers-001/metrics.json").read_text())["metrics"]
    row = next(line for line in found.out.splitlines() if line.startswith("cross entropy"))
    shown = [float(cell) for cell in row.split()[2:5]]
    assert shown == pytest.approx(
        [figures[part]["cross_entropy"] for part in ("training", "validation", "test")], abs=1e-4
    )


def test_json_is_one_object_and_nothing_else(cli, tmp_path: Path):
    flowers(tmp_path)
    found = cli(*FLOWERS, "--json", "--epochs", "2")
    summary = json.loads(found.out)
    assert summary["task"] == "binary"
    assert summary["classes"] == ["rose", "violet"]
    assert summary["rows"] == {"training": 36, "validation": 12, "test": 12}
    assert all((tmp_path / file).is_file() for file in summary["files"])


def test_quiet_shows_the_result_alone(cli, tmp_path: Path):
    flowers(tmp_path)
    found = cli(*FLOWERS, "--quiet", "--epochs", "2")
    assert found.err == ""
    assert found.out.startswith("Result\n")


def test_the_same_seed_gives_the_same_model_and_another_one_another(cli, tmp_path: Path):
    flowers(tmp_path)
    for seed in ("5", "5", "6"):
        cli(*FLOWERS, "--epochs", "2", "--seed", seed)
    first, second, other = ((tmp_path / f"runs/flowers-00{i}/history.csv").read_text() for i in (1, 2, 3))
    assert first == second != other


def test_regression_is_rated_in_the_units_of_the_data(cli, tmp_path: Path):
    prices(tmp_path)
    summary = json.loads(cli("train", "prices.csv", "--target", "price", "--json", "--hidden", "32").out)
    test = summary["metrics"]["test"]
    assert summary["task"] == "regression"
    assert test["r2"] > 0.95
    assert 1_000 < test["rmse"] < summary["baseline"]["rmse"] / 4
    run = train.load(tmp_path / "runs/prices-001/model.safetensors")
    assert run.preprocessing is not None
    assert run.preprocessing.target is not None
    assert run.preprocessing.target.scale is not None


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_losses_for_regression(cli, tmp_path: Path, loss: str):
    prices(tmp_path)
    summary = json.loads(cli("train", "prices.csv", "--target", "price", "--json", "--loss", loss).out)
    assert summary["metrics"]["test"]["r2"] > 0.9


def test_two_classes_may_have_an_output_each(cli, tmp_path: Path):
    flowers(tmp_path)
    found = cli(*FLOWERS, "--loss", "cross_entropy")
    assert "Network: 6 > 128 > 64 > 2." in found.out
    assert json.loads((tmp_path / "runs/flowers-001/metrics.json").read_text())["metrics"]["test"]["accuracy"] > 0.9


def test_a_linear_model_has_one_layer(cli, tmp_path: Path):
    flowers(tmp_path)
    assert "Network: 6 > 1." in cli(*FLOWERS, "--model", "linear", "--epochs", "2").out


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_trains(cli, tmp_path: Path, optimizer: str):
    flowers(tmp_path)
    summary = json.loads(cli(*FLOWERS, "--optimizer", optimizer, "--json", "--epochs", "100").out)
    assert summary["metrics"]["training"]["cross_entropy"] < 0.6


def test_a_task_that_was_asked_for(cli, tmp_path: Path):
    lines = ["x,y", *(f"{row * 0.37:.2f},{row % 2}" for row in range(40))]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    tasks = {"auto": "binary", "regression": "regression", "classification": "binary", "multiclass": "multiclass"}
    for task, found in tasks.items():
        words = ["train", "a.csv", "--target", "y", "--task", task, "--epochs", "1", "--json"]
        summary = json.loads(cli(*words).out)
        assert summary["task"] == found
        assert (summary["notes"][0] == f"The task is {task}, as asked.") == (task != "auto")
    assert "Network: 1 > 128 > 64 > 2." in cli(*words[:-1]).out, "an output for each of two classes"


def test_an_encoding_that_was_asked_for(cli, tmp_path: Path):
    flowers(tmp_path)
    text = (tmp_path / "flowers.csv").read_text().replace("rose", "Röschen")
    (tmp_path / "flowers.csv").write_bytes(text.encode("latin-1"))
    said = ["--encoding", "latin-1", "--json"]
    summary = json.loads(cli(*FLOWERS, "--epochs", "2", "--out", "run", *said).out)
    assert summary["classes"] == ["Röschen", "violet"]
    assert json.loads(cli("predict", "run", "flowers.csv", *said).out)["classes"] == summary["classes"]
    assert json.loads(cli("evaluate", "run", "flowers.csv", *said).out)["rows"] == 60
    assert json.loads(cli("info", "flowers.csv", *said).out)["columns"][-1]["most_frequent"] == "Röschen"


def test_clipped_gradients_are_small_steps_of_sgd(cli, tmp_path: Path):
    """Where gradients are longer than c, an update moves the weights by η c."""
    flowers(tmp_path)
    words = [*FLOWERS, "--optimizer", "sgd", "--lr", "0.5", "--model", "linear", "--batch-size", "48"]
    for name, epochs in {"first": "1", "second": "2"}.items():  # one batch an epoch, so they are one update apart
        found = cli(*words, "--clip-norm", "0.01", "--validation", "0", "--epochs", epochs, "--out", name)
        assert found.code == 0
    first, second = (train.load(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    moved = [second.tensors()[name] - first.tensors()[name] for name in first.tensors() if "parameters" in name]
    assert np.sqrt(sum((change**2).sum() for change in moved)) == pytest.approx(0.5 * 0.01, rel=1e-4)


def test_both_executors_train_alike(cli):
    words = ["train", "iris", "--epochs", "10", "--json", "--executor"]
    reference, native = (json.loads(cli(*words, executor).out) for executor in ("reference", "native"))
    assert native["metrics"]["test"] == pytest.approx(reference["metrics"]["test"], abs=1e-3)
    assert reference["metrics"]["test"]["accuracy"] > 0.5


def test_shares_of_nothing_leave_parts_out(cli, tmp_path: Path):
    flowers(tmp_path)
    summary = json.loads(cli(*FLOWERS, "--validation", "0", "--test", "0", "--epochs", "2", "--json").out)
    assert summary["rows"] == {"training": 60}
    assert summary["best_epoch"] is None
    assert summary["baseline"]["part"] == "training"


def test_rows_without_a_target_take_no_part(cli, tmp_path: Path):
    flowers(tmp_path)
    with open(tmp_path / "flowers.csv", "a") as file:
        file.write("1.5,0,red,\n" * 5)
    found = cli(*FLOWERS, "--epochs", "2")
    assert "5 of 65 rows have no 'kind' and take no part." in found.out
    assert "36 training" in found.out


def test_a_column_read_as_asked(cli, tmp_path: Path):
    flowers(tmp_path)
    found = cli(*FLOWERS, "--epochs", "2", "--kinds", "petal=text,colour=category")
    assert "Column 'petal' is left out" in found.out


def test_a_bundled_set_knows_its_target(cli):
    summary = json.loads(cli("train", "wine", "--json").out)
    assert (summary["target"], summary["task"]) == ("target", "multiclass")
    assert summary["metrics"]["test"]["accuracy"] > 0.9


def test_arrays_bring_their_targets_and_their_test_part(cli, tmp_path: Path):
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (140, 4, 4)).astype(np.uint8)
    y = (x.reshape(140, -1)[:, :8].mean(axis=1) > x.reshape(140, -1)[:, 8:].mean(axis=1)).astype(np.int64)
    np.savez(tmp_path / "a.npz", x_train=x[:100], y_train=y[:100], x_test=x[100:], y_test=y[100:])
    summary = json.loads(cli("train", "a.npz", "--json").out)
    assert summary["rows"] == {"training": 80, "validation": 20, "test": 40}
    assert summary["metrics"]["test"]["accuracy"] > 0.75
    # evaluate takes the test part too, and so gives the same figures
    assert json.loads(cli("evaluate", "runs/a-001", "a.npz", "--json").out)["metrics"] == summary["metrics"]["test"]


def test_runs_get_folders_of_their_own(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [str(make_folder(None, "data/titanic.csv.gz")) for _ in range(3)]
    assert names == ["runs/titanic-001", "runs/titanic-002", "runs/titanic-003"]
    assert make_folder(Path("a/b"), "titanic.csv") == make_folder(Path("a/b"), "titanic.csv") == Path("a/b")


def test_notes_that_differ_in_names_alone_are_told_once():
    notes = [f"Column 'c{i}' has {i} cells." for i in range(6)]
    assert shortened([*notes, "Another."]) == ["Column 'c0' has 0 cells. Likewise 5 more columns.", "Another."]
    assert shortened(notes[:4]) == notes[:4]
