"""What is trained on what, and how, in terms that both libraries are given."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.work import Images

AUGMENTATIONS = ("", "shift and mirror", "small shift and mirror", "digits", "tissue")


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Attributes:
        network: of networks.py.
        image: height, width, channels of what it is given.
        classes: of an image, or of each pixel.
        data: the set, see sets.py.
        augment: one of AUGMENTATIONS.
        epochs: how often the images are gone through.
        batch: images an update.
        method: "adam", "sgd" with Nesterov's momentum of 0.9, or "speedrun" (see ``models.speedrun_recipe``).
        rate: the highest learning rate; it rises over a tenth of the updates and falls to 0 by a cosine, in a
            speedrun over 23% of them and in straight lines.
        decay: λ of L2 in the gradient.
        rows: how many of the training images are used; None for all.
        wanted: the accuracy whose time is compared; 0 for none.
        width: channels of a speedrun's first block.
        mirrors: whether predictions are means over an image and its mirror image.
    """

    network: str
    image: tuple[int, int, int]
    classes: int
    data: str
    augment: str
    epochs: int
    batch: int
    method: str
    rate: float
    decay: float = 0.0
    rows: int | None = None
    wanted: float = 0.0
    width: int = 64
    mirrors: bool = False

    @property
    def work(self) -> Images:
        """The network as the benchmarks describe it, for its first parameters."""
        return Images(self.network, self.image, self.classes, self.batch, 1)

    @property
    def is_segmentation(self) -> bool:
        """Whether each pixel has a class."""
        return self.network == "UNet"


RECIPES = {
    "mnist-lenet": Recipe("LeNet-5", (28, 28, 1), 10, "mnist", "", 12, 64, "adam", 2e-3, wanted=0.99),
    "mnist-cnn": Recipe("SmallCNN", (28, 28, 1), 10, "mnist", "digits", 30, 128, "sgd", 0.05, decay=5e-4, wanted=0.995),
    "cifar-resnet": Recipe(
        "ResNet-20", (32, 32, 3), 10, "cifar10 (jpeg)", "shift and mirror", 5, 128, "sgd", 0.2, decay=5e-4
    ),
    "cifar-speedrun": Recipe(
        "Speedrun",
        (32, 32, 3),
        10,
        "cifar10 (jpeg)",
        "small shift and mirror",
        epochs=3,
        batch=256,
        method="speedrun",
        rate=0.375,
        decay=0.0153 / 11.5,
        rows=20_000,
        wanted=0.7,
        mirrors=True,
    ),
    "membranes": Recipe("UNet", (128, 128, 1), 2, "membranes", "tissue", 20, 4, "adam", 1e-3),
}
"""By name."""


@dataclass(frozen=True)
class Row:
    """After an epoch.

    Attributes:
        epoch: its number, from 1.
        seconds: spent on training so far, compilation included, without measuring.
        loss: the mean over the epoch.
        score: the share of test images (pixels) that are classified rightly.
        scores: further figures by name.
    """

    epoch: int
    seconds: float
    loss: float
    score: float
    scores: dict[str, float]


def rate_at(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of an update, written anew for PyTorch."""
    if recipe.method == "speedrun":
        rising = max(1, round(0.23 * steps))
        if step < rising:
            return recipe.rate * (0.2 + 0.8 * (step + 1) / (rising + 1))
        return recipe.rate * (1 - 0.93 * (step - rising) / max(1, steps - rising))
    warm = warm_up(steps)
    if step < warm:
        return recipe.rate * (step + 1) / (warm + 1)
    return recipe.rate * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2


def warm_up(steps: int) -> int:
    """How many of the updates have a rising rate, outside of speedruns."""
    return steps // 10
