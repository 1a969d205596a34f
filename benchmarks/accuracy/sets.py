"""The images of a recipe, standardised by their training part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.recipes import Recipe
from gradloom import data
from gradloom.masks import membrane_rand_score

HELD_OUT = 6
"""Of the 30 membranes with labels, the last; the test images have none."""


THRESHOLDS = (0.2, 0.35, 0.5, 0.65, 0.8)
"""From which probability on a pixel is taken for membrane; the Rand score is the best of them, as in the challenge."""


@dataclass(frozen=True)
class Part:
    """Images (N, H, W, C) in float32, and their classes in int64: (N,) or (N, H, W)."""

    inputs: np.ndarray
    targets: np.ndarray


def load(recipe: Recipe) -> tuple[Part, Part, str]:
    """What to train on, what to test on, and what was read."""
    if recipe.data == "membranes":
        whole = data.isbi()
        inputs, targets = _floats(whole.inputs), _classes(whole.targets)
        cut = -HELD_OUT
        parts = [
            _tiles(*part, recipe.image[0]) for part in ((inputs[:cut], targets[:cut]), (inputs[cut:], targets[cut:]))
        ]
        source = f"ISBI 2012: {len(inputs) - HELD_OUT} images to train on, in tiles, the last {HELD_OUT} held out"
    else:
        is_mnist = recipe.data == "mnist"
        train, test = (data.mnist(s) if is_mnist else data.cifar10(s, variant="jpeg") for s in ("train", "test"))
        rows = np.random.default_rng(0).permutation(len(train))[: recipe.rows]
        parts = (
            (_floats(train.inputs[rows]), _classes(train.targets)[rows]),
            (_floats(test.inputs), _classes(test.targets)),
        )
        source = f"{recipe.data}: {len(rows)} images to train on, {len(test)} to test"
    mean, deviation = (f(parts[0][0], axis=(0, 1, 2)) for f in (np.mean, np.std))
    first, second = (Part((x - mean) / deviation, y) for x, y in parts)
    return first, second, source


def _floats(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 255


def _classes(targets: np.ndarray | None) -> np.ndarray:
    assert targets is not None
    return targets.astype(np.int64)


def _tiles(inputs: np.ndarray, targets: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images cut into squares that do not overlap."""
    count = inputs.shape[1] // side

    def cut(images: np.ndarray) -> np.ndarray:
        rows = [images[:, i * side : (i + 1) * side] for i in range(count)]
        return np.concatenate([row[:, :, j * side : (j + 1) * side] for row in rows for j in range(count)])

    return cut(inputs), cut(targets)


def scores(recipe: Recipe, outputs: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """Further figures of the scores of classes: of membranes, which are class 0, on whole images."""
    if not recipe.is_segmentation:
        return {}
    chances = whole(1 / (1 + np.exp(np.float64(outputs[..., 1] - outputs[..., 0]))), HELD_OUT)
    membranes = whole(wanted, HELD_OUT) == 0
    rand = [membrane_rand_score(c, m, thresholds=THRESHOLDS).best.score for c, m in zip(chances, membranes)]
    both, either = ((chances > 0.5) & membranes).sum(), ((chances > 0.5) | membranes).sum()
    wrong = ((chances > 0.5) != membranes).mean()
    return {
        "pixel error": float(wrong),
        "membrane IoU": float(both / either),
        "foreground Rand": float(np.mean(rand)),
    }


def whole(tiles: np.ndarray, count: int) -> np.ndarray:
    """Tiles put together again."""
    side = round((len(tiles) // count) ** 0.5)
    grid = tiles.reshape(side, side, count, *tiles.shape[1:])
    return grid.transpose(2, 0, 3, 1, 4).reshape(count, side * tiles.shape[1], side * tiles.shape[2])
