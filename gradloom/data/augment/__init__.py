"""Augmentation: images changed at random while training, inside the compiled step."""

from typing import TYPE_CHECKING

from gradloom.later import later

if TYPE_CHECKING:
    from gradloom.data.augment.affine import Rotate, Scale, Shear
    from gradloom.data.augment.base import Augmentation, Part, Pictures, Recolouring
    from gradloom.data.augment.colour import Brightness, Contrast, Hue, Saturation
    from gradloom.data.augment.compose import Compose
    from gradloom.data.augment.crops import Crop, Translate
    from gradloom.data.augment.cutout import Cutout
    from gradloom.data.augment.elastic import Elastic
    from gradloom.data.augment.flips import Flip, QuarterTurns
    from gradloom.data.augment.mixture import Mixture
    from gradloom.data.augment.mixup import Mixup
    from gradloom.data.augment.noise import Noise
    from gradloom.data.augment.presets import PRESETS, get
    from gradloom.data.augment.registry import AUGMENTATIONS, build, describe

__all__ = [
    "AUGMENTATIONS",
    "PRESETS",
    "Augmentation",
    "Brightness",
    "Compose",
    "Contrast",
    "Crop",
    "Cutout",
    "Elastic",
    "Flip",
    "Hue",
    "Mixture",
    "Mixup",
    "Noise",
    "Part",
    "Pictures",
    "QuarterTurns",
    "Recolouring",
    "Rotate",
    "Saturation",
    "Scale",
    "Shear",
    "Translate",
    "build",
    "describe",
    "get",
]

__getattr__, __dir__ = later(
    __name__,
    __all__,
    {
        "affine": "Rotate Scale Shear",
        "base": "Augmentation Part Pictures Recolouring",
        "colour": "Brightness Contrast Hue Saturation",
        "compose": "Compose",
        "crops": "Crop Translate",
        "cutout": "Cutout",
        "elastic": "Elastic",
        "flips": "Flip QuarterTurns",
        "mixture": "Mixture",
        "mixup": "Mixup",
        "noise": "Noise",
        "presets": "PRESETS get",
        "registry": "AUGMENTATIONS build describe",
    },
)
