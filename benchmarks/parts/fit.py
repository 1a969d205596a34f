"""What does the trainer cost over the bare program?

Both do the same: the steps of ten epochs, examples in a random order.  The bare program is handed the order; the
trainer works it out, so shuffling counts as a cost of its own.  Both take short turns within one process, for the
question is about hundredths (see side_by_side.py).  Earlier versions let the bare program read the examples as they
lie, which the caches favour by a tenth where a step is small; timed fits of a single epoch, in which the checks of the
data and the trace of the model weigh ten times what they do in a fit of the usual length; and had a process for each,
which on a machine whose clock changes read anything between a tenth less and two thirds more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from benchmarks.measured import Found, Goal, against, at_most, middle
from benchmarks.parts.steps import MEDIUM, NETWORKS, TINY
from benchmarks.rounds import say
from benchmarks.side_by_side import side_by_side
from benchmarks.systems import NATIVE
from benchmarks.tables import number, spread, table
from benchmarks.work import Network

TITLE = "`fit` over the bare program"
NOTE = """Ten epochs (the default) of `Trainer.fit` (checks of the data, shuffling, sums, history), and a program of the
same steps called directly with all of an epoch at once, in a random order that it is handed. Both take turns of a few
tenths of a second within one process; the last column says how much more time neighbouring turns of `fit` took: the
median, and between which lies the middle half."""

FIT, BARE = "Trainer.fit", "bare program"
METHODS = {BARE: "train_mixed", FIT: "fit"}
TURNS = 15
"""Of each in a round."""

_STEPS = {TINY: 1024, MEDIUM: 32}
"""Of an epoch."""
_EPOCHS = {title: Network(n.sizes, n.batch, _STEPS[title]) for title, n in NETWORKS.items()}


def measure(rounds: int, networks: Mapping[str, Network] = _EPOCHS, turns: int = TURNS) -> Found:
    """Both ways, in turn."""
    found: Found = {}
    for title, network in networks.items():
        found[title] = side_by_side(NATIVE, METHODS, network, rounds * turns)
        say(f"  {title}: {_ratio(found, title)}")
    return found


def show(found: Found) -> str:
    """A line for each network."""
    rows = []
    for title, row in found.items():
        problems = [m.problem for m in row.values() if m.problem]
        cells = [f"{number(m.median * 1e6)} ({spread(m, 1e6)})" for m in row.values() if m.values]
        rows.append([title, *(cells or ["", ""]), f"not measured: {problems[0]}" if problems else _ratio(found, title)])
    return table(("network", f"{BARE}, µs a step", f"{FIT}, µs a step", f"{FIT} takes more"), rows)


def goals(found: Found) -> list[Goal]:
    """At most a twentieth more."""
    wanted = "`fit` costs at most 5% over the bare program"
    return [at_most(6, f"{title}: {wanted}", _overhead(found, title)[0], 1.05, _ratio(found, title)) for title in found]


def _overhead(found: Found, title: str) -> tuple[float, float, float]:
    ratios = against(found[title][FIT], found[title][BARE])
    return middle(ratios) if ratios else (math.nan, math.nan, math.nan)


def _ratio(found: Found, title: str) -> str:
    more, least, most = (f"{number(100 * ratio - 100)}%" for ratio in _overhead(found, title))
    return f"{more} ({least} - {most})"
