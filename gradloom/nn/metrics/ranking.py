"""Metrics of the order in which a model puts examples."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from gradloom.nn.metrics.base import EXACT, WholeSetMetric
from gradloom.nn.pairs import class_targets, example_weights, scores
from gradloom.records import dataclass
from gradloom.tensor import tensor


@dataclass(frozen=True)
class RocAuc(WholeSetMetric):
    """The area under the ROC curve: how likely a random positive example scores above a random negative one.

    Equal scores count half.  With more than two classes it is the mean over the classes of each against the rest, by
    the softmax of the logits.  Classes that no example, or every example, has are left out; NaN if all are.
    """

    name: ClassVar[str] = "roc_auc"
    higher_is_better: ClassVar[bool] = True

    def compute(self, outputs: Any, targets: Any, weights: Any = None) -> float:
        """The area, for logits (n,), (n, 1) or (n, classes) and targets as in metrics/classification.py."""
        logits = scores("RocAuc", outputs)
        count = logits.shape[0]
        w = example_weights("RocAuc", weights, count, EXACT).numpy()
        if logits.ndim == 1 or logits.shape[1] == 1:
            flat, wanted = logits.reshape(-1), tensor(targets)
            actual = wanted.reshape(-1) if wanted.shape == (count, 1) else wanted
            class_targets("RocAuc", flat, actual)  # one each
            return _area(flat.numpy(), actual.numpy() > 0, w)
        known = class_targets("RocAuc", logits, targets).numpy()
        classes = known.argmax(1) if known.ndim == 2 else known
        z = logits.numpy().astype(np.float64)
        if z.shape[1] == 2:
            return _area(z[:, 1] - z[:, 0], classes == 1, w)
        raised = np.exp(z - z.max(1, keepdims=True))
        shares = raised / raised.sum(1, keepdims=True)
        areas = np.array([_area(shares[:, k], classes == k, w) for k in range(z.shape[1])])
        areas = areas[~np.isnan(areas)]
        return float(areas.mean()) if len(areas) else float("nan")


def _area(values: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> float:
    """Σ over pairs of w⁺ w⁻ (1 if the positive is above, ½ if level), over Σ w⁺ w⁻."""
    levels, level = np.unique(values, return_inverse=True)
    above = np.bincount(level, weights * positive, minlength=len(levels))
    below = np.bincount(level, weights * ~positive, minlength=len(levels))
    pairs = above.sum() * below.sum()
    if not pairs:
        return float("nan")
    return float((above * (np.cumsum(below) - 0.5 * below)).sum() / pairs)
