"""Small image files for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def random_pixels(*shape: int, seed: int = 0, dtype: Any = np.uint8) -> np.ndarray:
    """Noise, of which nothing survives any change."""
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    """An image file; its folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def truncate(path: Path, count: int = 40) -> None:
    """Take off the last bytes of a file."""
    path.write_bytes(path.read_bytes()[:-count])
