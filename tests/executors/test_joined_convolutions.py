"""Convolutions joined with what walks the same examples: kernels, moments and gradients, equal bits."""

from __future__ import annotations

import numpy as np
import pytest
from running import compiled, run

import gradloom as gl
from gradloom.executors.native.kernels.units import even_blocks
from gradloom.tensor import Tensor

RNG = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def normalised(x: Tensor) -> Tensor:
    axes = tuple(range(x.ndim - 1))
    return (x - gl.mean(x, axes)) * gl.rsqrt(gl.var(x, axes) + 1e-5)


def two_layers(x: Tensor, v: Tensor, w: Tensor, r: Tensor) -> tuple[Tensor, ...]:
    """Two normalised convolutions with a rectifier; the gradients by all of its operands but the last."""

    def product(x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        hidden = gl.relu(normalised(gl.conv(x, v, padding="same")))
        return gl.sum(normalised(gl.conv(hidden, w, padding="same")) * r)

    return gl.grad(product, (0, 1, 2))(x, v, w)


def test_a_layer_between_two_normalisations_is_one_kernel_each_way():
    shapes = (64, 16, 16, 16), (3, 3, 16, 16), (3, 3, 16, 16), (64, 16, 16, 16)
    program = compiled(two_layers, *(np.zeros(shape, np.float32) for shape in shapes))
    joined = [[str(m).split(" [")[0] for m in k.members] for k in program.plan.kernels if k.members]
    sums = ["reduce_sum", "reduce_sum"]
    assert ["conv", *sums] in joined
    assert ["select", "conv", "reduce_sum"] in [names[:3] for names in joined]
    assert ["add", "conv_input_gradient + select", *sums] in joined


@pytest.mark.parametrize(
    ("size", "channels"),
    [((64, 16, 16), (16, 16)), ((70, 13, 9), (7, 19)), ((64, 33), (3, 40))],
    ids=["even", "odd", "along a line"],
)
def test_gradients_are_those_of_the_reference(size: tuple[int, ...], channels: tuple[int, int]):
    taken, made = channels
    window = (3,) * (len(size) - 1)
    operands = draw(*size, taken), draw(*window, taken, made), draw(*window, made, made), draw(*size, made)
    program = compiled(two_layers, *operands)
    found = run(program, *operands)
    assert any(str(m).startswith("conv") for k in program.plan.kernels for m in k.members)
    for one, other in zip(found, two_layers(*map(gl.tensor, operands)), strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-9, atol=1e-10 * np.abs(one).max())


@pytest.mark.parametrize("residual", [False, True], ids=["alone", "with what is added"])
def test_moments_of_results_with_a_large_mean_keep_their_digits(residual: bool):
    def moments(x: Tensor, w: Tensor, other: Tensor) -> tuple[Tensor, ...]:
        y = gl.conv(x, w, padding="same") + other if residual else gl.conv(x, w, padding="same")
        return y, gl.mean(y, (0, 1, 2)), gl.var(y, (0, 1, 2))

    x, w, other = draw(40, 16, 16, 16), np.zeros((3, 3, 16, 24)), draw(40, 16, 16, 24)
    x[..., 0], w[1, 1, 0] = 1000, 1
    w[1, 1, 1:] = draw(15, 24) / 4
    program = compiled(moments, *(a.astype(np.float32) for a in (x, w, other)))
    assert any(len(k.members) == 3 for k in program.plan.kernels)
    y, mean, var = run(program, *(a.astype(np.float32) for a in (x, w, other)))
    wide = y.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean((0, 1, 2)), rtol=3e-7)
    np.testing.assert_allclose(var, wide.var((0, 1, 2)), rtol=1e-4)  # ε · mean / σ is 6e-5


def test_blocks_hold_whole_examples_or_parts_of_one():
    assert even_blocks(64 * 28 * 28, 64, 98) == 64  # 98 would divide them too
    assert even_blocks(100 * 32 * 32, 100, 200) == 200
    assert even_blocks(5 * 11 * 13, 5, 14) == 13  # nothing better
    assert even_blocks(8191, 1, 64) is None
