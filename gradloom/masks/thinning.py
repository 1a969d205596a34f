"""Thinning: regions worn down to lines of one pixel, without any line breaking."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.masks.pictures import as_picture

_ROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""The neighbours of a pixel, clockwise from the one above."""


def thin(mask: Any, *, framed: bool = False) -> np.ndarray:
    """Wear a region down until only lines of one pixel are left that divide the picture as it did.

    Pixels are taken off from above, below, left and right in turn, all at once that may go: those at the border on
    this side whose neighbours (of eight) in the region hang together without them, but not the ends of lines.  So the
    parts of the region (of eight neighbours) and of what lies between (of four) stay as many as they were.

    Args:
        mask: shape (H, W); pixels that are not 0 are the region.
        framed: whether the region goes on around the picture, so that lines hold on to its edges.  Else they end
            there, are worn round while they are thick, and let through what they divided.

    Returns:
        bool (H, W).

    Raises:
        ShapeError: the mask is no picture.

    Source: Rosenfeld, "A characterization of parallel thinning algorithms" (1975); the count of crossings is Yokoi's.
    """
    frame = np.pad(np.zeros(as_picture("thin", mask).shape, bool), 1, constant_values=framed)
    region = np.pad(np.asarray(mask) != 0, 1, constant_values=framed)
    while True:
        before = region.copy()
        for side in (0, 4, 2, 6):
            around = [np.roll(region, (-dy, -dx), (0, 1)) for dy, dx in _ROUND]
            region &= around[side] | ~_may_go(around) | frame
        if (region == before).all():
            return region[1:-1, 1:-1]


def _may_go(around: list[np.ndarray]) -> np.ndarray:
    """Whether what is left of the neighbours hangs together without the pixel: one stretch, seen from outside."""
    outside = [~x for x in around]
    stretches = np.zeros(around[0].shape, np.int8)
    for k in range(0, 8, 2):
        stretches += outside[k] & ~(outside[k + 1] & outside[(k + 2) % 8])
    return (stretches == 1) & (np.sum(around, 0, dtype=np.int8) > 1)
