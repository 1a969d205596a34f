"""Sections A3 and A4 of the catalogue: what the notes claim of activations and losses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import special, stats

import gradloom as gl
from gradloom import nn

RNG = np.random.default_rng(3)


def test_47_tanh_is_odd_and_a_stretched_sigmoid() -> None:
    z = np.linspace(-5, 5, 41)
    found = gl.tanh(z).numpy()
    np.testing.assert_allclose(found, 2 * gl.sigmoid(2 * z).numpy() - 1, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(found, -gl.tanh(-z).numpy())


def test_53_the_derivative_of_softplus_is_the_sigmoid() -> None:
    z = np.linspace(-700, 700, 57)
    np.testing.assert_allclose(gl.grad(lambda z: gl.sum(gl.softplus(z)))(z).numpy(), special.expit(z), rtol=1e-12)


@pytest.mark.parametrize("name", ["step", "sign", "sigmoid", "tanh", "relu", "softplus", "elu"])
def test_57_most_activations_are_constant_far_to_the_left(name: str) -> None:
    far = nn.Activation(name)(np.array([-50.0, -100.0, -200.0])).numpy()
    assert np.ptp(far) < 1e-20
    assert np.ptp(nn.Activation("leaky_relu")(np.array([-50.0, -100.0])).numpy()) == 0.5  # the exception


def test_58_sigmoid_and_tanh_saturate_and_relu_does_not() -> None:
    def slope(name: str, at: float) -> float:
        return gl.grad(nn.Activation(name))(gl.tensor(at, "float64")).item()

    for at in (-20.0, 20.0):
        assert slope("sigmoid", at) < 1e-8
        assert slope("tanh", at) < 1e-8
    assert slope("relu", 20.0) == 1


def test_60_a_linear_hidden_layer_before_a_sigmoid_is_logistic_regression() -> None:
    """One unit: σ((xW₁ + b₁)w₂ + b₂) = σ(xw + b) with w = W₁w₂ and b = b₁w₂ + b₂."""
    x = RNG.standard_normal((9, 4))
    two = nn.Sequential(nn.Dense(6), nn.Dense(1, activation="sigmoid"))
    found = two(x).numpy()
    first, second = (two.parameters()[f"layers.{i}"] for i in (0, 1))
    w = first["weight"].numpy() @ second["weight"].numpy()
    b = first["bias"].numpy() @ second["weight"].numpy() + second["bias"].numpy()
    np.testing.assert_allclose(found, special.expit(x @ w + b), rtol=1e-6)


def test_68_the_least_cross_entropy_is_the_greatest_likelihood() -> None:
    y = RNG.integers(0, 2, 50)
    z = RNG.standard_normal(50)
    likelihood = stats.bernoulli.logpmf(y, special.expit(z)).sum()
    assert nn.losses.BinaryCrossEntropy(reduction="sum")(z, y).item() == pytest.approx(-likelihood, rel=1e-12)
    # Of all constant answers the frequency is the most likely one, and has the least cost.
    frequency = special.logit(y.mean())
    cost = lambda z: nn.losses.BinaryCrossEntropy()(gl.broadcast_to(z, (50,)), y)  # noqa: E731
    assert gl.grad(cost)(gl.tensor(frequency)).item() == pytest.approx(0, abs=1e-15)
    assert gl.hessian(cost)(gl.tensor(frequency)).item() > 0


def test_69_confident_and_wrong_costs_more_than_confident_and_right_saves() -> None:
    """Beside the answer 1/2, with costs of log 2, at logits ±z."""
    for z in (0.5, 1.0, 3.0, 10.0):
        right, wrong = (nn.losses.BinaryCrossEntropy()([at], [1]).item() for at in (z, -z))
        assert wrong - np.log(2) > np.log(2) - right > 0


def test_70_squared_error_behind_a_sigmoid_is_not_convex_and_cross_entropy_is() -> None:
    z = np.linspace(-6, 6, 49)
    squares = gl.vmap(gl.hessian(lambda z: gl.square(gl.sigmoid(z) - 1)))(z).numpy()
    entropy = gl.vmap(gl.hessian(lambda z: gl.softplus(z) - z))(z).numpy()
    np.testing.assert_allclose(squares, _curvature(special.expit(z)), atol=1e-12)
    assert squares.min() < -0.01 < 0.01 < squares.max()
    assert (entropy > 0).all()


def _curvature(s: np.ndarray) -> np.ndarray:
    """d²/dz² (1 - σ)²: with u = 1 - σ and u' = -σu it is 2u'² + 2uu'' = 2σ²u² + 2u · σu(σ - u)."""
    u = 1 - s
    return 2 * s**2 * u**2 + 2 * u**2 * s * (s - u)


def test_75_a_sum_over_examples_is_n_times_their_mean() -> None:
    y, t = RNG.standard_normal((2, 8))
    for loss in (nn.losses.SquaredError, nn.losses.AbsoluteError, nn.losses.BinaryCrossEntropy):
        wanted = (t > 0).astype(float)
        total, mean = loss(reduction="sum")(y, wanted).item(), loss()(y, wanted).item()
        assert total == pytest.approx(8 * mean, rel=1e-14)


def test_77_the_threshold_moves_the_decision() -> None:
    """σ(z) ≥ t where z ≥ log(t/(1 - t))."""
    z, y = np.array([-2.0, -0.5, 0.5, 2.0]), np.ones(4, int)
    shares = [nn.metrics.Recall(threshold=t).compute(z, y) for t in (0.1, 0.3, 0.5, 0.7, 0.9)]
    wanted = [(special.expit(z) >= t).mean() for t in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert [float(np.asarray(s)) for s in shares] == pytest.approx(wanted)


def test_80_under_dropout_the_cost_is_one_of_many() -> None:
    """Each call draws a subset of the units; the mean over calls is the mean over all 2ⁿ subsets."""
    x, n = RNG.standard_normal((1, 4)), 4
    layer = nn.Dropout(0.5)
    cost = lambda kept: float(np.sum(x * kept / 0.5) ** 2)  # noqa: E731
    of_all = np.array([cost(np.array(kept)) for kept in itertools.product((0, 1), repeat=n)])
    keys = gl.random.split(gl.random.key(0), 4000)

    def drawn(key: gl.Tensor) -> gl.Tensor:
        return gl.square(gl.sum(nn.apply(layer, {}, {}, x, training=True, key=key)[0]))

    seen = gl.vmap(drawn)(keys).numpy()
    assert len(np.unique(seen.round(9))) == len(np.unique(of_all.round(9)))
    assert seen.mean() == pytest.approx(of_all.mean(), abs=5 * of_all.std() / np.sqrt(len(seen)))
