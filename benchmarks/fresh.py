"""What only a process that has done nothing yet can tell: start, compilation, memory.

``python -m benchmarks.fresh SYSTEM WORK`` takes a system from nothing to the end of its first run, and prints when that
was, how long building and compiling took without the start, and the most memory that the process held.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.work import Images, Network, from_json, to_json
from benchmarks.worker import LIMIT, ROOT, Failed, in_a_line

_AS_INSTALLED = {"PYTHONDONTWRITEBYTECODE": ""}
"""An installed package has its bytecode on disk, a checkout where Python may not write it has none: all systems start
as installed packages do."""


@dataclass(frozen=True)
class FirstRun:
    """A process from its start to the end of its first run.

    Attributes:
        seconds: of all of it.
        building: seconds without the start of the interpreter and the import.
        memory: the most bytes that it held.
    """

    seconds: float
    building: float
    memory: float


def first_run(system: str, network: Network | Images, environment: Mapping[str, str]) -> FirstRun:
    """Start a process for a system and let it do its first run.

    Raises:
        Failed: it went wrong, or took too long.
    """
    command = ["-m", "benchmarks.fresh", system, json.dumps(to_json(network))]
    start = time.monotonic()  # one clock for all processes
    answer = json.loads(run_python(command, environment))
    if "error" in answer:
        raise Failed(answer["error"])
    return FirstRun(answer["finished"] - start, answer["building"], answer["memory"])


def run_python(arguments: list[str], environment: Mapping[str, str]) -> str:
    """The last line that a process of Python prints.

    Raises:
        Failed: it went wrong, or took too long.
    """
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=True,
            cwd=ROOT,
            env={**os.environ, **_AS_INSTALLED, **environment},
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"took longer than {LIMIT:.0f} s") from None
    except subprocess.CalledProcessError as problem:
        raise Failed((problem.stderr.strip().splitlines() or ["no message"])[-1][:120]) from None
    return done.stdout.strip().splitlines()[-1]


def peak_memory() -> int:
    """The most bytes that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux getrusage also counts the process that started this one
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _main(name: str, work: str) -> None:
    from benchmarks.systems import load

    system = load(name)
    begin = time.perf_counter()
    try:
        network = from_json(json.loads(work))
        assert isinstance(network, (Network, Images))
        system.first_step(network)
    except Exception as problem:
        print(json.dumps({"error": in_a_line(problem)}))
        return
    spent = {"finished": time.monotonic(), "building": time.perf_counter() - begin}
    print(json.dumps({**spent, "memory": peak_memory()}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
