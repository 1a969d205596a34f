"""A graph that went through a pipe is the same graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import gradloom as gl
from gradloom import executors
from gradloom.ir.graph import Graph, scope
from gradloom.parallel.serialisation import from_bytes, to_bytes
from gradloom.transforms import trace

X = np.linspace(0.5, 2, 12, dtype=np.float32).reshape(3, 4)

cube = gl.custom_derivative(lambda x: x**3, forward=lambda t, y, x: 3 * x**2 * t[0])


def layered(x: gl.Tensor) -> gl.Tensor:
    with scope("outer"):
        return gl.exp(x)


def sent(graph: Graph) -> Graph:
    return from_bytes(to_bytes(graph))


def results(graph: Graph) -> np.ndarray:
    return executors.get("reference").compile(graph)([X])[0]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x + np.arange(4),
        lambda x: gl.cond(gl.sum(x) > 0, gl.exp, lambda v: v, x),
        lambda x: gl.scan(lambda c, row: (c * 2 + row, c), gl.ones(4), x)[1],
        lambda x: x + gl.full((10_000, 4), 3.0)[:3],
        gl.grad(lambda x: gl.sum(gl.sort(x) ** 3)),
        gl.grad(lambda x: gl.sum(cube(x))),
        cube,
        layered,
    ],
)
def test_a_graph_arrives_as_it_was(f: Callable[..., gl.Tensor]):
    graph = trace(f, X)
    found = sent(graph)
    assert str(found) == str(graph)
    assert [n.scope for n in found.nodes] == [n.scope for n in graph.nodes]
    np.testing.assert_array_equal(results(found), results(graph))


def test_a_constant_with_one_value_takes_no_memory_on_its_way():
    wide = trace(lambda x: gl.sum(x) + gl.full((1000, 1000), 3.0), X)
    assert len(to_bytes(wide)) < 10_000
    (fill,) = [n for n in sent(wide).nodes if n.value is not None and n.shape == (1000, 1000)]
    assert not any(fill.value.strides)


def test_a_chain_is_not_too_deep():
    def chain(x: gl.Tensor) -> gl.Tensor:
        for _ in range(5000):
            x = x + 1
        return x

    np.testing.assert_array_equal(results(sent(trace(chain, X))), results(trace(chain, X)))
