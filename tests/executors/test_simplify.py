"""The simplifying pass: each rule says the same with fewer nodes; every graph stays legal and means what it meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_native import training_run

import gradloom as gl
from gradloom import nn
from gradloom.executors.native.layout import lay_out
from gradloom.executors.native.simplify import simplify
from gradloom.ir.graph import Graph
from gradloom.ir.interpret import evaluate
from gradloom.tensor import Tensor

X = np.array([[-0.0, 1.5, np.nan, 3e38], [np.inf, -np.inf, 1e-45, -2.0], [0.0, 0.5, -1.5, 7.0]], np.float32)

RULES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "equal nodes are one": (lambda x: gl.exp(x) + gl.exp(x), "exp add"),
    "equal constants are one": (lambda x: x * gl.full((3, 4), 3.0) + x * gl.full((3, 4), 3.0), "mul add"),
    "zero and minus zero differ": (lambda x: gl.where(x > 1, 0.0, -0.0), "gt select"),
    "times one": (lambda x: x * 1.0, ""),
    "times minus one": (lambda x: x * -1.0, "neg"),
    "times zero stays": (lambda x: x * 0.0, "mul"),
    "plus zero stays": (lambda x: x + 0.0, "add"),
    "plus minus zero": (lambda x: x + -0.0, ""),
    "minus zero": (lambda x: x - 0.0, ""),
    "plus the negative": (lambda x: x + -gl.exp(x), "exp sub"),
    "minus the negative": (lambda x: x - -gl.exp(x), "exp add"),
    "negative of the negative": (lambda x: gl.negative(gl.negative(x)), ""),
    "divided by a power of two": (lambda x: x / 8.0, "mul"),
    "divided by a denormal stays": (lambda x: x / gl.full((3, 4), 1e-45), "div"),
    "divided by three stays": (lambda x: x / 3.0, "div"),
    "squared": (lambda x: x**2.0, "mul"),
    "to the power of minus one": (lambda x: x**-1.0, "div"),
    "transposed twice": (lambda x: x.T.T, ""),
    "permuted twice": (
        lambda x: gl.transpose(gl.transpose(x.reshape(3, 2, 2), (2, 0, 1)), (2, 0, 1)),
        "reshape permute",
    ),
    "reshaped twice": (lambda x: x.reshape(12).reshape(4, 3), "reshape"),
    "reshaped and back": (lambda x: x.reshape(12).reshape(3, 4), ""),
    "cast to its own type": (lambda x: gl.cast(x, "float32"), ""),
    "sliced whole": (lambda x: x[:, 0:4], ""),
    "summed over an axis of size one": (lambda x: gl.max(x[:1], 0), "slice reshape"),
    "a column repeated": (lambda x: x > gl.max(x, 1, keepdims=True), "reduce_max broadcast gt"),
    "a choice between equals": (lambda x: gl.where(x > 0, x, x), ""),
    "a choice that is known": (lambda x: gl.where(gl.full((3, 4), True), x, 1.0), ""),
    "a gradient that is stopped": (lambda x: gl.stop_gradient(x) * 3.0, "mul"),
}


def operations(graph: Graph) -> str:
    return " ".join(n.op.name for n in graph.nodes if n.op.name not in ("placeholder", "constant"))


@pytest.mark.parametrize("name", RULES)
def test_a_rule_gives_the_same_bits_with_fewer_nodes(name: str):
    f, wanted = RULES[name]
    graph = gl.trace(f, X)
    found = simplify(graph)
    found.verify()
    assert operations(found) == wanted
    for before, after in zip(evaluate(graph, [X]), evaluate(found, [X]), strict=True):
        np.testing.assert_array_equal(after, before)
        is_number = ~np.isnan(before)  # NaN has a sign bit that means nothing
        np.testing.assert_array_equal(np.signbit(after[is_number]), np.signbit(before[is_number]), strict=True)


def test_a_loop_takes_each_operand_once_and_none_that_is_constant_or_unused():
    def f(x, w):
        same, double, unused = w, w * 2, gl.sum(x)

        def turn(c, r):
            gl.exp(unused)
            return c * w + same * double + gl.tensor(3.0), c + r

        return gl.scan(turn, gl.zeros(()), x)

    graph = gl.trace(f, gl.zeros(5), gl.tensor(2.0))
    found = simplify(graph)
    found.verify()
    (loop,) = (n for n in found.nodes if n.op.name == "scan")
    fixed = loop.inputs[: loop.attrs["consts"]]
    assert [n.op.name for n in fixed] == ["placeholder", "mul"]
    arrays = [np.arange(5, dtype=np.float32), np.float32(0.5)]
    for before, after in zip(evaluate(graph, arrays), evaluate(found, arrays), strict=True):
        np.testing.assert_array_equal(after, before)


def test_the_update_of_a_table_touches_only_the_rows_that_occur():
    rows = np.array([3, 1, 3])

    def step(table, rate):
        gradient = gl.grad(lambda t: gl.sum(gl.take(t, rows) ** 2))(table)
        return table - rate * gradient

    table = np.random.default_rng(0).normal(size=(5, 2))
    graph = gl.trace(step, gl.tensor(table, "float64"), gl.tensor(0.1, "float64"))
    found = simplify(graph)
    found.verify()
    (scatter,) = (n for n in found.nodes if n.op.name == "scatter_add")
    assert scatter.inputs[0] is found.inputs[0]
    assert scatter is found.outputs[0]
    arrays = [table, np.array(0.1)]
    np.testing.assert_allclose(evaluate(found, arrays)[0], evaluate(graph, arrays)[0], rtol=1e-15)


def test_the_gradient_of_a_cross_entropy_has_no_addition_at_positions():
    labels = np.array([2, 0, 1])
    loss = nn.losses.CrossEntropy()
    graph = gl.trace(gl.value_and_grad(loss), gl.zeros((3, 4)), labels)
    found = simplify(graph)
    found.verify()
    assert "scatter_add_along" in operations(graph)
    assert "scatter_add_along" not in operations(found)
    z = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    for before, after in zip(evaluate(graph, [z, labels]), evaluate(found, [z, labels]), strict=True):
        np.testing.assert_allclose(after, before, rtol=5e-7)  # its softmax divides by a sum (see below)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_softmax_takes_one_exponential_an_element(axis: int):
    graph = gl.trace(lambda x: gl.softmax(x, axis), X)
    found = simplify(graph)
    found.verify()
    assert operations(found) == "reduce_max broadcast sub exp reduce_sum div broadcast mul"
    rows = np.array([[-np.inf] * 4, [1e4, -1e4, 0.0, 1e4], [3.0, -90.0, -103.0, 3.5]], np.float32)
    for x in (X, X.copy()[:, ::-1], rows):
        with np.errstate(invalid="ignore"):
            shifted = x.astype(np.float64) - x.max(axis, keepdims=True)
            wanted = np.exp(shifted) / np.exp(shifted).sum(axis, keepdims=True)
        np.testing.assert_allclose(evaluate(found, [x])[0], wanted, rtol=5e-7, atol=2e-45)


def test_a_softmax_and_its_logarithm_share_their_sum():
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        return gl.log_softmax(x), gl.grad(lambda x: gl.sum(gl.log_softmax(x)[:, 0]))(x)

    assert operations(simplify(gl.trace(f, X))).split().count("exp") == 1


@pytest.mark.parametrize(
    "f",
    [
        lambda x: gl.logsumexp(x - gl.max(x, 0, keepdims=True), 1),
        lambda x: gl.logsumexp(x - gl.min(x, 1, keepdims=True), 1),
        lambda x: gl.logsumexp(x * 2 - gl.max(x, 1, keepdims=True), 1),
    ],
    ids=["along the other axis", "another extreme", "of something else"],
)
def test_a_logsumexp_of_other_differences_keeps_its_peak(f: Callable[[Tensor], Tensor]):
    assert "logsumexp" in operations(simplify(gl.trace(f, X)))


def test_an_exponential_less_another_logarithm_is_no_softmax():
    def f(x: Tensor) -> Tensor:
        return gl.exp(x - gl.log(gl.sum(gl.exp(x), 0))[:, None] * gl.ones((4, 4)))

    assert operations(simplify(gl.trace(f, np.ones((4, 4), np.float32)))).split()[-1] == "exp"


def test_a_training_run_stays_legal_after_each_pass_and_means_the_same():
    graph, arrays = training_run(steps=3)
    simple = simplify(graph)
    laid = lay_out(simple)
    for found in (simple, laid):
        found.verify()
        for before, after in zip(evaluate(graph, arrays), evaluate(found, arrays), strict=True):
            np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)
    assert len(simple.nodes) < len(graph.nodes)
