"""Batch normalisation: the formula, the running statistics, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn
from gradloom.errors import OptionError, ShapeError

RNG = np.random.default_rng(0)


def train(layer: nn.Module, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    y, state = nn.apply(layer, layer.parameters(), layer.state(), x, training=True)
    layer.load(layer.parameters(), state)
    return y.numpy(), {name: value.numpy() for name, value in state.items()}


@pytest.mark.parametrize("shape", [(20, 3), (4, 5, 6, 3)])
def test_formula(shape: tuple[int, ...]) -> None:
    layer = nn.BatchNorm()
    x = (RNG.standard_normal(shape) * [1, 2, 3] + [5, 0, -5]).astype(np.float32)
    layer.initialize(x)
    scale, shift = np.array([1, 2, 3], np.float32), np.array([-1, 0, 1], np.float32)
    layer.load({"scale": gl.tensor(scale), "shift": gl.tensor(shift)}, layer.state())
    flat = x.reshape(-1, 3).astype(float)
    mean, var = flat.mean(0), ((flat - flat.mean(0)) ** 2).sum(0) / len(flat)
    y, state = train(layer, x)
    np.testing.assert_allclose(y, scale * (x - mean) / np.sqrt(var + 1e-5) + shift, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(state["running_mean"], 0.1 * mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state["running_var"], 0.9 + 0.1 * var, rtol=1e-4)
    expected = scale * (x - state["running_mean"]) / np.sqrt(state["running_var"] + 1e-5) + shift
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-4, atol=1e-4)


def test_momentum_is_the_weight_of_the_new_batch() -> None:
    layer = nn.BatchNorm(momentum=0.25, affine=False)
    batches = RNG.standard_normal((5, 8, 2)) + 3
    layer.initialize(batches[0])
    mean, var = np.zeros(2), np.ones(2)
    for batch in batches:
        _, state = train(layer, batch)
        mean, var = 0.75 * mean + 0.25 * batch.mean(0), 0.75 * var + 0.25 * batch.var(0)
        np.testing.assert_allclose(state["running_mean"], mean, rtol=1e-5)
        np.testing.assert_allclose(state["running_var"], var, rtol=1e-5)
        assert state["running_mean"].dtype == np.float32
    assert layer.parameters() == {}


@pytest.mark.parametrize("eps_mode", ["inside", "outside", "variance"])
@pytest.mark.parametrize("running_variance", ["biased", "unbiased"])
@pytest.mark.parametrize("momentum_of", ["new", "old"])
def test_variants_of_the_notes(eps_mode: str, running_variance: str, momentum_of: str) -> None:
    """Catalogue A-V 9: where ε stands, which variance is kept, whose weight the momentum is."""
    layer = nn.BatchNorm(
        momentum=0.2,
        eps=0.5,
        affine="shift",
        eps_mode=eps_mode,
        running_variance=running_variance,
        momentum_of=momentum_of,
    )
    x = RNG.standard_normal((3, 4, 2)) * [1, 3] + [2, -1]
    layer.initialize(x)
    assert list(layer.parameters()) == ["shift"]
    divisor = {
        "inside": lambda v: np.sqrt(v + 0.5),
        "outside": lambda v: np.sqrt(v) + 0.5,
        "variance": lambda v: v + 0.5,
    }
    y, state = train(layer, x)
    mean, var = x.mean((0, 1)), x.var((0, 1))
    np.testing.assert_allclose(y, (x - mean) / divisor[eps_mode](var), rtol=1e-12)
    new = 0.2 if momentum_of == "new" else 0.8
    kept = (1 - new) + new * x.var((0, 1), ddof=running_variance == "unbiased")
    np.testing.assert_allclose(state["running_mean"], new * mean, rtol=1e-6)
    np.testing.assert_allclose(state["running_var"], kept, rtol=1e-6)
    np.testing.assert_allclose(layer(x).numpy(), (x - new * mean) / divisor[eps_mode](kept), rtol=1e-5)


def test_making_parameters_leaves_the_statistics_alone() -> None:
    layer = nn.BatchNorm()
    layer.initialize(np.full((1, 2), 9.0, np.float32))
    np.testing.assert_array_equal(layer.state()["running_mean"].numpy(), [0, 0])
    np.testing.assert_array_equal(layer.state()["running_var"].numpy(), [1, 1])


def test_a_constant_channel_stays_finite() -> None:
    layer = nn.BatchNorm()
    x = np.full((4, 2), 7.0, np.float32)
    layer.initialize(x)
    y, _ = train(layer, x)
    np.testing.assert_array_equal(y, np.zeros((4, 2)))


def test_errors() -> None:
    model = nn.Sequential(nn.Dense(3), nn.BatchNorm())
    one = np.ones((1, 2), np.float32)
    model.initialize(one)
    with pytest.raises(ShapeError) as caught:
        nn.apply(model, model.parameters(), model.state(), one, training=True)
    assert str(caught.value) == (
        "in Sequential > layers.1 (BatchNorm): a training batch needs more than one value a channel, for "
        "one alone has no variance; got a batch of 1 example, float32[1,3]. "
        "Use larger batches, or leave out a last batch of a single example."
    )
    with pytest.raises(ShapeError, match=r"more than one value a channel, .*; got float32\[0,3\]"):
        nn.apply(model, model.parameters(), model.state(), one[:0], training=True)
    assert model(one).shape == (1, 3)
    assert model(one[:0]).shape == (0, 3)
    with pytest.raises(ShapeError, match=r"expected 3 channels on the last axis; got 2 in float32\[4,2\]"):
        model[1](np.ones((4, 2), np.float32))
    with pytest.raises(ShapeError, match=r"the input needs axes of examples and of channels; got float32\[2\]"):
        nn.BatchNorm()(np.ones(2, np.float32))
    with pytest.raises(OptionError, match=r"momentum is a finite number from 0 to 1; got 2"):
        nn.BatchNorm(momentum=2)
    for option in ("momentum_of", "running_variance", "eps_mode"):
        with pytest.raises(OptionError, match=f"no such {option}; got 'nwe'"):
            nn.BatchNorm(**{option: "nwe"})  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="affine is one of True, False, 'shift'; got 1"):
        nn.BatchNorm(affine=1)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"eps is a finite number above 0; got 0"):
        nn.BatchNorm(eps=0)
