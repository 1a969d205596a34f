"""How long does it take to predict one row?"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.measured import Found, Goal, at_most, median
from benchmarks.parts.steps import MEDIUM, NETWORKS
from benchmarks.rounds import each, interleaved
from benchmarks.systems import NATIVE
from benchmarks.tables import by_system, number
from benchmarks.work import Network

TITLE = "Predicting one row"
NOTE = """From a row in NumPy to outputs in NumPy, again and again: gradloom's `Trainer.predict` (which checks its
inputs), PyTorch in inference mode, JAX jitted, Keras's `predict_on_batch`, scikit-learn's `predict_proba`."""

SYSTEMS = (NATIVE, "PyTorch eager", "JAX, jitted step", "Keras on JAX, fit", "scikit-learn", "NumPy by hand")
_ONE_BATCH = {title: Network(n.sizes, n.batch, 1) for title, n in NETWORKS.items()}


def measure(rounds: int, networks: Mapping[str, Network] = _ONE_BATCH, systems: tuple[str, ...] = SYSTEMS) -> Found:
    """All systems on both networks."""
    return interleaved(networks, each("predict", systems), rounds)


def show(found: Found) -> str:
    """A table a network."""
    return by_system(found, "µs a row", 1e6)


def goals(found: Found) -> list[Goal]:
    """Under 50 microseconds."""
    time = median(found, MEDIUM, NATIVE) * 1e6
    return [at_most(6, f"{MEDIUM}: `predict` of one row under 50 µs", time, 50.0, f"{number(time)} µs")]
