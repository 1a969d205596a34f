"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradloom.report import decisions
from gradloom.report.canvas import SMALL, TEXT, WIDE, Box, Canvas, Text, fitting
from gradloom.report.figure import Figure

_EDGE, _SHORTEST, _LONGEST = 16.0, 36.0, 110.0
_LEAST = 0.12
"""The strength of the colour of a single mistake among many, so that it is seen."""


def confusion_matrix(run: Any, inputs: Any, targets: Any, *, labels: Sequence[Any] | None = None) -> Figure:
    """How often class i was taken for class j.

    Each row is a class as it is, each column one as the model has it; a cell holds the count, and its colour how large
    a share of the row that is: blue where it is right, orange where it is wrong.

    Args:
        run: the trainer.
        inputs: shape (n, ...).
        targets: classes, (n,) or one-hot.
        labels: what the classes are called.

    Returns:
        A figure, ``data`` the counts (classes, classes).

    Raises:
        DataError: targets are no classes, or labels are too few.
        ShapeError: the model does not choose one class an example.
    """
    found = decisions.predicted(run, "confusion_matrix", inputs)
    classes = found.shape[1]
    true = decisions.actual("confusion_matrix", targets, classes)
    counts = np.bincount(true * classes + found.argmax(1), minlength=classes**2).reshape(classes, classes)
    return Figure(counts, confusion_canvas(counts, decisions.names(run, "confusion_matrix", labels, classes)))


def confusion_canvas(counts: np.ndarray, labels: list[str]) -> Canvas:
    """Counts by true and chosen class (classes, classes) as a picture."""
    canvas = Canvas("Confusion matrix")
    k, right, total = len(labels), int(np.trace(counts)), int(counts.sum())
    size = TEXT if k <= 16 else SMALL
    longest = min(max(WIDE * size * max(map(len, labels)), 20.0), _LONGEST)
    digits = WIDE * size * len(f"{counts.max()}")
    width = max(longest if k <= 16 else 0.0, digits) + 12
    height = max(size * 2.2, 20.0)
    left, top = _EDGE + max(longest, _SHORTEST) + 8, _EDGE + TEXT + 56
    canvas.add(Text(_EDGE, _EDGE + TEXT, "Confusion matrix", TEXT, bold=True))
    canvas.add(Text(_EDGE, _EDGE + TEXT + 17, f"{right} of {total} right ({right / total:.1%})", SMALL, colour="faint"))
    canvas.add(Text(left, top - 24, "predicted", SMALL, colour="faint"))
    canvas.add(Text(left - 8, top - 6, "actual", SMALL, "end", "faint"))
    for i, label in enumerate(labels):
        middle = top + (i + 0.5) * height + 0.36 * size
        canvas.add(Text(left - 8, middle, fitting(label, longest, size), size, "end"))
        canvas.add(Text(left + (i + 0.5) * width, top - 6, fitting(label, width, size), size, "middle"))
        rest = max(int(counts[i].sum()), 1)
        for j, count in enumerate(counts[i]):
            share, kind = count / rest, "right" if i == j else "wrong"
            x, y = left + j * width, top + i * height
            strength = _LEAST + (1 - _LEAST) * share if count else 0.2
            canvas.add(Box(x, y, width - 1, height - 1, kind if count else "line", strength))
            if count:
                colour = "#ffffff" if strength > 0.55 else "ink"
                canvas.add(Text(x + (width - 1) / 2, middle, str(count), size, "middle", colour))
    canvas.width, canvas.height = max(canvas.width + _EDGE, 240.0), canvas.height + _EDGE
    return canvas
