"""Is there any shape of network at which a peer is faster?"""

from __future__ import annotations

import math
from collections.abc import Mapping

from benchmarks.measured import Found, Goal, best
from benchmarks.rounds import each, interleaved
from benchmarks.systems import JAX_BEST, NATIVE, TORCH_BEST
from benchmarks.tables import by_work
from benchmarks.work import Network

TITLE = "Widths, batches, depths"
NOTE = """A training step as above, of networks with as many features and hidden units in every layer as the width
says, and 10 classes; depth counts the dense layers. One of the three varies at a time; then come corners."""

TOLERATED = 1.1
"""How many times the best peer's time gradloom may take."""


def _network(width: int, batch: int, depth: int) -> Network:
    """Enough steps for some 50 ms, in not more than 64 MB of data."""
    network = Network((width,) * depth + (10,), batch, 1)
    estimate = 5e-6 + network.flops / 1e11
    steps = min(int(0.05 / estimate), 2**26 // (4 * batch * width), 512)
    return Network(network.sizes, batch, max(steps, 4))


_POINTS = [
    *((width, 32, 3) for width in (8, 16, 32, 64, 128, 256, 512, 1024)),
    *((64, batch, 3) for batch in (1, 4, 16, 128, 1024)),
    *((64, 32, depth) for depth in (1, 8, 32)),
    *((8, 1, 1), (1024, 1, 3), (1024, 1024, 3), (8, 1024, 32)),
]
NETWORKS: Mapping[str, Network] = {f"width {w}, batch {b}, depth {d}": _network(w, b, d) for w, b, d in _POINTS}


def measure(
    rounds: int,
    networks: Mapping[str, Network] = NETWORKS,
    systems: tuple[str, ...] = (NATIVE, TORCH_BEST, JAX_BEST),
) -> Found:
    """The best peers at every point."""
    return interleaved(networks, each("train", systems), rounds)


def show(found: Found) -> str:
    """A line for each point, and those where a peer wins."""
    wins = [
        f"- {point}: {name} takes {ratio:.2f} of gradloom's time"
        for point, name, ratio in _compared(found)
        if ratio < 1
    ]
    listed = "\n".join(wins) or "None."
    return f"{by_work(found, 'µs a step', 1e6, 'network')}\n\nWhere a peer is faster:\n\n{listed}"


def _compared(found: Found) -> list[tuple[str, str, float]]:
    """For each point the best peer and its time over ours."""
    compared = []
    for point, row in found.items():
        name, ratio = best(found, point, NATIVE, [system for system in row if system != NATIVE])
        compared.append((point, name, ratio))
    return compared


def goals(found: Found) -> list[Goal]:
    """At no point slower than the best peer by more than a tenth."""
    wanted = "at no point of the sweep slower than the best peer by more than 10%"
    compared = _compared(found)
    if not compared or any(math.isnan(ratio) for _, _, ratio in compared):
        return [Goal(3, wanted, "not every point was measured", None)]
    slower = [point for point, _, ratio in compared if ratio * TOLERATED < 1]
    worst = min(compared, key=lambda each: each[2])
    got = f"slower at {len(slower)} of {len(compared)}; worst: {worst[0]}, {1 / worst[2]:.2f} times {worst[1]}'s time"
    return [Goal(3, wanted, got, not slower)]
