"""Oracles that the tests of primitives share: central differences and a Python loop in place of vmap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gradloom.autodiff.batching import batch
from gradloom.autodiff.forward import pushforward
from gradloom.autodiff.reverse import pullback
from gradloom.ir.graph import Graph, Node, placeholder
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import TensorType
from gradloom.ops.core import zeros

Function = Callable[..., Node]
STEP = 1e-5


def inputs_like(arrays: Sequence[np.ndarray]) -> list[Node]:
    """Placeholders of the types of these arrays."""
    return [placeholder(TensorType(a.shape, a.dtype)) for a in arrays]


def run(function: Function, *arrays: np.ndarray) -> np.ndarray:
    """The value of ``function``, traced and then evaluated."""
    inputs = inputs_like(arrays)
    return evaluate(Graph(tuple(inputs), (function(*inputs),)), arrays)[0]


def assert_derivatives(function: Function, *arrays: np.ndarray, order: int = 1, tolerance: float = 1e-7) -> None:
    """Hold forward and reverse mode of ``function`` to central differences in float64, by each operand alone.

    The tolerance is relative to the largest element.  With ``order`` 2 the derivatives that reverse mode gives are
    themselves held to central differences.
    """
    rng = np.random.default_rng(len(arrays))
    weights = rng.standard_normal(run(function, *arrays).shape)
    largest: list[float] = []
    for wrt, operand in enumerate(arrays):
        direction = rng.standard_normal(operand.shape)
        measured = (
            run(function, *_moved(arrays, wrt, STEP * direction))
            - run(function, *_moved(arrays, wrt, -STEP * direction))
        ) / (2 * STEP)
        largest.append(np.abs(measured).max())

        def tangent(*nodes: Node, wrt: int = wrt) -> Node:
            *xs, t = nodes
            y = function(*xs)
            (found,) = pushforward([y], {xs[wrt]: t})[1]
            return zeros(y.tensor_type) if found is None else found

        def cotangent(*nodes: Node, wrt: int = wrt) -> Node:
            *xs, ct = nodes
            return pullback([function(*xs)], [xs[wrt]], [ct])[1][0]

        forward, reverse = run(tangent, *arrays, direction), run(cotangent, *arrays, weights)
        np.testing.assert_allclose(forward, measured, rtol=0, atol=tolerance * max(largest[-1], 1))
        np.testing.assert_allclose((reverse * direction).sum(), (weights * forward).sum(), rtol=1e-9, atol=1e-11)
        if order > 1:
            assert_derivatives(cotangent, *arrays, weights, order=order - 1, tolerance=10 * tolerance)
    assert max(largest) > 0, "no operand moves the result: the check is empty"


def _moved(arrays: Sequence[np.ndarray], wrt: int, change: np.ndarray) -> list[np.ndarray]:
    return [a + change if i == wrt else a for i, a in enumerate(arrays)]


def assert_maps(function: Function, *arrays: np.ndarray, mapped: Sequence[bool], rtol: float = 1e-12) -> None:
    """Hold vmap over the first axis of the ``mapped`` operands to a loop."""
    size = next(a.shape[0] for a, is_mapped in zip(arrays, mapped) if is_mapped)
    loop = [run(function, *(a[i] if m else a for a, m in zip(arrays, mapped))) for i in range(size)]
    ones = inputs_like([a[0] if m else a for a, m in zip(arrays, mapped)])
    wholes = inputs_like(arrays)
    replaced = {one: whole for one, whole, m in zip(ones, wholes, mapped) if m}
    inputs = [whole if m else one for one, whole, m in zip(ones, wholes, mapped)]
    ((found, varies),) = batch([function(*ones)], replaced, size)
    assert varies
    value = evaluate(Graph(tuple(inputs), (found,)), arrays)[0]
    np.testing.assert_allclose(value, np.stack(loop), rtol=rtol, atol=rtol)
