"""What is special about images among inputs: places have names, sizes can be halved, and light has two figures."""

from __future__ import annotations

import numpy as np

SIDE = 32
"""Images are averaged to at most so many pixels a side before they are compared with each other."""


def are_images(inputs: np.ndarray) -> bool:
    """Whether examples have height, width and channels."""
    return inputs.ndim == 4


def reduced(images: np.ndarray) -> np.ndarray:
    """Means over squares of pixels, at most :data:`SIDE` of them a side; what fills no square is left out.

    Args:
        images: shape (n, height, width, channels).
    """
    count, height, width, channels = images.shape
    side = -(-max(height, width) // SIDE)
    if side == 1:
        return images
    side = min(side, height, width)
    rows, columns = height // side, width // side
    squares = images[:, : rows * side, : columns * side].reshape(count, rows, side, columns, side, channels)
    return squares.mean((2, 4), dtype=np.float32)


def light(images: np.ndarray) -> dict[str, np.ndarray]:
    """Brightness and contrast of each image, the mean and the deviation of its pixels."""
    axes = tuple(range(1, images.ndim))
    return {"brightness": images.mean(axes), "contrast": images.std(axes)}


def place(column: int, shape: tuple[int, ...]) -> str:
    """The name of one number among those of an example: of images, where the pixel lies."""
    if len(shape) != 3:
        return f"input {column}"
    y, x, channel = np.unravel_index(column, shape)
    return f"pixel ({y}, {x})" + (f" of channel {channel}" if shape[2] > 1 else "")
