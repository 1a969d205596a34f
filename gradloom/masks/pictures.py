"""The check that all functions of masks begin with."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.errors import ShapeError


def as_picture(who: str, values: Any) -> np.ndarray:
    """Values as a picture (H, W).

    Raises:
        ShapeError: they have another number of axes, or none at all.
    """
    found = np.asarray(values)
    if found.ndim != 2 or not found.size:
        fix = "Call it for each mask of a stack."
        raise ShapeError(who, rule="a mask is a picture (height, width)", got=f"shape {found.shape}", fix=fix)
    return found
