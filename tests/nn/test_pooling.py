"""Pooling, response normalisation and upsampling against SciPy, NumPy and the published formulas."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom import nn
from gradloom.errors import OptionError, ShapeError

RNG = np.random.default_rng(5)
X = RNG.permutation(2 * 7 * 8 * 3).reshape(2, 7, 8, 3) / 50.0


def filtered(x: np.ndarray, filter_: object, **options: object) -> np.ndarray:
    """A filter of scipy.ndimage over both axes of every channel of every image."""
    planes = [[filter_(x[n, :, :, c], **options) for c in range(x.shape[-1])] for n in range(len(x))]  # type: ignore[operator]
    return np.moveaxis(np.array(planes), 1, -1)


@pytest.mark.parametrize("size", [3, 5])
def test_filters_of_scipy(size: int) -> None:
    inside = (slice(None), *(slice(size // 2, n - size // 2) for n in X.shape[1:3]))
    for layer, filter_ in (
        (nn.MaxPool(size, strides=1), scipy.ndimage.maximum_filter),
        (nn.MedianPool(size, strides=1), scipy.ndimage.median_filter),
        (nn.AvgPool(size, strides=1), scipy.ndimage.uniform_filter),
    ):
        np.testing.assert_allclose(layer(X).numpy(), filtered(X, filter_, size=size)[inside], rtol=1e-12)


def test_a_weighted_mean_is_a_correlation() -> None:
    weights = np.array([[1.0, 2.0, 1.0], [0.5, 4.0, 0.5], [1.0, 0.0, 1.0]])
    found = nn.AvgPool(3, strides=1, padding=1, weights=weights.tolist())(X).numpy()
    sums = filtered(X, scipy.ndimage.correlate, weights=weights, mode="constant")
    norm = filtered(np.ones_like(X), scipy.ndimage.correlate, weights=weights, mode="constant")
    np.testing.assert_allclose(found, sums / norm, rtol=1e-12)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
@settings(max_examples=30, deadline=None)
def test_each_window_of_a_series(size: int, stride: int, padding: int, dilation: int) -> None:
    padding = min(padding, size - 1)
    x = RNG.permutation(9) / 4 - 1
    places = [
        [i for i in range(s, s + dilation * size, dilation) if 0 <= i < 9]
        for s in range(-padding, 9 + padding - dilation * (size - 1), stride)
    ]
    assume(all(places))
    options = {"strides": stride, "padding": padding, "dilation": dilation}
    for layer, meaning in (
        (nn.MaxPool(size, **options), np.max),
        (nn.AvgPool(size, **options), np.mean),
        (nn.MedianPool(size, **options), np.median),
        (nn.LpPool(size, **options), np.linalg.norm),
        (nn.LpPool(size, 1.0, **options), lambda v: np.abs(v).sum()),
        (nn.AvgPool(size, count_padding=True, **options), lambda v: v.sum() / size),
    ):
        found = layer(x[None, :, None]).numpy()[0, :, 0]
        np.testing.assert_allclose(found, [meaning(x[p]) for p in places], rtol=1e-12, atol=1e-14)


def test_gradients_where_they_are_chosen() -> None:
    zeros = gl.zeros((1, 4, 1), "float64")
    np.testing.assert_array_equal(gl.grad(lambda x: nn.LpPool(2)(x).sum())(zeros).numpy(), np.zeros((1, 4, 1)))
    x = gl.tensor(np.array([3.0, 1.0, 2.0, 5.0, 9.0, 4.0, 7.0, 6.0])[None, :, None])
    odd = gl.grad(lambda x: nn.MedianPool(3, strides=3)(x).sum())(x)
    np.testing.assert_array_equal(odd.numpy()[0, :, 0], [0, 0, 1, 1, 0, 0, 0, 0])
    even = gl.grad(lambda x: nn.MedianPool(4)(x).sum())(x)
    np.testing.assert_array_equal(even.numpy()[0, :, 0], [0.5, 0, 0.5, 0, 0, 0, 0.5, 0.5])


@pytest.mark.parametrize("executor", ["reference", "native"])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_come_out_of_every_window_they_are_in(executor: str, special: float) -> None:
    x = RNG.permutation(np.arange(24.0)).reshape(1, 12, 2)
    x[0, [4, 5], 0] = special
    for layer, size, meaning in (
        (nn.MaxPool(3), 3, np.max),
        (nn.MedianPool(3), 3, np.median),
        (nn.MedianPool(2), 2, np.median),
        (nn.LpPool(3), 3, lambda v, axis: np.sqrt((v**2).sum(axis))),
        (nn.AvgPool(3), 3, np.mean),
        (nn.AdaptiveMaxPool(4), 3, np.max),
    ):
        wanted = meaning(x.reshape(1, -1, size, 2), axis=2)
        np.testing.assert_allclose(gl.jit(layer, executor)(x).numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("mode", ["across", "within"])
def test_squares_of_bytes_are_not_taken_in_bytes(mode: str) -> None:
    x = RNG.integers(100, 256, (1, 4, 4, 6), np.uint8)
    layer = nn.LocalResponseNorm(3, alpha=0.1, mode=mode)
    np.testing.assert_array_equal(layer(x).numpy(), layer(x.astype(np.float32)).numpy())


@pytest.mark.parametrize("output", [1, 3, (5, 2), (7, 8)])
def test_adaptive_windows(output: int | tuple[int, int]) -> None:
    rows, columns = (output, output) if isinstance(output, int) else output

    def spans(n: int, o: int) -> list[slice]:
        return [slice(int(np.floor(i * n / o)), int(np.ceil((i + 1) * n / o))) for i in range(o)]

    for layer, meaning in ((nn.AdaptiveAvgPool(output), np.mean), (nn.AdaptiveMaxPool(output), np.max)):
        wanted = [[meaning(X[:, r, c], (1, 2)) for c in spans(8, columns)] for r in spans(7, rows)]
        np.testing.assert_allclose(layer(X).numpy(), np.moveaxis(np.array(wanted), 2, 0), rtol=1e-12)


def test_response_norm_is_the_published_formula() -> None:
    x = RNG.standard_normal((1, 3, 3, 6))
    alpha, beta, k, n = 0.3, 0.75, 2.0, 5
    for over_n in (True, False):
        sums = np.stack([(x[..., max(0, c - 2) : c + 3] ** 2).sum(-1) for c in range(6)], -1)
        wanted = x / (k + (alpha / n if over_n else alpha) * sums) ** beta
        layer = nn.LocalResponseNorm(n, alpha=alpha, beta=beta, k=k, alpha_over_n=over_n)
        np.testing.assert_allclose(layer(x).numpy(), wanted, rtol=1e-12)
    within = nn.LocalResponseNorm(3, alpha=alpha, k=1.0, mode="within")(x).numpy()
    mean = filtered(x**2, scipy.ndimage.uniform_filter, size=3, mode="constant")
    np.testing.assert_allclose(within, x / (1 + alpha * mean) ** 0.75, rtol=1e-12)


def test_normalisation_within_an_example() -> None:
    x = RNG.standard_normal((2, 4, 3, 6)) * 3 + 1
    found = nn.LayerNorm(eps=1e-12)(x).numpy()
    np.testing.assert_allclose(found, (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True), rtol=1e-6, atol=1e-7)
    apart = nn.GroupNorm(3, eps=1e-12)(x).numpy().reshape(2, 12, 3, 2)
    np.testing.assert_allclose(apart.mean((1, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(apart.std((1, 3)), 1, rtol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, (1, 4)])
def test_upsampling(factor: int | tuple[int, int]) -> None:
    a, b = (factor, factor) if isinstance(factor, int) else factor
    np.testing.assert_array_equal(nn.Upsample(factor)(X).numpy(), X.repeat(a, 1).repeat(b, 2))

    def along(x: np.ndarray, axis: int, f: int) -> np.ndarray:
        n = x.shape[axis]
        places = (np.arange(n * f) + 0.5) / f - 0.5
        return np.apply_along_axis(lambda v: np.interp(places, np.arange(n), v), axis, x)

    np.testing.assert_allclose(
        nn.Upsample(factor, mode="linear")(X).numpy(), along(along(X, 1, a), 2, b), rtol=1e-12, atol=1e-12
    )


def test_a_residual_adds_before_its_activation() -> None:
    layer = nn.Residual(nn.Conv(3, 1, init=nn.init.constant(-1.0)), activation="relu")
    wanted = np.maximum(X - X.sum(-1, keepdims=True), 0)
    np.testing.assert_allclose(layer(X).numpy(), wanted, rtol=1e-5, atol=1e-5)
    with pytest.raises(ShapeError, match="body and shortcut must give one shape"):
        nn.Residual(nn.Conv(4, 3))(X)
    with pytest.raises(OptionError, match="body is a module"):
        nn.Residual("relu")  # type: ignore[arg-type]


def test_errors() -> None:
    with pytest.raises(OptionError, match="weights are numbers in the shape of the window"):
        nn.AvgPool(3, weights=[[1, 2], [3, 4]])
    with pytest.raises(OptionError, match="whose sum is not 0"):
        nn.AvgPool(2, weights=[1, -1])
    with pytest.raises(OptionError, match="p is a finite number from 1"):
        nn.LpPool(2, 0.5)
    with pytest.raises(ShapeError, match="none of them longer"):
        nn.AdaptiveAvgPool(9)(X)
    with pytest.raises(ShapeError, match="the groups divide the channels"):
        nn.GroupNorm(2)(X)
    for layer in (
        nn.MedianPool(2, padding=2, strides=1),
        nn.AvgPool(2, padding=2),
        nn.AvgPool(1, padding=1, weights=[[2]]),
        nn.AvgPool(2, padding=1, strides=1, weights=[[1, 0], [0, 0]]),
    ):
        with pytest.raises(ShapeError, match="every window must hold an element"):
            layer(X)
    with pytest.raises(ShapeError, match="max_pool: the window must fit into the padded input"):
        nn.MaxPool(9)(X)
    for layer in (nn.GlobalAvgPool(), nn.MaxPool(2), nn.AvgPool(2), nn.MedianPool(2), nn.LpPool(2)):
        for x in (X[0, 0], X[0, 0, 0]):
            with pytest.raises(ShapeError, match="channels last"):
                layer(x)
