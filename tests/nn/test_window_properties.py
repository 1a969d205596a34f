"""Layers of windows over drawn shapes: SciPy and NumPy's sliding windows say what they give, in both executors.

Drawn are 1 to 3 axes, odd sizes, strides beyond the kernel, padding beyond the kernel, dilation, groups, depthwise.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.signal
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom import nn, tree

NUMPYS_MODES = {"zero": "constant", "reflect": "reflect", "edge": "edge", "circular": "wrap"}
EXECUTORS = pytest.mark.parametrize("executor", ["reference", "native"])


@dataclass(frozen=True)
class Grid:
    """Sizes of an image and of the windows on it, one number an axis."""

    spatial: tuple[int, ...]
    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    @property
    def options(self) -> dict[str, Any]:
        return {"strides": self.strides, "dilation": self.dilation, "padding": self.padding}

    def windows(self, x: np.ndarray, mode: str = "constant", **fill: Any) -> np.ndarray:
        """(N, *spatial, C) as (N, C, *out, *size)."""
        padded = np.moveaxis(np.pad(x, ((0, 0), *self.padding, (0, 0)), mode=mode, **fill), -1, 1)  # type: ignore[call-overload]
        extents = [d * (k - 1) + 1 for k, d in zip(self.size, self.dilation)]
        axes = tuple(range(2, padded.ndim))
        found = np.lib.stride_tricks.sliding_window_view(padded, extents, axes)
        steps, spacing = (tuple(slice(None, None, n) for n in numbers) for numbers in (self.strides, self.dilation))
        return found[(slice(None), slice(None), *steps, *spacing)]


@st.composite
def grids(draw: st.DrawFn, most_padding: int = 5) -> Grid:
    rank = draw(st.integers(1, 3))
    most = {1: 17, 2: 9, 3: 5}[rank]

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank)))

    size, strides, dilation = each(1, 4), each(1, 5), each(1, 3)
    padding = tuple(zip(each(0, most_padding), each(0, most_padding)))
    extents = [d * (k - 1) + 1 for k, d in zip(size, dilation)]
    least = [max(1, e - low - high) for e, (low, high) in zip(extents, padding)]
    spatial = tuple(draw(st.integers(n, max(n, most))) for n in least)
    assume(np.prod(spatial) < 400)
    return Grid(spatial, size, strides, dilation, padding)


def close(found: Any, wanted: np.ndarray) -> None:
    """Equal but for roundings, which are measured by the largest number."""
    found = np.asarray(found)
    assert found.shape == wanted.shape
    eps = 60 * np.finfo(found.dtype).eps
    np.testing.assert_allclose(found, wanted, rtol=eps, atol=eps * max(1.0, np.abs(wanted).max(initial=0)))


# Convolution ------------------------------------------------------------------------------------------------------


def scipys_convolution(grid: Grid, x: np.ndarray, w: np.ndarray, groups: int, mode: str) -> np.ndarray:
    """Channel by channel: SciPy's correlation with the kernel spread out, of which every stride-th element is kept."""
    padded = np.pad(x, ((0, 0), *grid.padding, (0, 0)), mode=NUMPYS_MODES[mode])  # type: ignore[call-overload]
    spread = np.zeros((*(d * (k - 1) + 1 for k, d in zip(grid.size, grid.dilation)), *w.shape[-2:]))
    spread[tuple(slice(None, None, d) for d in grid.dilation)] = w
    kept = tuple(slice(None, None, s) for s in grid.strides)
    inputs, filters = w.shape[-2], w.shape[-1]
    out = [
        [
            sum(
                scipy.signal.correlate(
                    image[..., o // (filters // groups) * inputs + i], spread[..., i, o], "valid", "direct"
                )[kept]
                for i in range(inputs)
            )
            for o in range(filters)
        ]
        for image in padded
    ]
    return np.moveaxis(np.array(out), 1, -1)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Grid, int, int, int, str, int]:
    """A grid, groups, channels and filters of a group, what lies around, and a seed."""
    grid, groups = draw(grids()), draw(st.sampled_from([1, 1, 2, 5]))
    channels, filters = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    if draw(st.booleans()):  # depthwise
        groups, channels, filters = groups * channels, 1, draw(st.integers(1, 2))
    mode = draw(st.sampled_from(["zero", "zero", "reflect", "edge", "circular"]))
    return grid, groups, channels, filters, mode, draw(st.integers(0, 99))


def call(layer: nn.Module, executor: str) -> Any:
    """Output and cotangents of (x, W) as a compiled function of x, W and the output's cotangent."""

    def run(x: gl.Tensor, w: gl.Tensor, cotangent: gl.Tensor) -> Any:
        y, back = gl.vjp(lambda x, w: nn.apply(layer, {"weight": w}, {}, x)[0], x, w)
        return y, *back(cotangent)

    return gl.jit(run, executor)


@EXECUTORS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(convolutions())
@settings(max_examples=5, deadline=None)
def test_convolution_is_scipys_and_so_is_its_gradient(executor: str, dtype: str, drawn: Any) -> None:
    """The layer is linear in x and in W, so its derivative along a direction is the difference for any step."""
    grid, groups, channels, filters, mode, seed = drawn
    rng = np.random.default_rng(seed)
    x, dx = (rng.standard_normal((2, *grid.spatial, groups * channels)) for _ in range(2))
    w, dw = (rng.standard_normal((*grid.size, channels, groups * filters)) for _ in range(2))
    wanted = scipys_convolution(grid, x, w, groups, mode)
    cotangent = rng.standard_normal(wanted.shape)
    layer = nn.Conv(groups * filters, grid.size, groups=groups, padding_mode=mode, bias=False, **grid.options)
    layer.initialize(x)
    y, back_x, back_w = (t.numpy() for t in call(layer, executor)(*(a.astype(dtype) for a in (x, w, cotangent))))
    assert y.dtype == back_x.dtype == back_w.dtype == dtype
    close(y, wanted)
    size = np.abs(cotangent).sum() * np.abs(wanted).max()  # of the sums whose roundings are compared
    for back, direction, changed in (
        (back_x, dx, scipys_convolution(grid, dx, w, groups, mode)),
        (back_w, dw, scipys_convolution(grid, x, dw, groups, mode)),
    ):
        rounding = 60 * np.finfo(dtype).eps * max(size, np.abs(cotangent * changed).sum())
        assert np.vdot(back, direction) == pytest.approx(np.vdot(cotangent, changed), abs=rounding)


@EXECUTORS
@given(convolutions())
@settings(max_examples=5, deadline=None)
def test_a_transposed_convolution_is_the_transpose_of_scipys(executor: str, drawn: Any) -> None:
    """⟨conv(y), x⟩ = ⟨y, conv_transpose(x)⟩, whatever lies around, where sizes leave a part of a step over, too."""
    grid, groups, channels, filters, mode, seed = drawn
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((2, *grid.spatial, groups * channels))
    w = rng.standard_normal((*grid.size, channels, groups * filters))
    forward = scipys_convolution(grid, y, w, groups, mode)
    x = rng.standard_normal(forward.shape)
    padding = []
    for n, (low, high), k, d, s in zip(grid.spatial, grid.padding, grid.size, grid.dilation, grid.strides):
        left = (n + low + high - d * (k - 1) - 1) % s
        assume(mode == "zero" or not left)
        assume(high >= left or not high)
        padding.append((low, high - left))
    options = {**grid.options, "padding": tuple(padding)}
    layer = nn.ConvTranspose(groups * channels, grid.size, groups=groups, padding_mode=mode, bias=False, **options)
    layer.initialize(x)
    found, back_x, back_w = (t.numpy() for t in call(layer, executor)(x, w, y))
    assert found.shape == y.shape
    value, size = np.vdot(forward, x), np.abs(forward).max() * np.abs(x).sum()
    for left, right in ((found, y), (back_x, x), (back_w, w)):
        assert np.vdot(left, right) == pytest.approx(value, abs=1e-12 * max(size, 1))


# Pooling ----------------------------------------------------------------------------------------------------------

POOLS: dict[str, tuple[Any, Any]] = {
    "max": (nn.MaxPool, lambda v: np.nanmax(v, -1)),
    "average": (nn.AvgPool, lambda v: np.nanmean(v, -1)),
    "average with padding": (
        lambda size, **options: nn.AvgPool(size, count_padding=True, **options),
        lambda v: np.nan_to_num(v).mean(-1),
    ),
    "median": (nn.MedianPool, lambda v: np.nanmedian(v, -1)),
    "norm": (nn.LpPool, lambda v: np.sqrt(np.nansum(v**2, -1))),
    "norm of 3": (
        lambda size, **options: nn.LpPool(size, 3.0, **options),
        lambda v: np.nansum(np.abs(v) ** 3, -1) ** (1 / 3),
    ),
}


@EXECUTORS
@pytest.mark.parametrize("kind", POOLS)
@given(grids(most_padding=3), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=3, deadline=None)
def test_pooling_is_that_of_every_window(executor: str, kind: str, grid: Grid, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.permutation(2 * int(np.prod(grid.spatial)) * channels).reshape(2, *grid.spatial, channels) / 16 - 2.03
    make, meaning = POOLS[kind]

    def pooled(x: np.ndarray) -> np.ndarray:
        windows = grid.windows(x, constant_values=np.nan)
        return np.moveaxis(meaning(windows.reshape(*windows.shape[: x.ndim], -1)), 1, -1)

    is_inside = ~np.isnan(grid.windows(x, constant_values=np.nan))
    assume(is_inside.any(tuple(range(x.ndim, is_inside.ndim))).all())
    wanted = pooled(x)
    direction, cotangent = rng.standard_normal(x.shape), rng.standard_normal(wanted.shape)
    step = 1e-5  # elements are 1/16 apart, so no step changes which one is chosen
    change = (pooled(x + step * direction) - pooled(x - step * direction)) / (2 * step)
    layer = make(grid.size, **grid.options)

    def run(x: gl.Tensor, cotangent: gl.Tensor) -> Any:
        y, back = gl.vjp(layer, x)
        return y, *back(cotangent)

    y, back = gl.jit(run, executor)(x, cotangent)
    close(y.numpy(), wanted)
    assert np.vdot(back.numpy(), direction) == pytest.approx(np.vdot(cotangent, change), rel=1e-6, abs=1e-6)
    single = gl.jit(run, executor)(x.astype(np.float32), cotangent.astype(np.float32))[0]
    close(single.numpy(), wanted)


# What one kernel for all places means (catalogue row 232) -----------------------------------------------------------


@given(st.integers(0, 99), st.integers(1, 3), st.integers(-7, 7), st.integers(-7, 7))
@settings(max_examples=20, deadline=None)
def test_what_moves_in_the_image_moves_in_the_result(seed: int, stride: int, down: int, right: int) -> None:
    """Equivariance to translation, on a torus: exact for moves by whole strides."""
    x = np.random.default_rng(seed).standard_normal((1, 6, 12, 2))
    layer = nn.Sequential(nn.Conv(3, (3, 4), strides=stride, padding_mode="circular", activation="tanh", padding=1))
    layer.initialize(x)
    assume(layer(x).shape[1:3] == (6 // stride, 12 // stride))
    moved = np.roll(x, (down * stride, right * stride), (1, 2))
    np.testing.assert_allclose(layer(moved).numpy(), np.roll(layer(x).numpy(), (down, right), (1, 2)), atol=1e-12)


@given(st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_what_turns_or_grows_does_not(seed: int) -> None:
    """No equivariance to rotation or scale, unless the kernel has the symmetry itself."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1, 8, 8, 1))
    layer = nn.Conv(1, 3, padding_mode="circular", bias=False)
    layer.initialize(x)

    def turned_and_grown(w: np.ndarray) -> tuple[float, float]:
        """How far the layer is from commuting with a turn by 90°, and with a doubling."""
        layer.load({"weight": gl.tensor(w)}, {})
        turn = layer(np.rot90(x, axes=(1, 2)).copy()).numpy() - np.rot90(layer(x).numpy(), axes=(1, 2))
        double = layer(nn.Upsample(2)(x)).numpy() - nn.Upsample(2)(layer(x)).numpy()
        return float(np.abs(turn).max()), float(np.abs(double).max())

    w = rng.standard_normal((3, 3, 1, 1))
    turn, growth = turned_and_grown(w)
    assert turn > 0.1
    assert growth > 0.1
    symmetric = np.sum([np.rot90(w, k) for k in range(4)], axis=0)
    turn, growth = turned_and_grown(symmetric)
    assert turn < 1e-12
    assert growth > 0.1
    assert max(turned_and_grown(np.array([0, 0, 0, 0, 1.0, 0, 0, 0, 0]).reshape(3, 3, 1, 1))) == 0


@given(st.integers(3, 9), st.integers(3, 9), st.integers(1, 3), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_shared_weights_are_counted_once(height: int, width: int, channels: int, filters: int) -> None:
    """A kernel's parameters do not depend on the image; a dense layer of the same map has one for each pair."""
    x = np.zeros((1, height, width, channels), np.float32)
    conv = nn.Conv(filters, 3)
    conv.initialize(x)
    dense = nn.Sequential(nn.Flatten(), nn.Dense(height * width * filters))
    dense.initialize(x)
    places = height * width
    count = {m: sum(t.size for t in tree.leaves(m.parameters())) for m in (conv, dense)}
    assert count[conv] == 9 * channels * filters + filters
    assert count[dense] == places * channels * places * filters + places * filters


@given(st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_connections_are_sparse(seed: int) -> None:
    """An output sees the elements in its window and no others."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1, 7, 6, 1))
    layer = nn.Conv(1, 3)
    layer.initialize(x)
    for row, column in itertools.product(range(7), range(6)):
        sees = gl.grad(lambda x, at=(0, row, column, 0): layer(x)[at])(gl.tensor(x)).numpy()[0, :, :, 0] != 0
        near = np.abs(np.arange(7)[:, None] - row) <= 1
        np.testing.assert_array_equal(sees, near & (np.abs(np.arange(6) - column) <= 1))
