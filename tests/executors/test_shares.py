"""Gradients of means over windows, given back where they are read: values, kernels, and what is left as it is."""

from __future__ import annotations

import numpy as np
import pytest
from running import compiled, run

import gradloom as gl


def repeated(z: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Every element of a window has the window's value."""
    for axis, k in enumerate(size, 1):
        z = z.repeat(k, axis)
    return z


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape)


def names(f, *arrays: np.ndarray) -> list[str]:
    return [str(kernel) for kernel in compiled(f, *arrays).plan.kernels]


@pytest.mark.parametrize(
    ("counts", "size", "channels"),
    [((3, 4), (2, 2), 16), ((5,), (3,), 21), ((2, 1, 3), (1, 4, 2), 18), ((1, 1), (6, 5), 33), ((3, 4), (2, 2), 6)],
)
def test_values_of_windows_are_repeated_by_their_readers(counts: tuple[int, ...], size: tuple[int, ...], channels: int):
    x, r = drawn(3, *(n * k for n, k in zip(counts, size)), channels), drawn(3, *counts, channels)

    def f(x: gl.Tensor, r: gl.Tensor) -> tuple[gl.Tensor, gl.Tensor]:
        dx = gl.grad(lambda x: gl.sum(gl.avg_pool(gl.tanh(x), size) * r))(x)
        return dx, gl.sum(dx, tuple(range(x.ndim - 1)))

    wanted = repeated(r / np.prod(size), size) * (1 - np.tanh(x) ** 2)
    dx, total = run(f, x, r)
    np.testing.assert_allclose(dx, wanted, rtol=1e-12)
    np.testing.assert_allclose(total, wanted.sum(tuple(range(x.ndim - 1))), rtol=1e-10, atol=1e-12)
    assert any("window_share" in name for name in names(f, x, r)) is (channels < 16)


def test_constants_channels_and_several_pools():
    x, b, r = drawn(2, 4, 6, 16), drawn(16), drawn(2, 2, 3, 16)

    def f(x: gl.Tensor, b: gl.Tensor, r: gl.Tensor) -> gl.Tensor:
        def pooled(x: gl.Tensor) -> gl.Tensor:
            return gl.sum(gl.avg_pool(gl.sin(x) * b, 2) * r + gl.avg_pool(x * x, 2))

        return gl.grad(pooled)(x)

    wanted = repeated(r / 4, (2, 2)) * np.cos(x) * b + x / 2
    np.testing.assert_allclose(run(f, x, b, r)[0], wanted, rtol=1e-12)
    assert not any("window_share" in name for name in names(f, x, b, r))


def test_what_is_not_a_number_stays_in_its_window():
    x, r = np.zeros((1, 4, 4, 16), np.float32), np.ones((1, 2, 2, 16), np.float32)
    x[0, 0, 0, 0], r[0, 1, 1, 3] = np.inf, np.nan
    (found,) = run(lambda x, r: gl.grad(lambda x: gl.sum(gl.avg_pool(x * x, 2) * r))(x), x, r)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(found, repeated(r / 4, (2, 2)) * 2 * x)


def test_what_is_added_to_the_result_of_a_convolution_keeps_the_grids_shape():
    x, w, r = drawn(2, 4, 4, 16), drawn(3, 3, 16, 16), drawn(2, 2, 2, 16)

    def f(x: gl.Tensor, w: gl.Tensor, r: gl.Tensor) -> gl.Tensor:
        def loss(x: gl.Tensor) -> gl.Tensor:
            return gl.sum(gl.avg_pool(x, 2) * r) + gl.sum(gl.conv(x, w, padding="same"))

        return gl.grad(loss)(x)

    assert any(name.endswith("add [2,4,4,16]") for name in names(f, x, w, r))
    one = np.pad(np.ones((4, 4)), 1)
    reached = np.lib.stride_tricks.sliding_window_view(one, (3, 3))[..., ::-1, ::-1]
    wanted = repeated(r / 4, (2, 2)) + np.einsum("uvpq,pqi->uvi", reached, w.sum(-1))
    np.testing.assert_allclose(run(f, x, w, r)[0], wanted, rtol=1e-10, atol=1e-12)
