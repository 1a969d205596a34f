"""Prediction of images of any size by overlapping tiles with mirrored borders.

Around each piece of the result lies what the network must see to predict it: the margin.  Networks of "valid"
convolutions take it off themselves; of "same" ones, which fill it with zeros, we throw away what they say of it.  Where
the margin reaches beyond the image, the image is mirrored.  So what is computed is what the network would give for the
whole image mirrored beyond its borders, a piece at a time.

A network that makes the image smaller by a factor and larger again sees it on a grid; tiles begin on this grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gradloom import options
from gradloom.errors import DataError, GradloomError, OptionError, ShapeError
from gradloom.records import dataclass
from gradloom.train.examples import as_inputs
from gradloom.train.inputs import only_input, two_examples
from gradloom.train.sight import receptive_radius
from gradloom.transforms import trace

_GRIDS = (*range(1, 17), 18, 20, 24, 27, 32, 36, 48, 64, 128)
"""By what factors networks make images smaller, as far as we look."""

_PIECE = 128
"""What tiles of a size that is found have at least to be kept, in pixels."""

Sides = tuple[int, ...]


def predict_tiles(
    run: Any,
    image: Any,
    *,
    tile: int | Sequence[int] | None = None,
    overlap: int | str = 0,
    batch: int = 4,
    out: Any = None,
) -> np.ndarray:
    """The model's outputs for one image larger than it, or the memory, would take at once.

    Args:
        run: the trainer; its model gives an output for every pixel.
        image: shape (H, W, channels), or (H, W) for one channel (likewise with one or three axes of space); may be a
            memory map, of which a tile at a time is read.
        tile: the size of what the network is given, one number or one for each axis; by default that of training, or a
            larger one where they overlap.
        overlap: how far the network sees, in pixels to each side; for "same" convolutions.  If it is at least that, the
            inside of the image is predicted as in one piece.  "valid" convolutions need none, for they show it.
            "auto" takes that of :func:`tile_overlap`.
        batch: how many tiles are predicted together.
        out: an array or a memory map (H, W, outputs) to write into.

    Returns:
        The outputs, shape (H, W, outputs), float32 unless the model is float64; ``out`` where it was given.

    Raises:
        DataError: other channels than in training, or values that are not finite numbers.
        OptionError: the model has no parameters yet, does not take the tile, gives no output for every pixel, or the
            overlap leaves nothing of the tile.
        ShapeError: ``out`` is of another shape.

    Source: Ronneberger, Fischer and Brox, "U-Net" (2015), the overlap-tile strategy.
    """
    plan, picture = _planned(run, image, tile, overlap)
    count = options.whole("predict_tiles", "batch", batch)
    space = picture.shape[:-1]
    for places in _groups(plan.places(space), count):
        tiles = np.stack(
            [_mirrored(picture, [p - m for p, m in zip(place, plan.margin)], plan.tile) for place in places]
        )
        found = run._forward(as_inputs(tiles, "predict_tiles", run.dtype))
        out = _room(out, (*space, found.shape[-1]), found.dtype)
        for place, outputs in zip(places, found):
            into = tuple(slice(p, min(p + s, n)) for p, s, n in zip(place, plan.step, space))
            kept = tuple(slice(c, c + i.stop - i.start) for c, i in zip(plan.cut, into))
            out[into] = outputs[kept]
    return out


@dataclass(frozen=True)
class _Plan:
    """How an image is divided, along each axis of space.

    Attributes:
        tile: what the network is given.
        margin: how far a tile begins before the piece that is kept.
        cut: how far its output begins before that piece.
        step: the size of the piece.
    """

    tile: Sides
    margin: Sides
    cut: Sides
    step: Sides

    def places(self, space: Sides) -> Iterator[Sides]:
        """Where pieces begin."""
        return itertools.product(*(range(0, n, s) for n, s in zip(space, self.step)))


def _planned(run: Any, image: Any, tile: int | Sequence[int] | None, overlap: int | str) -> tuple[_Plan, np.ndarray]:
    """The division of an image, and the image with its axis of channels."""
    picture = image if isinstance(image, np.ndarray) else np.asarray(image)
    *sides, channels = only_input(run.input_type, "predict_tiles")[1]
    picture = picture[..., np.newaxis] if picture.ndim == len(sides) and channels == 1 else picture
    if picture.ndim != len(sides) + 1 or picture.shape[-1] != channels or not picture.size:
        rule = f"the image has {len(sides)} axes of space and then the channels of training, {channels}"
        raise DataError("predict_tiles", rule=rule, got=f"shape {np.shape(image)}")
    asked = tuple(sides) if tile is None else (tile,) * len(sides) if isinstance(tile, int) else tuple(tile)
    if len(asked) != len(sides):
        raise OptionError("predict_tiles", rule=f"tile is one number, or {len(sides)}", got=repr(tile))
    chosen = tuple(options.whole("predict_tiles", "tile", t) for t in asked)
    given = _outputs(run, chosen)
    if given is None:
        raise _refusal(run, chosen, "it refuses it")
    lost = [t - g for t, g in zip(chosen, given)]
    if any(n < 0 or n % 2 for n in lost):
        raise _refusal(run, chosen, f"it gives {'x'.join(map(str, given))}")
    grid = _grid(run, chosen)
    wanted = tile_overlap(run) if overlap == "auto" else options.whole("predict_tiles", "overlap", overlap, least=0)
    cut = -(-wanted // grid) * grid
    if tile is None and cut:
        more = _more(min(given), cut, grid)
        chosen, given = (tuple(side + more for side in sizes) for sizes in (chosen, given))
    step = tuple((g - 2 * cut) // grid * grid for g in given)
    if min(step) < 1:
        raise OptionError(
            "predict_tiles",
            rule="the overlap must leave something of a tile",
            got=f"{cut} to each side of {'x'.join(map(str, given))}, in steps of {grid}",
            fix="Use a larger tile or a smaller overlap.",
        )
    margin = tuple(n // 2 + cut for n in lost)
    return _Plan(chosen, margin, (cut,) * len(chosen), step), picture


def _more(side: int, cut: int, grid: int) -> int:
    """By how much tiles are to be larger than in training, so that most of each is kept."""
    more = max(side, 2 * cut, _PIECE + 2 * cut - side)
    return -(-more // grid) * grid


def tile_overlap(run: Any) -> int:
    """The overlap that leaves no seams: how far the network sees beyond the border that it takes off itself, in pixels.

    It is measured (train/sight.py), which takes some seconds for a deep network; for a network that sees all of any
    image it is a quarter of those of training.

    Args:
        run: the trainer; its model gives an output for every pixel.

    Raises:
        OptionError: the model has no parameters yet, or gives no output for every pixel.
    """
    sides = only_input(run.input_type, "tile_overlap")[1][:-1]
    given = _outputs(run, sides)
    if given is None:
        raise _refusal(run, sides, "it refuses it")
    radius = receptive_radius(run, _grid(run, sides))
    return min(sides) // 4 if radius is None else max(radius - (min(sides) - min(given)) // 2, 0)


def _outputs(run: Any, tile: Sides) -> Sides | None:
    """The size of the outputs for tiles of a size; None where the model does not take them."""
    dtype, shape = run.input_type
    try:
        (found,) = trace(run.model, two_examples(dtype, (*tile, shape[-1]))).output_types
    except (GradloomError, ValueError):
        return None
    return found.shape[1:-1] if found.rank == len(tile) + 2 else None


def _grid(run: Any, tile: Sides) -> int:
    """By how much a tile must grow so that the outputs grow as much: the factor by which the network makes it smaller.

    Raises:
        OptionError: there is none, so outputs are not for single pixels.
    """
    before = _outputs(run, tile)
    assert before is not None, "the tile itself is taken"
    for grid in _GRIDS:
        # Twice, for 9 pixels in steps of 2 give 5, one more than 8 do, and 10 give no more.
        growths = (grid, 2 * grid)
        if all(_outputs(run, tuple(t + g for t in tile)) == tuple(b + g for b in before) for g in growths):
            return grid
    raise _refusal(run, tile, f"it gives {'x'.join(map(str, before))}, and not more for a larger one")


def _refusal(run: Any, tile: Sides, got: str) -> OptionError:
    return OptionError(
        "predict_tiles",
        rule="the model must give an output for every pixel of a tile, or all but an equal border",
        got=f"a tile of {'x'.join(map(str, tile))} for {type(run.model).__name__}: {got}",
        fix="Use a size that the network takes, such as that of training, or predict for other networks.",
    )


def _mirrored(image: np.ndarray, start: Sequence[int], size: Sides) -> np.ndarray:
    """A piece of an image that is mirrored beyond its borders, without repeating the pixels of the border."""
    wanted = [_mirror(np.arange(s, s + n), side) for s, n, side in zip(start, size, image.shape)]
    within = tuple(slice(int(w.min()), int(w.max()) + 1) for w in wanted)
    return np.asarray(image[within])[np.ix_(*(w - part.start for w, part in zip(wanted, within)))]


def _mirror(places: np.ndarray, side: int) -> np.ndarray:
    """Places on an endless line as those of a side that goes back and forth along it."""
    if side == 1:
        return np.zeros_like(places)
    around = places % (2 * side - 2)
    return np.minimum(around, 2 * side - 2 - around)


def _groups(places: Iterator[Sides], count: int) -> Iterator[list[Sides]]:
    while group := list(itertools.islice(places, count)):
        yield group


def _room(out: Any, shape: Sides, dtype: np.dtype) -> np.ndarray:
    """Where the outputs go."""
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape:
        raise ShapeError("predict_tiles", rule="out has the shape of the outputs", got=f"{out.shape}, not {shape}")
    return out
