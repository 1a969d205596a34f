"""The weight map of the UNet: what lies between two cells that nearly touch counts much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradloom import options
from gradloom.errors import OptionError, ShapeError
from gradloom.masks.components import connected_components
from gradloom.masks.distance import nearest_labels

_REACH = 6.0
"""Beyond so many σ the second term is below e⁻¹⁸ w₀, less than float32 can tell."""


def border_weights(
    masks: Any,
    *,
    w0: float = 10.0,
    sigma: float = 5.0,
    classes: str | Sequence[float] | None = "balanced",
    cells_too: bool = False,
    neighbours: int = 4,
) -> np.ndarray:
    """w(x) = w_c(x) + w₀ exp(-(d₁(x) + d₂(x))² / 2σ²), with the distances d₁, d₂ from the nearest two cells.

    Pass it as the weights of a data set: ``run.fit((images, masks, border_weights(masks)))``.

    Args:
        masks: whole numbers (n, H, W) or (H, W), 0 outside cells.  Either one other value in all of them, such as 1 or
            255, and each connected part is a cell; or several values, one for each cell.
        w0: w₀, the weight of a border between two cells that touch.
        sigma: σ in pixels, how fast it falls as they part.
        classes: w_c of what is outside and what is inside cells: two numbers; "balanced", so that both weigh the same
            together over all masks, with a mean of 1; or None for 1 everywhere.
        cells_too: whether the second term is added inside cells as well.  The formula has it there, where d₁ is 0, the
            picture of the paper does not.
        neighbours: 4 or 8; of how many neighbours of a pixel a cell is made.

    Returns:
        float32, in the shape of the masks.

    Raises:
        ShapeError: the masks are no pictures.
        OptionError: an option out of range.

    Source: Ronneberger, Fischer and Brox, "U-Net" (2015), equation 2.
    """
    found = np.asarray(masks)
    if found.ndim not in (2, 3) or not found.size or found.dtype.kind not in "iub":
        got = f"{found.dtype} of shape {found.shape}"
        raise ShapeError("border_weights", rule="masks are whole numbers (n, height, width)", got=got)
    options.not_negative("border_weights", "w0", w0)
    options.positive("border_weights", "sigma", sigma)
    outside, inside = _class_weights(found, classes)
    weights = np.where(found != 0, inside, outside)
    is_numbered = len(np.unique(found[found != 0])) > 1
    for mask, row in zip(found.reshape(-1, *found.shape[-2:]), weights.reshape(-1, *found.shape[-2:])):
        cells = mask if is_numbered else connected_components(mask, neighbours=neighbours)[0]
        first, second = nearest_labels(cells, 2, within=_REACH * sigma)[0]
        row += np.where((cells == 0) | cells_too, w0 * np.exp(-((first + second) ** 2) / (2 * sigma**2)), 0)
    return weights.astype(np.float32)


def _class_weights(masks: np.ndarray, classes: str | Sequence[float] | None) -> tuple[float, float]:
    """The weights outside and inside cells."""
    if classes is None:
        return 1.0, 1.0
    if isinstance(classes, str):
        options.choice("border_weights", "classes", classes, ("balanced",))
        inside = np.count_nonzero(masks)
        outside = masks.size - inside
        return (masks.size / (2 * outside), masks.size / (2 * inside)) if inside and outside else (1.0, 1.0)
    if len(classes) != 2:
        rule = "classes are the weights outside and inside cells"
        raise OptionError("border_weights", rule=rule, got=repr(classes))
    first, second = (options.not_negative("border_weights", "classes", c) for c in classes)
    return first, second
