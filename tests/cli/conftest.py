"""Running the command line inside the test process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli_files import write_flowers
from picture_files import cells, shapes

from gradloom.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """``cli("train", "data.csv", ...)`` in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")  # so that usage messages are not wrapped
    capsys.readouterr()

    def call(*words: str) -> Outcome:
        code = main(words)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on flowers.csv, which is in it too; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    write_flowers(folder / "flowers.csv")
    words = [
        "train",
        str(folder / "flowers.csv"),
        "--target",
        "kind",
        "--epochs",
        "30",
        "--out",
        str(folder),
        "--quiet",
    ]
    assert main(words) == 0
    return folder


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on shapes, which are in it too; not to be changed."""
    folder = tmp_path_factory.mktemp("classifier")
    shapes(folder)
    words = ["train", str(folder / "shapes"), "--model", "smallcnn", "--batch-size", "6", "--executor", "reference"]
    assert main([*words, "--epochs", "4", "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on cells resized to 16 x 16, which are in it too; not to be changed."""
    folder = tmp_path_factory.mktemp("segmenter")
    cells(folder)
    words = ["train", str(folder / "cells"), "--masks", str(folder / "masks"), "--model", "unet-small", "--size", "16"]
    words += ["--lr", "0.02", "--epochs", "8", "--batch-size", "2", "--executor", "reference"]
    assert main([*words, "--out", str(folder), "--quiet"]) == 0
    return folder
