"""What a model file keeps of the images that a network was trained on: how to read more of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gradloom.data.images.collection import Images
from gradloom.data.images.decode import Kind, opened, pixels
from gradloom.data.images.stack import Stack, sides
from gradloom.data.state import Stateful
from gradloom.errors import DataError
from gradloom.records import dataclass


@dataclass(frozen=True)
class ImagePipeline(Stateful, kind="image_pipeline"):
    """From image files to the inputs of a network.

    Scaling is not part of it but a layer of the network, ``nn.Normalize``, so images stay bytes in memory.

    Attributes:
        height: of the inputs.
        width: of the inputs.
        channels: 1 or 3.
        deep: whether pixels have more than 8 bits.
        resized: whether images are brought to this size; otherwise they must have it.
        levels: where every pixel has a class, the values in masks by label; empty where every image has one.
    """

    height: int
    width: int
    channels: int
    deep: bool
    resized: bool
    levels: tuple[int, ...]

    @classmethod
    def of(cls, images: Images, *, resized: bool) -> ImagePipeline:
        """That of a training set.

        Args:
            images: the set.
            resized: whether a size was asked for when it was read.
        """
        height, width, channels = images.inputs.shape[1:]
        return cls(height, width, channels, images.inputs.dtype != np.uint8, resized, images.levels)

    @property
    def pixel(self) -> Kind:
        """What pixels are."""
        return Kind(self.channels, self.deep)

    @property
    def size(self) -> tuple[int, int] | None:
        """What images are resized to."""
        return (self.height, self.width) if self.resized else None

    def __str__(self) -> str:
        sized = "resized to" if self.resized else "of"
        masks = f"; masks with values {', '.join(map(str, self.levels))}" if self.levels else ""
        return f"{sized} {self.height} x {self.width} (height x width), {self.pixel}{masks}"

    @property
    def segments(self) -> bool:
        """Whether every pixel has a class."""
        return bool(self.levels)

    def read(self, path: Path) -> tuple[np.ndarray, tuple[int, int]]:
        """The array of an image file, shape (H, W, channels), and the height and width that it had in the file.

        Raises:
            DataError: the file cannot be used; the message names it.
        """
        with opened(path) as picture:
            return pixels(picture, self.pixel, self.size), picture.size

    def read_all(self, files: Sequence[Path], who: str) -> np.ndarray:
        """The inputs from image files, shape (N, height, width, channels).

        Args:
            files: at least one.
            who: for messages.

        Raises:
            DataError: a file cannot be used, or has another size; the message names it.
        """
        stack = Stack(len(files), who)
        for path in files:
            image, size = self.read(path)
            if not self.fits(image):
                raise DataError(
                    str(path),
                    rule="images must have the size of those that the model was trained on",
                    got=f"{sides(size)}, not {self.height} x {self.width}",
                    fix="Resize them first; a model that was trained with --size does it by itself.",
                )
            stack.add(image, path)
        return stack.whole()

    def fits(self, image: np.ndarray) -> bool:
        """Whether an image has the size of the inputs."""
        return image.shape[:2] == (self.height, self.width)

    def fault(self) -> str:
        fine = self.height > 0 and self.width > 0 and self.channels in (1, 3)
        fine = fine and len(self.levels) != 1 and all(0 <= level < 2**16 for level in self.levels)
        return "" if fine else "sizes, channels or levels that no image has"
