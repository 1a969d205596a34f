"""``gradloom info``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from cli_files import flowers

from gradloom import nn, train


def test_a_table_is_described_column_by_column(cli, tmp_path: Path):
    flowers(tmp_path)
    lines = cli("info", "flowers.csv").out.splitlines()
    assert lines[0] == "flowers.csv: 60 rows"
    assert [line.split()[:3] for line in lines[3:]] == [
        ["petal", "number", "0"],
        ["width", "number", "9"],
        ["colour", "category", "0"],
        ["kind", "category", "0"],
    ]


def test_a_table_as_json(cli, tmp_path: Path):
    flowers(tmp_path)
    found = json.loads(cli("info", "flowers.csv", "--json", "--kinds", "petal=category").out)
    assert found["rows"] == 60
    assert [column["kind"] for column in found["columns"]] == ["category", "number", "category", "category"]


def test_arrays_are_described_by_type_and_shape(cli, tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.zeros((5, 2, 2), np.uint8), y=np.arange(5))
    assert json.loads(cli("info", "a.npz", "--json").out)["arrays"] == {
        "inputs": "uint8 [5, 2, 2]",
        "targets": "int64 [5]",
    }


def test_a_model_is_described_with_its_layers(cli, trained: Path):
    lines = [line.split() for line in cli("info", str(trained)).out.splitlines()]
    assert ["target", "kind"] in lines
    assert ["task", "binary"] in lines
    assert ["classes", "rose,", "violet"] in lines
    assert ["columns", "petal,", "width,", "colour"] in lines
    assert ["layers.0", "Dense", "(1,", "128)", f"{6 * 128 + 128}", f"{6 * 128}"] in lines
    products = 6 * 128 + 128 * 64 + 64
    assert lines[-1] == [f"{products + 128 + 64 + 1:,}", f"{products:,}"]


def test_a_model_of_several_inputs(cli, tmp_path: Path):
    """It is described; what reads one table says that it was not trained on one."""
    branches = nn.Branches(nn.Flatten(), nn.Dense(2), names=["image", "table"])
    run = train.Trainer(nn.Sequential(branches, nn.Dense(2)), executor="reference")
    run.fit(({"image": np.ones((4, 2, 2)), "table": np.eye(4)}, [0, 1, 0, 1]), epochs=1, progress="silent")
    run.save(tmp_path / "m.safetensors")
    shown = [" ".join(line.split()) for line in cli("info", "m.safetensors").out.splitlines()]
    assert "inputs image: float32[2, 2], table: float32[4]" in shown
    assert f"{4 * 2 + 2 + 6 * 2 + 2} {4 * 2 + 6 * 2}" in shown
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    refused = cli("predict", "m.safetensors", "t.csv")
    assert refused.code == 2
    assert "the model must have been trained from a table" in refused.err


def test_a_model_as_json(cli, trained: Path):
    assert json.loads(cli("info", str(trained / "model.safetensors"), "--json").out)["format"] == 1
