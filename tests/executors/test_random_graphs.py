"""Random compositions: what the tests of single primitives cannot see is how the compiler joins them.

Each graph is a random program over matrices, its gradient included; native code must agree with the reference, and
every pass must leave a legal graph.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom import tree
from gradloom.executors.native.layout import lay_out
from gradloom.executors.native.simplify import simplify
from gradloom.tensor import Tensor

ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": gl.tanh,
    "sigmoid": gl.sigmoid,
    "relu": gl.relu,
    "square": lambda x: x * x,
    "negative": lambda x: -x,
    "halved": lambda x: x / 2,
    "transposed": lambda x: x.T,
    "flattened and back": lambda x: x.reshape(x.size).reshape(x.shape[1], x.shape[0]),
    "flipped": lambda x: gl.flip(x, 0),
    "half of the columns": lambda x: x[:, ::2],
    "padded": lambda x: gl.pad(x, ((1, 0), (0, 2))),
    "joined to itself": lambda x: gl.concatenate([x, x * 0.5], 1),
    "softmax": lambda x: gl.softmax(x, -1),
    "centred": lambda x: x - gl.mean(x, 0, keepdims=True),
    "scaled by its largest": lambda x: x / (1 + gl.max(gl.abs(x))),
    "running sum": lambda x: gl.cumsum(x, 1) * 0.25,
    "rows taken": lambda x: gl.take(x, np.array([0, 0, -1])),
    "sorted": lambda x: gl.sort(x, -1),
    "row by row": lambda x: gl.vmap(lambda r: r * gl.sum(r))(x),
    "summed on the way": lambda x: gl.scan(lambda c, r: (c * 0.5 + r, c), x[0], x)[1],
    "branch": lambda x: gl.cond(gl.sum(x) > 0, lambda a: a * 2, lambda a: a - 1, x),
    "column of sums": lambda x: gl.sum(x, 1, keepdims=True) * 0.3,
    "single row": lambda x: x[:1],
}
TWO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "product": lambda x, y: (x @ gl.ones((x.shape[1], y.shape[0])) @ y) * 0.1,
    "product with the transpose": lambda x, y: x @ x.T @ gl.ones((x.shape[0], 3)) * 0.1 + gl.sum(y),
    "plus the sum": lambda x, y: x + gl.sum(y) * 0.1,
    "where": lambda x, y: gl.where(x > gl.mean(y), x, 0.5),
    "rows plus a column": lambda x, y: x[:1] * gl.sum(y, 1, keepdims=True),
}

step = st.one_of(
    st.tuples(st.sampled_from(sorted(ONE)), st.integers(0, 5)),
    st.tuples(st.sampled_from(sorted(TWO)), st.integers(0, 5), st.integers(0, 5)),
)


def program(steps: list[tuple]) -> Callable[[Tensor, Tensor], Tensor]:
    """A function that takes each step on values made before; its result uses them all."""

    def run(x: Tensor, y: Tensor) -> Tensor:
        values = [x, y]
        for name, *places in steps:
            operands = [values[-1 - place % len(values)] for place in places]
            made = (ONE[name] if name in ONE else TWO[name])(*operands)
            if made.size <= 400:
                values.append(made)
        return sum((gl.sum(v * v) for v in values), gl.tensor(0.0, "float64")) / len(values)

    return run


@settings(max_examples=40, deadline=None, derandomize=True)
@given(steps=st.lists(step, min_size=3, max_size=9), rows=st.integers(1, 5), columns=st.integers(1, 18))
def test_native_agrees_with_the_reference(steps: list[tuple], rows: int, columns: int):
    rng = np.random.default_rng(rows * 100 + columns)
    x, y = (gl.tensor(rng.normal(size=(rows, columns)) * 0.5, "float64") for _ in range(2))
    f = gl.value_and_grad(program(steps), (0, 1))
    graph = gl.trace(f, x, y)
    for found in (simple := simplify(graph), lay_out(simple)):
        found.verify()
    native, reference = (tree.leaves(gl.jit(f, executor=e)(x, y)) for e in ("native", "reference"))
    for got, wanted in zip(native, reference, strict=True):
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-9, atol=1e-9)
