"""What nobody asks for is left out of a program, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.native.trim import trim
from gradloom.ir.graph import Graph
from gradloom.ir.interpret import evaluate

X = np.arange(1.0, 13.0).reshape(4, 3)


def swap(c, x):
    """Carries a and b depend on each other, n on itself alone; three things are stacked."""
    a, b, n = c
    return (b * 2, a + x, n + 1), (a, n, x * x)


def loop(x):
    return gl.scan(swap, (x[0], x[1], gl.tensor(0.0)), x)


def operands_and_results(f) -> tuple[int, int]:
    """Of the one node with graphs that is left: how many operands it has, and how many values its first graph gives."""
    graph = trim(gl.trace(f, X))
    graph.verify()
    np.testing.assert_allclose(evaluate(graph, [X])[0], evaluate(gl.trace(f, X), [X])[0], rtol=1e-15)
    np.testing.assert_allclose(NativeProgram(graph)([X])[0], evaluate(graph, [X])[0], rtol=1e-14)
    (node,) = [n for n in graph.nodes if n.op.nested is not None]
    inner = next(g for g in node.attrs.values() if isinstance(g, Graph))
    return len(node.inputs), len(inner.outputs)


def count(c):
    return gl.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 2, c[2] + c[1]), c)


@pytest.mark.parametrize(
    ("f", "operands", "results"),
    [
        (lambda x: loop(x)[0][0], 3, 2),  # both carries that depend on each other, and the elements
        (lambda x: loop(x)[0][2], 1, 1),
        (lambda x: loop(x)[1][1], 1, 2),
        (lambda x: loop(x)[1][2], 1, 1),
        (
            lambda x: gl.cond(gl.sum(x) > 0, lambda: (x[0], x[1] + 1), lambda: (x[1] * 2, x[2]))[0],
            2,
            1,
        ),  # the condition, and x
    ],
    ids=["carries", "a carry alone", "what is stacked of a carry", "what is stacked of elements", "a branch"],
)
def test_what_is_left(f, operands: int, results: int):
    assert operands_and_results(f) == (operands, results)


def test_a_condition_keeps_what_it_reads():
    f = lambda x: count((gl.sum(x) * 0, x[0], x[1]))[1]  # noqa: E731
    graph = trim(gl.trace(f, X))
    (node,) = [n for n in graph.nodes if n.op.name == "while_loop"]
    assert node.attrs["carries"] == 2
    np.testing.assert_array_equal(NativeProgram(graph)([X])[0], X[0] * 8)


def test_regions_are_opened_and_those_that_compute_again_are_not():
    graph = trim(gl.trace(gl.grad(lambda x: gl.sum(gl.sin(gl.checkpoint(gl.exp)(x)))), X))
    regions = [n for n in graph.nodes if n.op.name == "checkpoint"]
    assert [n.attrs["again"] for n in regions] == [True]
    assert sum(n.op.name == "exp" for n in graph.nodes) == 1


def test_functions_with_rules_of_their_own_inside_regions_and_loops():
    """3 in place of the true slope 2x, so that it shows whose rule was taken."""
    square = gl.custom_derivative(lambda x: x * x, forward=lambda t, y, x: 3 * t[0])
    region = lambda x: gl.sum(gl.checkpoint(lambda x: gl.scan(lambda c, r: (c + square(r), c), x[0], x)[0])(x))  # noqa: E731
    value, slope = gl.jit(gl.value_and_grad(region))(X)
    assert value.item() == X[0].sum() + (X**2).sum()
    np.testing.assert_array_equal(slope.numpy(), 3 + np.eye(4)[0][:, None] * np.ones(3))
