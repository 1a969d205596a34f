"""Changes of where things are: pixels of the result are looked up in the image, all of a chain's changes at once.

A geometric change says where a pixel of its result comes from.  Changes one after the other are followed backwards,
from the last to the first, by numbers alone, and only then is the image read, once: a flip, a rotation and a shift cost
one reading, and blur once.  At every border on the way the change that crosses it says what lies beyond.

Images are read as (n, height, width · channels): a place has a row, a column and a channel, the last two along one
axis, so that a vector of the processor is filled whatever the number of channels.  Places stay of shape (n, height, 1)
and (n, 1, width · channels) as long as rows depend on rows alone, and columns on columns.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import field, replace
from typing import Annotated, ClassVar, cast

import numpy as np

from gradloom import functional as gl
from gradloom.data.augment.base import Part, Pictures, Run, as_float
from gradloom.ops import index
from gradloom.options import words
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor

Size = tuple[int, int]
Border = Annotated[str, words("reflect", "edge", "zero")]


@dataclass(frozen=True)
class Points:
    """Places in an image, in pixels from the middle of the first one; floats, which broadcast to (n, h, w · c).

    Attributes:
        rows: from the top.
        columns: from the left.
        channels: of the image.
        inside: where something was; None where that is everywhere.
    """

    rows: Tensor
    columns: Tensor
    channels: int
    inside: Tensor | None = None


class Geometric(Part):
    """Base of geometric changes, which masks follow, read at the nearest pixel."""

    exact: ClassVar[bool] = False
    """Whether pixels come from pixels, so that nothing has to be interpolated."""
    needs_grid: ClassVar[bool] = False
    """Whether it can only tell where pixels come from, and not places between them."""

    @property
    def beyond(self) -> str | None:
        """What lies beyond the image; None for changes that do not look there."""
        return None

    def size(self, size: Size) -> Size:
        """The height and width that come out."""
        return size

    @abstractmethod
    def source(self, points: Points, keys: Tensor, size: Size) -> Points:
        """Where in the image some points of the result come from.

        Args:
            points: in the result.
            keys: of the examples, shape (n, 2).
            size: height and width of the image.
        """

    def joins(self, following: Part) -> bool:
        """Two geometric changes are one, unless the first has to be followed from pixels."""
        return isinstance(following, Geometric) and not self.needs_grid

    def apply(self, pictures: Pictures, run: Run) -> Pictures:
        """The pictures moved by all changes of a run."""
        chain = cast("Moves", run)
        images = _moved(pictures.images, chain, smooth=not all(part.exact for part, _ in chain))
        return replace(pictures, images=images, masks=tuple(_moved_mask(mask, chain) for mask in pictures.masks))


@dataclass(frozen=True)
class Moving(Geometric):
    """Base of changes that bring in what lies beyond the border.

    Args:
        border: "reflect" mirrors the image without repeating its last pixels, "edge" repeats these, "zero" is black
            (in a mask class 0).
    """

    border: Border = field(default="reflect", kw_only=True)

    @property
    def beyond(self) -> str | None:
        """The border."""
        return self.border


Moves = list[tuple[Geometric, Tensor]]


def grid(size: Size, channels: int) -> Points:
    """Every pixel's own place."""
    height, width = size
    columns = np.repeat(np.arange(width, dtype=np.float32), channels)
    rows = np.arange(height, dtype=np.float32)
    return Points(tensor(rows[np.newaxis, :, np.newaxis]), tensor(columns[np.newaxis, np.newaxis]), channels)


def _moved(images: Tensor, chain: Moves, *, smooth: bool) -> Tensor:
    """The images moved by some changes, read once."""
    sizes: list[Size] = [(images.shape[1], images.shape[2])]
    for part, _ in chain:
        sizes.append(part.size(sizes[-1]))
    points = grid(sizes[-1], images.shape[3])
    for (part, keys), size in zip(reversed(chain), reversed(sizes[:-1])):
        points = part.source(points, keys, size)
        if part.beyond is not None:
            points = _bordered(points, size, part.beyond)
    found = _interpolated(as_float(images), points) if smooth else _nearest(images, points)
    if points.inside is not None:
        found = gl.where(points.inside, found, gl.zeros((), found.dtype))
    height, width = sizes[-1]
    shape = images.shape[0], height, width * images.shape[3]
    return gl.broadcast_to(found, shape).reshape(images.shape[0], height, width, images.shape[3])


def _moved_mask(mask: Tensor, chain: Moves) -> Tensor:
    """A mask, with or without channels, moved by the same changes."""
    moved = _moved(mask.reshape(*mask.shape[:3], math.prod(mask.shape[3:])), chain, smooth=False)
    return moved.reshape(*moved.shape[:3], *mask.shape[3:])


# Borders --------------------------------------------------------------------------------------------------------


def _bordered(points: Points, size: Size, border: str) -> Points:
    """The points brought into the image."""
    height, width = size
    if border == "reflect":
        return replace(points, rows=_folded(points.rows, height), columns=_folded(points.columns, width))
    rows, columns = gl.clip(points.rows, 0, height - 1), gl.clip(points.columns, 0, width - 1)
    inside = points.inside
    if border == "zero":
        here = gl.logical_and(_within(points.rows, height), _within(points.columns, width))
        inside = here if inside is None else gl.logical_and(inside, here)
    return replace(points, rows=rows, columns=columns, inside=inside)


def _folded(places: Tensor, count: int) -> Tensor:
    """Places mirrored at the middles of the first and the last pixel until they are between them."""
    last = count - 1
    if not last:
        return places * 0.0
    turned = places - 2.0 * last * gl.floor(places * (0.5 / last))  # rounding may give 2 · last, which is 0 as well
    return gl.clip(last - gl.abs(last - turned), 0, last)


def _within(places: Tensor, count: int) -> Tensor:
    """Whether the nearest pixel is one of the image."""
    return gl.logical_and(places >= -0.5, places < count - 0.5)


# Reading --------------------------------------------------------------------------------------------------------


def _nearest(images: Tensor, points: Points) -> Tensor:
    """The nearest pixels."""
    return _Reader(images).at(gl.floor(points.rows + 0.5), gl.floor(points.columns + 0.5))


def _interpolated(images: Tensor, points: Points) -> Tensor:
    """Bilinear interpolation between the four pixels around each point."""
    read = _Reader(images)
    top, left = gl.floor(points.rows), gl.floor(points.columns)
    down, right = gl.cast(points.rows - top, images.dtype), gl.cast(points.columns - left, images.dtype)
    bottom = gl.minimum(top + 1.0, images.shape[1] - 1.0)
    beside = gl.minimum(left + 1.0, images.shape[2] - 1.0)
    above = read.at(top, left) * (1 - right) + read.at(top, beside) * right
    below = read.at(bottom, left) * (1 - right) + read.at(bottom, beside) * right
    return above * (1 - down) + below * down


class _Reader:
    """Reads elements of images by row and column."""

    def __init__(self, images: Tensor) -> None:
        count, height, width, channels = images.shape
        self.flat = images.reshape(-1)
        self.by_row, self.by_column = width * channels, channels
        first = np.arange(count, dtype=np.int64) * (height * width * channels)
        self.first = tensor(first.astype(np.int32)[:, np.newaxis, np.newaxis])
        self.channel = np.arange(channels, dtype=np.int32)

    def at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The elements of (n, h, w · c) at whole rows and columns."""
        channel = tensor(np.resize(self.channel, columns.shape[-1])[np.newaxis, np.newaxis])
        start = gl.cast(rows, "int32") * self.by_row + self.first
        places = start + (gl.cast(columns, "int32") * self.by_column + channel)
        return Tensor(index.take(self.flat.node, places.node, axis=0))
