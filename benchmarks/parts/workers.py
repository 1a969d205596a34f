"""Do worker processes train faster than one process, and does the cost model know?"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.measured import Found, Goal, Measured, median
from benchmarks.parts.steps import MEDIUM
from benchmarks.parts.steps import NETWORKS as DENSE
from benchmarks.parts.vision import NETWORKS as CONVOLUTIONAL
from benchmarks.parts.vision import SMALL_WIDE
from benchmarks.rounds import Contenders, interleaved
from benchmarks.systems import WORKERS
from benchmarks.tables import cell, number, table
from benchmarks.work import Images, Network

TITLE = "Worker processes"
NOTE = """Steps of `Trainer.fit` in one process, whose program uses all threads, and of `fit(workers=n)`, whose bits do
not depend on n. With one worker this process computes the chunks itself; two and three share the processors. The start
of the workers, some tenths of a second, is left out. Beside what was measured stands what the cost model foresees, and
whether it would advise so many workers."""

ALONE = "one process"
FORESEEN = ", foreseen"
HEAD = ("", "ms a step", "examples a second", "throughput", "foreseen, ms", "foreseen throughput", "advice")
WORKS: Mapping[str, Network | Images] = {MEDIUM: DENSE[MEDIUM], SMALL_WIDE: CONVOLUTIONAL[SMALL_WIDE]}


def measure(rounds: int, works: Mapping[str, Network | Images] = WORKS) -> Found:
    """Every number of workers, and what is foreseen for it."""
    found: Found = {}
    for title, work in works.items():
        method = "train_images" if isinstance(work, Images) else "train"
        contenders: Contenders = {name: (name, method) for name in WORKERS}
        foreseen: Contenders = {name + FORESEEN: (name, "foresee") for name in WORKERS}
        found |= interleaved({title: work}, {**contenders, **foreseen}, rounds)
    return found


def show(found: Found) -> str:
    """A table a network: time and throughput with so many workers, and what the cost model says of them."""
    return "\n\n".join(f"### {work}\n\n{table(HEAD, [_line(found, work, name) for name in WORKERS])}" for work in found)


def _line(found: Found, work: str, name: str) -> list[str]:
    measured = found[work].get(name, Measured())
    alone, foreseen_alone, foreseen = (median(found, work, s) for s in (ALONE, ALONE + FORESEEN, name + FORESEEN))
    if not measured.values:
        return [name, f"not measured: {measured.problem}", "", "", "", "", ""]
    advice = "" if name == ALONE else "faster" if foreseen < foreseen_alone else "will not help"
    return [
        name,
        cell(measured, 1e3),
        number(WORKS[work].batch / measured.median) if work in WORKS else "",
        f"{alone / measured.median:.2f}",
        number(foreseen * 1e3),
        f"{foreseen_alone / foreseen:.2f}",
        advice,
    ]


def goals(found: Found) -> list[Goal]:
    """That what the cost model calls fastest is so, or within a tenth of it."""
    result = []
    for work in found:
        times = {name: median(found, work, name) for name in WORKERS}
        choice = min(WORKERS, key=lambda name: median(found, work, name + FORESEEN))
        ratio = times[choice] / min(times.values())
        text = f"{work}: the cost model's choice, {choice}, costs at most a tenth more than the best"
        result.append(Goal(25, text, f"{number(100 * ratio - 100)}%", ratio <= 1.1))
    return result
