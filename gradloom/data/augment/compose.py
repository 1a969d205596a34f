"""Augmentations one after the other."""

from __future__ import annotations

from typing import Any

from gradloom.data.augment.base import Augmentation, Part
from gradloom.errors import OptionError
from gradloom.records import dataclass


@dataclass(frozen=True, init=False)
class Compose(Augmentation):
    """Changes in order; geometric ones that are neighbours are made in one, which reads the image once.

    Args:
        steps: the augmentations; a ``Compose`` among them counts as what it consists of.

    Raises:
        OptionError: something else is among them.
    """

    steps: tuple[Augmentation, ...]

    def __init__(self, *steps: Augmentation) -> None:
        for step in steps:
            if not isinstance(step, Augmentation):
                raise OptionError(
                    "Compose",
                    rule="it consists of augmentations",
                    got=repr(step)[:100],
                    fix="Pass e.g. augment.Flip(), augment.Crop(4).",
                )
        object.__setattr__(self, "steps", steps)

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.steps))})"

    @property
    def parts(self) -> tuple[Part, ...]:
        """All changes, those of nested ones too."""
        return tuple(part for step in self.steps for part in step.parts)

    def config(self) -> dict[str, Any]:
        """The steps."""
        return {"steps": self.steps}
