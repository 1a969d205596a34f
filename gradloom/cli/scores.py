"""How good predictions are, in terms of the data, beside what a trivial predictor gets.

Losses of the trainer are means over standardised targets; these figures are in the units of the data, in float64.
"""

from __future__ import annotations

import numpy as np

from gradloom.cli.prepare import Part
from gradloom.data.target import TargetPipeline
from gradloom.records import dataclass
from gradloom.train import Trainer
from gradloom.train.preprocessing import probabilities_of

Scores = dict[str, float]


@dataclass(frozen=True)
class Baseline:
    """What a predictor gets that looks at no feature: it always says the same.

    Attributes:
        name: what it says, for people.
        center: the mean of the training targets; None in classification.
        shares: of the classes in the training part; None in regression.
    """

    name: str
    center: float | None
    shares: np.ndarray | None

    @classmethod
    def fit(cls, truth: np.ndarray, target: TargetPipeline) -> Baseline:
        """The mean, or the most frequent class, of the training part.

        Args:
            truth: targets of the training part, as in :class:`gradloom.cli.prepare.Part`.
            target: their pipeline.
        """
        if target.task == "regression":
            center = float(truth.mean())
            return cls(f"always the mean, {center:.6g}", center, None)
        shares = np.bincount(truth, minlength=len(target.classes)) / len(truth)
        return cls(f"always {target.classes[int(shares.argmax())]!r}", None, shares)

    def rate(self, truth: np.ndarray) -> Scores:
        """Its figures on some rows."""
        if self.center is not None:
            return regression_scores(truth, np.full(len(truth), self.center))
        assert self.shares is not None, "a baseline has a center or shares"
        return classification_scores(truth, np.tile(self.shares, (len(truth), 1)))


def rate(run: Trainer, part: Part, target: TargetPipeline) -> Scores:
    """The figures of a trained model on some rows."""
    outputs = run.predict(part.inputs)
    if target.task == "regression":
        return regression_scores(part.truth, target.decode(outputs))
    return classification_scores(part.truth, probabilities_of(outputs))


def regression_scores(truth: np.ndarray, predicted: np.ndarray) -> Scores:
    """R², root mean squared error and mean absolute error.

    R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)², NaN where all y are equal.

    Args:
        truth: shape (rows,).
        predicted: shape (rows,).
    """
    errors = truth - predicted
    spread = float(((truth - truth.mean()) ** 2).sum())
    r2 = 1 - float((errors**2).sum()) / spread if spread > 0 else float("nan")
    return {"r2": r2, "rmse": float(np.sqrt((errors**2).mean())), "mae": float(np.abs(errors).mean())}


def classification_scores(labels: np.ndarray, probabilities: np.ndarray) -> Scores:
    """Accuracy and cross-entropy, -Σ log p(class) / n in nats.

    Args:
        labels: shape (rows,).
        probabilities: shape (rows, classes).
    """
    chosen = probabilities[np.arange(len(labels)), labels]
    entropy = -np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean()
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    return {"accuracy": float(accuracy), "cross_entropy": float(entropy)}
