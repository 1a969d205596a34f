"""What an augmentation is: a change of images that keeps their meaning, drawn anew for every example and epoch.

A change is made of gradloom's own operations, so it runs inside the compiled training step on every executor.  What is
drawn follows from a key alone, and each example has a key of its own, made from the key of the epoch and the example's
number in the data set.  So example i of an epoch is changed alike in batches of any size, in any order, on any number
of threads, and in a run that was interrupted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from gradloom import functional as gl
from gradloom import random
from gradloom.data.augment.mixture import Mixture
from gradloom.errors import ShapeError
from gradloom.options import Options
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor
from gradloom.transforms import vmap


@dataclass(frozen=True)
class Pictures:
    """What is changed together.

    Attributes:
        images: shape (n, height, width, channels).
        masks: what geometric changes move along, each of shape (n, height, width) or (n, height, width, channels).
        mixture: how examples were mixed, which their targets follow.
    """

    images: Tensor
    masks: tuple[Tensor, ...] = ()
    mixture: Mixture | None = None


class Augmentation(Options, ABC):
    """Base of augmentations, frozen dataclasses whose fields are their options."""

    @property
    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """The changes one after the other."""

    def __call__(self, images: Any, key: Any, *, numbers: Any = None, mask: Any = None) -> Any:
        """The images changed.

        Args:
            images: shape (n, height, width, channels).
            key: determines the changes; in training that of the epoch.
            numbers: of the examples in the data set, shape (n,); 0 to n - 1 by default.
            mask: moved along by geometric changes, shape (n, height, width) or (n, height, width, channels).

        Returns:
            The images as floats; with a mask the pair of both.

        Raises:
            ShapeError: the images are not of this shape, or the mask's size is another.
        """
        changed = self.change(images, key, numbers=numbers, masks=() if mask is None else (mask,))
        return changed.images if mask is None else (changed.images, *changed.masks)

    def change(self, images: Any, key: Any, *, numbers: Any = None, masks: Sequence[Any] = ()) -> Pictures:
        """The same with any number of masks, and all there is to know: the mixture that targets follow, too."""
        found = tensor(images)
        pictures = Pictures(found, tuple(tensor(mask) for mask in masks))
        check_images(type(self).__name__, found.shape, [mask.shape for mask in pictures.masks])
        places = gl.arange(found.shape[0]) if numbers is None else tensor(numbers)
        keys = vmap(random.fold_in, (None, 0))(key, places)
        for run in _runs(self.parts, keys):
            pictures = run[0][0].apply(pictures, run)
        return replace(pictures, images=as_float(pictures.images))


class Part(Augmentation):
    """Base of single changes."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Itself."""
        return (self,)

    def joins(self, following: Part) -> bool:
        """Whether this change and the next one are made in one."""
        return False

    @abstractmethod
    def apply(self, pictures: Pictures, run: Run) -> Pictures:
        """The pictures changed.

        Args:
            pictures: a batch.
            run: this part and those that it joins, each with its keys, shape (n, 2).
        """


Run = Sequence[tuple[Part, Tensor]]


class Recolouring(Part):
    """Base of photometric changes: pixels stay where they are, and so masks stay what they are."""

    @abstractmethod
    def recolour(self, images: Tensor, keys: Tensor) -> Tensor:
        """The images, floats of shape (n, height, width, channels), with other values."""

    def apply(self, pictures: Pictures, run: Run) -> Pictures:
        """The pictures with other values in the images."""
        return replace(pictures, images=self.recolour(as_float(pictures.images), run[0][1]))


def _runs(parts: Sequence[Part], keys: Tensor) -> Iterator[Run]:
    """The parts with keys of their own, those that join each other together."""
    run: list[tuple[Part, Tensor]] = []
    for number, part in enumerate(parts):
        if run and not run[-1][0].joins(part):
            yield run
            run = []
        run.append((part, random.fold_in(keys, number)))
    if run:
        yield run


def uniform(keys: Tensor, count: int, low: float = 0.0, high: float = 1.0) -> list[Tensor]:
    """``count`` numbers uniform in [low, high) for each example, each of shape (n, 1, 1)."""
    drawn = random.uniform(keys, (count,)) * (high - low) + low
    return [drawn[:, i : i + 1, None] for i in range(count)]


def around(keys: Tensor, middle: float, reach: float) -> Tensor:
    """A number uniform within ``reach`` of ``middle`` for each example, shape (n, 1, 1, 1); exact for a reach of 0."""
    drawn = random.uniform(keys, (1,)) * 2.0 - 1.0
    return (drawn * reach + middle)[:, :, None, None]


def as_float(images: Tensor) -> Tensor:
    """Whole numbers as float32, with their values; floats as they are."""
    return images if images.type.is_float else gl.cast(images, "float32")


def check_images(who: str, images: Sequence[int], masks: Sequence[Sequence[int]] = ()) -> None:
    """Refuse what is no batch of images, or a mask that is not of their size.

    Args:
        who: for messages.
        images: the shape.
        masks: the shapes of masks.

    Raises:
        ShapeError: it is.
    """
    if len(images) != 4:
        raise ShapeError(
            who,
            rule="images have the shape (examples, height, width, channels)",
            got=str(tuple(images)),
            fix="Reshape them, e.g. x.reshape(-1, 28, 28, 1).",
        )
    for mask in masks:
        if len(mask) not in (3, 4) or tuple(mask[:3]) != tuple(images[:3]):
            raise ShapeError(
                who,
                rule="a mask has the size of its images, (examples, height, width) with or without channels",
                got=f"a mask {tuple(mask)} for images {tuple(images)}",
                fix="Give it in full: for a network that takes off the borders, training uses its middle.",
            )
