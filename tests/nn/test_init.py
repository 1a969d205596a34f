"""Initialisers: their variance, and what it does to deep networks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

import gradloom as gl
from gradloom import nn, tree
from gradloom.errors import OptionError, UnknownNameError
from gradloom.nn import init

KEY = gl.random.key(12)
SHAPE = (300, 200)
VARIANCES = {
    "lecun_normal": 1 / 300,
    "lecun_uniform": 1 / 300,
    "glorot_normal": 2 / 500,
    "glorot_uniform": 2 / 500,
    "he_normal": 2 / 300,
    "he_uniform": 2 / 300,
    "normal": 0.01**2,
    "uniform": 0.1**2 / 12,
}


def draw(name: str | init.Initializer, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    value = init.get(name)(KEY, shape)
    assert value.shape == shape
    assert value.dtype == np.float32
    return value.numpy().astype(np.float64)


@pytest.mark.parametrize(("name", "variance"), VARIANCES.items())
def test_mean_and_variance(name: str, variance: float) -> None:
    x = draw(name)
    assert abs(x.mean()) < 5 * math.sqrt(variance / x.size)
    # The variance of a sample of n has the relative standard error √((kurtosis - 1)/n), at most √(2/n).
    assert x.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / x.size))
    kurtosis = ((x - x.mean()) ** 4).mean() / x.var() ** 2
    assert kurtosis == pytest.approx(1.8 if "uniform" in name else 3.0, abs=0.15)


def test_a_truncated_normal_distribution_keeps_the_variance_and_has_an_end() -> None:
    x = draw(init.VarianceScaling(1.0, "fan_in", "truncated"))
    assert x.var() == pytest.approx(1 / 300, rel=5 * math.sqrt(2 / x.size))
    end = 2 / stats.truncnorm(-2, 2).std() / math.sqrt(300)
    assert 0.99 * end < np.abs(x).max() <= end * (1 + 1e-6)
    assert (x != 0).all()


def test_rules_have_the_names_of_other_libraries_too() -> None:
    assert init.get("xavier_uniform") == init.get("glorot_uniform")
    assert init.get("kaiming_normal") == init.get("he_normal")


@pytest.mark.parametrize("shape", [(3, 5, 4, 6), (3, 3, 4, 2), (1, 4, 4), (2, 3, 3, 2, 7)])
def test_dirac_filters_pass_their_channels_on(shape: tuple[int, ...]) -> None:
    *window, channels, filters = shape
    x = np.random.default_rng(1).standard_normal((2, *(8,) * len(window), channels)).astype(np.float32)
    layer = nn.Conv(filters, tuple(window), padding=tuple((k // 2, k - 1 - k // 2) for k in window), init="dirac")
    pure = min(channels, filters)
    np.testing.assert_array_equal(layer(x).numpy()[..., :pure], x[..., :pure])
    rest = layer.parameters()["weight"].numpy()[..., pure:]
    assert (np.abs(rest) < 1 / math.sqrt(math.prod(shape[:-1]) / 3)).all()
    assert not rest.size or rest.std() > 0
    with pytest.raises(OptionError, match="must be a kernel"):
        nn.init.dirac()(KEY, (3, 4))


def test_glorot_uniform_bound() -> None:
    bound = math.sqrt(6 / 500)
    x = draw("glorot_uniform")
    assert 0.999 * bound < np.abs(x).max() <= bound * (1 + 1e-6)


def test_fans_of_kernels() -> None:
    assert init.fans((5, 7)) == (5, 7)
    assert init.fans((3, 3, 16, 32)) == (9 * 16, 9 * 32)
    assert init.fans((4,)) == (4, 4)
    x = draw("he_normal", (3, 3, 16, 32))
    assert x.var() == pytest.approx(2 / 144, rel=5 * math.sqrt(2 / x.size))


def test_gain_is_a_factor_of_the_variance() -> None:
    plain, gained = init.get("he_normal")(KEY, SHAPE), init.get("he_normal", gain=4.0)(KEY, SHAPE)
    np.testing.assert_allclose(gained.numpy(), 2 * plain.numpy(), rtol=1e-6)
    assert init.get("he_normal", gain=4.0) == init.variance_scaling(2.0, "fan_in", "normal", gain=4.0)
    with pytest.raises(OptionError, match="takes no gain"):
        init.get("zeros", gain=2.0)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (2, 3, 4)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    x = draw(init.orthogonal(gain=2.0), shape).reshape(-1, shape[-1])
    product = x.T @ x if x.shape[0] >= x.shape[1] else x @ x.T
    np.testing.assert_allclose(product, 4 * np.eye(min(x.shape)), atol=1e-5)


def test_constants() -> None:
    assert not draw("zeros").any()
    assert (draw("ones") == 1).all()
    assert (draw(init.constant(0.25)) == 0.25).all()


def test_keys_determine_values() -> None:
    np.testing.assert_array_equal(draw("he_normal"), draw("he_normal"))
    assert not np.array_equal(draw("he_normal"), init.he_normal(gl.random.key(13), SHAPE).numpy())


def test_parameters_of_a_model_differ_from_each_other_and_follow_the_seed() -> None:
    def weights(seed: int) -> list[np.ndarray]:
        model = nn.Sequential(nn.Dense(4), nn.Dense(4))
        model.initialize(np.zeros((2, 4), np.float32), seed=seed)
        return [p["weight"].numpy() for p in model.parameters().values()]

    first, second = weights(0)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, weights(0)[0])
    assert not np.array_equal(first, weights(1)[0])


@pytest.mark.parametrize(
    ("name", "g"), [("he_normal", gl.relu), ("he_uniform", gl.relu), ("orthogonal", nn.Identity())]
)
def test_signal_keeps_its_size_through_a_hundred_layers(name: str, g: Callable[[gl.Tensor], gl.Tensor]) -> None:
    assert 0.1 < through_layers(init.get(name), g) < 10


@pytest.mark.parametrize(("factor", "grows"), [(0.5, False), (2.0, True)])
def test_wrong_variance_vanishes_or_explodes(factor: float, grows: bool) -> None:
    """With the variance off by a factor the second moment changes by factor¹⁰⁰ (catalogue 179, T25)."""
    size = through_layers(init.get("he_normal", gain=factor), gl.relu)
    assert math.log2(size) == pytest.approx(100 if grows else -100, abs=10)


def through_layers(
    chosen: init.Initializer, g: Callable[[gl.Tensor], gl.Tensor], depth: int = 100, width: int = 200
) -> float:
    """The second moment after ``depth`` layers, relative to that of the input."""
    x = gl.random.normal(gl.random.key(1), (32, width))
    start = gl.mean(gl.square(x)).item()
    for key in gl.random.split(gl.random.key(2), depth):
        x = g(x @ chosen(key, (width, width)))
    return gl.mean(gl.square(x)).item() / start


def test_zeros_keep_hidden_units_alike() -> None:
    """Units that begin alike get one gradient and stay alike; a random start tells them apart (catalogue 170)."""
    x, y = np.random.default_rng(0).standard_normal((2, 8, 3)).astype(np.float32)

    def trained(name: str) -> np.ndarray:
        model = nn.Sequential(nn.Dense(4, activation="sigmoid", init=name), nn.Dense(3, init=name))
        model.initialize(x, seed=1)
        parameters = model.parameters()
        for _ in range(5):
            gradient = gl.grad(lambda p: nn.losses.SquaredError()(nn.apply(model, p, {}, x)[0], y))(parameters)
            parameters = tree.map(lambda p, g: p - 0.5 * g, parameters, gradient)
        return parameters["layers.0"]["weight"].numpy()

    alike, apart = trained("zeros"), trained("glorot_uniform")
    assert np.abs(alike).max() > 1e-4  # it did train
    np.testing.assert_array_equal(alike, np.repeat(alike[:, :1], 4, axis=1))
    assert np.ptp(apart, axis=1).min() > 0.01


def test_errors() -> None:
    with pytest.raises(UnknownNameError, match=r"no initialiser .* got 'he_norml'. Did you mean 'he_normal'\?"):
        init.get("he_norml")
    with pytest.raises(OptionError, match=r"no such mode; got 'fan'. Did you mean 'fan_in'\?"):
        init.variance_scaling(1.0, "fan")
    with pytest.raises(OptionError, match=r"stddev is a finite number from 0; got -1"):
        init.normal(-1)
    with pytest.raises(OptionError, match=r"high is a finite number from 1; got 0"):
        init.uniform(1, 0)
    with pytest.raises(OptionError, match=r"the weights must be a matrix; got shape \(3,\)"):
        init.orthogonal()(KEY, (3,))
    with pytest.raises(OptionError, match=r"Write init.normal\(...\)"):
        nn.Dense(3, init=init.normal)
