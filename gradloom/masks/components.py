"""Connected parts of a mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.errors import OptionError
from gradloom.masks.pictures import as_picture


def connected_components(mask: Any, *, neighbours: int = 4) -> tuple[np.ndarray, int]:
    """Number the connected parts of a mask.

    Every pixel begins as a part of its own, named by its place; parts that touch take the smaller name, and names are
    looked up through names, until nothing changes.  That takes about log₂ of the longest path of rounds.

    Args:
        mask: shape (H, W); pixels that are not 0 belong to parts.
        neighbours: 4 for pixels that share a side, 8 for those that share a corner as well.

    Returns:
        ``(labels, count)``: int64 (H, W), 0 outside, and 1, 2, ... in the order of each part's first pixel.

    Raises:
        ShapeError: the mask is no picture.
        OptionError: neighbours are neither 4 nor 8.
    """
    inside = as_picture("connected_components", mask) != 0
    if neighbours not in (4, 8):
        raise OptionError("connected_components", rule="neighbours are 4 or 8", got=repr(neighbours))
    first, second = _touching(inside, neighbours)
    names = np.arange(inside.size)
    while True:
        a, b = names[first], names[second]
        apart = a != b
        if not apart.any():
            break
        first, second, a, b = first[apart], second[apart], a[apart], b[apart]
        np.minimum.at(names, np.maximum(a, b), np.minimum(a, b))
        while ((further := names[names]) != names).any():
            names = further
    labels = np.zeros(inside.shape, np.int64)
    roots, numbers = np.unique(names[inside.reshape(-1)], return_inverse=True)
    labels[inside] = numbers + 1
    return labels, len(roots)


def _touching(inside: np.ndarray, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of pixels that touch and both belong to parts, by their places."""
    places = np.arange(inside.size).reshape(inside.shape)
    pairs = [((slice(None, -1), slice(None)), (slice(1, None), slice(None)))]
    pairs += [((slice(None), slice(None, -1)), (slice(None), slice(1, None)))]
    if neighbours == 8:
        pairs += [((slice(None, -1), slice(None, -1)), (slice(1, None), slice(1, None)))]
        pairs += [((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1)))]
    both = [(places[a], places[b], inside[a] & inside[b]) for a, b in pairs]
    return np.concatenate([a[t] for a, _, t in both]), np.concatenate([b[t] for _, b, t in both])
