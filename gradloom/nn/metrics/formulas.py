"""The formulas of metrics, as ``describe()`` shows them: w are weights of examples, c classes, ĉ those chosen."""

from __future__ import annotations

from gradloom.equations import Equations, equations
from gradloom.nn.metrics.classification import (
    F1,
    Accuracy,
    AverageScore,
    ClassScores,
    ConfusionMatrix,
    ErrorRate,
    Precision,
    Recall,
    TopK,
)
from gradloom.nn.metrics.overlap import ClassDice, ClassIoU, IoU
from gradloom.nn.metrics.ranking import RocAuc
from gradloom.nn.metrics.regression import MAE, MSE, R2, RMSE

_TOTAL = "sum(w[i], i)"


@equations.register
def _(metric: Accuracy) -> Equations:
    return Equations((f"a = sum(w[i] * (c_hat[i] == c[i]), i) / {_TOTAL}",), {}, (_decision(metric.threshold),))


@equations.register
def _(metric: ErrorRate) -> Equations:
    return Equations((f"e = 1 - sum(w[i] * (c_hat[i] == c[i]), i) / {_TOTAL}",), {}, (_decision(metric.threshold),))


@equations.register
def _(metric: TopK) -> Equations:
    remark = "r is the place of the true class when classes are ordered by their logits, from 1."
    return Equations((f"a = sum(w[i] * (r[i] <= k), i) / {_TOTAL}",), {"k": metric.k}, (remark,))


@equations.register
def _(metric: ConfusionMatrix) -> Equations:
    line = "C[a, b] = sum(w[i] * (c[i] == a) * (c_hat[i] == b), i)"
    return Equations((line,), {}, (_decision(metric.threshold),))


_COUNTS = (
    "T[k] = sum(w[i] * (c[i] == k) * (c_hat[i] == k), i)",
    "P[k] = sum(w[i] * (c_hat[i] == k), i)",
    "A[k] = sum(w[i] * (c[i] == k), i)",
)


def _score(metric: ClassScores, ratio: str) -> Equations:
    average = metric.average if isinstance(metric, AverageScore) else "none"
    reduced = {
        "none": "one number for each class",
        "binary": "that of class 1",
        "macro": "the mean over the classes that occur",
        "auto": "that of class 1 of two classes, of more the mean over those that occur",
    }[average]
    return Equations((*_COUNTS, f"s[k] = {ratio}"), {}, (f"The score is {reduced}. {_decision(metric.threshold)}",))


@equations.register
def _(metric: Precision) -> Equations:
    return _score(metric, "T[k] / P[k]")


@equations.register
def _(metric: Recall) -> Equations:
    return _score(metric, "T[k] / A[k]")


@equations.register(F1)
@equations.register(ClassDice)
def _(metric: F1 | ClassDice) -> Equations:
    return _score(metric, "2 * T[k] / (P[k] + A[k])")


@equations.register(IoU)
@equations.register(ClassIoU)
def _(metric: IoU | ClassIoU) -> Equations:
    return _score(metric, "T[k] / (P[k] + A[k] - T[k])")


@equations.register
def _(metric: MSE) -> Equations:
    return Equations((f"m = sum(w[i] * (y[i] - y_hat[i])**2, i) / {_TOTAL}",))


@equations.register
def _(metric: RMSE) -> Equations:
    return Equations((f"m = sqrt(sum(w[i] * (y[i] - y_hat[i])**2, i) / {_TOTAL})",))


@equations.register
def _(metric: MAE) -> Equations:
    return Equations((f"m = sum(w[i] * abs(y[i] - y_hat[i]), i) / {_TOTAL}",))


@equations.register
def _(metric: R2) -> Equations:
    lines = (
        f"y_bar = sum(w[i] * y[i], i) / {_TOTAL}",
        "r = 1 - sum(w[i] * (y[i] - y_hat[i])**2, i) / sum(w[i] * (y[i] - y_bar)**2, i)",
    )
    return Equations(lines)


@equations.register
def _(metric: RocAuc) -> Equations:
    line = "A = sum((p[i] > n[j]) + (p[i] == n[j]) / 2, (i, j)) / (N_p * N_n)"
    remark = "p are the scores of positive examples, n those of negative ones; of several classes the mean."
    return Equations((line,), {}, (remark,))


def _decision(threshold: float) -> str:
    return f"Of one logit class 1 is chosen from p = {threshold:g} on, of several the largest."
