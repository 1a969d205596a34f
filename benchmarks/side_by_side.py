"""Ways of doing the same work, in short turns within one process.

Where two ways differ by some hundredths, processes that take turns cannot tell: the machine's clock changes from one
turn to the next, and each process has its own luck with where its memory lies.  Here the ways follow each other within
fractions of a second, on the same threads, and each turn is compared with its neighbour: what counts is the median of
these ratios (:func:`benchmarks.measured.against`).

``python -m benchmarks.side_by_side SYSTEM METHODS WORK TURNS`` is the process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.fresh import run_python
from benchmarks.measured import Measured
from benchmarks.work import Work, from_json, to_json
from benchmarks.worker import Failed, in_a_line, timed


def side_by_side(system: str, methods: Mapping[str, str], work: Work, turns: int) -> dict[str, Measured]:
    """Start a process in which some methods of a system take turns on the same work.

    Args:
        system: whose methods.
        methods: by name for tables.
        work: what they do.
        turns: of each.

    Returns:
        The seconds of each turn; those of one place in the lists were neighbours.
    """
    asked = [system, json.dumps(list(methods.values())), json.dumps(to_json(work)), str(turns)]
    try:
        answer = json.loads(run_python(["-m", "benchmarks.side_by_side", *asked], {"GRADLOOM_CACHE": "off"}))
        if "error" in answer:
            raise Failed(answer["error"])
    except Failed as problem:
        return dict.fromkeys(methods, Measured(problem=str(problem)))
    return {name: Measured(tuple(seconds)) for name, seconds in zip(methods, answer["seconds"])}


def _taking_turns(jobs: list[Any], turns: int) -> list[list[float]]:
    """Every other turn goes backwards, so that nobody is always behind the same."""
    for job in jobs:
        job.run()
    seconds: list[list[float]] = [[] for _ in jobs]
    for turn in range(turns):
        for number in range(len(jobs))[:: 1 if turn % 2 == 0 else -1]:
            seconds[number].append(timed(jobs[number]))
    return seconds


def _main(name: str, methods: str, work: str, turns: str) -> None:
    from benchmarks.systems import load

    try:
        system, asked = load(name), from_json(json.loads(work))
        jobs = [getattr(system, method)(asked) for method in json.loads(methods)]
        answer: dict[str, Any] = {"seconds": _taking_turns(jobs, int(turns))}
    except Exception as problem:
        answer = {"error": in_a_line(problem)}
    print(json.dumps(answer))


if __name__ == "__main__":
    _main(*sys.argv[1:])
