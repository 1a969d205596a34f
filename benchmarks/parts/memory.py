"""How much memory does training take?"""

from __future__ import annotations

from benchmarks.fresh import first_run
from benchmarks.measured import Found, Goal, Measured
from benchmarks.parts.steps import MEDIUM, NETWORKS
from benchmarks.rounds import say
from benchmarks.systems import NATIVE, TORCH_BEST
from benchmarks.tables import by_system
from benchmarks.work import Network
from benchmarks.worker import Failed

TITLE = "Memory"
NOTE = """The most that a process holds in memory (resident set) until it has trained the network for 64 steps, the
interpreter, libraries and compilation included; the data of the 64 batches take 26 MB."""

SYSTEMS = (
    NATIVE,
    TORCH_BEST,
    "torch.compile, fused Adam",
    "JAX, jitted step",
    "Keras on JAX, fit",
    "scikit-learn",
    "NumPy by hand",
)
_NETWORKS = {MEDIUM: NETWORKS[MEDIUM]}


def measure(rounds: int, networks: dict[str, Network] = _NETWORKS, systems: tuple[str, ...] = SYSTEMS) -> Found:
    """A process for each."""
    return {work: {s: _repeated(s, network, min(rounds, 2)) for s in systems} for work, network in networks.items()}


def _repeated(system: str, network: Network, rounds: int) -> Measured:
    try:
        most = tuple(first_run(system, network, {"GRADLOOM_CACHE": "off"}).memory for _ in range(rounds))
    except Failed as problem:
        return Measured(problem=str(problem))
    say(f"  {system}: {max(most) / 1e6:.0f} MB")
    return Measured(most)


def show(found: Found) -> str:
    """One table."""
    return by_system(found, "MB", 1e-6)


def goals(found: Found) -> list[Goal]:
    """None was set."""
    return []
