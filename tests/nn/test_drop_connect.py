"""DropConnect and noise: what is drawn, and what is predicted in place of the mean over all draws."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.stats

import gradloom as gl
from gradloom import nn
from gradloom.errors import OptionError, ShapeError

X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def built(layer: nn.Module, x: np.ndarray = X) -> nn.Module:
    layer.initialize(x, seed=2)
    return layer


def train(layer: nn.Module, x: np.ndarray = X, seed: int = 0, *, drop: bool = True) -> np.ndarray:
    key = gl.random.key(seed)
    return nn.apply(layer, layer.parameters(), layer.state(), x, training=True, key=key, drop=drop)[0].numpy()


def test_a_batch_shares_a_mask_and_examples_may_have_their_own() -> None:
    ones = np.ones((50, 20), np.float32)
    shared = train(built(nn.DropConnect(8, 0.5), ones), ones)
    assert len(np.unique(shared, axis=0)) == 1
    own = train(built(nn.DropConnect(8, 0.5, mask="example"), ones), ones)
    assert len(np.unique(own, axis=0)) == 50


@pytest.mark.parametrize("mask", ["batch", "example"])
@pytest.mark.parametrize("mode", ["inverted", "weight_scaled"])
def test_single_connections_are_dropped_with_the_rate(mask: str, mode: str) -> None:
    """Unit rows of inputs show the weights themselves."""
    units = np.eye(60, dtype=np.float32)
    layer = built(nn.DropConnect(80, 0.3, mask=mask, mode=mode, init=nn.init.constant(1.0)), units)
    seen = train(layer, units)
    kept = 1.0 if mode == "weight_scaled" else 1 / 0.7
    assert np.isin(seen, np.array([0, kept], np.float32)).all()
    assert (seen == 0).mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / seen.size))
    assert layer(units).numpy().mean() == pytest.approx(0.7 * kept, rel=1e-6)


@pytest.mark.parametrize("mask", ["example", "normal"])
@pytest.mark.parametrize("mode", ["inverted", "weight_scaled"])
def test_each_example_draws_sums_of_its_own(mask: str, mode: str) -> None:
    """Beside masks drawn by NumPy: the distribution of the sums, and that units are independent."""
    rng = np.random.default_rng(5)
    row = rng.normal(size=40).astype(np.float32)
    many = np.tile(row, (3000, 1))
    layer = built(nn.DropConnect(3, 0.3, mode=mode, mask=mask, bias_init=nn.init.constant(0.2)), many)
    weight = layer.parameters()["weight"].numpy() / (0.7 if mode == "inverted" else 1)
    wanted = np.array([row @ (weight * (rng.random(weight.shape) < 0.7)) for _ in range(3000)]) + 0.2
    found = train(layer, many)
    assert all(scipy.stats.cramervonmises_2samp(found[:, i], wanted[:, i]).pvalue > 1e-3 for i in range(3))
    assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 5 / np.sqrt(3000)


@pytest.mark.parametrize("mask", ["batch", "example", "normal"])
@pytest.mark.parametrize("mode", ["inverted", "weight_scaled"])
def test_slopes_are_right_on_average(mask: str, mode: str) -> None:
    """E Σ(x (M ∘ W))² has a closed form, and so its slope: 2 x xᵀW E² + 2 x² W Var of a mask's element."""
    x, runs = X.astype(float), 300
    layer = nn.DropConnect(3, 0.3, mode=mode, mask=mask, bias=False)
    layer.initialize(gl.tensor(x), seed=2)
    weight = layer.parameters()["weight"].numpy()

    def loss(p: Any, key: Any) -> gl.Tensor:
        return gl.sum(nn.apply(layer, p, {}, x, training=True, key=key)[0] ** 2)

    slope = gl.jit(gl.grad(loss))
    found = np.array([slope(layer.parameters(), gl.random.key(seed))["weight"].numpy() for seed in range(runs)])
    mean, variance = (1, 0.3 / 0.7) if mode == "inverted" else (0.7, 0.21)
    wanted = 2 * mean**2 * x.T @ x @ weight + 2 * variance * (x**2).sum(0)[:, None] * weight
    assert (np.abs(found.mean(0) - wanted) < 5 * found.std(0) / np.sqrt(runs)).all()


def test_sums_of_nothing_have_a_slope() -> None:
    layer = built(nn.DropConnect(3, 0.5, mask="normal"))

    def loss(p: Any) -> gl.Tensor:
        nothing = np.zeros((2, 4), np.float32)
        return gl.sum(nn.apply(layer, p, {}, nothing, training=True, key=gl.random.key(1))[0])

    slope = gl.grad(loss)(layer.parameters())
    assert (slope["weight"].numpy() == 0).all()
    assert (slope["bias"].numpy() == 2).all()


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_weight_scaled_dropout_is_inverted_dropout_with_a_smaller_step(rate: float) -> None:
    """With weights p times as large behind it, and a learning rate 1/p² times as large, it makes the same steps."""
    keep, step = 1 - rate, 0.1
    nets = {mode: nn.Sequential(nn.Dropout(rate, mode=mode), nn.Dense(3)) for mode in ("inverted", "weight_scaled")}
    for net in nets.values():
        built(net)
    given = nets["inverted"].parameters()["layers.1"]
    weights = {"inverted": given["weight"], "weight_scaled": given["weight"] / keep}
    rates = {"inverted": step, "weight_scaled": step / keep**2}

    def loss(w: Any, net: nn.Module, key: gl.Tensor) -> gl.Tensor:
        own = {"layers.1": {"weight": w, "bias": given["bias"]}}
        return gl.sum(nn.apply(net, own, {}, X, training=True, key=key)[0] ** 2)

    for key in map(gl.random.key, range(3)):
        weights = {mode: w - rates[mode] * gl.grad(loss)(w, nets[mode], key) for mode, w in weights.items()}
    np.testing.assert_allclose(weights["weight_scaled"].numpy() * keep, weights["inverted"].numpy(), rtol=1e-4)


@pytest.mark.parametrize("mode", ["inverted", "weight_scaled"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "softplus"])
def test_moments_are_the_mean_over_the_normal_distribution(mode: str, activation: str) -> None:
    """The mean and variance over all 2⁴ masks by enumeration, the mean of g by SciPy's quadrature."""
    layer = built(
        nn.DropConnect(1, 0.3, mode=mode, activation=activation, predict="moments", bias_init=nn.init.constant(0.2))
    )
    w = layer.parameters()["weight"].numpy()[:, 0].astype(float) / (1 if mode == "weight_scaled" else 0.7)
    g = {"relu": lambda u: max(u, 0), "tanh": np.tanh, "softplus": lambda u: np.logaddexp(u, 0)}[activation]
    masks = np.array(list(itertools.product([0, 1], repeat=4)))
    chances = np.prod(np.where(masks, 0.7, 0.3), 1)
    for row, found in zip(X.astype(float), layer(X).numpy()[:, 0]):
        sums = masks @ (w * row) + 0.2
        mean = float(chances @ sums)
        deviation = float(np.sqrt(chances @ (sums - mean) ** 2))
        normal = scipy.stats.norm(mean, deviation)
        wanted = normal.expect(g, lb=mean - 9 * deviation, ub=mean + 9 * deviation)
        assert found == pytest.approx(wanted, abs=1e-4)  # of the quadrature


def test_moments_come_nearer_to_the_mean_over_masks_than_mean_weights() -> None:
    x = np.random.default_rng(3).normal(size=(8, 30)).astype(np.float32)
    layers = {p: built(nn.DropConnect(6, 0.5, activation="relu", predict=p), x) for p in ("mean", "moments")}
    average = np.mean([train(layers["mean"], x, seed) for seed in range(400)], axis=0)
    errors = {p: np.abs(layer(x).numpy() - average).mean() for p, layer in layers.items()}
    assert errors["moments"] < 0.3 * errors["mean"]


def test_without_dropping_a_training_call_predicts() -> None:
    layer = built(nn.DropConnect(3, 0.5, activation="relu", predict="moments"))
    np.testing.assert_array_equal(train(layer, drop=False), layer(X).numpy())


def test_dropped_connections_have_no_gradient() -> None:
    layer = built(nn.DropConnect(3, 0.5))

    def f(p: Any) -> gl.Tensor:
        return gl.sum(nn.apply(layer, p, {}, X, training=True, key=gl.random.key(1))[0])

    slope = gl.grad(f)(layer.parameters())["weight"].numpy()
    assert 0 < (slope == 0).sum() < slope.size


def test_spatial_dropout_takes_whole_channels() -> None:
    pictures = np.ones((6, 5, 4, 30), np.float32)
    y = train(built(nn.SpatialDropout(0.5), pictures), pictures)
    assert (y == y[:, :1, :1]).all()
    assert len(np.unique(y[:, 0, 0], axis=0)) == 6
    assert (y == 0).mean() == pytest.approx(0.5, abs=0.2)
    with pytest.raises(ShapeError, match=r"the input is \(n, \*spatial, channels\)"):
        train(nn.SpatialDropout(0.5))


def test_noise_has_the_deviation_asked_for() -> None:
    zeros = np.zeros((200, 300), np.float32)
    y = train(built(nn.GaussianNoise(0.5), zeros), zeros)
    assert y.std() == pytest.approx(0.5, rel=0.01)
    assert y.mean() == pytest.approx(0, abs=0.01)
    layer = built(nn.NoisyDense(400, 0.2, init="zeros"), np.eye(300, dtype=np.float32))
    assert train(layer, np.eye(300, dtype=np.float32)).std() == pytest.approx(0.2, rel=0.01)


def test_refusals() -> None:
    with pytest.raises(OptionError, match="DropConnect: rate is below 1"):
        nn.DropConnect(3, 1.0)
    with pytest.raises(OptionError, match="moments need an activation of single elements; got softmax"):
        nn.DropConnect(3, activation="softmax", predict="moments")
    with pytest.raises(OptionError, match="std is a finite number not below 0"):
        nn.GaussianNoise(-1)
