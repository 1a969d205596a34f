"""How far a network sees: how many pixels around a place can change what it says there.

It is measured, not worked out layer by layer, so it holds for any network.  A band of the image is changed, and it is
looked how far away outputs change.  The weights are replaced by positive random ones and the change is huge, so that
activations pass it on, maxima are taken within the band, and what comes far is not rounded off: what is found is a
matter of the structure, not of what the network has learned.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom import nn, tree
from gradloom.errors import GradloomError
from gradloom.transforms import jit

_MOST = 4096
"""The longest image that is tried."""
_CHANGE = 1e12


def receptive_radius(run: Any, grid: int) -> int | None:
    """How far a network sees to each side, in pixels; not too few, and at most ``grid - 1`` too many.

    Args:
        run: the trainer of a network that gives an output for every pixel, or all but a border.
        grid: by what factor the network makes images smaller before it makes them larger again.

    Returns:
        The radius; None where the network sees all of an image, however large.
    """
    sides = run.input_type[1][:-1]
    found = [_along(run, grid, axis, sides) for axis in range(len(sides))]
    return None if None in found else max(radius for radius in found if radius is not None)


def _along(run: Any, grid: int, axis: int, sides: tuple[int, ...]) -> int | None:
    """The radius along one axis of space, found in images that grow until all that changes lies inside."""
    side = sides[axis] + -(-max(sides[axis], 8 * grid) // grid) * grid
    while side <= _MOST:
        radius = _within(run, grid, axis, (*sides[:axis], side, *sides[axis + 1 :]))
        if radius is not None:
            return radius
        side = sides[axis] + -(-2 * side // grid) * grid
    return None


def _within(run: Any, grid: int, axis: int, sides: tuple[int, ...]) -> int | None:
    """The radius in an image of these sides; None where it reaches to the ends."""
    side = sides[axis]
    begin = side // 2 // grid * grid
    narrow = tuple(n if i == axis else 2 * grid for i, n in enumerate(sides))
    try:
        changed = _changed(run, axis, narrow, slice(begin, begin + grid))
    except (GradloomError, ValueError):  # too narrow for it
        changed = _changed(run, axis, sides, slice(begin, begin + grid))
    places = np.flatnonzero(changed)
    if not len(places) or places[0] == 0 or places[-1] == len(changed) - 1:
        return None
    border = (side - len(changed)) // 2
    first, last = int(places[0]) + border, int(places[-1]) + border
    return max(begin + grid - 1 - first, last - begin)


def _changed(run: Any, axis: int, sides: tuple[int, ...], band: slice) -> np.ndarray:
    """Where along an axis outputs change with a band of the inputs, bool."""
    random = np.random.default_rng(0)
    channels = run.input_type[1][-1]

    def positive(leaf: Any) -> np.ndarray:
        fan_in = max(int(np.prod(leaf.shape[:-1])), 1) if len(leaf.shape) > 1 else 1
        return random.uniform(0.5, 1.5, leaf.shape) / fan_in

    parameters = tree.map(positive, run.model.parameters())
    state = tree.map(lambda leaf: _wide(leaf.numpy()), run.model.state())
    forward = jit(lambda p, s, x: nn.apply(run.model, p, s, x)[0], run.executor)
    before = random.uniform(0.5, 1.5, (1, *sides, channels))
    after = before.copy()
    after[(slice(None),) * (axis + 1) + (band,)] *= _CHANGE
    with np.errstate(all="ignore"):
        differs = forward(parameters, state, before).numpy() != forward(parameters, state, after).numpy()
    return np.moveaxis(differs, axis + 1, 0).reshape(differs.shape[axis + 1], -1).any(1)


def _wide(values: np.ndarray) -> np.ndarray:
    """Floats in float64."""
    return values.astype(np.float64) if values.dtype.kind == "f" else values
