"""The formulas of layers and initialisers, as ``describe()`` shows them.

Of a layer that works element by element x is one element; elsewhere indices say which: i, o of channels, p of places
in a window, q of places in the output.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gradloom.equations import Equations, equations
from gradloom.nn import activations, init
from gradloom.nn.branches import Branches
from gradloom.nn.containers import Sequential
from gradloom.nn.conv import Conv, ConvTranspose
from gradloom.nn.dense import Dense
from gradloom.nn.drop_connect import DropConnect
from gradloom.nn.dropout import Dropout, SpatialDropout
from gradloom.nn.embedding import Embedding
from gradloom.nn.flatten import Flatten
from gradloom.nn.module import Module
from gradloom.nn.noise import GaussianNoise, NoisyDense
from gradloom.nn.normalization import BatchNorm, GroupNorm, LayerNorm
from gradloom.nn.normalize import Normalize
from gradloom.nn.pooling import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
    MedianPool,
)
from gradloom.nn.rescale import Rescale
from gradloom.nn.residual import Join, PadChannels, Residual
from gradloom.nn.response_norm import LocalResponseNorm
from gradloom.nn.upsample import Upsample
from gradloom.nn.whitening import Whitening
from gradloom.records import dataclass


def _said(*lines: str, remark: str = "", **values: Any) -> Equations:
    return Equations(lines, values, (remark,) if remark else ())


# Activations --------------------------------------------------------------------------------------------------------


@equations.register
def _(layer: activations.Identity) -> Equations:
    return _said("y = x")


@equations.register
def _(layer: activations.ReLU) -> Equations:
    return _said("y = max(x, 0)", remark=f"The derivative at 0 is {layer.derivative_at_zero}.")


@equations.register
def _(layer: activations.LeakyReLU) -> Equations:
    at_zero = 1 if layer.derivative_at_zero == 1 else layer.slope
    return _said("y = x if x >= 0 else a * x", remark=f"The derivative at 0 is {at_zero:g}.", a=layer.slope)


@equations.register
def _(layer: activations.ELU) -> Equations:
    return _said("y = x if x > 0 else alpha * (exp(x) - 1)", alpha=layer.alpha)


@equations.register
def _(layer: activations.GELU) -> Equations:
    forms = {
        "exact": "y = x * Phi(x)",
        "tanh": "y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))",
        "sigmoid": "y = x / (1 + exp(-1.702 * x))",
    }
    return _said(forms[layer.form])


@equations.register
def _(layer: activations.SiLU) -> Equations:
    return _said("y = x / (1 + exp(-x))")


@equations.register
def _(layer: activations.Sigmoid) -> Equations:
    return _said("y = 1 / (1 + exp(-x))")


@equations.register
def _(layer: activations.Tanh) -> Equations:
    return _said("y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))")


@equations.register
def _(layer: activations.Softplus) -> Equations:
    return _said("y = log(1 + exp(x))")


@equations.register
def _(layer: activations.Softmax) -> Equations:
    groups = "" if layer.groups is None else f"Each of the groups of {', '.join(map(str, layer.groups))} for itself."
    return _said("y[j] = exp(x[j]) / sum(exp(x[k]), k)", remark=groups)


@equations.register
def _(layer: activations.Step) -> Equations:
    return _said(f"y = 1 if x > 0 else (0 if x < 0 else {layer.at_zero:g})")


@equations.register
def _(layer: activations.Sign) -> Equations:
    return _said(f"y = 1 if x > 0 else (-1 if x < 0 else {layer.at_zero:g})")


@equations.register
def _(layer: activations.Activation) -> Equations:
    return equations(layer.function)


@dataclass
class _Renamed(ast.NodeTransformer):
    """Other names in a formula."""

    names: Mapping[str, str]

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id))


def _lines_of(activation: Module, x: str, y: str = "y") -> tuple[str, ...]:
    """The lines of an activation's formula, with other names for what goes in and comes out."""
    renamed = _Renamed({"x": x, "y": y})
    both = [
        [ast.unparse(renamed.visit(ast.parse(s))) for s in line.split(" = ")] for line in equations(activation).lines
    ]
    return tuple(" = ".join(line) for line in both)


def _activated(what: str, activation: Module | None, remark: str = "", **values: Any) -> Equations:
    """y = g(what), with the formula of g where it has one of one line."""
    if activation is None:
        return _said(f"y = {what}", remark=remark, **values)
    after = equations(activation)
    remarks = (*((remark,) if remark else ()), *after.remarks)
    return Equations((f"s = {what}", *_lines_of(activation, "s")), {**values, **after.values}, remarks)


# Layers with weights ------------------------------------------------------------------------------------------------


@equations.register
def _(layer: Dense) -> Equations:
    return _activated("x @ W + b" if layer.has_bias else "x @ W", layer.activation)


@equations.register
def _(layer: NoisyDense) -> Equations:
    bias = " + b" if layer.has_bias else ""
    remark = "E is standard normal, drawn for each batch, and 0 when predicting."
    return _activated(f"x @ (W + sigma * E){bias}", layer.activation, remark, sigma=layer.std)


@equations.register
def _(layer: DropConnect) -> Equations:
    bias, is_inverted = " + b" if layer.has_bias else "", layer.mode == "inverted"
    mean, spread = ("1", "r / (1 - r)") if is_inverted else ("1 - r", "r * (1 - r)")
    sums = f"x @ {'W' if is_inverted else '((1 - r) * W)'}{bias}"
    variance = f"{spread} * (x**2 @ W**2)"
    is_normal = layer.predict == "moments" and layer.activation is not None
    predicted = (
        "it is ŷ, the squares those of elements and z standard normal"
        if is_normal
        else f"M∘W has its mean, {mean} times W"
    )
    if layer.mask == "normal":
        what = f"{sums} + z * sqrt({variance})"
        drawn = (
            "z is standard normal, drawn for each example and unit, as if a mask M dropped weights with probability r"
        )
    else:
        what = f"x @ ({'M * W / (1 - r)' if is_inverted else 'M * W'}){bias}"
        drawn = f"M is 0 with probability r, else 1, drawn for each {layer.mask}"
    training = _activated(what, layer.activation, f"{drawn}; when predicting {predicted}.", r=layer.rate)
    if not is_normal or layer.activation is None:
        return training
    normal = (f"mu = {sums}", f"v = {variance}", "u = mu + sqrt(v) * z")
    return replace(
        training, lines=(*training.lines, *normal, *_lines_of(layer.activation, "u", "g"), "y_hat = mean(g, z)")
    )


def _one(value: Any) -> str:
    """Sizes of windows in writing."""
    return str(value) if isinstance(value, int) else "×".join(map(str, value))


@equations.register
def _(layer: Conv) -> Equations:
    bias = " + b[o]" if layer.has_bias else ""
    place = "n - 1 - p" if layer.flip else "p"
    what = f"sum(x[t * q + d * p - P, i] * W[{place}, i, o], (p, i)){bias}"
    groups = "" if layer.groups == 1 else f" Of {layer.groups} groups of channels each sees its own."
    remark = (
        f"p goes over a window of {_one(layer.size)}. Outside the image x is {_outside(layer.padding_mode)}; "
        f"padding P is {layer.padding!r}.{groups}"
    )
    return _activated(what, layer.activation, remark, **_window_values(layer))


def _window_values(layer: Conv | ConvTranspose) -> dict[str, str]:
    """Strides, steps inside the window and, if it is turned around, its size."""
    size = {"n": _one(layer.size)} if layer.flip else {}
    return {**size, "t": _one(layer.strides), "d": _one(layer.dilation)}


def _outside(mode: str) -> str:
    return {"zero": "0", "reflect": "mirrored", "edge": "its outermost element", "circular": "its other end"}[mode]


@equations.register
def _(layer: ConvTranspose) -> Equations:
    bias = " + b[o]" if layer.has_bias else ""
    place = "n - 1 - p" if layer.flip else "p"
    what = f"sum((t * r + d * p == q + P) * x[r, i] * W[{place}, o, i], (r, p, i)){bias}"
    groups = "" if layer.groups == 1 else f" Of {layer.groups} groups of channels each sees its own."
    remark = (
        f"p goes over a window of {_one(layer.size)}. "
        f"Padding P, which is cut off, is {layer.padding!r}, {layer.padding_mode}.{groups}"
    )
    return _activated(what, layer.activation, remark, **_window_values(layer))


@equations.register
def _(layer: Embedding) -> Equations:
    return _said("y[j] = E[x, j]")


# Normalisation ------------------------------------------------------------------------------------------------------


@equations.register
def _(layer: BatchNorm) -> Equations:
    below = {"inside": "sqrt(v + epsilon)", "outside": "(sqrt(v) + epsilon)", "variance": "(v + epsilon)"}
    scaled = f"(x - mu) / {below[layer.eps_mode]}"
    lines = [
        "mu = sum(x[i], i) / m",
        "v = sum((x[i] - mu)**2, i) / m",
        f"y = {'gamma * ' if layer.affine is True else ''}{scaled}{' + beta' if layer.affine else ''}",
    ]
    share = "(1 - a) * {0} + a * {1}" if layer.momentum_of == "new" else "a * {0} + (1 - a) * {1}"
    unbiased = "v" if layer.running_variance == "biased" else "v * m / (m - 1)"
    lines += [
        f"mu_bar <- {share.format('mu_bar', 'mu')}",
        f"v_bar <- {share.format('v_bar', unbiased)}",
    ]
    remark = "μ and v are those of a channel over the batch, m values; when predicting μ̄ and v̄ stand in their place."
    return _said(*lines, remark=remark, epsilon=layer.eps, a=layer.momentum)


def _standardized(over: str, affine: bool, eps: float) -> Equations:
    lines = ("mu = sum(x[i], i) / m", "v = sum((x[i] - mu)**2, i) / m")
    scaled = "(x - mu) / sqrt(v + epsilon)"
    last = f"y = gamma * {scaled} + beta" if affine else f"y = {scaled}"
    return _said(*lines, last, remark=f"The sums go over the m values of {over}.", epsilon=eps)


@equations.register
def _(layer: LayerNorm) -> Equations:
    return _standardized("the last axis of an example", layer.affine, layer.eps)


@equations.register
def _(layer: GroupNorm) -> Equations:
    return _standardized(f"one of {layer.groups} groups of channels of an example", layer.affine, layer.eps)


@equations.register
def _(layer: LocalResponseNorm) -> Equations:
    share = "alpha / m" if layer.alpha_over_n else "alpha"
    where = f"{layer.size} channels around it" if layer.mode == "across" else f"a window of {layer.size} a side"
    values = {"k": layer.k, "alpha": layer.alpha, "beta": layer.beta}
    over = f"The sum goes over {where}, m elements with the zeros outside."
    return _said(f"y = x / (k + {share} * sum(x[j]**2, j))**beta", remark=over, **values)


@equations.register
def _(layer: Normalize) -> Equations:
    return _said("y = (x - mu) / sigma", mu=layer.mean, sigma=layer.deviation)


@equations.register
def _(layer: Whitening) -> Equations:
    last = "y = c, -c" + (" each plus its b" if layer.has_bias else "")
    lines = ("c[k] = sum(E[p, k] * x[p], p) / sqrt(lamda[k] + epsilon)",)
    remark = f"E and λ are eigenvectors and eigenvalues of patches of {layer.size} a side; {last}."
    return _said(*lines, remark=remark, epsilon=layer.eps)


@equations.register
def _(layer: Dropout) -> Equations:
    kept = "m * x / (1 - r)" if layer.mode == "inverted" else "m * x"
    later = "y = x" if layer.mode == "inverted" else "y = (1 - r)·x"
    drawn = "channel of an example" if isinstance(layer, SpatialDropout) else "element"
    remark = f"m is 0 with probability r, else 1, drawn for each {drawn}; when predicting {later}."
    return _said(f"y = {kept}", remark=remark, r=layer.rate)


@equations.register
def _(layer: GaussianNoise) -> Equations:
    remark = "z is standard normal, drawn for each element while training; when predicting y = x."
    return _said("y = x + sigma * z", remark=remark, sigma=layer.std)


# Windows and places -------------------------------------------------------------------------------------------------


def _pooled(layer: Any, right: str, remark: str = "") -> Equations:
    """A pool's formula, in which X stands for an element of its window."""
    strides = layer.size if layer.strides is None else layer.strides
    is_dense = layer.dilation == 1
    element = "x[t * q + p - P]" if is_dense else "x[t * q + d * p - P]"
    note = f"p goes over a window of {_one(layer.size)}, padding P is {layer.padding!r}. {remark}".strip()
    spacing = {} if is_dense else {"d": _one(layer.dilation)}
    return _said(f"y[q] = {right.replace('X', element)}", remark=note, t=_one(strides), **spacing)


@equations.register
def _(layer: MaxPool) -> Equations:
    return _pooled(layer, "max(X)")


@equations.register
def _(layer: MedianPool) -> Equations:
    return _pooled(layer, "median(X)")


@equations.register
def _(layer: LpPool) -> Equations:
    return _pooled(layer, f"sum(abs(X)**{layer.p:g}, p)**(1 / {layer.p:g})")


@equations.register
def _(layer: AvgPool) -> Equations:
    if layer.weights is not None:
        return _pooled(layer, "sum(w[p] * X, p) / sum(w[p], p)", f"w is {layer.weights}.")
    counted = "all elements of the window" if layer.count_padding else "those inside the image"
    return _pooled(layer, "sum(X, p) / m", f"m counts {counted}.")


@equations.register
def _(layer: GlobalAvgPool) -> Equations:
    return _said("y = sum(x[p], p) / m", remark="p goes over the m places of an image.")


@equations.register
def _(layer: GlobalMaxPool) -> Equations:
    return _said("y = max(x[p])", remark="p goes over all places of an image.")


def _adaptive(layer: Any, right: str) -> Equations:
    remark = f"p goes from ⌊qW/O⌋ to before ⌈(q + 1)W/O⌉, m places, along every axis, with O = {_one(layer.output)}."
    return _said(f"y[q] = {right}", remark=remark)


@equations.register
def _(layer: AdaptiveAvgPool) -> Equations:
    return _adaptive(layer, "sum(x[p], p) / m")


@equations.register
def _(layer: AdaptiveMaxPool) -> Equations:
    return _adaptive(layer, "max(x[p])")


@equations.register
def _(layer: Upsample) -> Equations:
    if layer.mode == "nearest":
        return _said("y[q] = x[floor(q / f)]", f=_one(layer.factor))
    remark = "Beyond the outermost elements x goes on as they are; along every axis."
    lines = ("u = (q + 1 / 2) / f - 1 / 2", "a = u - floor(u)", "y[q] = (1 - a) * x[floor(u)] + a * x[floor(u) + 1]")
    return _said(*lines, remark=remark, f=_one(layer.factor))


@equations.register
def _(layer: Flatten) -> Equations:
    return _said("y[i, (a * B + b) * C + c] = x[i, a, b, c]", remark="B and C are the sizes of the last two axes.")


@equations.register
def _(layer: Rescale) -> Equations:
    return _said("y = c * x", c=layer.factor)


# Made of others -----------------------------------------------------------------------------------------------------


@equations.register
def _(layer: Sequential) -> Equations:
    count = len(layer.layers)
    lines = tuple(f"x_{i} = f_{i}(x_{i - 1})" for i in range(1, count + 1))
    names = ", ".join(f"f_{i} {type(inner).__name__}" for i, inner in enumerate(layer.layers, 1))
    return _said(*(lines or ("y = x",)), remark=f"x_0 is the input: {names}." if count else "")


@equations.register
def _(layer: Residual) -> Equations:
    shortcut = "x" if layer.shortcut is None else "shortcut(x)"
    return _activated(f"body(x) + {shortcut}", layer.activation)


@equations.register
def _(layer: Join) -> Equations:
    cut = " The middle of x is taken where body(x) is smaller." if layer.crop else ""
    return _said("y = join(x, body(x))", remark=f"Channels of x, then those of body(x).{cut}")


@equations.register
def _(layer: Branches) -> Equations:
    count = len(layer.branches)
    networks = ", ".join(f"f_{i} {type(inner).__name__}" for i, inner in enumerate(layer.branches, 1))
    parts = [f"f_{i}(x_{i})" for i in range(1, count + 1)]
    of = (
        "parts of a row" if layer.shapes else f"inputs {', '.join(layer.names)}" if layer.names else "inputs of a tuple"
    )
    return _said(f"y = join({', '.join(parts)})", remark=f"x_1, ... are the {of}: {networks}.")


@equations.register
def _(layer: PadChannels) -> Equations:
    remark = f"C of {layer.channels} channels are those of x."
    return _said("y[q, i] = x[t * q, i] if i < C else 0", remark=remark, t=layer.strides)


# Initialisers -------------------------------------------------------------------------------------------------------


@equations.register
def _(rule: init.Constant) -> Equations:
    return _said("w = c", c=rule.value)


@equations.register
def _(rule: init.Normal) -> Equations:
    return _said("w = sigma * z", remark="z is standard normal.", sigma=rule.stddev)


@equations.register
def _(rule: init.Uniform) -> Equations:
    return _said("w = a + (b - a) * u", remark="u is uniform in [0, 1).", a=rule.low, b=rule.high)


@equations.register
def _(rule: init.VarianceScaling) -> Equations:
    n = {"fan_in": "n_in", "fan_out": "n_out", "fan_avg": "((n_in + n_out) / 2)"}[rule.mode]
    drawn = {
        "normal": ("w = sigma * z", "z is standard normal."),
        "uniform": ("w = sqrt(3) * sigma * u", "u is uniform in [-1, 1)."),
        "truncated": (f"w = sigma * z / {init.TRUNCATED_DEVIATION:.4f}", "z is standard normal between -2 and 2."),
    }[rule.distribution]
    gain, values = ("", {}) if rule.gain == 1 else ("gain * ", {"gain": rule.gain})
    scale = math.floor(rule.scale) if rule.scale == math.floor(rule.scale) else rule.scale
    return _said(f"sigma = sqrt({gain}{scale!r} / {n})", drawn[0], remark=drawn[1], **values)


@equations.register
def _(rule: init.Orthogonal) -> Equations:
    return _said("w = c * Q", remark="QᵀQ = 1, or QQᵀ = 1 where Q has more columns than rows.", c=rule.gain)


@equations.register
def _(rule: init.Dirac) -> Equations:
    remark = "m is the middle of the kernel; filters beyond the channels begin by the rule for the rest."
    return _said("w[p, i, o] = (p == m) * (i == o)", remark=remark)
