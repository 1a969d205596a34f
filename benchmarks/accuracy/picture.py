"""A held-out image of membranes, and what a trained model makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.accuracy.gradloom import Run
from benchmarks.accuracy.sets import HELD_OUT, Part, whole
from gradloom import train
from gradloom.report import pixels
from gradloom.report.figure import Figure, Panel, grid

_OVERLAP = 44
"""How far a UNet of depth 3 sees."""
_SIDE = 256
"""Of the part that is drawn, in the middle of the image."""


def draw(run: Run, held_out: Part, path: Path) -> None:
    """Write a picture of the image, its true membranes, their probability and those that are found."""
    image, truth = (whole(part, HELD_OUT)[0] for part in (held_out.inputs[..., 0], held_out.targets))
    outputs = train.predict_tiles(run.trainer, image[..., np.newaxis], overlap=_OVERLAP)
    chances = 1 / (1 + np.exp(np.float64(outputs[..., 1] - outputs[..., 0])))
    cut = (slice((len(image) - _SIDE) // 2, (len(image) + _SIDE) // 2),) * 2
    dark = [1.0 - part for part in (truth == 0, chances, chances > 0.5)]
    panels = [Panel(pixels.images("draw", part[cut][np.newaxis])[0]) for part in (image, *dark)]
    heads = ["image", "true membranes", "probability", "found membranes"]
    path.parent.mkdir(parents=True, exist_ok=True)
    Figure(chances, grid("A held-out image", panels, columns=4, heads=heads)).save(path, scale=1)
