"""Which parts of an image a prediction rests on: what happens when they are covered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradloom import options
from gradloom.report import pixels
from gradloom.report.attribution import chosen_outputs, labelled, scores
from gradloom.report.figure import Figure, Panel, grid
from gradloom.train.examples import as_inputs
from gradloom.train.inputs import check_inputs, only_input

_TOGETHER = 256
"""How many covered images are predicted at a time."""


def occlusion(
    run: Any,
    image: Any,
    *,
    of: int | None = None,
    size: int | None = None,
    stride: int | None = None,
    fill: float | None = None,
) -> Figure:
    """How much the score of a class falls where a patch covers the image, beside the image.

    The score is the probability of the class (for regression, the output).  Each pixel gets the mean of the falls of
    all patches that cover it: red is what the prediction rests on, blue what speaks against it.

    Args:
        run: the trainer.
        image: one input (H, W, channels), as the model takes them.
        of: which class (or output); by default that which the model chooses.
        size: the sides of the patch, by default an eighth of the image's shorter one.
        stride: by how much it moves, by default half its size.
        fill: what it is filled with, by default the mean of the image.

    Returns:
        A figure, ``data`` the falls (H, W), 0 where no patch came.

    Raises:
        DataError: the image is not as those of training, or there is no such class.
        OptionError: the patch is larger than the image, or the model has no parameters yet.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014).
    """
    only_input(run.input_type, "occlusion")
    x = as_inputs(np.asarray(image)[np.newaxis], "occlusion", run.dtype)
    check_inputs(x, run.input_type, "occlusion")
    seen = pixels.images("occlusion", x)[0]
    height, width = x.shape[1:3]
    side = options.whole("occlusion", "size", max(min(height, width) // 8, 1) if size is None else size)
    options.number("occlusion", "size", side, high=min(height, width), fix="Use a patch smaller than the image.")
    step = options.whole("occlusion", "stride", max(side // 2, 1) if stride is None else stride)
    value = x.mean() if fill is None else options.number("occlusion", "fill", fill)
    place = int(chosen_outputs(run, "occlusion", x, of)[0])
    before = float(scores(run, run.predict(x))[0, place])
    falls, covers = np.zeros((height, width)), np.zeros((height, width))
    for corners in _groups(_starts(height, side, step), _starts(width, side, step)):
        covered = np.repeat(x, len(corners), 0)
        for one, (top, left) in zip(covered, corners):
            one[top : top + side, left : left + side] = value
        after = scores(run, run.predict(covered))[:, place]
        for (top, left), score in zip(corners, after):
            falls[top : top + side, left : left + side] += before - score
            covers[top : top + side, left : left + side] += 1
    found = falls / np.maximum(covers, 1)
    panels = [Panel(seen, (f"{labelled(run, place)}: {before:.3g}",))]
    panels.append(Panel(pixels.signed(found), (f"falls up to {found.max():.2g}",)))
    return Figure(
        found, grid("Occlusion", panels, columns=2, least=160, note=f"a patch of {side} x {side}, red is needed")
    )


def _starts(side: int, size: int, step: int) -> list[int]:
    """Where patches begin; the last one ends with the image."""
    return sorted({*range(0, side - size + 1, step), side - size})


def _groups(rows: list[int], columns: list[int]) -> Iterator[list[tuple[int, int]]]:
    corners = [(top, left) for top in rows for left in columns]
    for start in range(0, len(corners), _TOGETHER):
        yield corners[start : start + _TOGETHER]
