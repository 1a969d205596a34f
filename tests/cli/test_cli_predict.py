"""``gradloom predict`` and ``gradloom evaluate``."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from cli_files import flowers, prices

from gradloom import train
from gradloom.data.sources import load
from gradloom.data.table import Table

ROWS = ["2.9,0.1,red", "1.1,,blue", "3.2,-0.4,white"]


def write(path: Path, head: str, rows: list[str]) -> None:
    path.write_text("\n".join([head, *rows]) + "\n")


def test_predictions_are_those_of_the_loaded_model(cli, trained: Path, tmp_path: Path):
    write(tmp_path / "new.csv", "petal,width,colour", ROWS)
    found = cli("predict", str(trained), "new.csv")
    assert (found.code, found.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(found.out)))
    assert [row["prediction"] for row in rows] == ["rose", "violet", "rose"]
    table = load(tmp_path / "new.csv")
    assert isinstance(table, Table)
    expected = train.load(trained / "model.safetensors").predict_table(table)
    assert expected.probabilities is not None
    shown = [[float(row[f"probability {name}"]) for name in ("rose", "violet")] for row in rows]
    np.testing.assert_allclose(shown, expected.probabilities, atol=1e-6)


def test_order_of_columns_does_not_matter_and_extra_ones_are_told(cli, trained: Path, tmp_path: Path):
    write(tmp_path / "new.csv", "petal,width,colour", ROWS)
    cells = [row.split(",") for row in ROWS]
    write(tmp_path / "other.csv", "smell,colour,petal,width", [f"sweet,{c},{p},{w}" for p, w, c in cells])
    plain, other = cli("predict", str(trained), "new.csv"), cli("predict", str(trained), "other.csv")
    assert other.out == plain.out
    assert other.err == "Column 'smell' was not in the training table and is ignored.\n"


def test_predictions_to_a_file(cli, trained: Path, tmp_path: Path):
    write(tmp_path / "new.csv", "petal,width,colour", ROWS)
    shown = cli("predict", str(trained), "new.csv").out
    found = cli("predict", str(trained / "model.safetensors"), "new.csv", "-o", "out.csv")
    assert found.out == "Written: out.csv (3 rows)\n"
    assert (tmp_path / "out.csv").read_text() == shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "out.csv"]


def test_a_table_is_not_overwritten_by_what_is_said_of_it(cli, trained: Path, tmp_path: Path):
    write(tmp_path / "new.csv", "petal,width,colour", ROWS)
    before = (tmp_path / "new.csv").read_text()
    found = cli("predict", str(trained), "new.csv", "-o", str(tmp_path / "new.csv"))
    assert found.code == 2
    assert "-o: predictions must not take the place of what is read" in found.err
    assert (tmp_path / "new.csv").read_text() == before


def test_predictions_as_json(cli, trained: Path, tmp_path: Path):
    write(tmp_path / "new.csv", "petal,width,colour", ROWS)
    found = json.loads(cli("predict", str(trained), "new.csv", "--json").out)
    assert found["predictions"] == ["rose", "violet", "rose"]
    np.testing.assert_allclose(np.sum(found["probabilities"], axis=1), 1)


def test_numbers_are_predicted_in_the_units_of_the_data(cli, tmp_path: Path):
    prices(tmp_path)
    cli("train", "prices.csv", "--target", "price", "--out", "run", "--hidden", "32")
    write(tmp_path / "new.csv", "area,age", ["100,10"])
    head, value = cli("predict", "run", "new.csv").out.split()
    assert head == "prediction"
    assert float(value) == pytest.approx(5000 * 100 - 1500 * 10, rel=0.15)


def test_evaluate_on_the_test_part_gives_the_figures_of_training(cli, tmp_path: Path):
    flowers(tmp_path)
    summary = json.loads(cli("train", "flowers.csv", "--target", "kind", "--json", "--test", "0", "--out", "run").out)
    found = json.loads(cli("evaluate", "run", "flowers.csv", "--json").out)
    parts, rows = summary["metrics"], summary["rows"]
    whole = sum(parts[name]["accuracy"] * rows[name] for name in rows) / sum(rows.values())
    assert found["rows"] == 60
    assert found["metrics"]["accuracy"] == pytest.approx(whole, abs=1e-12)


def test_evaluate_with_the_truth_under_another_name(cli, trained: Path, tmp_path: Path):
    flowers(tmp_path)
    text = (tmp_path / "flowers.csv").read_text()
    (tmp_path / "other.csv").write_text(text.replace("kind", "species", 1) + "1.2,0,blue,\n")
    plain = cli("evaluate", str(trained), "flowers.csv").out.splitlines()
    other = cli("evaluate", str(trained), "other.csv", "--target", "species").out.splitlines()
    assert other[0] == "Rows without 'kind', which take no part: 1."
    assert other[2:] == plain[1:]
