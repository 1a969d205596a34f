"""What does the trainer cost over the bare program?

Both do the same: the steps of ten epochs, examples in a random order.  The bare program is handed the order; the
trainer works it out, so shuffling counts as a cost of its own.  An earlier version let the bare program read the
examples as they lie, which the caches favour by a tenth where a step is small, and timed fits of a single epoch, in
which the checks of the data and the trace of the model weigh ten times what they do in a fit of the usual length.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.measured import Found, Goal, at_most, median
from benchmarks.parts.steps import NETWORKS
from benchmarks.rounds import Contenders, interleaved
from benchmarks.systems import NATIVE
from benchmarks.tables import by_system, number
from benchmarks.work import Network

TITLE = "`fit` over the bare program"
NOTE = """Ten epochs (the default) of `Trainer.fit` (checks of the data, shuffling, sums, history), and a program of the
same steps called directly with all of an epoch at once, in a random order that it is handed."""

FIT, BARE = "Trainer.fit", "bare program"
CONTENDERS: Contenders = {BARE: (NATIVE, "train_mixed"), FIT: (NATIVE, "fit")}
_EPOCHS = {title: Network(n.sizes, n.batch, 2 * n.steps) for title, n in NETWORKS.items()}


def measure(rounds: int, networks: Mapping[str, Network] = _EPOCHS) -> Found:
    """Both ways, in turn."""
    return interleaved(networks, CONTENDERS, rounds)


def show(found: Found) -> str:
    """A table a network."""
    return by_system(found, "µs a step", 1e6, BARE)


def goals(found: Found) -> list[Goal]:
    """At most a twentieth more."""
    ratios = {work: median(found, work, FIT) / median(found, work, BARE) for work in found}
    return [
        at_most(
            6, f"{work}: `fit` costs at most 5% over the bare program", ratio, 1.05, f"{number(100 * ratio - 100)}%"
        )
        for work, ratio in ratios.items()
    ]
