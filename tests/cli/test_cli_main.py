"""The entry point: help, exit codes, and how trouble is told."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_files import write_flowers

import gradloom
from gradloom import errors, train
from gradloom.cli import main as entry

GRADLOOM = [sys.executable, "-m", "gradloom"]
HEAVY = ("polars", "pandas", "sklearn", "scipy", "llvmlite", "jax", "matplotlib")


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["predict", "--help"], ["evaluate", "--help"]])
def test_help_is_a_success(cli, words):
    found = cli(*words)
    assert found.code == 0
    assert found.out.startswith("Usage: gradloom")
    assert found.err == ""


def test_version(cli):
    assert cli("--version").out == f"gradloom {gradloom.__version__}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trian"], "trian"),
        (["train", "iris", "--taget", "x"], "--taget"),
        (["train", "iris", "--epochs", "many"], "--epochs"),
        (["train"], "DATA"),
    ],
)
def test_wrong_words_are_a_usage_error_that_names_them(cli, words, told):
    found = cli(*words)
    assert found.code == 2
    assert told in found.err
    assert found.out == ""


def test_help_imports_no_heavy_package():
    code = (
        "import sys; from gradloom.cli.main import main; main(['train', '--help']);"
        f"sys.exit(','.join(m for m in {HEAVY} if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_mistake_of_our_own_is_told_without_a_traceback(cli, monkeypatch):
    def fail(words):
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr(entry, "_run", fail)
    found = cli("train", "iris")
    assert found.code == 1
    assert found.err == (
        "gradloom: a mistake in gradloom itself: ZeroDivisionError: one two. Run again with --debug and report it.\n"
    )


def test_debug_shows_the_traceback(cli):
    with pytest.raises(errors.DataError):
        cli("info", "nothing.csv", "--debug")


def test_no_memory_and_a_full_disk_are_told_as_such(cli, monkeypatch):
    for error, told in [
        (MemoryError(), "there is not enough memory. Use fewer rows, a smaller network or a smaller batch."),
        (
            OSError(28, "No space left on device", "out.csv"),
            "out.csv: No space left on device. Free some space or choose another place.",
        ),
    ]:
        monkeypatch.setattr(entry, "_run", lambda words, error=error: (_ for _ in ()).throw(error))
        found = cli("info", "iris")
        assert (found.code, found.err) == (1, f"gradloom: {told}\n")


def test_without_typer_the_remedy_is_named(cli, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("gradloom.cli.app")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "typer", None)
    found = cli("train", "iris")
    assert found.code == 1
    assert found.err == "gradloom: gradloom: the command line needs typer. Run: pip install 'gradloom[cli]'.\n"


def test_a_reader_that_goes_away_is_no_trouble(trained: Path, tmp_path: Path):
    write_flowers(tmp_path / "many.csv", rows=20_000)
    command = [*GRADLOOM, "predict", str(trained), str(tmp_path / "many.csv")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"prediction,")
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 1


def test_ctrl_c_keeps_the_best_model_so_far(tmp_path: Path):
    write_flowers(tmp_path / "flowers.csv", rows=400)
    options = ["--target", "kind", "--epochs", "100000", "--lr", "1e-6", "--out", str(tmp_path / "run")]
    command = [*GRADLOOM, "train", str(tmp_path / "flowers.csv"), *options]
    environment = {**os.environ, "COLUMNS": "200"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 3/"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Interrupted: this is the best model so far." in out
    assert train.load(tmp_path / "run" / "model.safetensors").epoch >= 3


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_closed_stream_is_no_trouble(stream: str, trained: Path, tmp_path: Path):
    closing = {"stdout": ">&-", "stderr": "2>&-"}[stream]
    words = ["train", str(trained / "flowers.csv"), "--target", "kind", "--epochs", "1"]
    command = f"{shlex.join([*GRADLOOM, *words])} {closing}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, "mistake" in done.stderr) == (0, False)
    assert (tmp_path / "runs" / "flowers-001" / "model.safetensors").exists()


def test_characters_that_the_terminal_has_no_code_for(tmp_path: Path):
    rows = "".join(f"{i}.5,{'ü' if i % 3 else 'o'}\n" for i in range(12))
    (tmp_path / "t.csv").write_text(f"a,y\n{rows}", encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*GRADLOOM, "info", "t.csv"], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xfc" in done.stdout


def test_ctrl_c_before_there_is_a_model(cli, monkeypatch):
    def interrupt(*words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "_run", interrupt)
    found = cli("train", "iris")
    assert (found.code, found.err) == (130, "gradloom: interrupted\n")
