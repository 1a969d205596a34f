"""Rules for sums, and what they make of normalisation and pooling: values against float64, kernels, equal bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from running import compiled, run

import gradloom as gl
from gradloom import functional as fn
from gradloom import pooling
from gradloom.executors.native.simplify import simplify
from gradloom.tensor import Tensor

RNG = np.random.default_rng(0)


def operations(f: Callable[..., Tensor], *shapes: tuple[int, ...]) -> str:
    """The primitives that are left, without constants."""
    graph = simplify(gl.trace(f, *(gl.zeros(shape) for shape in shapes)))
    return " ".join(n.op.name for n in graph.nodes if n.op.name not in ("placeholder", "constant"))


RULES = {
    "a factor that is repeated comes out": (lambda x, c: gl.sum(x * c, 0), "reduce_sum mul"),
    "so does one of several": (lambda x, c: gl.sum(x * c * x, 0), "mul reduce_sum mul"),
    "a factor along the sum stays": (lambda x, c: gl.sum(x * c[:, None], 0), "broadcast mul reduce_sum"),
    "a constant alone stays": (lambda x, c: gl.sum(x * 3.0, 0), "mul reduce_sum"),
    "differences from the mean add up to 0": (lambda x, c: gl.sum(x - gl.mean(x, 0), 0), ""),
    "and are left out": (lambda x, c: gl.sum(x * c - (x - gl.mean(x, 0)) * c, 0), "reduce_sum mul"),
    "those from another mean are not": (
        lambda x, c: gl.sum(x - gl.mean(x[:2], 0), 0),
        "slice reduce_sum mul broadcast sub reduce_sum",
    ),
    "two sums are not made of one": (lambda x, c: gl.sum(x * c + gl.exp(x), 0), "broadcast mul exp add reduce_sum"),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_leaves_fewer_operations_and_the_value(name: str):
    f, wanted = RULES[name]
    assert operations(f, (4, 4), (4,)) == wanted
    x, c = RNG.standard_normal((4, 4)), RNG.standard_normal(4)
    np.testing.assert_allclose(run(f, x, c)[0], f(gl.tensor(x), gl.tensor(c)).numpy(), rtol=1e-13, atol=1e-14)


def test_sums_of_halves_keep_their_factors():
    """The sum alone would overflow."""
    x, c = np.full((512, 16), 512.0, np.float16), np.full(16, 2.0**-10, np.float16)
    np.testing.assert_array_equal(run(lambda x, c: gl.sum(x * c, 0), x, c)[0], np.full(16, 256.0))


def normalised(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    axes = tuple(range(x.ndim - 1))
    mean, var = fn.mean(x, axes), fn.var(x, axes)
    return gl.relu((x - mean) * fn.rsqrt(var + 1e-5) * scale + shift)


@pytest.mark.parametrize("shape", [(8, 20, 20, 24), (5, 7, 11, 131), (64, 1024)])
def test_moments_of_a_large_mean_keep_their_digits(shape: tuple[int, ...]):
    axes = tuple(range(len(shape) - 1))
    x = (1000 + RNG.standard_normal(shape)).astype(np.float32)
    mean, var = run(lambda x: (fn.mean(x, axes), fn.var(x, axes)), x)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(axes), rtol=3e-7)
    np.testing.assert_allclose(var, wide.var(axes), rtol=1e-4)  # ε · mean / σ is 6e-5


def test_normalising_reads_memory_once_for_the_moments_and_once_for_the_gradient_s_sums():
    def gradients(x: Tensor, scale: Tensor, shift: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        return gl.grad(lambda *of: gl.sum(normalised(*of) * y), (0, 1, 2))(x, scale, shift)

    shape, channels = (16, 20, 20, 24), (24,)
    x, y = (RNG.standard_normal(shape) for _ in range(2))
    scale, shift = (RNG.uniform(0.5, 1.5, channels) for _ in range(2))
    program = compiled(gradients, *(a.astype(np.float32) for a in (x, scale, shift, y)))
    large = [str(k) for k in program.plan.kernels if any(n >= 1024 for b in k.reads() for n in [b.tensor_type.size])]
    names = [name.split(" [")[0] for name in large]
    assert names == ["reduce_sum", "select", "reduce_sum", "add"], large
    found = run(program, *(a.astype(np.float32) for a in (x, scale, shift, y)))
    for one, other in zip(found, gradients(*map(gl.tensor, (x, scale, shift, y)))):
        np.testing.assert_allclose(one, other.numpy(), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("shape", [(6, 12, 16, 19), (3, 9, 11, 64)], ids=["side by side", "with a rest"])
def test_the_mask_of_a_rectified_pool_is_that_of_its_windows(shape: tuple[int, ...]):
    def gradients(x: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return gl.grad(lambda x, b: gl.sum(gl.exp(pooling.max_pool(gl.relu(x + b), 2))), (0, 1))(x, b)

    x, b = RNG.standard_normal(shape), RNG.standard_normal(shape[-1])
    names = operations(lambda *of: gradients(*of)[1], shape, shape[-1:])
    assert "window_place" not in names, "the gradient of a bias needs no place"
    for one, other in zip(run(gradients, x, b), gradients(gl.tensor(x), gl.tensor(b))):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-12)


def test_nan_and_equal_elements_keep_their_gradient_in_a_rectified_pool():
    x = np.array([np.nan, 2, -1, -1, 3, 3, 0, -0.0, np.inf, np.nan]).reshape(1, 10, 1)

    def gradient(x: Tensor) -> Tensor:
        return gl.grad(lambda x: gl.sum(pooling.max_pool(gl.relu(x), 2)))(x)

    np.testing.assert_array_equal(run(gradient, x)[0].ravel(), [0, 1, 0, 0, 1, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(gradient(gl.tensor(x)).numpy().ravel(), [0, 1, 0, 0, 1, 0, 0, 0, 1, 0])


def test_the_mask_of_a_layer_is_read_from_its_result():
    """What went into the rectifier is not kept."""

    def gradients(x: Tensor, v: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        return gl.grad(lambda v, w: gl.sum(gl.relu(x @ v) @ w), (0, 1))(v, w)

    arrays = [RNG.standard_normal(shape).astype(np.float32) for shape in ((40, 30), (30, 20), (20, 10))]
    program = compiled(gradients, *arrays)
    (first,) = [k for k in program.plan.kernels if str(k).startswith("contract + select [40,20]")][:1]
    assert len(first.stores) == 1
    for one, other in zip(run(program, *arrays), gradients(*map(gl.tensor, arrays))):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-4, atol=1e-4)
