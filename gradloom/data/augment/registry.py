"""Augmentations as plain JSON and back, through a closed table."""

from __future__ import annotations

from collections.abc import Iterable

from gradloom import description
from gradloom.data.augment.affine import Rotate, Scale, Shear
from gradloom.data.augment.base import Augmentation
from gradloom.data.augment.colour import Brightness, Contrast, Hue, Saturation
from gradloom.data.augment.compose import Compose
from gradloom.data.augment.crops import Crop, Translate
from gradloom.data.augment.cutout import Cutout
from gradloom.data.augment.elastic import Elastic
from gradloom.data.augment.flips import Flip, QuarterTurns
from gradloom.data.augment.mixup import Mixup
from gradloom.data.augment.noise import Noise
from gradloom.description import Description

AUGMENTATIONS: tuple[type[Augmentation], ...] = (
    *(Compose, Flip, QuarterTurns, Crop, Translate, Rotate, Scale, Shear, Elastic),
    *(Noise, Brightness, Contrast, Saturation, Hue, Cutout, Mixup),
)
"""Every augmentation that a model file may name."""

_TABLE = description.table_of(AUGMENTATIONS)


def describe(augmentation: Augmentation) -> Description:
    """An augmentation as JSON: ``{"type": "Flip", "options": {"axis": "horizontal", "chance": 0.5}}``.

    Raises:
        OptionError: a class of your own has the name of one of the library's.
    """
    return description.encode(augmentation, _TABLE)


def build(described: object, extra: Iterable[type[Augmentation]] = ()) -> Augmentation:
    """The augmentation of a description.

    Args:
        described: what :func:`describe` gave.
        extra: classes of your own that may occur in it; they cannot take the names of the library's.

    Raises:
        ModelFileError: the description is damaged, or names a class or an option that is not known.
    """
    table = {**description.table_of(extra), **_TABLE}
    return description.decode(described, table, Augmentation, who="augmentation description", sequence=tuple)
