"""``gradloom doctor``."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from cli_files import flowers, prices
from picture_files import cells, shapes


def test_a_run_that_learned_is_healthy(cli, tmp_path: Path):
    flowers(tmp_path)
    assert cli("train", "flowers.csv", "--target", "kind", "--out", "run", "--quiet").code == 0
    found = json.loads(cli("doctor", "run", "--json").out)
    assert found["healthy"]
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for part, scores in figures["metrics"].items():
        assert abs(found["errors"][part] - (1 - scores["accuracy"])) < 1e-9
    assert (
        cli("doctor", "run").out.splitlines()[-1] == "Nothing needs to be done." or "note:" in cli("doctor", "run").out
    )


def test_a_rate_that_is_too_low_is_named_first_with_its_picture(cli, tmp_path: Path):
    prices(tmp_path)
    cli("train", "prices.csv", "--target", "price", "--out", "run", "--lr", "0.000001", "--epochs", "5", "--quiet")
    found = json.loads(cli("doctor", "run", "--json", "--pictures", "pictures").out)
    assert found["findings"][0]["name"] == "learning_rate_too_low"
    assert ElementTree.parse(tmp_path / found["pictures"][0]).getroot().tag.endswith("svg")
    said = cli("doctor", "run", "--no-experiments").out
    assert "High bias" in said
    assert "learning rate too low" not in said


def test_a_model_file_alone_needs_its_data(cli, tmp_path: Path):
    flowers(tmp_path)
    cli("train", "flowers.csv", "--target", "kind", "--out", "run", "--quiet")
    (tmp_path / "run" / "model.safetensors").rename(tmp_path / "alone.safetensors")
    refused = cli("doctor", "alone.safetensors")
    assert (refused.code, "--data" in refused.err) == (2, True)
    found = cli("doctor", "alone.safetensors", "--data", "flowers.csv")
    assert found.code == 0
    assert "All examples are taken for those of training" in found.out


def test_other_data_than_those_of_the_run_are_refused(cli, tmp_path: Path):
    flowers(tmp_path)
    cli("train", "flowers.csv", "--target", "kind", "--out", "run", "--quiet")
    lines = (tmp_path / "flowers.csv").read_text().splitlines()
    (tmp_path / "flowers.csv").write_text("\n".join(lines[:-7]) + "\n")
    refused = cli("doctor", "run")
    assert refused.code == 2
    assert "is no longer what the model was trained on" in refused.err


def test_a_run_whose_figures_are_damaged_is_refused(cli, tmp_path: Path):
    flowers(tmp_path)
    cli("train", "flowers.csv", "--target", "kind", "--out", "run", "--quiet")
    (tmp_path / "run" / "metrics.json").write_text("{}")
    refused = cli("doctor", "run")
    assert refused.code == 2
    assert "does not say which data" in refused.err
    (tmp_path / "run" / "metrics.json").write_text("[")
    assert cli("doctor", "run").code == 1


def test_data_that_lie_elsewhere_now_are_named(cli, tmp_path: Path):
    flowers(tmp_path)
    cli("train", "flowers.csv", "--target", "kind", "--out", "run", "--quiet")
    (tmp_path / "flowers.csv").rename(tmp_path / "moved.csv")
    assert cli("doctor", "run").code == 2
    assert cli("doctor", "run", "--data", "moved.csv").code == 0


def test_a_budget_of_nothing_leaves_experiments_out(cli, tmp_path: Path):
    prices(tmp_path)
    cli("train", "prices.csv", "--target", "price", "--out", "run", "--lr", "0.000001", "--epochs", "5", "--quiet")
    said = cli("doctor", "run", "--budget", "0").out
    assert "rates, restraint, loss. The budget of 0 s is spent." in " ".join(said.split())
    refused = cli("doctor", "run", "--budget", "-1")
    assert (refused.code, refused.err) == (
        2,
        "gradloom: --budget: this is a number of seconds from 0; got -1.0. Use --no-experiments for none.\n",
    )


def test_a_run_on_images_is_examined(cli, tmp_path: Path):
    shapes(tmp_path, count=40)
    words = ["train", "shapes", "--model", "smallcnn", "--batch-size", "12", "--quiet"]
    for rate, expected in (("0.003", None), ("0.0000001", "learning_rate_too_low")):
        cli(*words, "--lr", rate, "--epochs", "6", "--out", rate)
        found = json.loads(cli("doctor", rate, "--json", "--budget", "1000").out)
        assert found["healthy"] == (expected is None), found
        assert expected in (None, found["findings"][0]["name"])
        figures = json.loads((tmp_path / rate / "metrics.json").read_text())["metrics"]
        assert all(abs(found["errors"][part] - 1 + scores["accuracy"]) < 1e-9 for part, scores in figures.items())


def test_a_run_on_masks_is_examined(cli, tmp_path: Path):
    cells(tmp_path, count=20)
    words = ["train", "cells", "--masks", "masks", "--model", "unet-small", "--batch-size", "2", "--lr", "0.0000001"]
    cli(*words, "--epochs", "3", "--out", "run", "--quiet")
    found = json.loads(cli("doctor", "run", "--json", "--budget", "1000").out)
    assert found["findings"][0]["name"] == "learning_rate_too_low"
    assert found["left_out"][0].startswith("Left out: label noise and unrelated targets.")
