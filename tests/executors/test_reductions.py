"""Reductions in blocks, kernels joined row after row, and transposed copies, against NumPy in wider types."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from running import compiled, run

import gradloom as gl
from gradloom.tensor import Tensor

# Reductions in blocks -----------------------------------------------------------------------------------------------

REDUCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[np.ndarray], Any]]] = {
    "sum": (gl.sum, np.sum),
    "product": (lambda x: gl.prod(1 + x * 1e-3), lambda x: np.prod(1 + x * 1e-3)),
    "max": (gl.max, np.max),
    "min": (gl.min, np.min),
    "argmax": (gl.argmax, np.argmax),
    "argmin": (gl.argmin, np.argmin),
    "logsumexp": (lambda x: gl.logsumexp(x, 0), lambda x: np.log(np.sum(np.exp(x)))),
    "any": (lambda x: gl.any(x > 3.5), lambda x: np.any(x > 3.5)),
    "all": (lambda x: gl.all(x > -9), lambda x: np.all(x > -9)),
    "dot": (lambda x: x @ x, lambda x: x @ x),
    "what follows a sum": (lambda x: gl.sqrt(gl.sum(x * x)) * x[3] + 1, lambda x: np.sqrt(np.sum(x * x)) * x[3] + 1),
    "what follows a position": (lambda x: gl.argmax(x) * 2 + 1, lambda x: np.argmax(x) * 2 + 1),
}


@pytest.mark.parametrize("count", [40_000, 40_009])  # the second is prime: something is left over
@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_reduction_to_one_number_is_cut_into_blocks(name: str, count: int):
    ours, theirs = REDUCTIONS[name]
    x = np.random.default_rng(0).normal(size=count)
    program = compiled(ours, x)
    assert len(program.plan.kernels) == (3 if count % 8 else 2)
    (got,) = run(program, x)
    np.testing.assert_allclose(got, np.float64(theirs(x.astype(np.longdouble))), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
def test_rows_of_any_length(dtype: str):
    lengths = [1, 2, 3, 5, 7, 10, 16, 23, 37, 70]

    def f(x: Tensor) -> list[Tensor]:
        rows = [x[:, :n] for n in lengths]
        return [r for row in rows for r in (gl.max(row, 1), gl.min(row, 1), gl.argmin(row, 1), row != x[:, :1])]

    x = np.random.default_rng(3).integers(1, 200, size=(5, 70)) - (100 if dtype in ("float32", "int32") else 0)
    x = (x > 100) if dtype == "bool" else x.astype(dtype)
    wanted = [
        r for row in (x[:, :n] for n in lengths) for r in (row.max(1), row.min(1), row.argmin(1), row != x[:, :1])
    ]
    for got, meant in zip(run(f, x), wanted, strict=True):
        np.testing.assert_array_equal(got, meant)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8"])
def test_sums_of_rows_of_any_length(dtype: str):
    lengths = [1, 2, 3, 5, 7, 10, 16, 23, 37, 70]
    x = np.random.default_rng(4).integers(1, 4, size=(5, 70)).astype(dtype)  # of which all sums and products are exact
    found = run(lambda x: [f(x[:, :n], 1) for n in lengths for f in (gl.sum, gl.prod)], np.minimum(x, 2))
    for n, total, product in zip(lengths, found[::2], found[1::2], strict=True):
        np.testing.assert_array_equal(total, np.minimum(x, 2)[:, :n].sum(1, dtype=total.dtype))
        np.testing.assert_array_equal(product, np.minimum(x, 2)[:, :n].prod(1, dtype=product.dtype))


def test_long_sums_in_single_precision_keep_their_digits():
    x = np.random.default_rng(1).uniform(size=300_007).astype(np.float32)
    (got,) = run(gl.sum, x)
    assert got == pytest.approx(float(np.sum(x.astype(np.float64))), rel=2e-6)


def test_positions_are_the_first_of_equals_and_nan_is_extreme():
    x = np.random.default_rng(2).normal(size=50_001)
    x[[7, 20_000, 50_000]] = x.max() + 1
    assert run(gl.argmax, x)[0] == 7
    x[[30_000, 40_000]] = np.nan
    assert run(gl.argmax, x)[0] == 30_000
    assert run(gl.argmin, x)[0] == 30_000
    assert np.isnan(run(gl.max, x)[0])


@pytest.mark.parametrize("values", [(-np.inf,), (np.inf, 0.0), (np.nan, 1.0)])
def test_logsumexp_of_infinities_in_blocks(values: tuple[float, ...]):
    x = np.resize(np.array(values), 40_000)
    (got,) = run(lambda x: gl.logsumexp(x, 0), x)
    np.testing.assert_array_equal(got, values[0])


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((20_003, 8), 0), ((20_000, 70), 0), ((3, 30_000), 1), ((40, 5, 600), (0, 2)), ((2, 3, 9_001), 2)],
)
def test_few_results_of_many_elements(shape: tuple[int, ...], axes: Any):
    x = np.random.default_rng(3).normal(size=shape)
    (got, largest) = run(lambda x: (gl.sum(x, axes) * 2, gl.max(x, axes)), x)
    np.testing.assert_allclose(got, 2 * np.sum(x, axes), rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(largest, np.max(x, axes))


# Row after row ------------------------------------------------------------------------------------------------------


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("shape", [(70, 50), (128, 10), (33, 1000), (4, 9, 17)])
def test_a_softmax_is_one_kernel(shape: tuple[int, ...]):
    x = np.random.default_rng(4).normal(size=shape) * 5
    program = compiled(lambda x: gl.softmax(x, -1), x)
    assert len(program.plan.kernels) == 1
    assert "row after row" in program.explain()
    np.testing.assert_allclose(run(program, x)[0], _softmax(x), rtol=1e-12)


def test_cross_entropy_with_its_gradient_is_one_kernel_and_the_mean():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(70, 50)), rng.integers(0, 50, 70)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return -gl.mean(gl.take_along_axis(gl.log_softmax(x, 1), y[:, None], 1))

    program = compiled(gl.value_and_grad(loss), x, y)
    assert len(program.plan.kernels) == 2
    value, gradient = run(program, x, y)
    p = _softmax(x)
    np.testing.assert_allclose(value, -np.mean(np.log(p[np.arange(70), y])), rtol=1e-12)
    np.testing.assert_allclose(gradient, (p - np.eye(50)[y]) / 70, rtol=1e-11, atol=1e-15)


def _normalised(x: Tensor) -> Tensor:
    centred = x - gl.mean(x, 1, keepdims=True)
    return centred * gl.rsqrt(gl.mean(centred * centred, 1, keepdims=True) + 1e-5)


def test_layer_normalisation_and_its_derivative_are_one_kernel_each():
    x, g = np.random.default_rng(6).normal(size=(2, 70, 50))
    centred = x - x.mean(1, keepdims=True)
    scale = 1 / np.sqrt(np.mean(centred**2, 1, keepdims=True) + 1e-5)
    program = compiled(_normalised, x)
    assert len(program.plan.kernels) == 1
    z = run(program, x)[0]
    np.testing.assert_allclose(z, centred * scale, rtol=1e-11)
    program = compiled(lambda x, g: gl.vjp(_normalised, x)[1](g), x, g)
    assert len(program.plan.kernels) == 1
    wanted = scale * (g - g.mean(1, keepdims=True) - z * np.mean(g * z, 1, keepdims=True))
    np.testing.assert_allclose(run(program, x, g)[0], wanted, rtol=1e-9, atol=1e-12)


def test_rows_that_need_other_rows_are_not_joined():
    x = np.random.default_rng(7).normal(size=(40, 40))

    def step(c: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        mixed = gl.softmax(c.T + c, 1)
        return mixed + gl.sum(mixed, 0), gl.sum(c[::-1] * mixed, 1)

    carry, sums = run(lambda c, xs: gl.scan(step, c, xs), x, np.zeros(3))
    c, wanted = x, []
    for _ in range(3):
        mixed = _softmax(c.T + c)
        c, s = mixed + mixed.sum(0), np.sum(c[::-1] * mixed, 1)
        wanted.append(s)
    np.testing.assert_allclose(carry, c, rtol=1e-11)
    np.testing.assert_allclose(sums, wanted, rtol=1e-11)


def test_carried_rows_are_written_in_place_when_joined():
    x = np.random.default_rng(8).normal(size=(40, 33))
    program = compiled(lambda c, xs: gl.scan(lambda c, a: (gl.softmax(c, 1) * a, gl.max(c, 1)), c, xs), x, np.ones(4))
    assert "1 carried values in place" in program.explain()
    carry, largest = run(program, x, np.ones(4))
    wanted = []
    for _ in range(4):
        wanted.append(x.max(1))
        x = _softmax(x)
    np.testing.assert_allclose(carry, x, rtol=1e-12)
    np.testing.assert_allclose(largest, wanted, rtol=1e-12)


# Transposition ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(130, 65), (17, 63), (100, 5), (3, 4), (64, 32)])
def test_transposed_copies(shape: tuple[int, int], dtype: str):
    x = np.random.default_rng(9).integers(0, 100, shape).astype(dtype)
    (got,) = run(lambda x: gl.where(x.T == x.T, x.T, gl.zeros((), dtype=dtype)), x)
    np.testing.assert_array_equal(got, x.T)


@pytest.mark.parametrize("axes", [(0, 2, 1, 3), (0, 3, 1, 2), (3, 2, 1, 0), (1, 0, 3, 2)])
def test_permuted_axes_in_the_middle_of_arithmetic(axes: tuple[int, ...]):
    rng = np.random.default_rng(10)
    x = rng.normal(size=(3, 20, 37, 18))
    y = rng.normal(size=x.transpose(axes).shape)
    (got,) = run(lambda x, y: gl.transpose(x, axes) * 2 - y, x, y)
    np.testing.assert_array_equal(got, x.transpose(axes) * 2 - y)


# Plain loops --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 30_001), (3, 5, 4_000), (7,), (1,), (2, 3), (5_000, 3)])
def test_plain_loops_are_divided_evenly_and_completely(shape: tuple[int, ...]):
    x, y = np.random.default_rng(11).normal(size=(2, *shape))
    (got,) = run(lambda x, y: x * 2 + y[:1], x, y)
    np.testing.assert_array_equal(got, x * 2 + y[:1])


# Lesser processors --------------------------------------------------------------------------------------------------

LESSER = """
import test_reductions as t
t.test_few_results_of_many_elements((20_003, 8), 0)
t.test_a_reduction_to_one_number_is_cut_into_blocks("argmax", 40_009)
t.test_a_softmax_is_one_kernel((33, 50))
t.test_transposed_copies((17, 63), "float32")
t.test_transposed_copies((17, 63), "float64")
"""


@pytest.mark.parametrize("cpu", ["avx2", "sse2"])
def test_code_for_lesser_processors(cpu: str):
    env = {**os.environ, "GRADLOOM_CPU": cpu, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    done = subprocess.run([sys.executable, "-c", LESSER], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
