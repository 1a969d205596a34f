"""The layer whose filters come from images: what it makes of their patches, and that training leaves it alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.errors import OptionError, ShapeError

RNG = np.random.default_rng(4)


def smooth(*shape: int) -> np.ndarray:
    """Images whose neighbours are alike, and whose channels are, as those of photos."""
    noise = RNG.standard_normal(shape)
    return np.cumsum(noise, 1) * 0.3 + noise.mean(-1, keepdims=True) + 2


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
@settings(max_examples=15, deadline=None)
def test_patches_become_uncorrelated_with_variance_1(size: int, channels: int, axes: int) -> None:
    x = smooth(12, *(9,) * axes, channels)
    layer = nn.Whitening(size, eps=1e-9, bias=False)
    layer.fit(x)
    count = size**axes * channels
    y = layer(x).numpy().reshape(-1, 2 * count)
    np.testing.assert_allclose(
        np.cov(y[:, :count], rowvar=False, bias=True).reshape(count, -1), np.eye(count), atol=2e-4
    )
    np.testing.assert_array_equal(y[:, count:], -y[:, :count])


def test_filters_are_orthogonal_and_begin_with_the_widest_spread() -> None:
    layer = nn.Whitening(2, eps=0.25)
    layer.fit(smooth(30, 8, 8, 2))
    filters = layer.state()["weight"].numpy().reshape(8, 16)[:, :8].astype(float)
    products = filters.T @ filters
    lengths = np.diag(products).tolist()  # 1 / (λ + ε)
    np.testing.assert_allclose(products, np.diag(lengths), atol=1e-5)
    assert lengths == sorted(lengths)  # so λ falls
    assert lengths[-1] <= 1 / 0.25


def test_before_it_is_fitted_it_gives_the_patches() -> None:
    x = smooth(2, 4, 5, 3).astype(np.float32)
    y = nn.Whitening(2)(x).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), (1, 2))
    wanted = np.moveaxis(windows, 3, -1).reshape(2, 3, 4, 12)
    np.testing.assert_array_equal(y, np.concatenate([wanted, -wanted], -1))


def test_training_leaves_the_filters_alone_and_a_model_file_keeps_them(tmp_path) -> None:
    x = smooth(32, 6, 6, 1).astype(np.float32)
    whitening = nn.Whitening(2)
    network = nn.Sequential(whitening, nn.ReLU(), nn.GlobalAvgPool(), nn.Dense(2))
    whitening.fit(x)
    filters = whitening.weight.numpy().copy()
    trainer = train.Trainer(network, "cross_entropy", optim.SGD(0.1))
    trainer.fit((x, np.arange(32) % 2), epochs=1, batch_size=16, progress="silent")
    trainer.save(tmp_path / "model.safetensors")
    again = train.load(tmp_path / "model.safetensors").model
    for kept in (trainer.model, again):
        np.testing.assert_array_equal(kept.state()["layers.0"]["weight"].numpy(), filters)
    assert np.abs(again.parameters()["layers.0"]["bias"].numpy()).max() > 0


def test_errors() -> None:
    with pytest.raises(ShapeError, match="12 directions need at least as many patches; got 1 of 1 images"):
        nn.Whitening(2).fit(np.zeros((1, 2, 2, 3)))
    layer = nn.Whitening(2)
    layer.fit(smooth(4, 5, 5, 3))
    with pytest.raises(ShapeError, match=r"expected \(N, \*spatial, 3\) with 2 spatial axes; got shape \(4, 5, 5, 1\)"):
        layer.fit(smooth(4, 5, 5, 1))
    with pytest.raises(ShapeError, match="of rank 4 with 3 channels"):
        layer(gl.zeros((2, 5, 5, 1)))
    with pytest.raises(ShapeError, match="channels last"):
        nn.Whitening()(gl.zeros((5, 5)))
    with pytest.raises(OptionError, match="size is a whole number from 1"):
        nn.Whitening(0)
