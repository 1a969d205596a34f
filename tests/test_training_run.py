"""The gradient of a whole training run by its hyperparameters, against differences of whole runs."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import gradloom as gl

STEPS, BATCH = 500, 8
RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 4))
Y = np.tanh(X @ RNG.standard_normal((4, 2)))
ORDER = RNG.integers(0, len(X), (STEPS, BATCH))
START = [RNG.standard_normal(shape) / 2 for shape in ((4, 8), (8, 2))]
POINT = 0.05 + 0.04 * np.cos(np.arange(STEPS) / 50), np.array(0.8), np.array(1e-3), np.array(1.0)
NAMES = "rates", "momentum", "decay", "scale"


def loss(weights, x, y, decay):
    error = gl.mean((gl.tanh(x @ weights[0]) @ weights[1] - y) ** 2)
    return error + decay * sum(gl.sum(w**2) for w in weights)


def trained(rates, momentum, decay, scale):
    """The loss after training by gradient descent with momentum and L2, at a rate of its own in each step."""

    def step(carry, turn):
        weights, velocity = carry
        rate, rows = turn
        gradient = gl.grad(loss)(weights, gl.take(X, rows), gl.take(Y, rows), decay)
        velocity = [momentum * v + g for v, g in zip(velocity, gradient)]
        return ([w - rate * v for w, v in zip(weights, velocity)], velocity), None

    weights = [gl.tensor(w) * scale for w in START]
    (weights, _), _ = gl.scan(step, (weights, [gl.zeros_like(w) for w in weights]), (rates, ORDER))
    return loss(weights, X, Y, 0.0)


@cache
def compiled():
    return gl.jit(trained), gl.jit(gl.grad(trained, (0, 1, 2, 3)))


@pytest.mark.parametrize("argument", range(4), ids=NAMES)
def test_hyperparameter_gradients_are_differences_of_runs(argument: int):
    run, gradient = compiled()
    slope = gradient(*POINT)[argument].numpy()
    shape = POINT[argument].shape
    # Of the schedule, single steps from its beginning to its end, and a direction in which all move.
    directions = [np.eye(STEPS)[i] for i in (0, 1, 250, 499)] + [np.ones(STEPS)] if shape else [np.array(1.0)]
    for direction in directions:

        def at(by: float, direction=direction) -> float:
            return run(*(p + by * direction if i == argument else p for i, p in enumerate(POINT))).item()

        h = 2e-4 if argument else 2e-4 / max(1, direction.sum() / 50)
        difference = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        assert (slope * direction).sum() == pytest.approx(difference, rel=1e-5, abs=1e-11)


def test_training_at_rates_found_by_gradient_descent_is_better():
    """A few steps downhill on the schedule itself, which is what the gradient is for."""
    run, gradient = compiled()
    rates = POINT[0]
    for _ in range(5):
        slope = gradient(rates, *POINT[1:])[0].numpy()
        rates = rates - 0.01 * slope / np.abs(slope).max()
    assert run(rates, *POINT[1:]).item() < run(*POINT).item()
