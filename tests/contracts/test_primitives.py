"""Every primitive against every contract: types, values, derivatives of first and second order, vmap, executors."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from cases import CASES, NOT_OPERATIONS, ROWS, Case
from flat import Flat, joined, legal, placeholders, slope

from gradloom.autodiff.batching import batch
from gradloom.autodiff.reverse import pullback
from gradloom.errors import DTypeError
from gradloom.executors.base import Executor
from gradloom.executors.native.executor import NativeExecutor
from gradloom.executors.native.target import lesser
from gradloom.executors.reference import ReferenceExecutor
from gradloom.ir.graph import PRIMITIVES, Graph
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import ORDER

EXECUTORS: dict[str, tuple[Executor, float]] = {
    "reference": (ReferenceExecutor(), 0.0),
    "native": (NativeExecutor(), 1e-13),
    **{f"native-{name}": (NativeExecutor(target), 1e-13) for name, target in lesser().items()},
}
"""Every executor with the relative tolerance that its results have against the primitives' NumPy meaning."""

LESSER = [f"native-{name}" for name in lesser()]

EXAMPLES = 3

every_case = pytest.mark.parametrize("case", CASES, ids=repr)
smooth_case = pytest.mark.parametrize("case", [case for case in CASES if case.wrt], ids=repr)


def test_every_primitive_has_a_row():
    missing = set(PRIMITIVES) - set(ROWS) - NOT_OPERATIONS
    assert not missing, f"add rows for {sorted(missing)} to tests/contracts/cases.py"
    assert set(ROWS) <= set(PRIMITIVES), f"rows without a primitive: {sorted(set(ROWS) - set(PRIMITIVES))}"


def test_every_differentiable_primitive_is_differentiated():
    rules = {name for name, op in PRIMITIVES.items() if op.derivative or op.nested}
    tested = {case.name for case in CASES if case.wrt}
    assert rules - NOT_OPERATIONS <= tested


@every_case
@pytest.mark.parametrize("dtype", ORDER)
def test_type_rule_is_the_type_of_the_value(case: Case, dtype: str):
    if dtype not in case.dtypes:
        if not any(x.generic for x in case.operands) or case.op.nested:
            return
        with pytest.raises(DTypeError):
            case.results(placeholders(case.arrays(dtype)))
        return
    arrays = case.arrays(dtype)
    nodes = case.results(placeholders(arrays))
    with np.errstate(all="ignore"):
        found = case.op.compute(*arrays, **case.attrs)
    values = found if case.op.nested else [found]
    assert [(y.shape, y.dtype) for y in nodes] == [(np.shape(v), v.dtype) for v in values]


@smooth_case
def test_both_modes_give_the_jacobian(case: Case):
    flat = Flat(case)
    columns, rows = np.eye(flat.point.size), np.eye(flat.width)
    shape = (flat.width, flat.point.size)
    measured = np.array([slope(flat.value, flat.point, t) for t in columns]).reshape(shape[::-1]).T
    forward = np.array([flat.forward(flat.point, t) for t in columns]).reshape(shape[::-1]).T
    reverse = np.array([flat.reverse(flat.point, v) for v in rows]).reshape(shape)
    scale = max(1.0, np.abs(measured).max(initial=0))
    np.testing.assert_allclose(forward, measured, rtol=0, atol=1e-9 * scale)
    np.testing.assert_allclose(reverse, forward, rtol=1e-10, atol=1e-12 * scale)


@smooth_case
def test_reverse_mode_is_the_adjoint_of_forward_mode(case: Case):
    flat, rng = Flat(case), np.random.default_rng(1)
    for _ in range(3):
        t, v = rng.standard_normal(flat.point.size), rng.standard_normal(flat.width)
        forward, reverse = flat.forward(flat.point, t), flat.reverse(flat.point, v)
        size = np.linalg.norm(v) * np.linalg.norm(forward) + np.linalg.norm(reverse) * np.linalg.norm(t)
        assert abs(v @ forward - reverse @ t) <= 1e-12 * size


@smooth_case
def test_second_derivatives_of_both_mixed_modes(case: Case):
    flat, rng = Flat(case), np.random.default_rng(2)
    v = rng.standard_normal(flat.width)
    t, u = rng.standard_normal((2, flat.point.size))
    measured = slope(lambda x: flat.reverse(x, v), flat.point, t)
    found = flat.second(flat.point, v, t)
    scale = max(1.0, np.abs(measured).max(initial=0))
    np.testing.assert_allclose(found, measured, rtol=0, atol=1e-8 * scale)
    np.testing.assert_allclose(flat.twice_reverse(flat.point, v, t), found, rtol=1e-10, atol=1e-11 * scale)
    np.testing.assert_allclose(found @ u, flat.second(flat.point, v, u) @ t, rtol=1e-10, atol=1e-11 * scale)


@every_case
def test_vmap_is_a_loop(case: Case):
    samples = [case.arrays(sample=i) for i in range(EXAMPLES)]
    inputs = placeholders(samples[0])
    outputs = case.results(inputs)
    one = legal(inputs, outputs, "one")
    for mapped in product((False, True), repeat=len(inputs)):
        if any(mapped):
            loop = [
                evaluate(one, [own if m else first for own, first, m in zip(sample, samples[0], mapped)])
                for sample in samples
            ]
            _assert_batch_is(loop, inputs, outputs, samples, mapped)


@smooth_case
def test_vmap_of_the_gradient_is_a_loop(case: Case):
    samples = [case.arrays(sample=i) for i in range(EXAMPLES)]
    inputs = placeholders(samples[0])
    outputs = [y for y in case.results(inputs) if y.tensor_type.is_float]
    rng = np.random.default_rng(3)
    for sample in samples:
        sample += [rng.standard_normal(y.shape) for y in outputs]
    cotangents = placeholders(samples[0][len(inputs) :])
    _, back = pullback(outputs, [inputs[i] for i in case.wrt], cotangents)
    inputs += cotangents
    graph = legal(inputs, back, "gradient")
    loop = [evaluate(graph, sample) for sample in samples]
    _assert_batch_is(loop, inputs, back, samples, [True] * len(inputs))


def _assert_batch_is(loop, inputs, outputs, samples, mapped) -> None:
    """Hold the batched graph to the results of a loop over samples; unmapped operands come from the first sample."""
    stacked = [np.stack(column) if m else column[0] for column, m in zip(zip(*samples), mapped)]
    wholes = placeholders(stacked)
    replaced = {x: whole for x, whole, m in zip(inputs, wholes, mapped) if m}
    found = batch(outputs, replaced, EXAMPLES)
    graph = legal([w if m else x for x, w, m in zip(inputs, wholes, mapped)], [y for y, _ in found], "batched")
    for value, (_, varies), wanted in zip(evaluate(graph, stacked), found, zip(*loop)):
        given = value if varies else np.broadcast_to(value, (EXAMPLES, *value.shape))
        np.testing.assert_allclose(given, np.stack(wanted), rtol=1e-11, atol=1e-12)


@every_case
@pytest.mark.parametrize("name", EXECUTORS)
def test_executors_give_the_meaning(case: Case, name: str):
    arrays = case.arrays()
    inputs = placeholders(arrays)
    with np.errstate(all="ignore"):
        found = case.op.compute(*arrays, **case.attrs)
    wanted = found if case.op.nested else [found]
    executor, tolerance = EXECUTORS[name]
    got = executor.compile(legal(inputs, case.results(inputs), "value"))(arrays)
    for value, meant in zip(got, wanted, strict=True):
        assert value.dtype == meant.dtype
        np.testing.assert_allclose(value, meant, rtol=tolerance, atol=tolerance)


@smooth_case
@pytest.mark.parametrize("name", EXECUTORS)
def test_executors_run_derivatives(case: Case, name: str):
    flat, rng = Flat(case), np.random.default_rng(4)
    executor, tolerance = EXECUTORS[name]
    # Second derivatives are made of the same kernels: once is enough for what the processor changes.
    graphs = (flat.forward_graph, flat.reverse_graph, flat.second_graph, flat.twice_reverse_graph)
    for graph in graphs[: 2 if name in LESSER else 4]:
        extra = [rng.standard_normal(x.shape) for x in graph.inputs[len(flat.arrays) :]]
        got = executor.compile(graph)([*flat.arrays, *extra])
        wanted = evaluate(_copy(graph), [*flat.arrays, *extra])
        np.testing.assert_allclose(joined(got), joined(wanted), rtol=tolerance, atol=tolerance)


def _copy(graph: Graph) -> Graph:
    """The graph without what an executor may have kept with it."""
    return Graph(graph.inputs, graph.outputs, graph.name)
