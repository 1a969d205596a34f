"""The preprocessing that belongs to a model: how its inputs and targets were made from a table, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradloom.data.pipeline import TablePipeline
from gradloom.data.target import TargetPipeline


@dataclass(frozen=True)
class Preprocessing:
    """Fitted on the training part, stored in the model file.

    Attributes:
        features: from a table to the matrix of inputs.
        target: from the target column to the numbers that are trained on, and back.
    """

    features: TablePipeline | None = None
    target: TargetPipeline | None = None

    def state(self) -> dict[str, Any]:
        """For the header of a model file."""
        return {name: part.state() if part else None for name, part in vars(self).items()}

    @staticmethod
    def from_state(state: dict[str, Any]) -> Preprocessing:
        """From the header of a model file.

        Raises:
            ModelFileError: the state is damaged.
        """
        features, target = state.get("features"), state.get("target")
        return Preprocessing(
            TablePipeline.from_state(features) if features else None,
            TargetPipeline.from_state(target) if target else None,
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


def probabilities_of(outputs: np.ndarray) -> np.ndarray:
    """Probabilities of the classes from logits: softmax for (n, k), sigmoid of both classes for (n,) or (n, 1)."""
    scores = outputs.astype(np.float64)
    if scores.ndim == 1 or scores.shape[1] == 1:
        scores = np.stack([np.zeros(len(scores)), scores.reshape(-1)], axis=1)
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
