"""The building blocks of the transformations: pushforward, pullback, transpose and batch on nodes."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom.autodiff.batching import batch
from gradloom.autodiff.forward import pushforward
from gradloom.autodiff.reverse import pullback, transpose
from gradloom.ir.graph import Graph, placeholder
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import TensorType
from gradloom.ops.contraction import contract
from gradloom.ops.core import add, broadcast, reduce_sum
from gradloom.ops.elementwise import cast, exp, mul, neg, sin, stop_gradient

VECTOR = TensorType((3,), np.dtype("float64"))


def vector(name: str = ""):
    return placeholder(VECTOR, name)


def test_a_tangent_known_to_be_zero_costs_nothing():
    x, y, t = vector(), vector(), vector()
    values, tangents = pushforward([exp(y), stop_gradient(x), add(x, y)], {x: t})
    assert tangents == [None, None, t]
    assert values[2].inputs == (x, y)


def test_an_integer_result_has_no_tangent():
    x, t = vector(), vector()
    assert pushforward([cast(x, dtype=np.dtype("int64"))], {x: t})[1] == [None]


def test_a_node_in_the_middle_may_be_differentiated_by():
    x, t = vector(), vector()
    middle = sin(x)
    (tangent,) = pushforward([exp(middle)], {middle: t})[1]
    arrays = [np.ones(3), np.full(3, 2.0)]
    assert tangent is not None
    found = evaluate(Graph((x, t), (tangent,)), arrays)[0]
    np.testing.assert_allclose(found, 2 * np.exp(np.sin(1)), rtol=1e-15)


def test_transpose_of_a_linear_graph_is_the_transposed_matrix():
    x, ct = vector(), placeholder(TensorType((2,), VECTOR.dtype))
    matrix = placeholder(TensorType((2, 3), VECTOR.dtype))
    y = neg(contract(matrix, x, contract=((1,), (0,)), batch=((), ())))
    (back,) = transpose([y], [x], [ct])
    assert back is not None
    a, v = np.arange(6.0).reshape(2, 3), np.array([1.0, -2.0])
    found = evaluate(Graph((matrix, ct), (back,)), [a, v])[0]
    np.testing.assert_array_equal(found, -a.T @ v)


def test_transposing_what_is_not_linear_is_our_mistake():
    x = vector()
    with pytest.raises(AssertionError, match="exp is not linear"):
        transpose([exp(x)], [x], [vector()])


def test_pullback_adds_up_over_outputs_and_paths():
    x, a, b = vector(), vector(), vector()
    _, (back,) = pullback([mul(x, x), neg(x)], [x], [a, b])
    value = [np.array([1.0, 2.0, 3.0]), np.ones(3), np.full(3, 10.0)]
    assert evaluate(Graph((x, a, b), (back,)), value)[0].tolist() == [-8, -6, -4]
    assert pullback([neg(x)], [x], [None])[1][0].value.tolist() == [0, 0, 0]


def test_derivative_of_a_broadcast_axis_of_size_one():
    x, ct = placeholder(TensorType((1, 3), VECTOR.dtype)), placeholder(TensorType((2, 4, 3), VECTOR.dtype))
    _, (back,) = pullback([broadcast(x, shape=(2, 4, 3), axes=(1, 2))], [x], [ct])
    found = evaluate(Graph((ct,), (back,)), [np.ones((2, 4, 3))])[0]
    assert found.tolist() == [[8, 8, 8]]


def test_batching_computes_once_what_does_not_vary():
    x, y = vector(), vector()
    many = placeholder(VECTOR.with_shape((5, 3)))
    shared = exp(y)
    (found, varies), (same, fixed) = batch([reduce_sum(mul(x, shared), axes=(0,)), shared], {x: many}, 5)
    assert (varies, fixed) == (True, False)
    assert same is shared
    assert found.shape == (5,)


def test_a_graph_grows_by_a_constant_factor_under_reverse_mode():
    """The cheap gradient principle: a small multiple of the cost of the function (Griewank and Walther, ch. 3)."""

    def f(x, depth):
        for _ in range(depth):
            x = gl.tanh(gl.sin(x) * x)
        return gl.sum(x)

    x = np.ones(3)
    for depth in (5, 50):
        size = len(gl.trace(lambda v, d=depth: f(v, d), x).nodes)
        assert len(gl.trace(gl.grad(lambda v, d=depth: f(v, d)), x).nodes) < 6 * size
