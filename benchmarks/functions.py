"""Functions that are differentiated, each written once for every library.

A library is handed over as ``xp``, a module with NumPy's names: gradloom, ``jax.numpy``, ``torch``, ``autograd.numpy``.
"""

from __future__ import annotations

from typing import Any


def network_loss(xp: Any, parameters: Any, x: Any, y: Any) -> Any:
    """Mean squared error of a perceptron with tanh between its layers; parameters: (weight, bias) of each layer."""
    *hidden, (weight, bias) = parameters
    for w, b in hidden:
        x = xp.tanh(xp.matmul(x, w) + b)
    error = xp.matmul(x, weight) + bias - y
    return xp.mean(error * error)


def logistic_loss(xp: Any, weights: Any, x: Any, y: Any) -> Any:
    """Logistic regression: the mean of log(1 + exp(-y xw)) for labels y of -1 and 1."""
    return xp.mean(xp.log(1 + xp.exp(-y * xp.matmul(x, weights))))


def recurrent_step(xp: Any, parameters: Any, state: Any, x: Any) -> Any:
    """The next state of a recurrent network: tanh(state·W + x·U + b)."""
    inner, outer, bias = parameters
    return xp.tanh(xp.matmul(state, inner) + xp.matmul(x, outer) + bias)
