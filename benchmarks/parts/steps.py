"""How long is a training step of a small and of a medium network?"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.measured import Found, Goal, at_least, best
from benchmarks.rounds import each, interleaved
from benchmarks.systems import JAX_BEST, NATIVE, SYSTEMS
from benchmarks.tables import by_system
from benchmarks.work import Network

TITLE = "Training step"
NOTE = """Forward pass, gradients and Adam. The data lie in memory in each library's own arrays (NumPy's for Keras,
whose methods take those), each step has a batch of its own, nothing is shuffled. The initial weights are the same,
and all systems must have moved them equally far after the first run. Keras's `fit` and gradloom also sum up the loss;
gradloom gathers each batch from the data set by its rows. For two classes scikit-learn has one logistic output."""

TINY, MEDIUM = "MLP 20-64-32-2, batch 32", "MLP 784-256-128-10, batch 128"
NETWORKS: Mapping[str, Network] = {
    TINY: Network((20, 64, 32, 2), 32, 512),
    MEDIUM: Network((784, 256, 128, 10), 128, 64),
}
TRAINERS = tuple(system for system in SYSTEMS if system not in ("peak", "HIPS autograd"))
PYTORCH = tuple(system for system in SYSTEMS if system.startswith(("PyTorch", "torch")))


def measure(rounds: int, networks: Mapping[str, Network] = NETWORKS, systems: tuple[str, ...] = TRAINERS) -> Found:
    """All systems on both networks."""
    return interleaved(networks, each("train", systems), rounds)


def show(found: Found) -> str:
    """A table a network."""
    return by_system(found, "µs a step", 1e6)


def goals(found: Found) -> list[Goal]:
    """Against PyTorch's best way and against JAX's."""
    wanted = (
        (1, TINY, PYTORCH, 12.0),
        (1, TINY, (JAX_BEST,), 1.2),
        (2, MEDIUM, PYTORCH, 1.9),
        (2, MEDIUM, (JAX_BEST,), 1.0),
    )
    result = []
    for goal, work, peers, bound in wanted:
        name, ratio = best(found, work, NATIVE, peers)
        text = f"{work}: at least {bound:g} times as fast as {name or 'the peers'}"
        result.append(at_least(goal, text, ratio, bound))
    return result
