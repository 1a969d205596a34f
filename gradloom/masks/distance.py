"""Exact Euclidean distances to the nearest labels.

A squared distance is that along a column plus that along a row.  So first each pixel learns the nearest labels of its
own column, then it asks all columns of its row, from near to far: what one offers is its own squared distance plus the
square of the way there.  Once that square alone exceeds every distance found so far, no further column can help.

The two nearest labels of a pixel are each among the two nearest of the column they lie in, since whatever is nearer
there is nearer to the pixel as well; so keeping as many as are asked for is exact.

A label at a distance is one whole number here, an entry: the squared distance in the high bits, the label in the low
ones.  So the nearest label is a minimum, and two entries are of one label where their low bits are alike: many pixels
are compared at once, without a branch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradloom import options
from gradloom.masks.pictures import as_picture
from gradloom.records import dataclass

_BLOCK = 2**14
"""Pixels that are worked on at once, so that what is known of them stays near the processor."""


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
        ``(distances, labels)``, both (count, H, W), nearest first, and of labels equally near the least first: float64
        between centres of pixels, and int64.  Where there are fewer labels the distance is infinite and the label 0.

    Raises:
        ShapeError: the labels are no picture.
        OptionError: the count is not a whole number from 1.
    """
    picture = as_picture("nearest_labels", labels).astype(np.int64)
    count = options.whole("nearest_labels", "count", count)
    known = np.unique(picture)
    known = known[known != 0]
    numbers = np.where(picture != 0, np.searchsorted(known, picture) + 1, 0)
    entries = _Entries.of(len(known), min(within, math.hypot(*picture.shape)), len(picture))
    lists = _along_columns(numbers, count, entries)
    _along_rows(lists, entries)
    squares, names = entries.measure(lists), entries.label(lists)
    found = squares <= entries.reach**2
    return np.sqrt(np.where(found, squares, np.inf)), np.append(0, known)[np.where(found, names, 0)]


@dataclass(frozen=True)
class _Entries:
    """How a label and its distance, or the square of that, are one whole number.

    Attributes:
        reach: no label farther away counts.
        bits: the low ones, which hold the label.
        none: the entry for no label, a bit above all others.
    """

    reach: float
    bits: int
    none: np.signedinteger

    @classmethod
    def of(cls, labels: int, reach: float, height: int) -> _Entries:
        """For so many labels in a picture of this height; in 32 bits where they are enough, which is faster."""
        bits = labels.bit_length()
        largest = max(int(2 * reach**2) + 1, height) << bits
        return cls(reach, bits, np.int32(2**29) if largest < 2**29 else np.int64(2**61))

    def at(self, measure: int) -> np.signedinteger:
        """What an entry grows by where its label is so much farther away."""
        return type(self.none)(measure << self.bits)

    def measure(self, entries: np.ndarray) -> np.ndarray:
        """The distances, or their squares."""
        return entries >> self.bits

    def label(self, entries: np.ndarray) -> np.ndarray:
        """The labels."""
        return entries & type(self.none)(2**self.bits - 1)

    def nearest(self, lists: np.ndarray, found: np.ndarray) -> np.ndarray:
        """The nearest entry of each list whose label has not been found yet.

        Args:
            lists: more entries than have been found, nearest first and no label twice, shape (count, ...).
            found: entries, shape (found, ...), of which only the labels matter.
        """
        # The last one needs no look: where its label has been found, that of a nearer one has not.
        best = lists[len(found)]
        for entry in lists[: len(found)]:
            for other in found:
                # One less than the difference of two labels has all bits, that of none among them, if it was 0.
                entry = entry | (self.label(entry ^ other) - 1 & self.none)
            best = np.minimum(best, entry)
        return best


def _along_columns(numbers: np.ndarray, count: int, entries: _Entries) -> np.ndarray:
    """The nearest labels of each pixel's own column, with squared distances: entries (count, H, W).

    What a row knows of the labels above it, the next one knows from 1 farther.  Labels below are above in the picture
    turned upside down; both go side by side.
    """
    both = np.stack([numbers, numbers[::-1]], axis=1).astype(entries.none.dtype)
    lists = np.full((count, *both.shape), entries.none)
    lists[0] = np.where(both > 0, both, entries.none)
    for y in range(1, len(numbers)):
        lists[:, y] = _merged(lists[:, y], lists[:, y - 1] + entries.at(1), entries)
    merged = _merged(lists[:, :, 0], lists[:, ::-1, 1], entries)
    ways = entries.measure(merged)
    return np.where(ways <= entries.reach, (ways * ways << entries.bits) | entries.label(merged), entries.none)


def _merged(first: np.ndarray, second: np.ndarray, entries: _Entries) -> np.ndarray:
    """The nearest labels of two lists of as many."""
    found = np.empty_like(first)
    for rank in range(len(first)):
        np.minimum(*(entries.nearest(lists, found[:rank]) for lists in (first, second)), out=found[rank])
    return found


def _along_rows(lists: np.ndarray, entries: _Entries) -> None:
    """The nearest labels where each pixel may take what the columns of its row have found, in place."""
    _, height, width = lists.shape
    rows = max(1, _BLOCK // width)
    for top in range(0, height, rows):
        found = lists[:, top : top + rows]
        own = found.copy()
        for rank, best in enumerate(found):
            best[:] = entries.nearest(own, found[:rank])
            for way in range(1, width):
                if way > entries.reach or way * way > entries.measure(best.max()):
                    break
                for to, source in ((slice(way, None), slice(-way)), (slice(-way), slice(way, None))):
                    offered = entries.nearest(own[..., source], found[:rank, :, to]) + entries.at(way * way)
                    np.minimum(best[:, to], offered, out=best[:, to])
