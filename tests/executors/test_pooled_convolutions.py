"""Largest elements of windows taken by the convolution in front: values, gradients, ties, NaN, what is kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from running import run

import gradloom as gl
from gradloom.executors.native.kernels.conv_unpool import SORTED_BYTES
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.native.target import Target, host, lesser

needs_sorting = pytest.mark.skipif(host().vector_bytes != SORTED_BYTES, reason="no instruction sorts lanes")


def views(x: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Windows of odd sizes around every element of images: (N, *spatial, C, *size), zeros around."""
    pads = [(0, 0), *((k // 2, k // 2) for k in size), (0, 0)]
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, pads), size, axis=tuple(range(1, x.ndim - 1)))


def convolved(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A convolution whose result is as large as the image."""
    return np.tensordot(views(x, w.shape[:-2]), np.moveaxis(w, -2, 0), w.ndim - 1)


def windows(y: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The elements of windows side by side, as a last axis: (N, *windows, C, elements)."""
    n, *spatial, c = y.shape
    parts = [part for length, k in zip(spatial, size) for part in (length // k, k)]
    y = y.reshape(n, *parts, c)
    inside = range(2, y.ndim - 1, 2)
    return np.moveaxis(y, inside, range(y.ndim - len(inside), y.ndim)).reshape(
        n, *(length // k for length, k in zip(spatial, size)), c, -1
    )


def placed(dz: np.ndarray, y: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Values of windows given to the first largest element of each."""
    one_hot = np.arange(np.prod(size)) == windows(y, size).argmax(-1)[..., None]
    n, *spatial, c = y.shape
    counts = [length // k for length, k in zip(spatial, size)]
    given = np.where(one_hot, dz[..., None], 0).reshape(n, *counts, c, *size)
    d = len(size)
    order = [0, *(axis for i in range(d) for axis in (1 + i, 2 + d + i)), 1 + d]
    return given.transpose(order).reshape(y.shape)


def training(size: tuple[int, ...]) -> Callable[..., tuple[gl.Tensor, ...]]:
    """A layer with a pool; its result, and the gradients by its parameters of the result's product with r."""

    def step(x: gl.Tensor, w: gl.Tensor, b: gl.Tensor, r: gl.Tensor) -> tuple[gl.Tensor, ...]:
        def pooled(w: gl.Tensor, b: gl.Tensor) -> tuple[gl.Tensor, gl.Tensor]:
            z = gl.max_pool(gl.relu(gl.conv(x, w, padding="same") + b), size)
            return gl.sum(z * r), z

        (_, z), gradients = gl.value_and_grad(pooled, (0, 1), has_aux=True)(w, b)
        return (z, *gradients)

    return step


def operands(shape: tuple[int, ...], kernel: tuple[int, ...], dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(-3, 4, s).astype(dtype) for s in (shape, kernel, kernel[-1:])]  # whole numbers: many are equal


CASES = [
    ((2, 6, 8, 3), (3, 3, 3, 21), (2, 2)),
    ((1, 28, 28, 1), (3, 3, 1, 32), (2, 2)),
    ((2, 6, 9, 4), (1, 3, 4, 40), (3, 3)),
    ((3, 12, 5), (3, 5, 7), (4,)),
    ((1, 4, 4, 6, 2), (3, 3, 3, 2, 5), (2, 1, 3)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "kernel", "size"), CASES)
def test_values_and_gradients(shape: tuple[int, ...], kernel: tuple[int, ...], size: tuple[int, ...], dtype: str):
    x, w, b = operands(shape, kernel, dtype)
    y = np.maximum(convolved(x, w) + b, 0)
    z = windows(y, size).max(-1)
    r = np.random.default_rng(1).integers(-3, 4, z.shape).astype(dtype)
    program = NativeProgram(gl.trace(training(size), *map(gl.tensor, (x, w, b, r))))
    pooled = [k for k in program.plan.kernels if "window_max" in str(k)]
    assert [str(k).split(" [")[0] for k in pooled] == ["conv + select + window_max"]
    assert not pooled[0].stores
    in_rows = max(size[:-2], default=1) == 1  # then the gradient is given back where it is read
    assert any("window_place" in str(k) for k in program.plan.kernels) is not in_rows
    found_z, dw, db = run(program, x, w, b, r)
    np.testing.assert_array_equal(found_z, z)
    dy, every = placed(r, y, size) * (y > 0), tuple(range(y.ndim - 1))
    np.testing.assert_array_equal(db, dy.sum(every))
    np.testing.assert_array_equal(dw, np.moveaxis(np.tensordot(views(x, kernel[:-2]), dy, (every, every)), 0, -2))


def test_results_that_others_read_are_kept():
    x, w, b = operands((2, 4, 6, 3), (3, 3, 3, 20), "float32")

    def both(x: gl.Tensor, w: gl.Tensor, b: gl.Tensor) -> tuple[gl.Tensor, gl.Tensor]:
        y = gl.tanh(gl.conv(x, w, padding="same") + b)
        return y, gl.max_pool(y, 2)

    program = NativeProgram(gl.trace(both, *map(gl.tensor, (x, w, b))))
    assert len(program.plan.kernels) == 1
    y, z = run(program, x, w, b)
    np.testing.assert_allclose(y, np.tanh(convolved(x, w) + b), atol=1e-6)
    np.testing.assert_array_equal(z, windows(y, (2, 2)).max(-1))


def test_the_first_of_equals_and_what_is_not_a_number_have_the_gradient():
    x = np.array([1, 1, 1, 5, -np.inf, 7, -np.inf, 2, np.nan, 4, np.inf, 3, 3], np.float32)
    y = x[1:] + x[:-1]  # two equals, two of -infinity, two NaN, then the infinities
    r = np.arange(1, 7, dtype=np.float32)
    dy = placed(r.reshape(1, 6, 1), y.reshape(1, 12, 1), (2,)).ravel()

    def step(x: gl.Tensor, w: gl.Tensor, r: gl.Tensor) -> tuple[gl.Tensor, ...]:
        def pooled(x: gl.Tensor) -> tuple[gl.Tensor, gl.Tensor]:
            z = gl.max_pool(gl.conv(x, w), 2)
            return gl.sum(z * r), z

        (_, z), gradient = gl.value_and_grad(pooled, has_aux=True)(x)
        return z, gradient

    operands = x.reshape(1, 13, 1), np.ones((2, 1, 1), np.float32), r.reshape(1, 6, 1)
    z, gradient = run(step, *operands)
    np.testing.assert_array_equal(z.ravel(), y.reshape(6, 2).max(1))
    np.testing.assert_array_equal(gradient.ravel(), np.convolve(dy, [1, 1]))


# The gradient of an input behind which a pool lies ------------------------------------------------------------------


def by_input(size: tuple[int, ...], padding: str = "same") -> Callable[..., tuple[gl.Tensor, gl.Tensor]]:
    """The gradient by the input of a pooled convolution's product with r, and this product."""

    def step(x: gl.Tensor, w: gl.Tensor, r: gl.Tensor) -> tuple[gl.Tensor, gl.Tensor]:
        total, gradient = gl.value_and_grad(lambda x: gl.sum(gl.max_pool(gl.conv(x, w, padding=padding), size) * r))(x)
        return gradient, total

    return step


def scattered(dy: np.ndarray, w: np.ndarray, padding: tuple[int, int]) -> np.ndarray:
    """What each element of dy that is not zero gives to the elements of the input that it was computed from."""
    (n, *spatial, _), (height, width, taken, _) = dy.shape, w.shape
    around = np.zeros((n, spatial[0] + height - 1, spatial[1] + width - 1, taken))
    for at in zip(*np.nonzero(dy)):
        example, u, v, o = at
        around[example, u : u + height, v : v + width] += dy[at] * w[..., o].astype(float)
    (above, left), (_, rows, columns, _) = padding, around.shape
    return around[:, above : rows - above, left : columns - left]


UNPOOLED = [
    ((8, 6, 8, 14), (3, 3, 14, 32), (2, 2), "same"),  # a vector that is not full
    ((4, 6, 6, 32), (3, 3, 32, 64), (2, 2), "same"),  # panels of input channels, blocks of output channels
    ((8, 20, 28, 16), (3, 3, 16, 16), (2, 2), "same"),  # chunks of rows, not all of one size
    ((8, 6, 6, 16), (5, 5, 16, 16), (2, 2), "same"),  # too many sums for the registers: rows of the kernel apart
    ((8, 11, 8, 10), (3, 3, 10, 16), (3, 2), "valid"),  # windows that are not square, nothing around the grid
]


@needs_sorting
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "kernel", "size", "padding"), UNPOOLED)
def test_the_gradient_of_an_input_leaves_zeros_out(
    shape: tuple[int, ...], kernel: tuple[int, ...], size: tuple[int, ...], padding: str, dtype: str
):
    x, w, _ = operands(shape, kernel, dtype)
    around = (kernel[0] // 2, kernel[1] // 2) if padding == "same" else (0, 0)
    y = np.tensordot(
        np.lib.stride_tricks.sliding_window_view(
            np.pad(x, [(0, 0), *((k, k) for k in around), (0, 0)]), kernel[:2], axis=(1, 2)
        ),
        np.moveaxis(w, -2, 0),
        3,
    )
    r = np.random.default_rng(1).integers(-3, 4, windows(y, size).shape[:-1]).astype(dtype)
    program = NativeProgram(gl.trace(by_input(size, padding), *map(gl.tensor, (x, w, r))))
    assert not any("window_place" in str(k) for k in program.plan.kernels)
    found, _ = run(program, x, w, r)
    np.testing.assert_array_equal(found, scattered(placed(r, y, size), w, around))


@needs_sorting
@pytest.mark.filterwarnings("ignore:invalid value")
def test_nothing_is_added_for_zeros_of_a_pools_gradient():
    x, w, _ = operands((8, 4, 4, 16), (3, 3, 16, 16), "float32")
    x = np.abs(x) + 1
    w[1, 1, 0, 4] = np.inf  # times zero it would be NaN all around the elements that were not the largest
    y = convolved(x, w)
    r = np.ones_like(y[:, ::2, ::2])
    r[3, 1, 0, 7], r[5, 0, 0, 2] = np.nan, np.inf  # which go to all that their elements were computed from
    found, _ = run(by_input((2, 2)), x, w, r)
    wanted = scattered(placed(r, np.where(np.isnan(y), np.inf, y), (2, 2)), w, (1, 1))
    np.testing.assert_array_equal(found, wanted)
    assert np.isnan(found).any()
    assert np.isfinite(found).any()


@needs_sorting
def test_the_gradient_of_an_input_of_any_numbers():
    x, w, _ = (a / np.float32(7) for a in operands((9, 12, 12, 32), (3, 3, 32, 32), "float32"))
    r = np.random.default_rng(2).standard_normal((9, 6, 6, 32)).astype(np.float32)
    found, _ = run(by_input((2, 2)), x, w, r)
    y = run(lambda x, w: gl.conv(x, w, padding="same"), x, w)[0]
    np.testing.assert_allclose(found, scattered(placed(r, y, (2, 2)), w, (1, 1)), atol=1e-4)


@pytest.mark.parametrize("target", lesser().values(), ids=lesser())
def test_lesser_processors(target: Target):
    x, w, b = operands((2, 6, 8, 3), (3, 3, 3, 21), "float32")
    y = np.maximum(convolved(x, w) + b, 0)
    z = windows(y, (2, 2)).max(-1)
    r = np.ones_like(z)
    program = NativeProgram(gl.trace(training((2, 2)), *map(gl.tensor, (x, w, b, r))), target)
    found_z, _, db = run(program, x, w, b, r)
    np.testing.assert_array_equal(found_z, z)
    np.testing.assert_array_equal(db, (placed(r, y, (2, 2)) * (y > 0)).sum((0, 1, 2)))
