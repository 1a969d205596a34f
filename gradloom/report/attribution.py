"""Which output of a model a picture explains."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.errors import DataError, ShapeError
from gradloom.report import decisions


def chosen_outputs(run: Any, who: str, inputs: np.ndarray, classes: Any) -> np.ndarray:
    """For each example the number of the output to explain.

    Args:
        run: the trainer.
        who: for messages.
        inputs: the examples.
        classes: one for all, or one for each; None for those that the model chooses.

    Raises:
        ShapeError: the model does not give one row of outputs an example.
        DataError: there is no such output.
    """
    outputs = run.predict(inputs)
    if outputs.ndim > 2:
        rule = "the model must give one row of outputs an example"
        raise ShapeError(who, rule=rule, got=f"outputs of shape {outputs.shape}")
    rows = outputs.reshape(len(outputs), -1)
    if classes is None:
        return rows.argmax(1)
    found = np.broadcast_to(np.asarray(classes), len(rows)) if np.size(classes) == 1 else np.asarray(classes)
    if found.shape != (len(rows),) or found.dtype.kind not in "iu" or found.min() < 0 or found.max() >= rows.shape[1]:
        rule = f"classes are outputs from 0 to {rows.shape[1] - 1}, one for all or one for each example"
        raise DataError(who, rule=rule, got=f"{classes}"[:100])
    return found.astype(np.int64)


def scores(run: Any, outputs: np.ndarray) -> np.ndarray:
    """What a picture measures: probabilities of classes, or outputs that are numbers as they are; (n, outputs)."""
    if run.loss.kind == "numbers":
        return outputs.reshape(len(outputs), -1)
    found = decisions.shares(run, outputs)
    return found if outputs.ndim > 1 and outputs.shape[-1] > 1 else found[:, 1:]


def labelled(run: Any, place: int) -> str:
    """What an output is called: as the set of training names its class, or by its number."""
    known = decisions.known_names(run)
    return known[place] if known else f"{'output' if run.loss.kind == 'numbers' else 'class'} {place}"
