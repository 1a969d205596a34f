"""What ``make demo`` runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.py"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the demo ran, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run([sys.executable, str(DEMO)], cwd=folder, capture_output=True, text=True, check=True)
    return folder, done.stdout


def test_it_reads_97_percent_of_unseen_digits(demo: tuple[Path, str]):
    folder, out = demo
    accuracy = json.loads((folder / "runs/demo/metrics.json").read_text())["metrics"]["test"]["accuracy"]
    assert accuracy >= 0.97
    assert f"Test accuracy {accuracy:.4f}; the goal is 0.97 or more." in out


def test_the_loaded_model_reads_the_digits_that_are_shown(demo: tuple[Path, str]):
    _, out = demo
    read, true = (
        next(line.split()[1::2] for line in out.splitlines() if line.startswith(word)) for word in ("read", "true")
    )
    assert len(read) == len(true) == 8
    assert sum(a == b for a, b in zip(read, true)) >= 7
