"""A system in a process of its own.

The process reads a line of JSON for each thing to do and answers with one; between two lines it sleeps.  So several
systems can take turns on the same work without loading each other or importing anything twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.work import Work, from_json, to_json

ROOT = Path(__file__).parent.parent
LIMIT = 240.0
"""Seconds after which a system that does not answer is given up."""


class Failed(Exception):
    """A system could not do its work; the text says why, in a line."""


class Worker:
    """The near end: starts the process and asks it."""

    def __init__(self, system: str) -> None:
        self.system = system
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", system],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "GRADLOOM_CACHE": "off", "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    def prepare(self, method: str, work: Work) -> float | None:
        """Make work ready and do it once, which does not count.

        Returns:
            The number by which systems are compared (see ``Job.check``), if there is one.

        Raises:
            Failed: whatever went wrong in the process.
        """
        return self._ask({"method": method, "work": to_json(work)})

    def time(self, repeats: int, enough: float) -> list[float]:
        """Seconds a unit of some runs, none of which begins after so many seconds.

        Raises:
            Failed: whatever went wrong in the process.
        """
        return self._ask({"repeats": repeats, "enough": enough})

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        deadline = threading.Timer(LIMIT, self.process.kill)
        deadline.start()
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            deadline.cancel()
        if not line:
            raise Failed(f"the process ended, or took longer than {LIMIT:.0f} s")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["result"]


def in_a_line(problem: BaseException) -> str:
    """A problem as a short text for a table."""
    text = " ".join(str(problem).split()) or "no message"
    return f"{type(problem).__name__}: {text[:120]}"


def _serve(name: str) -> None:
    """The far end: answer until the near end is gone."""
    from benchmarks.systems import load

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    system: Any = None
    job: Any = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "method" in question:
                job = None  # its memory goes before the next is made
                system = system or load(name)
                job = getattr(system, question["method"])(from_json(question["work"]))
                job.run()
                result: Any = job.check() if job.check else None
            else:
                result = _runs(job, question["repeats"], question["enough"])
            answer = {"result": result}
        except Exception as problem:
            answer = {"error": in_a_line(problem)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _runs(job: Any, repeats: int, enough: float) -> list[float]:
    """Seconds a unit of each run, the last of which begins before there was enough."""
    end = time.perf_counter() + enough
    seconds = []
    while len(seconds) < repeats and (not seconds or time.perf_counter() < end):
        seconds.append(job.seconds() if job.seconds else timed(job))
    return seconds


def timed(job: Any) -> float:
    """Seconds a unit of one run."""
    start = time.perf_counter()
    job.run()
    return (time.perf_counter() - start) / job.units


if __name__ == "__main__":
    _serve(sys.argv[1])
