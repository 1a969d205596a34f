"""Arrays as images: uint8 (H, W, 3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.errors import ShapeError
from gradloom.report import colours


def images(who: str, inputs: Any) -> np.ndarray:
    """Inputs of a model as images.

    Bytes are shown as they are, numbers from 0 to 1 likewise, others stretched from the least to the largest of all.
    One channel is grey, three are red, green and blue, of any other number the mean is shown.

    Args:
        who: for messages.
        inputs: shape (n, H, W) or (n, H, W, channels).

    Raises:
        ShapeError: they have no two axes of space.
    """
    found = np.asarray(inputs)
    if found.ndim not in (3, 4) or not found.size:
        fix = "Inputs are (examples, height, width, channels)."
        raise ShapeError(who, rule="the inputs must be images", got=f"shape {found.shape}", fix=fix)
    if found.dtype != np.uint8:
        values = found.astype(np.float64)
        low, high = (0.0, 1.0) if values.min() >= 0 and values.max() <= 1 else (values.min(), values.max())
        found = (255 * stretched(values, low, high)).round().astype(np.uint8)
    if found.ndim == 3:
        found = found[..., np.newaxis]
    if found.shape[-1] not in (1, 3):
        found = found.mean(-1, keepdims=True).round().astype(np.uint8)
    return np.broadcast_to(found, (*found.shape[:-1], 3))


def stretched(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Values from ``low`` to ``high``, by default from the least to the largest, as numbers from 0 to 1."""
    least = float(values.min()) if low is None else low
    most = float(values.max()) if high is None else high
    return np.clip((values - least) / (most - least), 0, 1) if most > least else np.zeros_like(values, np.float64)


def heat(values: np.ndarray) -> np.ndarray:
    """Numbers from 0 up as colours, the largest the lightest."""
    return colours.sequential(stretched(values, 0.0))


def signed(values: np.ndarray, most: float | None = None) -> np.ndarray:
    """Numbers around 0 as colours, 0 white, as far to both sides as the largest size."""
    most = float(np.abs(values).max()) if most is None else most
    return colours.diverging(values / most if most else values)


def tinted(image: np.ndarray, classes: np.ndarray, share: float = 0.5) -> np.ndarray:
    """An image with its pixels coloured by class; class 0 keeps its own."""
    found = image.astype(np.float64)
    for number in np.unique(classes):
        if number:
            here = classes == number
            found[here] = (1 - share) * found[here] + share * colours.of_class(int(number))
    return found.round().astype(np.uint8)
