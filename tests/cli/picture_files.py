"""Small folders of images for the tests of the commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 8


def save(path: Path, pixels: np.ndarray) -> None:
    """An image file; its folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def shapes(folder: Path, count: int = 10, side: int = SIDE) -> None:
    """``shapes/bars`` and ``shapes/bands``: stripes that stand and stripes that lie, in colours and noise."""
    random = np.random.default_rng(0)
    stripes = np.arange(side) // 2 % 2 * 150
    for name, pattern in (("bars", stripes[np.newaxis, :, np.newaxis]), ("bands", stripes[:, np.newaxis, np.newaxis])):
        for i in range(count):
            pixels = pattern + random.integers(0, 100, (side, side, 3))
            save(folder / f"shapes/{name}/{i:02}.png", pixels.astype(np.uint8))


def cells(folder: Path, count: int = 10, side: int = 16) -> None:
    """``cells``: bright discs in noise, and ``masks``: 255 inside of them, 0 elsewhere."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[:side, :side]
    for i in range(count):
        across, down = random.uniform(side / 3, 2 * side / 3, 2)
        inside = (y - down) ** 2 + (x - across) ** 2 < (side / 4) ** 2
        save(folder / f"cells/{i}.png", (inside * 150 + random.integers(0, 100, (side, side))).astype(np.uint8))
        save(folder / f"masks/{i}.png", (inside * 255).astype(np.uint8))
