"""How does the time to compile grow with the number of layers?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.fresh import first_run
from benchmarks.measured import Found, Goal, Measured, median
from benchmarks.rounds import say
from benchmarks.systems import NATIVE
from benchmarks.tables import by_work
from benchmarks.work import Network
from benchmarks.worker import Failed

TITLE = "Compile time against depth"
NOTE = """A training step of a chain of dense layers, width 16, batch 8: from the built-up process to the end of the
first step (building the model, tracing, gradients, compilation, one step), nothing in any cache. A system that has
taken longer than 40 s is not asked for more layers."""

LAYERS = (10, 30, 100, 300, 1000)
SYSTEMS = (NATIVE, "torch.compile, fused Adam", "JAX, jitted step", "Keras on JAX, fit")
PATIENCE = 40.0
LINEAR = 1.15
"""Largest exponent of growth that counts as linear, from 100 layers on."""


def measure(rounds: int, layers: Sequence[int] = LAYERS, systems: tuple[str, ...] = SYSTEMS) -> Found:
    """A process for each; those that take long have one round."""
    found: Found = {}
    given_up: dict[str, str] = {}
    for count in layers:
        found[f"{count} layers"] = row = {}
        for system in systems:
            row[system] = Measured(problem=given_up[system]) if system in given_up else _repeated(system, count, rounds)
            say(f"  {count} layers  {system}: {row[system].median:.3g} s {row[system].problem}")
            if row[system].problem or row[system].median > PATIENCE:
                given_up[system] = row[system].problem or "not tried"
    return found


def _repeated(system: str, layers: int, rounds: int) -> Measured:
    """Building times of up to three processes."""
    network, seconds = Network((16,) * layers + (10,), 8, 1), []
    try:
        while len(seconds) < min(rounds, 3) and sum(seconds) < PATIENCE / 4:
            seconds.append(first_run(system, network, {"GRADLOOM_CACHE": "off"}).building)
    except Failed as problem:
        return Measured(tuple(seconds), str(problem))
    return Measured(tuple(seconds))


def show(found: Found) -> str:
    """A line for each number of layers."""
    growth = f"From 100 layers on gradloom's time grows with the power {_exponent(found):.2f} of their number."
    return by_work(found, "s", 1.0, "chain") + "\n\n" + growth


def _exponent(found: Found) -> float:
    """e in time ~ layers^e, fitted from 100 layers on; NaN where there are not two points."""
    points = [(int(row.split()[0]), median(found, row, NATIVE)) for row in found]
    points = [(n, t) for n, t in points if n >= 100 and not math.isnan(t)]
    if len(points) < 2:
        return math.nan
    return float(np.polyfit(*np.log(np.array(points)).T, 1)[0])


def goals(found: Found) -> list[Goal]:
    """Linear growth up to a thousand layers."""
    wanted = "a chain of 1,000 layers compiles in time that grows linearly"
    time, exponent = median(found, "1000 layers", NATIVE), _exponent(found)
    if math.isnan(time) or math.isnan(exponent):
        return [Goal(5, wanted, "not measured", None)]
    return [Goal(5, wanted, f"{time:.1f} s, grows with the power {exponent:.2f}", exponent <= LINEAR)]
