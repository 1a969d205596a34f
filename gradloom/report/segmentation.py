"""Images beside their masks and the masks that a model predicts."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom import options
from gradloom.errors import ShapeError
from gradloom.report import decisions, pixels
from gradloom.report.figure import Figure, Panel, grid


def segmentation(run: Any, inputs: Any, masks: Any = None, *, count: int = 4) -> Figure:
    """A row for each image: the image, its true mask upon it, the predicted mask upon it.

    Classes have colours, class 0 has none, nor do pixels that the loss ignores, which count for no score.  Where the
    model takes off the borders, what is left is shown.

    Args:
        run: the trainer of a model that gives logits for each pixel.
        inputs: images (n, H, W, channels).
        masks: true classes (n, H, W); or None.
        count: how many images to show.

    Returns:
        A figure, ``data`` the predicted masks (count, H, W).

    Raises:
        ShapeError: the inputs are no images, the model gives no logits for pixels, or the masks are of another size.
        OptionError: the model has no parameters yet.
    """
    shown = np.asarray(inputs)[: options.whole("segmentation", "count", count)]
    images = pixels.images("segmentation", shown)
    outputs = run.predict(shown)
    outputs = outputs[..., np.newaxis] if outputs.ndim == 3 else outputs
    if outputs.ndim != 4:
        rule = "the model must give logits for every pixel"
        raise ShapeError("segmentation", rule=rule, got=f"outputs of shape {outputs.shape}")
    found = decisions.shares(run, outputs).argmax(-1)
    true = None if masks is None else decisions.without_ignored(run, _like(np.asarray(masks)[: len(shown)], found))
    panels = []
    for i, image in enumerate(_like(images, found)):
        row = [Panel(image)]
        if true is not None:
            row.append(Panel(pixels.tinted(image, np.maximum(true[i], 0))))
            scores = _scores(true[i][true[i] >= 0], found[i][true[i] >= 0])
            row.append(Panel(pixels.tinted(image, found[i]), scores))
        else:
            row.append(Panel(pixels.tinted(image, found[i])))
        panels += row
    heads = ["image", *(["mask"] if true is not None else []), "prediction"]
    return Figure(found, grid("Segmentation", panels, columns=len(heads), heads=heads, least=160))


def _scores(true: np.ndarray, found: np.ndarray) -> tuple[str, ...]:
    """Accuracy and mean IoU over the classes that occur, of the pixels that count."""
    if not true.size:
        return ("no pixel counts",)
    return f"{(true == found).mean():.1%} right", f"mean IoU {_mean_iou(true, found):.3f}"


def _mean_iou(true: np.ndarray, found: np.ndarray) -> float:
    classes = np.union1d(true, found)
    return float(np.mean([((true == k) & (found == k)).sum() / ((true == k) | (found == k)).sum() for k in classes]))


def _like(values: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The middle of images or masks, as large as the predictions."""
    values = values[..., 0] if values.ndim == 4 and values.shape[-1] == 1 else values
    lost = [n - m for n, m in zip(values.shape[1:3], found.shape[1:3])]
    if values.ndim < 3 or min(lost) < 0 or any(n % 2 for n in lost):
        rule = "masks are (n, height, width), as large as the outputs or larger by an equal border"
        raise ShapeError("segmentation", rule=rule, got=f"{values.shape} beside {found.shape}")
    top, left = (n // 2 for n in lost)
    return values[:, top : top + found.shape[1], left : left + found.shape[2]]
