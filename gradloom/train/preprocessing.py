"""The preprocessing that belongs to a model: how its inputs and targets were made from a table or images, and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from gradloom import data
from gradloom.errors import ModelFileError
from gradloom.records import dataclass
from gradloom.train.description import REMEDY


@dataclass(frozen=True)
class Preprocessing:
    """Fitted on the training part, stored in the model file.

    Args:
        features: from a table to the matrix of inputs.
        target: from the target column to the numbers that are trained on, and back; of images the names of classes.
        images: from image files to the array of inputs.
    """

    features: data.TablePipeline | None = None
    target: data.TargetPipeline | None = None
    images: data.ImagePipeline | None = None

    def state(self) -> dict[str, Any]:
        """For the header of a model file."""
        return {name: part.state() if part else None for name, part in vars(self).items()}

    @staticmethod
    def from_state(state: dict[str, Any]) -> Preprocessing:
        """From the header of a model file.

        Raises:
            ModelFileError: the state is damaged.
        """
        spare = sorted(set(state) - {field.name for field in fields(Preprocessing)})
        if spare:
            raise ModelFileError(
                "saved preprocessing",
                rule="it has features, target and images",
                got=", ".join(map(repr, spare))[:100],
                fix=REMEDY,
            )
        features, target, images = (state.get(name) for name in ("features", "target", "images"))
        return Preprocessing(
            None if features is None else data.TablePipeline.from_state(features),
            None if target is None else data.TargetPipeline.from_state(target),
            None if images is None else data.ImagePipeline.from_state(images),
        )


@dataclass(frozen=True)
class Predictions:
    """What a model says of each row of a table.

    Attributes:
        values: class names, or numbers in the target's own unit, shape (rows,).
        probabilities: of each class, shape (rows, classes); None for regression.
        classes: names of the classes in the order of the probabilities.
        notes: what the reader should know of the table, e.g. columns that were not read.
    """

    values: np.ndarray
    probabilities: np.ndarray | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def predictions(
    outputs: np.ndarray, target: data.TargetPipeline, notes: tuple[str, ...], *, from_logits: bool = True
) -> Predictions:
    """What the outputs of a model say, in the target's own terms.

    Args:
        outputs: of the model, one row for each row of the table.
        target: how targets were made into numbers.
        notes: see :class:`Predictions`.
        from_logits: whether outputs of a classifier are logits rather than probabilities.
    """
    if target.task == "regression":
        return Predictions(target.decode(outputs), None, (), notes)
    probabilities = probabilities_of(outputs, from_logits=from_logits)
    return Predictions(target.decode(probabilities.argmax(axis=1)), probabilities, target.classes, notes)


def probabilities_of(outputs: np.ndarray, *, from_logits: bool = True) -> np.ndarray:
    """Probabilities of the classes, shape (n, classes).

    Args:
        outputs: shape (n, classes), or (n,) or (n, 1) for the second of two classes.
        from_logits: whether they are logits, of which softmax or sigmoid is taken, or probabilities of the second
            class already.
    """
    scores = outputs.astype(np.float64)
    if not from_logits:
        second = scores.reshape(len(scores))
        return np.stack([1 - second, second], axis=1)
    if scores.ndim == 1 or scores.shape[1] == 1:
        scores = np.stack([np.zeros(len(scores)), scores.reshape(-1)], axis=1)
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
