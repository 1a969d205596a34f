"""Whole graphs that meet the edges of the compiler: constants, views, empty axes, odd results, loops in loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradloom as gl
from gradloom import tree
from gradloom.tensor import Tensor

GRAPHS: dict[str, Callable[[Tensor], Any]] = {
    "uniform constant on the right of a product": lambda x: x @ gl.ones((20, 64)),
    "uniform constant on the left of a product": lambda x: gl.ones((7, 5)) @ x,
    "repeated row times uniform constant": lambda x: gl.broadcast_to(x[:1], (5, 20)) @ gl.ones((20, 3)),
    "large uniform constant that is packed": lambda x: gl.ones((70, 5)) @ x @ gl.ones((20, 2048)),
    "taking from a constant": lambda x: gl.take(gl.ones((4, 3)), gl.argmax(x, 1) % 4) + gl.sum(x),
    "taking along an axis of a constant": lambda x: gl.take_along_axis(gl.zeros((5, 20)), gl.argsort(x), 1) + x,
    "results that are inputs": lambda x: (x, x + 1, x),
    "results that are constants": lambda x: (gl.ones((2, 2)), x * 2),
    "results that are reshapes": lambda x: (x.reshape(100), (x * 2).reshape(10, 10), x.reshape(1, 5, 20)),
    "empty axes": lambda x: (
        x[:0] @ gl.ones((20, 3)),
        gl.sum(x[:0]),
        gl.concatenate([x[:0], x]),
        x[:, :0] @ x[:, :0].T,
    ),
    "products of vectors": lambda x: (x[0] @ x[1], x @ x[0], gl.einsum("ij,ij->i", x, x)),
    "an outer product of matrices": lambda x: gl.einsum("ij,kl->ijkl", x, x),
    "reversed operands of products": lambda x: (x[:, ::-1] @ x.T, x @ gl.flip(x.T, 0)),
    "every other element of operands": lambda x: x[:, ::2] @ x.T[::2],
    "an operand whose transpose lies in memory as well": lambda x: gl.grad(lambda y: gl.sum((y @ y.T) ** 2))(x),
    "logic": lambda x: ((x > 0) & (x < 1), ~(x > 0), gl.any(x > 0, 0), gl.all(x > -9)),
    "padding into a product": lambda x: gl.pad(x, 2, 1.5) @ gl.ones((24, 2)),
    "running sums": lambda x: gl.cumsum(x, 0) + gl.cumsum(x, 1, reverse=True),
    "random numbers": lambda x: gl.random.normal(gl.random.key(3), (5, 20)) * x,
    "integers": lambda x: (gl.cast(x * 10, "int32") // 3, gl.cast(x * 10, "int64") % 7),
    "reductions over the first axis": lambda x: (gl.logsumexp(x, 0), gl.softmax(x, 0), gl.argmin(x, 0)),
    "a gradient with repeated positions": lambda x: gl.grad(lambda t: gl.sum(gl.take(t, gl.tensor([1, 1, 3])) ** 2))(x),
    "a mapped product": lambda x: gl.vmap(lambda r: gl.einsum("i,j->ij", r, r) @ gl.ones((20, 4)))(x),
    "a carry that does not see the elements": lambda x: gl.scan(lambda c, r: (c + 1, None), gl.zeros(3), x)[0],
    "carries that change places": lambda x: gl.scan(
        lambda c, r: ((c[1], c[0] + gl.sum(r)), c[0]), (gl.tensor(0.0), gl.tensor(1.0)), x
    ),
    "a loop of no turns": lambda x: gl.scan(lambda c, r: (c + gl.sum(r), c), gl.tensor(0.0), x[:0]),
    "a carry that becomes a constant": lambda x: gl.scan(lambda c, r: (gl.zeros(20), c + r), x[0], x),
    "a loop in a loop": lambda x: gl.scan(lambda c, r: gl.scan(lambda d, s: (d * 0.5 + s, d), c, r), gl.tensor(1.0), x),
    "a branch": lambda x: gl.cond(gl.sum(x) > 0, lambda a: a @ a.T, lambda a: gl.ones((5, 5)), x),
    "a branch in a loop": lambda x: gl.scan(
        lambda c, r: (gl.cond(c > 0, lambda a: a - gl.sum(r), lambda a: a + 1, c), c), gl.tensor(0.0), x
    ),
    "sorting in a loop": lambda x: gl.scan(lambda c, r: (c + gl.sort(r), gl.argsort(r)), gl.zeros(20), x),
    "working memory in a loop": lambda x: gl.scan(
        lambda c, r: (gl.solve(gl.eye(20) * 2, c) + r, gl.sort(gl.broadcast_to(r, (9, 20)).reshape(180))), x[0], x
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_native_gives_what_the_reference_gives(name: str):
    x = gl.tensor(np.random.default_rng(0).normal(size=(5, 20)).astype(np.float32))
    native, reference = (tree.leaves(gl.jit(GRAPHS[name], executor=e)(x)) for e in ("native", "reference"))
    for got, wanted in zip(native, reference, strict=True):
        assert got.type == wanted.type
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=2e-5, atol=2e-5)
