"""Images with what a model says of them: some as they come, and the worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradloom import options
from gradloom.report import decisions, pixels
from gradloom.report.figure import Figure, Panel, grid
from gradloom.train.targets import match_targets
from gradloom.transforms import jit


def samples(
    run: Any, inputs: Any, targets: Any = None, *, count: int = 16, labels: Sequence[Any] | None = None
) -> Figure:
    """The first images with the class that the model gives each, and how sure it is.

    Args:
        run: the trainer.
        inputs: images (n, H, W) or (n, H, W, channels).
        targets: their classes, by which what is wrong is framed and corrected; or None.
        count: how many to show.
        labels: what the classes are called.

    Returns:
        A figure, ``data`` the probabilities (count, classes).

    Raises:
        DataError: targets are no classes, or labels are too few.
        ShapeError: the inputs are no images, or the model does not choose one class an example.
    """
    shown = np.asarray(inputs)[: options.whole("samples", "count", count)]
    found = decisions.predicted(run, "samples", shown)
    true = None if targets is None else decisions.actual("samples", np.asarray(targets)[: len(shown)], found.shape[1])
    panels = _panels(run, "samples", shown, found, true, labels)
    return Figure(found, grid("Predictions", panels, columns=_columns(len(panels))))


def mistakes(run: Any, inputs: Any, targets: Any, *, count: int = 16, labels: Sequence[Any] | None = None) -> Figure:
    """The images that the model is most wrong about: those of the largest loss, the worst first.

    Args:
        run: the trainer.
        inputs: images (n, H, W) or (n, H, W, channels).
        targets: their classes.
        count: how many to show.
        labels: what the classes are called.

    Returns:
        A figure, ``data`` the numbers of these images, the worst first.

    Raises:
        DataError: targets are no classes, or labels are too few.
        ShapeError: the inputs are no images, or the model does not choose one class an example.
    """
    images, wanted = np.asarray(inputs), np.asarray(targets)
    outputs = run.predict(images)
    decisions.predicted(run, "mistakes", images[:1])
    loss = jit(lambda y, t: run.loss.per_example(match_targets(y, t), t), run.executor)
    values = loss(outputs, wanted).numpy()
    worst = np.argsort(-values, kind="stable")[: options.whole("mistakes", "count", count)]
    found = decisions.shares(run, outputs[worst])
    true = decisions.actual("mistakes", wanted[worst], found.shape[1])
    panels = _panels(run, "mistakes", images[worst], found, true, labels, values[worst])
    note = f"the largest losses of {len(images)} images, {values.mean():.3g} on average"
    title = "Worst mistakes" if any(panel.frame for panel in panels) else "Least sure answers"
    return Figure(worst, grid(title, panels, columns=_columns(len(panels)), note=note))


def _panels(
    run: Any,
    who: str,
    inputs: np.ndarray,
    found: np.ndarray,
    true: np.ndarray | None,
    labels: Sequence[Any] | None,
    losses: np.ndarray | None = None,
) -> list[Panel]:
    names = decisions.names(run, who, labels, found.shape[1])
    panels = []
    for i, image in enumerate(pixels.images(who, inputs)):
        chosen = int(found[i].argmax())
        caption = [f"{names[chosen]}, {decisions.percent(found[i, chosen])}"]
        is_wrong = true is not None and true[i] != chosen
        if true is not None:
            of_true = f"{names[true[i]]}, {decisions.percent(found[i, true[i]])}"
            caption.append(f"is {of_true}" if is_wrong else "")
        if losses is not None:
            caption.append(f"loss {losses[i]:.2f}")
        panels.append(Panel(image, tuple(caption), "wrong" if is_wrong else ""))
    return panels


def _columns(count: int) -> int:
    """A few more columns than rows."""
    return min(count, max(math.ceil(math.sqrt(1.6 * count)), 4), 8)
