"""The formulas of losses, as ``describe()`` shows them: of an example, then of a batch."""

from __future__ import annotations

from dataclasses import replace

from gradloom.equations import Equations, equations
from gradloom.nn.losses.base import Loss
from gradloom.nn.losses.classification import BinaryCrossEntropy, CrossEntropy, Focal
from gradloom.nn.losses.custom import Custom
from gradloom.nn.losses.overlap import Dice, IoU, OverlapLoss, Tversky
from gradloom.nn.losses.regression import AbsoluteError, Huber, SquaredError

_MANY = "With several outputs or positions l is the mean over them."


def _with_reduction(loss: Loss, *lines: str, remark: str = _MANY, **values: object) -> Equations:
    total = "sum(w[i] * l[i], i)"
    last = f"L = {total}" if loss.reduction == "sum" else f"L = {total} / sum(w[i], i)"
    return Equations((*lines, last), values, (remark,) if remark else ())


@equations.register
def _(loss: SquaredError) -> Equations:
    if loss.scale == "sum":
        return _with_reduction(loss, "l = sum((y_hat[j] - y[j])**2, j)", remark="")
    return _with_reduction(loss, f"l = (y_hat - y)**2{' / 2' if loss.scale == 'half' else ''}")


@equations.register
def _(loss: AbsoluteError) -> Equations:
    return _with_reduction(loss, "l = abs(y_hat - y)")


@equations.register
def _(loss: Huber) -> Equations:
    lines = ("e = y_hat - y", "l = e**2 / 2 if abs(e) <= delta else delta * (abs(e) - delta / 2)")
    return _with_reduction(loss, *lines, delta=loss.delta)


@equations.register
def _(loss: BinaryCrossEntropy) -> Equations:
    lines = ("p = 1 / (1 + exp(-z))",) if loss.from_logits else ()
    return _with_reduction(loss, *lines, "l = -(y * log(p) + (1 - y) * log(1 - p))")


_SOFTMAX = "p[j] = exp(z[j]) / sum(exp(z[k]), k)"


@equations.register
def _(loss: CrossEntropy) -> Equations:
    grouped = "" if loss.groups is None else f" l is summed over groups of {', '.join(map(str, loss.groups))} outputs."
    remark = f"For a mask l is the mean over its positions.{grouped}"
    if not loss.label_smoothing:
        return _with_reduction(loss, _SOFTMAX, "l = -sum(y[j] * log(p[j]), j)", remark=remark)
    smooth = "q[j] = (1 - epsilon) * y[j] + epsilon / K"
    lines = (_SOFTMAX, smooth, "l = -sum(q[j] * log(p[j]), j)")
    return _with_reduction(loss, *lines, remark=f"K is the number of classes. {remark}", epsilon=loss.label_smoothing)


@equations.register
def _(loss: Focal) -> Equations:
    if loss.binary:
        yes, no = ("", "") if loss.alpha is None else ("alpha * ", "(1 - alpha) * ")
        body = f"l = -{yes}y * (1 - p)**gamma * log(p) - {no}(1 - y) * p**gamma * log(1 - p)"
        lines = ("p = 1 / (1 + exp(-z))", body)
    else:
        share = "" if loss.alpha is None else "alpha[j] * " if isinstance(loss.alpha, tuple) else "alpha * "
        lines = (_SOFTMAX, f"l = -sum({share}y[j] * (1 - p[j])**gamma * log(p[j]), j)")
    said = _with_reduction(loss, *lines, gamma=loss.gamma)
    return said if loss.alpha is None else replace(said, values={"alpha": loss.alpha, **said.values})


@equations.register
def _(loss: Custom) -> Equations:
    name = getattr(loss.function, "__name__", "function")
    called = name if name.isidentifier() else "f"
    return _with_reduction(loss, f"l = {called}(y_hat, y)", remark="With several positions l is the mean over them.")


def _overlap(loss: OverlapLoss, ratio: str, **values: float) -> Equations:
    p = "p[i] = 1 / (1 + exp(-z[i]))" if loss.binary else "p = softmax(z)"
    power = "**2" if loss.squared else ""
    sums = ("I = sum(p[i] * g[i], i)", f"P = sum(p[i]{power}, i)", f"G = sum(g[i]{power}, i)")
    scope = "" if loss.binary else " for each class" + ("" if loss.background else " but the first")
    remark = f"The sums go over the positions of an example{scope}; l is the mean over classes."
    return _with_reduction(loss, p, *sums, f"l = 1 - {ratio}", remark=remark, **values, s=loss.smooth)


@equations.register
def _(loss: Dice) -> Equations:
    return _overlap(loss, "(2 * I + s) / (P + G + s)")


@equations.register
def _(loss: IoU) -> Equations:
    return _overlap(loss, "(I + s) / (P + G - I + s)")


@equations.register
def _(loss: Tversky) -> Equations:
    ratio = "(I + s) / (I + alpha * (P - I) + beta * (G - I) + s)"
    return _overlap(loss, ratio, alpha=loss.alpha, beta=loss.beta)
