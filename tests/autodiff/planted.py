"""Rules with mistakes as people make them, and right ones in places where a check may go astray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gradloom as gl

RNG = np.random.default_rng(7)
_IDS = np.array([1, 3, 1])
Plant = tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any], tuple[Any, ...]]
"""A function, a backward rule that is right, one that is not, and arguments."""


def _column(b):
    return gl.sum(b, 0)


def _normalise(x):
    mean, var = gl.mean(x, 0), gl.var(x, 0)
    return (x - mean) / gl.sqrt(var + 1e-5)


def _batch_norm(ct, y, x):
    std = gl.sqrt(gl.var(x, 0) + 1e-5)
    return ((ct - gl.mean(ct, 0) - y * gl.mean(ct * y, 0)) / std,)


def _batch_norm_without_mean(ct, y, x):
    std = gl.sqrt(gl.var(x, 0) + 1e-5)
    return ((ct - y * gl.mean(ct * y, 0)) / std,)


def _convolve(x, k):
    """Valid correlation of a line with a kernel."""
    return gl.stack([gl.sum(x[i : i + 3] * k) for i in range(4)])


def _convolution(ct, y, x, k):
    back = gl.stack([gl.sum(gl.stack([ct[i - j] * k[j] for j in range(3) if 0 <= i - j < 4])) for i in range(6)])
    return back, gl.stack([gl.sum(ct * x[j : j + 4]) for j in range(3)])


def _convolution_unflipped(ct, y, x, k):
    padded = gl.pad(ct, ((2, 2),))
    return gl.stack([gl.sum(padded[i : i + 3] * k) for i in range(6)]), _convolution(ct, y, x, k)[1]


def _embedding(ct, y, table):
    return (gl.sum(gl.one_hot(_IDS, 4, dtype="float64")[:, :, None] * ct[:, None, :], 0),)


def _embedding_overwritten(ct, y, table):
    last = {int(i): row for row, i in enumerate(_IDS)}
    zero = gl.zeros_like(ct[0])
    return (gl.stack([ct[last[i]] if i in last else zero for i in range(4)]),)


STALE: dict[str, Any] = {}


def _remembers(x):
    STALE.setdefault("exp", gl.exp(gl.tensor([0.1, 0.2, 0.3])))
    return gl.exp(x)


_TARGETS = np.eye(3)[[0, 2, 1, 1]]
_X, _Y = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3))
_V = RNG.standard_normal(5)
_W = RNG.standard_normal((3, 2))


def _at(index, x, value):
    return gl.where(gl.arange(x.shape[0]) == index, value, x)


PLANTED: dict[str, Plant] = {
    "wrong sign": (gl.cos, lambda ct, y, x: (-ct * gl.sin(x),), lambda ct, y, x: (ct * gl.sin(x),), (_V,)),
    "missing factor": (
        lambda x: x**3,
        lambda ct, y, x: (3 * x**2 * ct,),
        lambda ct, y, x: (x**2 * ct,),
        (_V,),
    ),
    "transposed": (
        lambda x, w: x @ w,
        lambda ct, y, x, w: (ct @ w.T, x.T @ ct),
        lambda ct, y, x, w: (ct @ w, x.T @ ct),
        (RNG.standard_normal((2, 3)), RNG.standard_normal((3, 3))),
    ),
    "missing term": (
        lambda x: x * gl.exp(x),
        lambda ct, y, x: (ct * (y + gl.exp(x)),),
        lambda ct, y, x: (ct * y,),
        (_V,),
    ),
    "wrong at one element": (
        lambda x: x**2,
        lambda ct, y, x: (2 * x * ct,),
        lambda ct, y, x: (_at(3, 2 * x * ct, 0.0),),
        (_V,),
    ),
    "wrong only where it is broadcast": (
        lambda x, b: x + b,
        lambda ct, y, x, b: (ct, ct if b.shape == x.shape else _column(ct)),
        lambda ct, y, x, b: (ct, ct if b.shape == x.shape else gl.mean(ct, 0)),
        (_X, np.zeros(3)),
    ),
    "stale cache": (
        _remembers,
        lambda ct, y, x: (ct * y,),
        lambda ct, y, x: (ct * STALE["exp"],),
        (np.array([0.5, -0.2, 1.0]),),
    ),
    "index off by one": (
        lambda x: x[1:] - x[:-1],
        lambda ct, y, x: (gl.pad(ct, ((1, 0),)) - gl.pad(ct, ((0, 1),)),),
        lambda ct, y, x: (gl.pad(ct, ((0, 1),)) - gl.pad(ct, ((0, 1),)),),
        (_V,),
    ),
    "one branch forgotten": (
        lambda x: gl.sin(x) * gl.tanh(x),
        lambda ct, y, x: (ct * (gl.cos(x) * gl.tanh(x) + gl.sin(x) * (1 - gl.tanh(x) ** 2)),),
        lambda ct, y, x: (ct * gl.cos(x) * gl.tanh(x),),
        (_V,),
    ),
    "1/n of the mean forgotten": (
        gl.mean,
        lambda ct, y, x: (gl.broadcast_to(ct / x.size, x.shape),),
        lambda ct, y, x: (gl.broadcast_to(ct, x.shape),),
        (_X,),
    ),
    "the value in place of its derivative": (
        gl.sigmoid,
        lambda ct, y, x: (ct * y * (1 - y),),
        lambda ct, y, x: (ct * y,),
        (_V,),
    ),
    "softmax without its cross terms": (
        gl.softmax,
        lambda ct, y, x: (y * (ct - gl.sum(ct * y, -1, keepdims=True)),),
        lambda ct, y, x: (ct * y * (1 - y),),
        (_X,),
    ),
    "batch norm without the mean": (_normalise, _batch_norm, _batch_norm_without_mean, (_X,)),
    "wrong below zero": (
        lambda x: gl.where(x > 0, x, 0.01 * x),
        lambda ct, y, x: (gl.where(x > 0, ct, 0.01 * ct),),
        lambda ct, y, x: (gl.where(x > 0, ct, 0.1 * ct),),
        (np.array([1.0, 2.0, -0.5]),),
    ),
    "a constant in float32": (
        lambda x: gl.erf(x),
        lambda ct, y, x: (ct * float(2 / np.sqrt(np.pi)) * gl.exp(-x * x),),
        lambda ct, y, x: (ct * float(np.float32(2 / np.sqrt(np.pi))) * gl.exp(-x * x),),
        (_V,),
    ),
    "a cast to float32": (
        lambda x: x**2,
        lambda ct, y, x: (2 * x * ct,),
        lambda ct, y, x: (2 * gl.cast(gl.cast(x, "float32"), "float64") * ct,),
        (_V,),
    ),
    "missing regulariser": (
        lambda w: gl.mean((gl.tensor(_X) @ w) ** 2) + 0.1 * gl.sum(w * w),
        lambda ct, y, w: (ct * (2 * gl.tensor(_X.T) @ (gl.tensor(_X) @ w) / 8 + 0.2 * w),),
        lambda ct, y, w: (ct * (2 * gl.tensor(_X.T) @ (gl.tensor(_X) @ w) / 8),),
        (_W,),
    ),
    "kernel not flipped": (
        _convolve,
        _convolution,
        _convolution_unflipped,
        (RNG.standard_normal(6), RNG.standard_normal(3)),
    ),
    "rows overwritten where indices repeat": (
        lambda table: gl.take(table, _IDS, 0),
        _embedding,
        _embedding_overwritten,
        (RNG.standard_normal((4, 2)),),
    ),
    "softmax with cross-entropy divided twice": (
        lambda z: -gl.mean(gl.sum(_TARGETS * gl.log_softmax(z), -1)),
        lambda ct, y, z: (ct * (gl.softmax(z) - _TARGETS) / 4,),
        lambda ct, y, z: (ct * (gl.softmax(z) - _TARGETS) / 16,),
        (_X,),
    ),
    "a square root's singular part": (
        lambda x: gl.sqrt(gl.sum(x * x)),
        lambda ct, y, x: (ct * x / y,),
        lambda ct, y, x: (ct * x / (y + 1e-4),),
        (_V,),
    ),
    "logsumexp of the wrong axis": (
        lambda x: gl.logsumexp(x, 0),
        lambda ct, y, x: (ct * gl.softmax(x, 0),),
        lambda ct, y, x: (ct * gl.softmax(x, 1),),
        (_X,),
    ),
}


def _loop(x):
    return gl.scan(lambda c, _: (gl.tanh(c * 1.3) + 0.1 * x, None), x, length=30)[0]


def _mlp(p, x):
    return gl.sum(gl.log_softmax(gl.relu(x @ p["w"] + p["b"]) @ p["v"])[:, 0])


RIGHT: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "relu at 0": (gl.relu, (np.array([0.0, 1.0, -1.0, 0.0]),)),
    "relu very near 0": (lambda x: gl.relu(x) * 3, (np.array([1e-9, -1e-9, 1e-6, -1e-4, 1e-13]),)),
    "absolute value at 0": (gl.abs, (np.array([0.0, -0.0, 2.0]),)),
    "ties of a maximum": (lambda x: gl.max(x, -1), (np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]]),)),
    "ties of two": (gl.maximum, (np.array([1.0, 2.0]), np.array([1.0, 2.0]))),
    "edges of a clip": (lambda x: gl.clip(x, -1.0, 1.0), (np.array([-1.0, 1.0, 0.5, 3.0]),)),
    "sorting ties": (lambda x: gl.sort(x)[1], (np.array([1.0, 1.0, 3.0]),)),
    "steps": (lambda x: gl.floor(x) * x, (np.array([1.0, 1.5, -2.0]),)),
    "a network with kinks": (
        _mlp,
        (
            {"w": RNG.standard_normal((3, 6)), "b": np.zeros(6), "v": RNG.standard_normal((6, 3))},
            np.vstack([np.zeros(3), _X]),
        ),
    ),
    "numbers from 1e-8 to 1e8": (lambda x: gl.sum(x**2), (np.array([1e-8, 1e-3, 1.0, 1e4, 1e8]),)),
    "logarithms near 0": (gl.log, (np.array([1e-12, 1e-6, 1e-2, 1e3]),)),
    "square roots near 0": (gl.sqrt, (np.array([1e-9, 1e-4, 1e9]),)),
    "scales far apart in one sum": (lambda x, y: 1e8 * gl.sin(x) + 1e-3 * gl.sin(y), (np.array(0.7), np.array(0.7))),
    "a product of 60": (gl.prod, (RNG.standard_normal(60),)),
    "a deep chain": (lambda x: gl.sum(_loop(x)), (np.array([0.3, -0.8]),)),
    "an exploding chain": (
        lambda x: gl.scan(lambda c, _: (c * 3.7 * (1 - c), None), x, length=25)[0],
        (np.array(0.3),),
    ),
    "a saturated sigmoid": (gl.sigmoid, (np.array([45.0, -40.0, 800.0, 0.0]),)),
    "a saturated loss": (lambda z: -gl.log_softmax(z)[0], (np.array([60.0, -60.0, 0.0]),)),
    "a stationary point": (lambda x: gl.sum((x - 1) ** 4), (np.ones(3),)),
    "a constant": (lambda x: gl.sum(x - x) + 5.0, (_V,)),
    "a fast wave": (lambda x: gl.sin(1000 * x), (_V,)),
    "a small part of a large sum": (lambda x: 1e6 + gl.sum(gl.tanh(x)), (_V,)),
    "solutions of a badly conditioned system": (
        lambda a, b: gl.solve(a, b),
        (np.vander(np.linspace(1, 2, 4)), np.ones(4)),
    ),
    "an integer beside": (lambda x, n: gl.take(x, n) ** 2, (_V, np.array([1, 1, 4]))),
}
"""Right gradients at kinks, of large dynamic range, of deep products, and where all is flat."""
