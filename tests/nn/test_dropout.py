"""Dropout: how much is dropped, what the mean becomes, whose mask is whose."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn
from gradloom.errors import OptionError


def train(layer: nn.Module, x: np.ndarray, seed: int = 0) -> np.ndarray:
    return nn.apply(layer, {}, {}, x, training=True, key=gl.random.key(seed))[0].numpy()


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_inverted(rate: float) -> None:
    x = np.full((200, 500), 3.0, np.float32)
    y = train(nn.Dropout(rate), x)
    dropped = (y == 0).mean()
    assert dropped == pytest.approx(rate, abs=5 * math.sqrt(rate * (1 - rate) / x.size))
    np.testing.assert_allclose(y[y != 0], 3 / (1 - rate), rtol=1e-6)
    np.testing.assert_array_equal(nn.Dropout(rate)(x).numpy(), x)


def test_weight_scaled() -> None:
    x = np.full((200, 500), 3.0, np.float32)
    layer = nn.Dropout(0.3, mode="weight_scaled")
    y = train(layer, x)
    assert set(np.unique(y)) == {0.0, 3.0}
    np.testing.assert_allclose(layer(x).numpy(), 2.1, rtol=1e-6)
    assert y.mean() == pytest.approx(2.1, rel=0.02)


def test_masks_differ_between_examples_layers_and_keys() -> None:
    x = np.ones((50, 40), np.float32)
    y = train(nn.Dropout(0.5), x)
    assert len(np.unique(y, axis=0)) == 50
    assert not np.array_equal(y, train(nn.Dropout(0.5), x, seed=1))
    twice = train(nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)), x)
    assert (twice == 0).mean() == pytest.approx(0.75, abs=0.05)  # one mask used twice would drop a half


def test_gradient_of_what_is_dropped_is_zero() -> None:
    x = np.ones((6, 5), np.float32)

    def f(x: gl.Tensor) -> tuple[gl.Tensor, gl.Tensor]:
        y, _ = nn.apply(nn.Dropout(0.5), {}, {}, x, training=True, key=gl.random.key(3))
        return gl.sum(y), y

    gradient, y = gl.grad(f, has_aux=True)(x)
    np.testing.assert_array_equal(gradient.numpy(), np.where(y.numpy() == 0, 0, 2))
    assert (y.numpy() == 0).any()


def test_errors() -> None:
    with pytest.raises(OptionError, match=r"^in Sequential > layers.0 \(Dropout\): a random layer needs a key"):
        nn.apply(nn.Sequential(nn.Dropout(0.5)), {}, {}, np.ones((1, 2)), training=True)
    with pytest.raises(OptionError, match=r"^Dropout: rate is below 1; got 1. A rate of 1 would drop everything."):
        nn.Dropout(1.0)
    with pytest.raises(OptionError, match=r"^Dropout: rate is a finite number from 0 to 1; got -0.1"):
        nn.Dropout(-0.1)
    with pytest.raises(OptionError, match=r"got 'invert'. Did you mean 'inverted'\?"):
        nn.Dropout(0.5, mode="invert")
