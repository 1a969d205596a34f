"""Augmentations by name: what may change in a picture depends on what it shows."""

from __future__ import annotations

from gradloom import options
from gradloom.data.augment.affine import Rotate, Scale, Shear
from gradloom.data.augment.base import Augmentation
from gradloom.data.augment.colour import Brightness, Contrast
from gradloom.data.augment.compose import Compose
from gradloom.data.augment.crops import Translate
from gradloom.data.augment.elastic import Elastic
from gradloom.data.augment.flips import Flip, QuarterTurns

PRESETS: dict[str, Augmentation] = {
    # A cat has its head up: no vertical flip.
    "photo": Compose(Flip(), Translate(0.125), Brightness(0.2), Contrast(0.2)),
    # A 6 must not become a 9, nor a mirror image: a slight turn and slight distortion.
    "digits": Compose(
        Rotate(10, border="edge"),
        Scale(0.1, border="edge"),
        Shear(10, border="edge"),
        Translate(0.08, border="edge"),
        Elastic(0.02, 5, border="edge"),
    ),
    # Tissue has no up and no down, and it yields.
    "microscopy": Compose(Flip("horizontal"), Flip("vertical"), QuarterTurns(), Elastic(0.02, 3)),
}


def get(augmentation: str | Augmentation) -> Augmentation:
    """The augmentation of a name, such as "photo"; an augmentation is returned as it is.

    Raises:
        UnknownNameError: no preset has this name; the message proposes the nearest.
    """
    if isinstance(augmentation, Augmentation):
        return augmentation
    return options.named("augment.get", "augmentation", augmentation, PRESETS)
