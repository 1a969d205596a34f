"""Masks as files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from gradloom import saving
from gradloom.data.images.decode import pillow
from gradloom.errors import OptionError


def write_mask(path: Path, values: np.ndarray, size: tuple[int, int]) -> None:
    """A mask as a PNG, grey, of 8 bits or of 16 where values go beyond 255.

    The file is whole or not there: an old one stays until the new one is complete.

    Args:
        path: where to.
        values: whole numbers from 0 to 65535, shape (H, W).
        size: height and width that the file is to have; each pixel takes the value of the nearest.

    Raises:
        OptionError: it is not to be a PNG, or cannot be written there.
    """
    if path.suffix.lower() != ".png":
        rule = "a mask is written as PNG, which keeps its values"
        raise OptionError("-o", rule=rule, got=str(path), fix=f"Write {path.stem}.png.")
    depth = np.uint8 if values.max(initial=0) < 256 else np.uint16
    image = pillow().fromarray(values.astype(depth)).resize(size[::-1], resample=0)
    content = io.BytesIO()
    image.save(content, "PNG")
    rule = "masks must go to a place that can be written"
    saving.save(path, content.getvalue(), who="-o", rule=rule, error=OptionError)
