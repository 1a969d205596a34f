"""Systems taking turns on the same work, round after round, so that a slow minute of the machine slows all alike."""

from __future__ import annotations

import contextlib
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.measured import Found, Measured
from benchmarks.work import Work
from benchmarks.worker import Failed, Worker

RUNS = 3
"""Runs of a turn, of which the median counts: the first finds cold caches and sleeping threads."""
ENOUGH = 0.5
"""Seconds after which a turn has no more runs: of such length, the first is as good as the next."""
SETTLE = 0.1
"""Seconds between turns, in which the threads of the last system stop waiting for work and fall asleep."""
AGREEMENT = 0.01
"""How far a system's check may lie from the median of all, relatively."""

Contenders = Mapping[str, tuple[str, str]]
"""What takes turns: a name for tables, and the system and the method behind it."""


def each(method: str, systems: tuple[str, ...]) -> Contenders:
    """One method of several systems."""
    return {system: (system, method) for system in systems}


def interleaved(works: Mapping[str, Work], contenders: Contenders, rounds: int) -> Found:
    """Time every contender on every work.

    Args:
        works: by name.
        contenders: who does it, and how.
        rounds: how many turns each has.
    """
    found: Found = {}
    with _workers(contenders) as workers:
        for i, (title, work) in enumerate(works.items(), 1):
            found[title] = _one(work, workers, contenders, rounds)
            shown = ", ".join(f"{name} {m.median * 1e6:.4g}" for name, m in found[title].items())
            say(f"  {i}/{len(works)}  {title}: {shown} µs")
    return found


@contextlib.contextmanager
def _workers(contenders: Contenders) -> Iterator[dict[str, Worker]]:
    workers = {name: Worker(system) for name, (system, _) in contenders.items()}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def _one(work: Work, workers: dict[str, Worker], contenders: Contenders, rounds: int) -> dict[str, Measured]:
    """All rounds of one piece of work; every other round goes backwards, so that nobody is always behind the same."""
    checks: dict[str, float] = {}
    problems: dict[str, str] = {}
    seconds: dict[str, list[float]] = {name: [] for name in workers}

    def attempt(name: str, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except Failed as problem:
            problems[name] = str(problem)
            seconds[name].clear()
            return None

    for name, worker in workers.items():
        method = contenders[name][1]
        check = attempt(name, lambda: worker.prepare(method, work))  # noqa: B023
        if check is not None:
            checks[name] = check
    for turn in range(rounds):
        for name in list(workers)[:: 1 if turn % 2 == 0 else -1]:
            if name not in problems:
                time.sleep(SETTLE)
                runs = attempt(name, lambda: workers[name].time(RUNS, ENOUGH))  # noqa: B023
                seconds[name] += [statistics.median(runs)] if runs else []
    problems |= _disagreements(checks)
    return {name: Measured(tuple(seconds[name]), problems.get(name, "")) for name in workers}


def _disagreements(checks: Mapping[str, float]) -> dict[str, str]:
    """Who did other work than the rest."""
    usual = statistics.median(checks.values()) if checks else 0.0
    return {
        name: f"did other work than the rest: {check:.6g}, not {usual:.6g}"
        for name, check in checks.items()
        if not math.isclose(check, usual, rel_tol=AGREEMENT)
    }


def say(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)
