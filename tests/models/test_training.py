"""Training steps of every network: the same bits on any number of threads, and the reference executor's numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gradloom as gl
from gradloom import models, nn, tree
from gradloom.executors.native.program import NativeProgram
from gradloom.ir.interpret import evaluate


@dataclass(frozen=True)
class Case:
    """A small network of a kind, the shape of its batch, and how many steps to train."""

    make: Callable[[], nn.Module]
    x: tuple[int, ...]
    steps: int = 2


CASES = {
    "LeNet5": Case(models.LeNet5, (3, 28, 28, 1)),
    "SmallCNN": Case(lambda: models.SmallCNN(width=4, dropout=0.3), (3, 14, 13, 1)),
    "AlexNetSmall": Case(lambda: models.AlexNetSmall(width=4), (3, 32, 32, 3)),
    "ResNet": Case(lambda: models.ResNet(8), (3, 16, 15, 3)),
    "ResNet, version 2": Case(lambda: models.ResNet(8, version=2, shortcut="project"), (3, 16, 15, 3)),
    "ResNet, large": Case(lambda: models.ResNet(18), (2, 33, 33, 3), steps=1),
    "WideResNet": Case(lambda: models.WideResNet(10, 2, dropout=0.2), (3, 16, 16, 3)),
    "UNet": Case(lambda: models.UNet(3, base=4, depth=1, norm=True, dropout=0.1), (2, 14, 10, 1)),
    "UNet, valid": Case(lambda: models.UNet(2, base=3, depth=1, padding="valid"), (1, 21, 20, 1)),
    "Speedrun": Case(lambda: models.Speedrun(width=4), (3, 32, 32, 3)),
}

USUAL = {
    "LeNet5": Case(models.LeNet5, (64, 28, 28, 1), steps=1),
    "SmallCNN": Case(models.SmallCNN, (64, 28, 28, 1), steps=1),
    "ResNet": Case(lambda: models.ResNet(8), (64, 32, 32, 3), steps=1),
    "UNet": Case(lambda: models.UNet(2, base=16, depth=2, norm=True), (4, 64, 64, 1), steps=1),
}
"""Networks as they are trained: many a way of computing is taken only where channels or examples are enough."""


def test_every_network_has_a_case() -> None:
    networks = {name for name in models.__all__ if name[0].isupper()}
    assert {name.partition(",")[0] for name in CASES} == networks


def training(case: Case, dtype: str = "float32") -> tuple[gl.Graph, list[np.ndarray]]:
    """Steps of gradient descent with momentum, one after the other, as one graph, and its inputs."""
    rng = np.random.default_rng(0)
    network, x = case.make(), rng.standard_normal(case.x).astype(np.float32)
    network.initialize(x)
    outputs = network(x).shape
    labels = rng.integers(0, outputs[-1], outputs[:-1])
    x = x.astype(dtype)

    def step(carry: Any, key: gl.Tensor) -> tuple[Any, gl.Tensor]:
        parameters, state, velocity = carry

        def loss(parameters: Any) -> tuple[gl.Tensor, Any]:
            logits, after = nn.apply(network, parameters, state, x, training=True, key=key)
            return nn.losses.CrossEntropy()(logits, labels), after

        (value, state), gradient = gl.value_and_grad(loss, has_aux=True)(parameters)
        velocity = tree.map(lambda v, g: 0.9 * v + g, velocity, gradient)
        return (tree.map(lambda p, v: p - 0.05 * v, parameters, velocity), state, velocity), value

    parameters, state = (
        tree.map(lambda t: gl.cast(t, dtype), part) for part in (network.parameters(), network.state())
    )
    arguments = ((parameters, state, tree.map(gl.zeros_like, parameters)), gl.random.key(1))

    def run(carry: Any, key: gl.Tensor) -> tuple[Any, list[gl.Tensor]]:
        values = []
        for number in range(case.steps):
            carry, value = step(carry, gl.random.fold_in(key, number))
            values.append(value)
        return carry, values

    return gl.trace(run, *arguments), [leaf.numpy() for leaf in tree.leaves(arguments)]


@pytest.mark.parametrize("name", CASES)
def test_steps_have_the_same_bits_on_any_number_of_threads(name: str) -> None:
    graph, arrays = training(CASES[name])
    program = NativeProgram(graph)
    program.shared_from = 1
    runs = []
    for program.threads in (1, 2, 5):
        runs.append(program(arrays))
    for run in runs[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(runs[0], run, strict=True))
    for found, wanted in zip(runs[0], evaluate(graph, arrays), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


@pytest.mark.parametrize("name", USUAL)
def test_a_step_of_a_usual_network_is_that_of_twice_the_digits(name: str) -> None:
    graph, arrays = training(USUAL[name])
    exact = evaluate(*training(USUAL[name], "float64"))
    program = NativeProgram(graph)
    program.threads = 1
    alone = program(arrays)
    program.threads = 5
    for found, again, wanted in zip(alone, program(arrays), exact, strict=True):
        np.testing.assert_array_equal(found, again)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
