"""The Rand score of a segmentation into cells, as the ISBI 2012 challenge of membranes judges it.

Two pixels drawn at random from inside true cells lie in one part of the prediction, in one true cell, both, or neither.
The score is made of three chances: s, that they lie in one predicted part; t, in one true cell; b, both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradloom.errors import DataError, OptionError, ShapeError
from gradloom.masks.components import connected_components
from gradloom.masks.pictures import as_picture
from gradloom.masks.thinning import thin
from gradloom.records import dataclass


@dataclass(frozen=True)
class RandScore:
    """How well predicted parts and true cells agree on which pixels belong together; 1 is best.

    Attributes:
        score: b / (s/2 + t/2), the foreground-restricted V^Rand, the F-score of the other two.
        split: b / t, which falls where cells are split.
        merge: b / s, which falls where cells are merged.
    """

    score: float
    split: float
    merge: float

    @property
    def error(self) -> float:
        """1 - score, the Rand error of the challenge."""
        return 1 - self.score


@dataclass(frozen=True)
class MembraneScore:
    """The best Rand score over thresholds.

    Attributes:
        best: the score.
        threshold: from which probability on it takes a pixel for membrane.
        scores: one for each threshold that was tried.
    """

    best: RandScore
    threshold: float
    scores: tuple[RandScore, ...]


def rand_score(predicted: Any, true: Any) -> RandScore:
    """Compare predicted parts with true cells, on the pixels of the true cells.

    Args:
        predicted: whole numbers (H, W), one for each part; 0, such as membrane, is taken for parts of one pixel each.
        true: whole numbers (H, W), one for each cell; pixels of 0 do not count.

    Raises:
        ShapeError: the two are not pictures of one size.
        DataError: there is no true cell.

    Source: Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics"
    (2015), with pixels of 0 as in the evaluation of SNEMI3D.
    """
    parts, cells = as_picture("rand_score", predicted), as_picture("rand_score", true)
    if parts.shape != cells.shape:
        raise ShapeError("rand_score", rule="both are of one size", got=f"{parts.shape} and {cells.shape}")
    counts = cells != 0
    if not counts.any():
        raise DataError("rand_score", rule="there must be a true cell", got="0 everywhere")
    part, cell = parts[counts], cells[counts]
    single = np.count_nonzero(part == 0)
    _, row, sizes = np.unique(cell, return_inverse=True, return_counts=True)
    _, column = np.unique(part, return_inverse=True)
    known = part != 0
    _, shared = np.unique(row[known] * len(part) + column[known], return_counts=True)
    _, marked = np.unique(column[known], return_counts=True)
    both, one_part, one_cell = (
        float((n.astype(np.float64) ** 2).sum()) + more for n, more in ((shared, single), (marked, single), (sizes, 0))
    )
    return RandScore(float(2 * both / (one_part + one_cell)), float(both / one_cell), float(both / one_part))


def membrane_rand_score(
    membrane: Any, true_membrane: Any, *, thresholds: Sequence[float] = tuple(np.arange(1, 10) / 10)
) -> MembraneScore:
    """The best Rand score that a picture of membrane probabilities comes to, after thinning.

    At each threshold what is taken for membrane is thinned to lines, so that its thickness does not matter, and the
    parts (of four neighbours) that the lines enclose are compared with the true cells.

    Args:
        membrane: probabilities (H, W) that a pixel is membrane.
        true_membrane: (H, W), not 0 where it is; the rest are cells by their connected parts.
        thresholds: which to try.

    Raises:
        ShapeError: the two are not pictures of one size.
        DataError: there is no true cell, or a probability is not a number.
        OptionError: there are no thresholds.
    """
    if not len(thresholds):
        raise OptionError("membrane_rand_score", rule="there must be a threshold", got="none")
    chances = as_picture("membrane_rand_score", membrane)
    if np.isnan(chances).any():
        raise DataError("membrane_rand_score", rule="probabilities must be numbers", got="NaN")
    cells, _ = connected_components(as_picture("membrane_rand_score", true_membrane) == 0)
    scores = tuple(rand_score(connected_components(~thin(chances >= t, framed=True))[0], cells) for t in thresholds)
    best = max(range(len(scores)), key=lambda i: scores[i].score)
    return MembraneScore(scores[best], float(thresholds[best]), scores)
