"""What reverse mode does not keep: regions that are computed again, loops in segments, and the memory that is left."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.errors import OptionError
from gradloom.executors.native.loops import Apply
from gradloom.executors.native.program import NativeProgram
from gradloom.ops.control.segments import near_root

X = np.array([0.3, -0.8, 1.4])


def f(x):
    """Σ x sin x², with a part that uses a value from outside the region."""
    return gl.sum(gl.checkpoint(lambda y: gl.sin(y) * x)(x * x))


SLOPE = np.sin(X**2) + 2 * X**2 * np.cos(X**2)
CURVATURE = 6 * X * np.cos(X**2) - 4 * X**3 * np.sin(X**2)


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_a_region_has_the_derivatives_of_its_function(executor: str):
    ways = {
        "reverse": (gl.grad(f), SLOPE),
        "forward": (gl.vmap(lambda t: gl.jvp(f, (X,), (t,))[1]), SLOPE),
        "forward over reverse": (gl.hessian(f), np.diag(CURVATURE)),
        "reverse over reverse": (lambda x: gl.grad(lambda y: gl.sum(gl.grad(f)(y)))(x), CURVATURE),
        "reverse over forward": (gl.grad(lambda x: gl.jvp(f, (x,), (np.ones(3),))[1]), CURVATURE),
        "mapped": (lambda x: gl.vmap(gl.grad(f))(gl.stack([x, 2 * x]))[0], SLOPE),
    }
    for way, (derivative, wanted) in ways.items():
        found = gl.jit(derivative, executor)(np.eye(3) if way == "forward" else X)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-13, atol=1e-14, err_msg=way)


def test_a_region_takes_and_gives_nested_values():
    region = gl.checkpoint(lambda v, name: {"sum": v["a"] + v["b"], "name": name})
    found = region({"a": gl.tensor(1.0), "b": gl.tensor(2.0)}, "both")
    assert (found["sum"].item(), found["name"]) == (3.0, "both")


def chain(blocks: int, wrap):
    """A network of blocks of five layers."""

    def block(x, w):
        for _ in range(5):
            x = gl.tanh(x @ w)
        return x

    def loss(w, x):
        for _ in range(blocks):
            x = wrap(block)(x, w)
        return gl.sum(x)

    return NativeProgram(gl.trace(gl.grad(loss), np.zeros((16, 16)), np.zeros((64, 16))))


def layers(program: NativeProgram) -> int:
    """How many kernels compute tanh."""
    return sum(
        any(isinstance(i, Apply) and i.name == "tanh" for i in k.block.code) for k in program.plan.every_kernel()
    )


def test_regions_save_memory_and_compute_again():
    w, x = np.random.default_rng(0).standard_normal((2, 16, 16)) / 3
    plain, saving = chain(6, lambda g: g), chain(6, gl.checkpoint)
    assert (layers(plain), layers(saving)) == (30, 25 + 30)  # the last block's value is not asked for
    value = 64 * 16 * 8
    assert plain.plan.size > 30 * value  # those of all layers
    assert saving.plan.size < 18 * value  # the 6 before blocks, the 5 of one block, and what kernels work with
    x = np.concatenate([x] * 4)
    np.testing.assert_allclose(saving([w, x])[0], plain([w, x])[0], rtol=1e-12, atol=1e-14)


# Loops in segments --------------------------------------------------------------------------------------------------

W = np.random.default_rng(1).standard_normal((3, 3)) * 0.5


def run(checkpoint: bool | int | None, reverse: bool = False):
    """A scalar of the last carry and of what is stacked, which depends on constants, carry and elements."""

    def loss(w, c, xs):
        def step(c, x):
            return (gl.tanh(w @ c + x), c * gl.sin(x))

        last, ys = gl.scan(step, c, xs, reverse=reverse, checkpoint=checkpoint)
        return gl.sum(last) + gl.sum(ys**2)

    return loss


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 14), st.sampled_from([True, 1, 2, 3, 5, 20]), st.booleans())
def test_segments_change_no_derivative(length: int, checkpoint: bool | int, reverse: bool):
    rng = np.random.default_rng(length)
    args = W, rng.standard_normal(3), rng.standard_normal((length, 3))
    whole, cut = (gl.value_and_grad(run(c, reverse), (0, 1, 2))(*args) for c in (False, checkpoint))
    assert cut[0].item() == whole[0].item()
    for a, b in zip(cut[1], whole[1]):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("checkpoint", [4, 5])
def test_segments_compiled_mapped_and_differentiated_twice(checkpoint: int):
    rng = np.random.default_rng(0)
    args = W, rng.standard_normal(3), rng.standard_normal((12, 3))
    many = np.stack([args[1], 2 * args[1]])
    for transform in (
        lambda g: lambda w, c, xs: gl.vmap(gl.grad(g, 1), (None, 0, None))(w, many, xs),
        lambda g: lambda w, c, xs: gl.hvp(lambda c: g(w, c, xs), (c,), (xs[0],))[0],
        lambda g: lambda w, c, xs: gl.grad(lambda c: gl.sum(gl.grad(g, 1)(w, c, xs) * xs[0]))(c),
    ):
        wanted = transform(run(False))(*map(gl.tensor, args)).numpy()
        found = gl.jit(transform(run(checkpoint)))(*args).numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13)


def arena(length: int, checkpoint: bool | None, size: int = 64) -> int:
    """Bytes for intermediate values of the gradient of a loop that carries a vector."""

    def loss(w, c):
        return gl.sum(gl.scan(lambda c, _: (gl.tanh(w * c), None), c, length=length, checkpoint=checkpoint)[0])

    return NativeProgram(gl.trace(gl.grad(loss), np.zeros(size), np.zeros(size))).plan.size


def test_memory_grows_as_the_root_of_the_length():
    cut, whole = ([arena(length, c) for length in (256, 1024, 4096)] for c in (True, False))
    for shorter, longer in itertools.pairwise(cut):
        assert 1.6 < longer / shorter < 2.1
    for shorter, longer in itertools.pairwise(whole):
        assert longer / shorter > 3.8
    assert cut[-1] < whole[-1] / 25


def test_loops_that_would_keep_much_are_cut_unless_told_otherwise():
    size = 1024  # 16 KiB a turn: the carry, and what came of it
    assert arena(1000, None, size) == arena(1000, False, size) > 8 * 2**20
    assert arena(5000, None, size) == arena(5000, True, size) < 4 * 2**20
    assert arena(5000, False, size) > 40 * 2**20


def test_segments_are_near_the_root():
    assert [near_root(n) for n in (0, 1, 256, 1000, 500, 997)] == [1, 1, 16, 40, 20, 32]


def test_what_checkpoint_may_be():
    refused: list[Any] = [0, -1, 1.5]
    for wrong in refused:
        with pytest.raises(OptionError, match="checkpoint is a whole number from 1"):
            gl.scan(lambda c, _: (c, None), 1.0, length=3, checkpoint=wrong)
