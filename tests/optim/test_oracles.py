"""Optimisers against numbers worked out elsewhere, and against the textbook's loops in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import gradloom as gl
from gradloom import optim
from gradloom.optim import FirstOrder, schedules

# L(w) = w², w₀ = 1, η = 0.1, ε = 1e-6 (Adam 1e-8), decays 0.9, β₂ = 0.999: w₁, w₂, w₃ as printed.
TABLE: dict[str, tuple[FirstOrder, str]] = {
    "SGD": (optim.SGD(0.1), "0.8 0.64 0.512"),
    "momentum, η outside": (optim.SGD(0.1, 0.9), "0.8 0.46 0.062"),
    "momentum, η inside": (optim.SGD(0.1, 0.9, momentum_form="inside"), "0.8 0.46 0.062"),
    "EWMA, v₀ = g₀": (optim.SGD(0.1, 0.9, momentum_form="ewma", start="gradient"), "0.8 0.604 0.41552"),
    "EWMA, v₀ = 0": (optim.SGD(0.1, 0.9, momentum_form="ewma"), "0.98 0.9424 0.889712"),
    "Nesterov": (optim.SGD(0.1, 0.9, nesterov=True), "0.8 0.496 0.17792"),
    "Nesterov, η inside": (optim.SGD(0.1, 0.9, nesterov=True, momentum_form="inside"), "0.8 0.496 0.17792"),
    "AdaGrad, ε inside": (optim.AdaGrad(0.1), "0.9000000125 0.8331035434 0.7804562001"),
    "AdaGrad, ε outside": (optim.AdaGrad(0.1, eps_mode="outside"), "0.9000000500 0.8331035996 0.7804562684"),
    "AdaGrad, decay 0.9": (optim.AdaGrad(0.1, 0.9), "0.9000000125 0.8311752969 0.7755138431"),
    "RMSProp, ε inside": (optim.RMSProp(0.1), "0.6837726293 0.4988711008 0.3691810712"),
    "RMSProp, no ε": (optim.RMSProp(0.1, eps_mode="none"), "0.6837722340 0.4988706069 0.3691805532"),
    "AdaDelta": (optim.AdaDelta(), "0.9968377263 0.9935981741 0.9903090457"),
    "Adam, ε outside": (optim.Adam(0.1), "0.9000000005 0.8004122287 0.7015862729"),
    "Adam, ε inside": (optim.Adam(0.1, eps_mode="inside"), "0.9000000001 0.8004122279 0.7015862718"),
    "Adam, corrections inside the recursion": (
        optim.Adam(0.1, eps_mode="inside", bias_correction="recursive"),
        "0.9000000001 0.8767014308 0.8723841823",
    ),
    "Adam, smoothed squares, uncorrected": (
        optim.Adam(0.1, eps_mode="none", bias_correction=False, squares="smoothed"),
        "-2.1622776602 0.3169048866 1.7514095507",
    ),
}


def iterates(optimizer: FirstOrder, loss: Callable[[gl.Tensor], gl.Tensor], start: object) -> Iterator[gl.Tensor]:
    """The parameter after each step, in float64."""
    w = gl.tensor(start, "float64")
    state = optimizer.init(w)
    while True:
        gradient = gl.grad(loss)(optimizer.lookahead(w, state))
        w, state = optimizer.update(gradient, state, w)
        yield w


@pytest.mark.parametrize(("optimizer", "printed"), TABLE.values(), ids=TABLE.keys())
def test_first_steps_on_a_parabola(optimizer: FirstOrder, printed: str) -> None:
    found = [w.item() for _, w in zip(range(3), iterates(optimizer, gl.square, 1.0))]
    assert [f"{w:.10f}" for w in found] == [f"{float(text):.10f}" for text in printed.split()]


@pytest.mark.parametrize("method", ["full", "cg"])
def test_newton_on_a_parabola_is_there_at_once(method: str) -> None:
    newton, w = optim.Newton(method), gl.tensor(1.0, "float64")  # type: ignore[arg-type]
    state = newton.init(w)
    for _ in range(3):
        w, state, _ = newton.step(lambda w: (w * w, None), w, state)
        assert f"{w.item():.10f}" == "0.0000000000"


# Loops as the textbooks write them: each is given the gradient function and yields w after each step.

Gradient = Callable[[np.ndarray], np.ndarray]
Loop = Callable[[Gradient, np.ndarray], Iterator[np.ndarray]]


def momentum_loop(g: Gradient, w: np.ndarray) -> Iterator[np.ndarray]:
    h = np.zeros_like(w)
    while True:
        h = 0.8 * h + 0.05 * g(w)
        w = w - h
        yield w


def nesterov_loop(g: Gradient, w: np.ndarray) -> Iterator[np.ndarray]:
    h = np.zeros_like(w)
    while True:
        h = 0.8 * h + 0.05 * g(w - 0.8 * h)
        w = w - h
        yield w


def adagrad_loop(g: Gradient, w: np.ndarray) -> Iterator[np.ndarray]:
    total = np.zeros_like(w)
    while True:
        gradient = g(w)
        total = total + gradient**2
        w = w - 0.05 * gradient / (np.sqrt(total) + 1e-3)
        yield w


def rmsprop_loop(g: Gradient, w: np.ndarray) -> Iterator[np.ndarray]:
    s, v = np.zeros_like(w), np.zeros_like(w)
    while True:
        gradient = g(w)
        s = 0.7 * s + 0.3 * gradient**2
        v = 0.6 * v + gradient / np.sqrt(s + 1e-3)
        w = w - 0.05 * v
        yield w


def adadelta_loop(g: Gradient, w: np.ndarray) -> Iterator[np.ndarray]:
    s, d = np.zeros_like(w), np.zeros_like(w)
    while True:
        gradient = g(w)
        s = 0.7 * s + 0.3 * gradient**2
        change = np.sqrt(d + 1e-4) / np.sqrt(s + 1e-4) * gradient
        d = 0.6 * d + 0.4 * change**2
        w = w - 2.0 * change
        yield w


def adam_loop(g: Gradient, w: np.ndarray, l2: float = 0.0, decoupled: float = 0.0) -> Iterator[np.ndarray]:
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        t += 1
        gradient = g(w) + l2 * w
        m = 0.8 * m + 0.2 * gradient
        v = 0.95 * v + 0.05 * gradient**2
        m_hat, v_hat = m / (1 - 0.8**t), v / (1 - 0.95**t)
        w = w - 0.05 * (m_hat / (np.sqrt(v_hat) + 1e-3) + decoupled * w)
        yield w


def annealed_clipped_loop(g: Gradient, w: np.ndarray) -> Iterator[np.ndarray]:
    k = 0
    while True:
        gradient = g(w)
        gradient = gradient * min(1.0, 0.5 / np.linalg.norm(gradient))
        w = w - ((1 - min(k / 10, 1)) * 0.5 + min(k / 10, 1) * 0.1) * gradient
        k += 1
        yield w


LOOPS: dict[str, tuple[FirstOrder, Loop]] = {
    "momentum": (optim.SGD(0.05, 0.8), momentum_loop),
    "nesterov": (optim.SGD(0.05, 0.8, nesterov=True), nesterov_loop),
    "adagrad": (optim.AdaGrad(0.05, eps=1e-3, eps_mode="outside"), adagrad_loop),
    "rmsprop": (optim.RMSProp(0.05, 0.7, 1e-3, 0.6), rmsprop_loop),
    "adadelta": (optim.AdaDelta(2.0, 0.7, 1e-4, rho_updates=0.6), adadelta_loop),
    "adam": (optim.Adam(0.05, 0.8, 0.95, 1e-3), adam_loop),
    "adam l2": (optim.Adam(0.05, 0.8, 0.95, 1e-3, weight_decay=0.3), lambda g, w: adam_loop(g, w, l2=0.3)),
    "adamw": (optim.AdamW(0.05, 0.8, 0.95, 1e-3, weight_decay=0.3), lambda g, w: adam_loop(g, w, decoupled=0.3)),
    "annealed, clipped": (optim.SGD(schedules.Linear(0.5, 0.1, 10), clip_norm=0.5), annealed_clipped_loop),
}


@pytest.mark.parametrize(("optimizer", "loop"), LOOPS.values(), ids=LOOPS.keys())
def test_thirty_steps_are_those_of_the_textbook(optimizer: FirstOrder, loop: Loop) -> None:
    scales, start = np.array([0.5, 1.0, 3.0]), np.array([1.0, -2.0, 0.7])
    loss = lambda w: gl.sum(scales * w * w + gl.cos(w))  # noqa: E731
    expected = loop(lambda w: 2 * scales * w - np.sin(w), start)
    for _, found, w in zip(range(30), iterates(optimizer, loss, start), expected):
        np.testing.assert_allclose(found.numpy(), w, rtol=1e-10, atol=1e-13)


def test_annealing_reaches_its_last_rate_and_stays() -> None:
    schedule = schedules.Linear(0.5, 0.1, 4)
    np.testing.assert_allclose(schedule(gl.arange(8)).numpy(), [0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1], rtol=1e-15)


@pytest.mark.parametrize(
    "optimizer", [optim.SGD(0.1, weight_decay=0.7 / 100), optim.AdamW(0.1, weight_decay=0.7 / 100)]
)
def test_weight_decay_multiplies_by_its_factor(optimizer: FirstOrder) -> None:
    w = gl.tensor([1.0, -2.0], "float64")
    found, _ = optimizer.update(gl.zeros_like(w), optimizer.init(w), w)
    np.testing.assert_allclose(found.numpy(), 0.9993 * w.numpy(), rtol=1e-15)


def test_memory_of_an_average() -> None:
    assert optim.ExponentialAverage(0.9).memory == pytest.approx(10, rel=1e-15)
