"""Exact Euclidean distances to the nearest labels.

A squared distance is that along a column plus that along a row.  So first each pixel learns the nearest labels of its
own column, then it asks all columns of its row, from near to far: what one offers is its own squared distance plus the
square of the way there.  Once that square alone exceeds every distance found so far, no further column can help.

The two nearest labels of a pixel are each among the two nearest of the column they lie in, since whatever is nearer
there is nearer to the pixel as well; so keeping as many as are asked for is exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradloom import options
from gradloom.masks.pictures import as_picture


def distance_transform(mask: Any) -> np.ndarray:
    """The distance of each pixel that is not 0 from the nearest that is 0; infinite where there is none.

    Args:
        mask: shape (H, W).

    Returns:
        float64 (H, W).

    Raises:
        ShapeError: the mask is no picture.
    """
    return nearest_labels(as_picture("distance_transform", mask) == 0)[0][0]


def nearest_labels(labels: Any, count: int = 1, *, within: float = math.inf) -> tuple[np.ndarray, np.ndarray]:
    """The distances of each pixel from the nearest labels, and which these are.

    Args:
        labels: whole numbers (H, W); 0 is no label.
        count: how many different labels, 1 or more.
        within: no label farther away is looked for, which saves time.

    Returns:
        ``(distances, labels)``, both (count, H, W), nearest first: float64 between centres of pixels, and int64.
        Where there are fewer labels the distance is infinite and the label 0.

    Raises:
        ShapeError: the labels are no picture.
        OptionError: the count is not a whole number from 1.
    """
    picture = as_picture("nearest_labels", labels).astype(np.int64)
    count = options.whole("nearest_labels", "count", count)
    squares = np.full((count, *picture.shape), np.inf)
    names = np.zeros(squares.shape, np.int64)
    squares[0][picture != 0], names[0] = 0, picture
    _along_columns(squares, names)
    squares, names = _along_rows(squares, names, within)
    beyond = squares > within**2
    squares[beyond], names[beyond] = np.inf, 0
    return np.sqrt(squares), names


def _along_columns(squares: np.ndarray, names: np.ndarray) -> None:
    """The nearest labels of each pixel's own column, in place: what a row knows, the next one knows from 1 farther."""
    height = squares.shape[1]
    for rows in (range(1, height), range(height - 2, -1, -1)):
        for y in rows:
            before = y - rows.step
            farther = (np.sqrt(squares[:, before]) + 1) ** 2
            _take_nearer(squares[:, y], names[:, y], farther, names[:, before])


def _along_rows(squares: np.ndarray, names: np.ndarray, within: float) -> tuple[np.ndarray, np.ndarray]:
    """What is nearest where each pixel may take what the columns of its row have found, from near to far."""
    best, found = squares.copy(), names.copy()
    for way in range(1, squares.shape[2]):
        if way * way > min(best[-1].max(), within**2):
            break
        for to, source in ((slice(way, None), slice(None, -way)), (slice(None, -way), slice(way, None))):
            offered = squares[:, :, source] + way * way
            _take_nearer(best[:, :, to], found[:, :, to], offered, names[:, :, source])
    return best, found


def _take_nearer(squares: np.ndarray, names: np.ndarray, offered: np.ndarray, offered_names: np.ndarray) -> None:
    """Sort what is offered into lists of labels by distance, in place; no label stands twice in one.

    Args:
        squares: squared distances (count, ...), nearest first.
        names: the labels; 0, at an infinite distance, is none.
        offered: squared distances likewise.
        offered_names: their labels.
    """
    useful = offered[0] < squares[-1]
    if not useful.any():
        return
    kept, kept_names = squares[:, useful], names[:, useful]
    for square, own in zip(offered[:, useful], offered_names[:, useful]):
        name = own
        for place in range(len(kept)):
            # What comes takes the place of what is farther, which moves on; an older entry of its label ends there.
            is_own = kept_names[place] == own
            takes = (square < kept[place]) | (is_own & (name != own))
            left, left_name = kept[place].copy(), kept_names[place].copy()
            np.copyto(kept[place], square, where=takes)
            np.copyto(kept_names[place], name, where=takes)
            square = np.where(is_own, np.inf, np.where(takes, left, square))
            name = np.where(takes, left_name, name)
    squares[:, useful], names[:, useful] = kept, kept_names
