"""SIGKILL at any moment of ``gradloom train`` leaves the old model file or the new one, whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_files import write_flowers

from gradloom import train

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork and are killed")

OPTIONS = ["--target", "kind", "--model", "linear", "--epochs", "3", "--quiet"]

# Trains in one child process after another; the n-th kills itself before the n-th line of the functions that write a
# model file, until one comes through.  After each the parent notes which of the two models is there.
DRIVER = """
import json, os, signal, sys
from pathlib import Path
from gradloom import saving, train
from gradloom.cli.main import main
from gradloom.train import checkpoint

data, out, old_file = map(Path, sys.argv[1:4])
model = out / "model.safetensors"
words = ["train", str(data), *sys.argv[4:], "--out", str(out), "--seed", "1"]

def child(fatal):
    lines = 0
    def local(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        if lines == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return local
    def calls(frame, event, argument):
        ours = frame.f_code in (checkpoint.write.__code__, saving.save.__code__, saving.replace.__code__)
        place = frame.f_locals.get("path", frame.f_locals.get("target"))
        return local if ours and Path(place).name == model.name else None
    sys.stdout = open(os.devnull, "w")
    sys.settrace(calls)
    os._exit(main(words))

seen = []
for fatal in range(1, 1000):
    model.write_bytes(old_file.read_bytes())
    pid = os.fork()
    if pid == 0:
        child(fatal)
    _, status = os.waitpid(pid, 0)
    seen.append(train.load(model).seed)  # load checks every byte; the seed tells which of the two models it is
    if not os.WIFSIGNALED(status):
        break
print(json.dumps({"exit": os.waitstatus_to_exitcode(status), "seen": seen}))
"""


@pytest.fixture
def old_model(tmp_path: Path) -> Path:
    """A run on flowers.csv in the folder ``old``, with seed 0."""
    write_flowers(tmp_path / "flowers.csv")
    _train(tmp_path, "old", "0")
    return tmp_path / "old" / "model.safetensors"


def _command(folder: Path, out: str, seed: str) -> list[str]:
    words = ["train", str(folder / "flowers.csv"), *OPTIONS, "--out", str(folder / out), "--seed", seed]
    return [sys.executable, "-m", "gradloom", *words]


def _train(folder: Path, out: str, seed: str) -> float:
    """Train in a process of its own; the seconds that it took."""
    start = time.perf_counter()
    subprocess.run(_command(folder, out, seed), check=True, capture_output=True)
    return time.perf_counter() - start


def test_killed_before_any_line_that_writes(old_model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    words = [str(tmp_path / "flowers.csv"), str(tmp_path / "out"), str(old_model), *OPTIONS]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # a child inherits no threads
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *words], capture_output=True, text=True, env=environment, check=True
    )
    found = json.loads(done.stdout)
    assert found["exit"] == 0
    seen = found["seen"]
    switch = seen.index(1)
    assert seen == [0] * switch + [1] * (len(seen) - switch)
    assert 5 < switch < len(seen) - 1, "kills before the file is replaced, and one at least behind"


def test_killed_at_any_time(old_model: Path, tmp_path: Path) -> None:
    whole = _train(tmp_path, "new", "1")
    model = tmp_path / "out" / "model.safetensors"
    model.parent.mkdir()
    seeds = []
    for share in (0.3, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 2.0):
        model.write_bytes(old_model.read_bytes())
        process = subprocess.Popen(_command(tmp_path, "out", "1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=share * whole)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        seeds.append(train.load(model).seed)
    assert seeds[0] == 0
    assert set(seeds) <= {0, 1}
