"""Section A6 of the catalogue: descent in all its forms, and what the notes claim of it."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.estimators import NeuralClassifier
from gradloom.train.batches import choose_batch_size

RNG = np.random.default_rng(6)
X, W = RNG.standard_normal((20, 3)), np.array([[1.0], [-2.0], [0.5]])
Y = X @ W + 0.1 * RNG.standard_normal((20, 1))


def linear(batch_size: int, epochs: int, eta: float = 0.1) -> train.Trainer:
    """y = xw under half the mean squared error, from w = 0, in the order of the data."""
    model = nn.Dense(1, bias=False, init="zeros")
    run = train.Trainer(model, "half_squared_error", optim.SGD(eta), dtype="float64", executor="reference")
    run.fit((X, Y), epochs=epochs, batch_size=batch_size, shuffle=False, progress="silent")
    return run


def weights(run: train.Trainer) -> np.ndarray:
    return run.model.parameters()["weight"].numpy()


def test_98_104_a_batch_of_all_examples_is_gradient_descent() -> None:
    w = np.zeros((3, 1))
    for _ in range(7):
        w = w - 0.1 * X.T @ (X @ w - Y) / len(X)
    np.testing.assert_allclose(weights(linear(len(X), 7)), w, rtol=1e-12)


def test_100_104_batches_of_one_are_stochastic_descent() -> None:
    w = np.zeros(3)
    for _ in range(3):
        for x, y in zip(X, Y[:, 0]):
            w = w - 0.05 * (x @ w - y) * x
    np.testing.assert_allclose(weights(linear(1, 3, 0.05))[:, 0], w, rtol=1e-10)


def test_99_the_delta_rule() -> None:
    x, w, f = X[0], np.array([0.3, -0.2, 0.9]), 1.7
    slope = gl.grad(lambda w: 0.5 * gl.square(w @ x - f))(gl.tensor(w)).numpy()
    np.testing.assert_allclose(slope, x * (w @ x - f), rtol=1e-12)


def test_102_a_thousand_examples_in_batches_of_ten_are_a_hundred_updates() -> None:
    """Batch k is examples 10k + 1 to 10k + 10; the gradient is their mean."""
    x, y = RNG.standard_normal((1000, 2)), RNG.standard_normal((1000, 1))
    run = train.Trainer(
        nn.Dense(1, bias=False, init="zeros"),
        "half_squared_error",
        optim.SGD(0.1),
        dtype="float64",
        executor="reference",
    )
    run.fit((x, y), epochs=1, batch_size=10, shuffle=False, progress="silent")
    assert run.step == 100
    w = np.zeros((2, 1))
    for first in range(0, 1000, 10):
        batch = slice(first, first + 10)
        w = w - 0.1 * x[batch].T @ (x[batch] @ w - y[batch]) / 10
    np.testing.assert_allclose(weights(run), w, rtol=1e-10)


def test_105_automatic_batches_are_powers_of_two_up_to_512() -> None:
    """The trainer keeps 20 updates an epoch where the notes take all up to 2000; the estimators do as the notes."""
    sizes = {n: choose_batch_size("auto", n) for n in (100, 2000, 5000, 20_000, 60_000, 10**6)}
    assert sizes == {100: 8, 2000: 64, 5000: 128, 20_000: 512, 60_000: 512, 10**6: 512}
    estimator = NeuralClassifier()
    assert [estimator._batch(n) for n in (100, 2000, 6400, 20_000, 10**6)] == [100, 2000, 64, 128, 512]


@pytest.mark.parametrize("curvature", [1.0, 9.0])
def test_111_nesterov_is_faster_than_momentum_along_every_curvature(curvature: float) -> None:
    """On ½hw² both are linear recursions, whose errors shrink a step by their largest root; Nesterov's is smaller."""
    mu, eta = 0.9, 0.05

    def rate(nesterov: bool) -> float:
        """How much an error shrinks a step, over 150 steps."""
        optimizer = optim.SGD(eta, mu, nesterov=nesterov)
        w = {"w": gl.tensor(1.0, "float64")}
        state = optimizer.init(w)
        sizes = []
        for _ in range(180):
            ahead = optimizer.lookahead(w, state)
            w, state = optimizer.update({"w": curvature * ahead["w"]}, state, w)
            sizes.append(abs(w["w"].item()))
        return float((max(sizes[-30:]) / max(sizes[:30])) ** (1 / 150))

    shrink = 1 - eta * curvature
    momentum = max(abs(np.roots([1, -(shrink + mu), mu])))
    lookahead = max(abs(np.roots([1, -(1 + mu) * shrink, mu * shrink])))
    assert lookahead < momentum
    assert rate(nesterov=False) == pytest.approx(momentum, rel=0.005)
    assert rate(nesterov=True) == pytest.approx(lookahead, rel=0.005)


def test_119_without_correction_the_first_steps_of_adam_are_too_long() -> None:
    """The first is (1 - β₁)/√(1 - β₂) = 3.16 times as long as η, though both averages begin at 0."""

    def first(corrected: bool) -> float:
        adam = optim.Adam(0.1, eps_mode="none", bias_correction=corrected)
        w = gl.tensor(1.0, "float64")
        found, _ = adam.update(gl.tensor(5.0, "float64"), adam.init(w), w)
        return 1 - found.item()

    assert first(corrected=True) == pytest.approx(0.1, rel=1e-12)
    assert first(corrected=False) == pytest.approx(0.1 * 0.1 / np.sqrt(0.001), rel=1e-12)


def test_120_an_average_without_correction_is_pulled_to_zero() -> None:
    for corrected, wanted in ((True, [5.0, 5.0, 5.0]), (False, [0.5, 0.95, 1.355])):
        average = optim.ExponentialAverage(0.9, corrected)
        state = average.init(gl.tensor(0.0, "float64"))
        seen = []
        for _ in range(3):
            state = average.update(gl.tensor(5.0, "float64"), state)
            seen.append(average.value(state).item())
        np.testing.assert_allclose(seen, wanted, rtol=1e-12)


def test_124_a_rate_above_two_over_the_curvature_diverges() -> None:
    """Full-batch descent on a quadratic converges for η < 2/λ_max and not beyond."""
    steepest = np.linalg.eigvalsh(X.T @ X / len(X)).max()
    best = np.linalg.lstsq(X, Y, rcond=None)[0]
    near, far = (np.abs(weights(linear(len(X), 100, factor / steepest)) - best).max() for factor in (1.9, 2.1))
    assert near < 1e-2 < 1e2 < far
    slow = np.abs(weights(linear(len(X), 100, 0.002 / steepest)) - best).max()
    assert near < slow


def test_127_the_cost_of_all_examples_falls_and_that_of_single_ones_oscillates() -> None:
    whole = linear(len(X), 30).history.column("loss")
    assert (np.diff(whole) < 0).all()
    single = [float(np.mean((X @ w - Y) ** 2)) for w in _path_of_single_steps()]
    assert (np.diff(single) > 0).any()
    assert single[-1] < 0.5 * single[0]


def _path_of_single_steps() -> list[np.ndarray]:
    path = []
    run = train.Trainer(
        nn.Dense(1, bias=False, init="zeros"),
        "half_squared_error",
        optim.SGD(0.1),
        dtype="float64",
        executor="reference",
    )
    for x, y in zip(X, Y):
        run.fit((x[None], y[None]), epochs=1, batch_size=1, progress="silent")
        path.append(weights(run))
    return path


def test_131_the_noise_of_a_batch_falls_with_its_size() -> None:
    """The gradient of b examples drawn at random has the mean of all, and 1/b of the variance of one."""
    each = X * (X @ np.zeros((3, 1)) - Y)
    for b in (1, 4, 16):
        draws = np.array([each[RNG.integers(0, len(X), b)].mean(0) for _ in range(4000)])
        np.testing.assert_allclose(draws.mean(0), each.mean(0), atol=5 * np.sqrt(each.var(0).max() / b / 4000))
        np.testing.assert_allclose(draws.var(0), each.var(0) / b, rtol=0.15)
    ours = gl.grad(lambda w: nn.losses.SquaredError("half")(X @ w, Y))(gl.zeros((3, 1), "float64")).numpy()
    np.testing.assert_allclose(ours[:, 0], each.mean(0), rtol=1e-12)


def test_113_adagrad_without_epsilon_begins_with_a_step_of_the_rate_itself() -> None:
    """On w² from 1 with η = 0.1: G = 4, then 4 + 1.8², and w = 1 - 0.1, then less 0.1 · 1.8/√7.24."""
    adagrad = optim.AdaGrad(0.1, eps_mode="none")
    w = gl.tensor(1.0, "float64")
    state = adagrad.init(w)
    for wanted in (0.9, 0.9 - 0.18 / np.sqrt(7.24)):
        w, state = adagrad.update(2 * w, state, w)
        assert w.item() == pytest.approx(wanted, rel=1e-14)
