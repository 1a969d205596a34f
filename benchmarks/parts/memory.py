"""How much memory does training take?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from benchmarks.fresh import first_run
from benchmarks.measured import Found, Goal, Measured, at_most, best
from benchmarks.parts import vision
from benchmarks.parts.steps import MEDIUM, NETWORKS
from benchmarks.parts.vision import RESNET
from benchmarks.rounds import say
from benchmarks.systems import IMAGES, NATIVE, TORCH_BEST
from benchmarks.tables import by_system
from benchmarks.work import Images, Network
from benchmarks.worker import Failed

TITLE = "Memory"
NOTE = """The most that a process holds in memory (resident set) until it has trained the network for 64 steps, the
interpreter, libraries and compilation included; the data of the 64 batches take 26 MB.  ResNet-20: for one step, whose
images take 1.6 MB."""

SYSTEMS = (
    NATIVE,
    TORCH_BEST,
    "torch.compile, fused Adam",
    "JAX, jitted step",
    "Keras on JAX, fit",
    "scikit-learn",
    "NumPy by hand",
)
_NETWORKS = {MEDIUM: NETWORKS[MEDIUM], RESNET: replace(vision.NETWORKS[RESNET], steps=1)}


def measure(
    rounds: int, networks: Mapping[str, Network | Images] = _NETWORKS, systems: tuple[str, ...] = SYSTEMS
) -> Found:
    """A process for each."""
    return {
        work: {s: _repeated(s, network, min(rounds, 2)) for s in (IMAGES if work == RESNET else systems)}
        for work, network in networks.items()
    }


def _repeated(system: str, network: Network | Images, rounds: int) -> Measured:
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
    """No more than PyTorch's."""
    name, ratio = best(found, RESNET, NATIVE, [system for system in IMAGES if "orch" in system])
    wanted = f"{RESNET}: no more memory than {name or 'PyTorch'}"
    return [at_most(7, wanted, 1 / ratio, 1.0, f"{1 / ratio:.2f} times")]
