"""Test-time augmentation: the mean of what a model says of an image turned and mirrored.

The eight ways to lay a square onto itself are a turn by a multiple of 90 degrees, mirrored or not.  All are exact, so
nothing is lost by turning back what a model gives for every pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gradloom import options
from gradloom.errors import OptionError, ShapeError
from gradloom.records import dataclass


@dataclass(frozen=True)
class View:
    """One way to look at an image.

    Attributes:
        transposed: rows and columns change places, first of all.
        flipped: the axes that are then turned about, 1 for top and bottom, 2 for left and right.
    """

    transposed: bool
    flipped: tuple[int, ...]

    def of(self, images: np.ndarray) -> np.ndarray:
        """Images, shape (n, height, width, ...), seen this way."""
        return np.flip(images.swapaxes(1, 2) if self.transposed else images, self.flipped)

    def back(self, images: np.ndarray) -> np.ndarray:
        """What was seen this way, as it was."""
        flipped = np.flip(images, self.flipped)
        return flipped.swapaxes(1, 2) if self.transposed else flipped


VIEWS = tuple(View(across, flipped) for across in (False, True) for flipped in ((), (2,), (1,), (1, 2)))
"""All eight; first those of images of any shape, and of them itself and what a mirror shows."""

NAMES: dict[str, Sequence[View]] = {
    "mirror": VIEWS[:2],
    "flips": VIEWS[:4],
    "turns": (VIEWS[0], VIEWS[3], VIEWS[5], VIEWS[6]),
    "all": VIEWS,
}


def views(asked: int | str, shape: Sequence[int]) -> Sequence[View]:
    """The views of a name, or so many of the eight.

    Args:
        asked: "mirror", "flips", "turns", "all", or a number from 1 to 8.
        shape: of the inputs.

    Raises:
        UnknownNameError: no views have this name.
        OptionError: the number lies outside.
        ShapeError: the inputs are no images, or images that are not square are to change rows for columns.
    """
    if isinstance(asked, str):
        found = options.named("predict", "set of views", asked, NAMES)
    else:
        if options.whole("predict", "augment", asked) > len(VIEWS):
            raise OptionError("predict", rule="there are 8 views of an image", got=str(asked), fix="Use at most 8.")
        found = VIEWS[:asked]
    if len(shape) != 4:
        raise ShapeError("predict", rule="augment needs images (n, height, width, channels)", got=str(tuple(shape)))
    if shape[1] != shape[2] and any(view.transposed for view in found):
        fix = "Use 'flips', which keep the shape."
        raise ShapeError(
            "predict", rule="only square images can be turned by 90 degrees", got=str(tuple(shape)), fix=fix
        )
    return found


def mean_of_views(forward: Callable[[np.ndarray], np.ndarray], images: np.ndarray, asked: int | str) -> np.ndarray:
    """The mean of a model's outputs over views of its inputs; outputs that are images are turned back before.

    Args:
        forward: from images to outputs.
        images: shape (n, height, width, channels).
        asked: which views, see :func:`views`.
    """
    total: np.ndarray | None = None
    seen = views(asked, images.shape)
    for view in seen:
        outputs = forward(np.ascontiguousarray(view.of(images)))
        found = view.back(outputs) if outputs.ndim > 2 else outputs
        total = found.copy() if total is None else total + found
    assert total is not None
    return total / total.dtype.type(len(seen))
