"""Do worker processes train faster than one process, and does the cost model know?"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.measured import Found, Goal, median
from benchmarks.parts.steps import MEDIUM
from benchmarks.parts.steps import NETWORKS as DENSE
from benchmarks.parts.vision import NETWORKS as CONVOLUTIONAL
from benchmarks.parts.vision import SMALL_WIDE
from benchmarks.rounds import Contenders, interleaved
from benchmarks.systems import WORKERS
from benchmarks.tables import by_system, number
from benchmarks.work import Images, Network

TITLE = "Worker processes"
NOTE = """Steps of `Trainer.fit` in one process, whose program uses all threads, and of `fit(workers=n)`, whose bits do
not depend on n. With one worker this process computes the chunks itself; two and three share the processors. The start
of the workers, some tenths of a second, is left out. Beside each time stands what the cost model foresees."""

ALONE = "one process"
FORESEEN = ", foreseen"
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
    """A table a network."""
    return by_system(found, "ms a step", 1e3, ALONE)


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
