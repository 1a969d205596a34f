"""What a model says of examples whose answer is known, in the terms of the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.errors import DataError, ShapeError
from gradloom.records import dataclass
from gradloom.report import decisions
from gradloom.tensor import tensor
from gradloom.train.examples import as_examples
from gradloom.train.inputs import Inputs
from gradloom.train.preprocessing import probabilities_of
from gradloom.train.step import gives_probabilities
from gradloom.train.targets import in_the_middle


@dataclass(frozen=True)
class Rated:
    """Answers beside the truth.

    Attributes:
        kind: "classes" (one an example), "pixels" (one a pixel) or "numbers".
        truth: classes, (n,) or (n, H, W), below 0 for pixels that the loss ignores; or numbers (n,), in the unit of the
            data.
        said: probabilities (n, classes), chosen classes (n, H, W), or numbers (n,).
        classes: their names; empty for numbers.
        confidence: for pixels, the probability of the class that was chosen, (n, H, W).
        inputs: of the model, one array or several.
    """

    kind: str
    truth: np.ndarray
    said: np.ndarray
    classes: tuple[str, ...]
    inputs: Inputs
    confidence: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an example; empty where the model has several inputs."""
        return self.inputs.shape[1:] if isinstance(self.inputs, np.ndarray) else ()

    @property
    def chosen(self) -> np.ndarray:
        """The classes that the model chose, in the shape of the truth."""
        return self.said.argmax(-1) if self.kind == "classes" else self.said


def rated(run: Any, who: str, data: Any) -> Rated:
    """What a model says of a data set.

    Args:
        run: the trainer.
        who: for messages.
        data: (inputs, targets), as ``fit`` takes them.

    Raises:
        DataError: the data cannot be used, or targets are no classes.
        ShapeError: the model gives more than one number an example.
    """
    examples = as_examples(data, who, run.dtype)
    inputs, targets = examples.inputs, examples.targets
    outputs = run.predict(inputs)
    if run.loss.kind == "numbers":
        return Rated("numbers", _numbers(run, who, targets), _numbers(run, who, outputs), (), inputs)
    if outputs.ndim > 2:
        return _pixels(run, who, outputs, targets, inputs)
    is_likely = gives_probabilities(run.loss)
    found = decisions.shares(run, outputs).astype(np.float64) if is_likely else probabilities_of(outputs)
    names = decisions.names(run, who, None, found.shape[1])
    return Rated("classes", decisions.actual(who, targets, found.shape[1]), found, tuple(names), inputs)


def _numbers(run: Any, who: str, values: np.ndarray) -> np.ndarray:
    """One number an example, in the unit of the data."""
    if values.size != len(values):
        raise ShapeError(who, rule="the model must give one number an example", got=f"shape {values.shape}")
    flat = values.reshape(-1).astype(np.float64)
    target = getattr(run.preprocessing, "target", None)
    return flat if target is None else target.decode(flat)


def _pixels(run: Any, who: str, outputs: np.ndarray, targets: np.ndarray, inputs: Inputs) -> Rated:
    found = decisions.shares(run, outputs)
    truth = targets[..., 0] if targets.ndim == found.ndim and targets.shape[-1] == 1 else targets
    truth = truth.argmax(-1) if truth.ndim == found.ndim else truth
    truth = in_the_middle(tensor(found), tensor(truth), tensor(0.0))[0].numpy()
    if truth.shape != found.shape[:-1]:
        rule = "masks must be as large as the outputs of the model, or larger by an equal border"
        raise ShapeError(who, rule=rule, got=f"{truth.shape} beside {found.shape[:-1]}")
    truth = decisions.without_ignored(run, truth)
    strange = truth[(truth < -1) | (truth >= found.shape[-1])]
    if strange.size or truth.max() < 0:
        got = f"{strange[0]}" if strange.size else "none that counts"
        raise DataError(who, rule=f"pixels are of classes from 0 to {found.shape[-1] - 1}", got=got)
    names = decisions.names(run, who, None, found.shape[-1])
    return Rated("pixels", truth, found.argmax(-1), tuple(names), inputs, found.max(-1))
