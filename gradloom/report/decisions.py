"""What a model says, as classes with their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradloom import functional as fn
from gradloom.errors import DataError, ShapeError
from gradloom.train.step import gives_probabilities


def shares(run: Any, outputs: np.ndarray) -> np.ndarray:
    """Outputs of a classifier (n, ..., classes) or (n, ..., 1) as probabilities of all classes, two at least.

    Args:
        run: the trainer, whose loss says what outputs are.
        outputs: what it predicts.
    """
    if outputs.ndim > 1 and outputs.shape[-1] > 1:
        return outputs if gives_probabilities(run.loss) else fn.softmax(outputs).numpy()
    one = outputs if outputs.ndim > 1 else outputs[:, np.newaxis]
    yes = one if gives_probabilities(run.loss) else fn.sigmoid(one).numpy()
    return np.concatenate([1 - yes, yes], -1)


def predicted(run: Any, who: str, inputs: Any) -> np.ndarray:
    """The probabilities of one choice an example, shape (n, classes).

    Raises:
        ShapeError: the model makes no such choice.
    """
    found = run.predict(inputs)
    if found.ndim > 2 or run.loss.kind == "numbers":
        fix = "For masks use report.segmentation."
        got = f"outputs of shape {found.shape} and the loss {type(run.loss).__name__}"
        raise ShapeError(who, rule="the model must choose one class an example", got=got, fix=fix)
    return shares(run, found)


def actual(who: str, targets: Any, classes: int) -> np.ndarray:
    """The true class of each example.

    Args:
        who: for messages.
        targets: class indices, (n,) or (n, 1), or one-hot rows.
        classes: how many the model knows.

    Raises:
        DataError: they are something else, or another class.
    """
    found = np.asarray(targets)
    if found.ndim == 2:
        found = found.argmax(1) if found.shape[1] > 1 else found[:, 0]
    if (
        found.ndim != 1
        or not found.size
        or (found != np.rint(found)).any()
        or found.min() < 0
        or found.max() >= classes
    ):
        rule = f"targets are classes from 0 to {classes - 1}, one an example"
        raise DataError(who, rule=rule, got=f"{np.asarray(targets).dtype}{list(np.shape(targets))}")
    return found.astype(np.int64)


def without_ignored(run: Any, masks: np.ndarray) -> np.ndarray:
    """Classes of pixels with -1 in place of that which the loss ignores."""
    ignored = getattr(run.loss, "ignore", None)
    return np.where(masks == ignored, -1, masks).astype(np.int64) if ignored is not None else masks.astype(np.int64)


def names(run: Any, who: str, labels: Sequence[Any] | None, classes: int) -> list[str]:
    """What the classes are called: as told, as the table of training has them, or by number.

    Raises:
        DataError: there is not one name for each.
    """
    known = known_names(run) if labels is None else labels
    found = [str(n) for n in (range(classes) if known is None else known)]
    if len(found) != classes:
        raise DataError(who, rule=f"labels name the {classes} classes", got=f"{len(found)} labels")
    return found


def known_names(run: Any) -> tuple[str, ...] | None:
    """What the set of training calls the classes, where a model keeps that."""
    return getattr(getattr(run.preprocessing, "target", None), "classes", None)


def percent(share: float) -> str:
    """A share as whole percents; only what is certain is called 100%."""
    return f"{min(round(100 * share), 99) if share < 1 else 100}%"
