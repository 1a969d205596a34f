"""How long is a training step of networks for images?"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.measured import Found, Goal, at_least, best
from benchmarks.rounds import each, interleaved
from benchmarks.systems import IMAGES, NATIVE
from benchmarks.tables import by_system
from benchmarks.work import Images

TITLE = "Training step of networks for images"
NOTE = """Forward pass, gradients and Adam, batch normalisation's running statistics where a library keeps them. Every
library has the same network with the same first parameters (`benchmarks/networks.py`), and all must have moved their
first kernel equally far after the first run. PyTorch's best settings are channels-last images and kernels, the fused
optimiser, and one thread where that is faster; JAX's convolutions are `lax.conv_general_dilated` with channels last
(inside `lax.scan` they are some forty times slower, and are left out)."""

LENET, SMALL, SMALL_WIDE = "LeNet-5, batch 64", "SmallCNN, batch 64", "SmallCNN, batch 128"
RESNET, WIDE, UNET = "ResNet-20, batch 128", "WRN-16-4, batch 64", "UNet base 16 of 128x128, batch 4"
NETWORKS: Mapping[str, Images] = {
    LENET: Images("LeNet-5", (28, 28, 1), 10, 64, 64),
    SMALL: Images("SmallCNN", (28, 28, 1), 10, 64, 32),
    SMALL_WIDE: Images("SmallCNN", (28, 28, 1), 10, 128, 16),
    RESNET: Images("ResNet-20", (32, 32, 3), 10, 128, 4),
    WIDE: Images("WRN-16-4", (32, 32, 3), 10, 64, 2),
    UNET: Images("UNet", (128, 128, 1), 2, 4, 8),
}
WANTED = {LENET: 3.0, SMALL: 2.5, SMALL_WIDE: 2.5, RESNET: 1.3, WIDE: 1.15, UNET: 1.15}
"""How many times as fast as the best peer."""


def measure(rounds: int, networks: Mapping[str, Images] = NETWORKS, systems: tuple[str, ...] = IMAGES) -> Found:
    """All systems on all networks."""
    return interleaved(networks, each("train_images", systems), rounds)


def show(found: Found) -> str:
    """A table a network."""
    return by_system(found, "ms a step", 1e3)


def goals(found: Found) -> list[Goal]:
    """Against the best peer."""
    result = []
    for work, bound in WANTED.items():
        name, ratio = best(found, work, NATIVE, [system for system in IMAGES if system != NATIVE])
        text = f"{work}: at least {bound:g} times as fast as {name or 'the peers'}"
        result.append(at_least(7, text, ratio, bound))
    return result
