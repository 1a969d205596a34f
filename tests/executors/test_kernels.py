"""Kernels that read whole tensors against their definitions: sorting, linear algebra, windows, convolution."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from gradloom.executors.native.kernel import FUSED, JOININGS, VIEWS, WHOLE
from gradloom.executors.native.kernels import FAMILIES
from gradloom.executors.native.loops import ELEMENTWISE
from gradloom.executors.native.program import NativeProgram
from gradloom.ir.graph import PRIMITIVES, Graph, Node, Op, placeholder
from gradloom.ir.tensortype import TensorType
from gradloom.ops import convolution, core, elementwise, index, linalg, sampling, window

Arrays = list[np.ndarray]


def program(*arrays: np.ndarray) -> list[Node]:
    return [placeholder(TensorType(a.shape, a.dtype)) for a in arrays]


def run(inputs: Sequence[Node], outputs: Sequence[Node], arrays: Sequence[np.ndarray]) -> Arrays:
    """The outputs on one thread; those on three must have the same bits."""
    made = NativeProgram(Graph(tuple(inputs), tuple(outputs), "test"))
    assert not any(kernel.host for kernel in made.plan.every_kernel())
    made.threads = 1
    wanted = made(list(arrays))
    made.threads, made.shared_from = 3, 1
    for a, b in zip(wanted, made(list(arrays))):
        assert a.tobytes() == b.tobytes()
    return wanted


# Nothing is left on the host ----------------------------------------------------------------------------------------


def test_every_primitive_is_native():
    """An expression inside some loop, a view, a copy, a graph of its own, or a family of kernels: nothing is left."""
    expressions = ELEMENTWISE | VIEWS | {core.reshape, index.take, index.take_along, sampling.random_bits}
    control = {op for op in PRIMITIVES.values() if op.nested}
    parts = {PRIMITIVES[name] for name in ("placeholder", "constant", "project")}
    left = set(PRIMITIVES.values()) - expressions - JOININGS - control - parts - set(FAMILIES)
    assert not left, f"no kernel for {sorted(op.name for op in left)}"
    assert set(FAMILIES) == FUSED | WHOLE


@pytest.fixture
def cube() -> Iterator[Op]:
    """A primitive that the compiler has never heard of."""
    yield Op("cube", lambda x: x, lambda x: x**3)
    del PRIMITIVES["cube"]


def test_a_primitive_that_the_compiler_does_not_know_runs_on_the_host(cube: Op):
    x = np.arange(5.0)
    (node,) = program(x)
    made = NativeProgram(Graph((node,), (core.add(cube(node), node),), "test"))
    assert [str(k) for k in made.plan.kernels] == ["cube [5] on the host", "add [5]"]
    assert made([x])[0].tolist() == [0, 2, 10, 30, 68]


# Sorting ------------------------------------------------------------------------------------------------------------

DTYPES = ("bool", "uint8", "uint32", "int32", "int64", "float16", "float32", "float64")


def lines(dtype: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Three lines along axis 1 of five, with ties, both zeros, infinities and NaN of both signs."""
    x = rng.normal(size=(3, count, 5)) * 5
    x = (np.abs(x) if dtype.startswith("u") else x).round().astype(dtype)
    if x.dtype.kind == "f":
        for value, share in ((np.nan, 0.1), (-np.nan, 0.1), (np.inf, 0.05), (-np.inf, 0.05), (-0.0, 0.1)):
            x[rng.random(x.shape) < share] = value
    elif x.dtype.kind in "iu":
        x[0, 0, 0], x[1, -1, 1] = np.iinfo(dtype).max, np.iinfo(dtype).min
    return x


def sorted_by_definition(x: np.ndarray, largest: int) -> Arrays:
    """Python's sort, which keeps the order of equals, by (is NaN, value)."""
    order = np.empty(x.shape, np.int64)
    top = np.empty((x.shape[0], largest, x.shape[2]), np.int64)
    for i, j in np.ndindex(x.shape[0], x.shape[2]):
        line = x[i, :, j].tolist()
        rising = [(v != v, 0 if v != v else v) for v in line]
        falling = [(v == v, 0 if v != v else -v) for v in line]
        order[i, :, j] = sorted(range(len(line)), key=rising.__getitem__)
        top[i, :, j] = sorted(range(len(line)), key=falling.__getitem__)[:largest]
    return [np.take_along_axis(x, order, 1), order, top]


@pytest.mark.parametrize("dtype", DTYPES)
def test_sorting_is_stable_with_nan_last(dtype: str):
    check_sorting(dtype, (1, 2, 33, 128, 129, 1000))


def check_sorting(dtype: str, counts: Sequence[int]) -> None:
    rng = np.random.default_rng(0)
    arrays = [lines(dtype, count, rng) for count in counts]
    inputs = program(*arrays)
    outputs = [op(x, axis=1) for x in inputs for op in (index.sort, index.argsort)]
    if dtype != "bool":
        outputs += [index.arg_top_k(x, k=min(3, x.shape[1]), axis=1) for x in inputs]
    found = run(inputs, outputs, arrays)
    for i, x in enumerate(arrays):
        values, order, top = sorted_by_definition(x, min(3, x.shape[1]))
        assert found[2 * i].tobytes() == values.tobytes()
        np.testing.assert_array_equal(found[2 * i + 1], order)
        if dtype != "bool":
            np.testing.assert_array_equal(found[2 * len(arrays) + i], top)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_long_lines_are_sorted(dtype: str):
    x = (np.random.default_rng(1).normal(size=20_000) * 1e4).astype(dtype)
    (node,) = inputs = program(x)
    found = run(inputs, [index.sort(node, axis=0), index.argsort(node, axis=0)], [x])
    assert (np.diff(found[0]) >= 0).all()
    np.testing.assert_array_equal(x[found[1]], found[0])
    ties = np.diff(found[0]) == 0
    assert (np.diff(found[1])[ties] > 0).all()
    np.testing.assert_array_equal(np.bincount(found[1]), 1)


def test_nothing_to_sort():
    x = np.ones((0, 3), np.float32)
    (node,) = inputs = program(x)
    outputs = [index.sort(node, axis=0), index.sort(node, axis=1), index.arg_top_k(node, k=0, axis=1)]
    assert [y.shape for y in run(inputs, outputs, [x])] == [(0, 3), (0, 3), (0, 0)]


# Linear algebra -----------------------------------------------------------------------------------------------------


def spread(n: int, rng: np.random.Generator, dtype: str) -> np.ndarray:
    """Two matrices with singular values between 1 and 2, whose pivots are not on the diagonal."""
    q, _ = np.linalg.qr(rng.normal(size=(2, 2, n, n)))
    return ((q[0] * rng.uniform(1, 2, n)) @ q[1]).astype(dtype)


def relative(residual: np.ndarray, *sizes: np.ndarray) -> float:
    """‖residual‖ in units of rounding of the products that it is made of."""
    scale = math.prod(np.linalg.norm(s) for s in sizes)
    return float(np.linalg.norm(residual) / scale / np.finfo(residual.dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linear_systems_have_small_residuals(dtype: str):
    check_systems(dtype, (1, 2, 5, 17, 70))


def check_systems(dtype: str, sizes: Sequence[int]) -> None:
    """Backward stability: the residual is a few units of rounding of ‖a‖ ‖x‖, whatever the matrix."""
    rng = np.random.default_rng(2)
    for n, columns in zip(sizes, (3, 1, 40, 19, 5)):
        a, b = spread(n, rng, dtype), rng.normal(size=(2, n, columns)).astype(dtype)
        triangle = (np.tril(rng.uniform(-1, 1, (2, n, n))) / n + 2 * np.eye(n)).astype(dtype)
        either = triangle + np.triu(np.full((n, n), np.nan, dtype), 1)  # the other triangle is not read
        symmetric = a @ a.swapaxes(1, 2)
        skew = rng.normal(size=a.shape).astype(dtype)
        arrays = [a, b, either, np.ascontiguousarray(either.swapaxes(1, 2)), symmetric + skew - skew.swapaxes(1, 2)]
        inputs = program(*arrays)
        sides = [(low, t) for low in (True, False) for t in (False, True)]
        outputs = [linalg.solve(*inputs[:2], transposed=t) for t in (False, True)]
        outputs += [linalg.triangular_solve(inputs[3 - low], inputs[1], lower=low, transposed=t) for low, t in sides]
        outputs.append(linalg.cholesky(inputs[4]))
        x, xt, *solved, factor = run(inputs, outputs, arrays)
        assert relative(a @ x - b, a, x) < 4 * n
        assert relative(a.swapaxes(1, 2) @ xt - b, a, xt) < 4 * n
        for (low, t), found in zip(sides, solved):
            matrix = triangle if low != t else triangle.swapaxes(1, 2)
            assert relative(matrix @ found - b, matrix, found) < 4 * n
        assert (np.triu(factor, 1) == 0).all()
        assert (np.diagonal(factor, axis1=1, axis2=2) > 0).all()
        assert relative(factor @ factor.swapaxes(1, 2) - symmetric, factor, factor) < 8 * n


def test_matrices_without_an_answer_give_nan_and_leave_others_alone():
    good = np.array([[4.0, 2.0], [2.0, 5.0]])
    matrices = np.stack([good, -good, [[1.0, 2.0], [2.0, 4.0]], good, np.zeros((2, 2))])
    right = np.ones((5, 2, 1))
    inputs = program(matrices, right)
    outputs = [linalg.cholesky(inputs[0]), linalg.solve(*inputs, transposed=False)]
    outputs.append(linalg.triangular_solve(*inputs, lower=True, transposed=False))
    factor, x, y = run(inputs, outputs, [matrices, right])
    assert factor[0].tolist() == factor[3].tolist() == [[2.0, 0.0], [1.0, 2.0]]
    assert np.isnan(factor[[1, 2, 4]]).all()
    np.testing.assert_allclose(x[[0, 1, 3], :, 0], [[3 / 16, 1 / 8], [-3 / 16, -1 / 8], [3 / 16, 1 / 8]], rtol=1e-15)
    assert np.isnan(x[[2, 4]]).all()
    assert np.isinf(y[4, 0, 0])
    assert np.isnan(y[4, 1, 0])


def test_nan_in_a_matrix_reaches_its_factor_alone():
    matrices = np.stack([np.eye(20), np.eye(20)])
    matrices[0, 7, 3] = np.nan
    (node,) = inputs = program(matrices)
    (factor,) = run(inputs, [linalg.cholesky(node)], [matrices])
    assert np.isnan(factor[0]).any()
    np.testing.assert_array_equal(factor[1], np.eye(20))


# Windows ------------------------------------------------------------------------------------------------------------

# sizes of the grid, of the window, strides, padding, dilation
PLAIN = ((9,), (3,), (1,), ((0, 0),), (1,))
STRIDED = ((7, 8), (3, 2), (2, 1), ((1, 1), (0, 1)), (1, 1))
DILATED = ((6, 9), (3, 3), (1, 2), ((2, 2), (1, 3)), (2, 2))
SOLID = ((5, 4, 6), (2, 3, 2), (1, 1, 2), ((0, 1), (1, 1), (0, 0)), (1, 1, 2))
FAR_OUT = ((4, 11), (2, 3), (1, 3), ((5, 6), (7, 0)), (3, 2))
TILES = ((6, 8), (2, 4), (2, 4), ((0, 0), (0, 0)), (1, 1))
POINTS = ((5, 7), (1, 1), (3, 3), ((0, 0), (0, 0)), (1, 1))
Geometry = tuple[Any, Any, Any, Any, Any]


def visits(geometry: Geometry) -> tuple[tuple[int, ...], list[tuple[Any, Any, Any]]]:
    """Numbers of windows; every (window, position in it, element) with the element on the grid, in order."""
    spatial, size, strides, padding, dilation = geometry
    axes = list(zip(spatial, size, strides, padding, dilation))
    counts = tuple((n + sum(pad) - d * (k - 1) - 1) // s + 1 for n, k, s, pad, d in axes)
    found = []
    for q, p in itertools.product(np.ndindex(*counts), np.ndindex(*size)):
        element = tuple(s * i + d * j - pad[0] for i, j, (_, _, s, pad, d) in zip(q, p, axes))
        if all(0 <= e < n for e, n in zip(element, spatial)):
            found.append((q, p, element))
    return counts, found


EVERY = (slice(None),)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("geometry", [PLAIN, STRIDED, SOLID, TILES], ids=["plain", "strided", "solid", "tiles"])
def test_windows_are_their_elements(geometry: Geometry, dtype: str):
    check_windows(geometry, dtype)


def check_windows(geometry: Geometry, dtype: str) -> None:
    (counts, visited), rng = visits(geometry), np.random.default_rng(3)
    spatial, size = geometry[:2]
    positions = math.prod(size)
    x = rng.integers(0, 9, (2, *spatial, 21)).astype(dtype)
    laid = rng.integers(0, 9, (2, *counts, positions, 21)).astype(dtype)
    pooled = rng.integers(0, 9, (2, *counts, 21)).astype(dtype)
    if x.dtype.kind == "f":
        x[rng.random(x.shape) < 0.05] = np.nan
    options = dict(zip(("window", "strides", "padding", "dilation"), geometry[1:]))
    inputs = program(x, laid, pooled)
    ops = (window.window_sum, window.window_max, window.window_argmax, window.patches)
    outputs = [op(inputs[0], **options) for op in ops]
    outputs.append(window.fold_patches(inputs[1], spatial=spatial, **options))
    outputs.append(window.window_share(inputs[2], spatial=spatial, **options))
    outputs.append(window.window_place(inputs[2], inputs[0], **options))
    outputs.append(window.window_pick(window.window_share(inputs[2], spatial=spatial, **options), inputs[0], **options))
    total, largest, where, patches, folded, shared, placed, picked = run(inputs, outputs, [x, laid, pooled])

    held: dict[Any, list[Any]] = {q: [] for q in np.ndindex(*counts)}
    wanted_patches, wanted_fold, wanted_share, wanted_place = (np.zeros_like(a) for a in (laid, x, x, x))
    for q, p, element in visited:
        number = int(np.ravel_multi_index(p, size))
        held[q].append(element)
        wanted_patches[(*EVERY, *q, number)] = x[(*EVERY, *element)]
        wanted_fold[(*EVERY, *element)] += laid[(*EVERY, *q, number)]
        wanted_share[(*EVERY, *element)] += pooled[(*EVERY, *q)]
    np.testing.assert_array_equal(patches, wanted_patches)
    np.testing.assert_array_equal(folded, wanted_fold)
    for q, places in held.items():
        stacked = np.stack([x[(*EVERY, *e)] for e in places])
        numbers = np.array([np.ravel_multi_index(e, spatial) for e in places])
        np.testing.assert_array_equal(total[(*EVERY, *q)], stacked.sum(0, dtype=dtype))
        np.testing.assert_array_equal(largest[(*EVERY, *q)], stacked.max(0))
        np.testing.assert_array_equal(where[(*EVERY, *q)], numbers[stacked.argmax(0)])
        for n, c in np.ndindex(2, 21):
            chosen = (n, *places[stacked.argmax(0)[n, c]], c)
            wanted_place[chosen] += pooled[(n, *q, c)]
            assert picked[(n, *q, c)] == wanted_share[chosen]
    np.testing.assert_array_equal(shared, wanted_share)
    np.testing.assert_array_equal(placed, wanted_place)


# Convolution --------------------------------------------------------------------------------------------------------


def bilinear_form(geometry: Geometry, groups: int, x: np.ndarray, w: np.ndarray, y: np.ndarray) -> Arrays:
    """The derivatives of Σ y[q] w[p] x[element] by y, x and w, term by term in double precision."""
    x, w, y = (a.astype(np.float64) for a in (x, w, y))
    found = [np.zeros_like(a) for a in (y, x, w)]
    taken, made = w.shape[-2], w.shape[-1] // groups
    for (q, p, element), g in itertools.product(visits(geometry)[1], range(groups)):
        i, o = slice(g * taken, (g + 1) * taken), slice(g * made, (g + 1) * made)
        at, out, weight = (*EVERY, *element, i), (*EVERY, *q, o), (*p, slice(None), o)
        found[0][out] += x[at] @ w[weight]
        found[1][at] += y[out] @ w[weight].T
        found[2][weight] += x[at].T @ y[out]
    return found


CONVOLUTIONS = {
    "plain": (PLAIN, 1, 3, 5),
    "strided": (STRIDED, 1, 4, 20),
    "dilated in groups": (DILATED, 2, 6, 34),
    "solid": (SOLID, 3, 3, 9),
    "depthwise": (STRIDED, 37, 37, 37),
    "more padding than window": (FAR_OUT, 1, 5, 8),
    "points": (POINTS, 1, 9, 7),
}


HALVES = [("strided", "float16"), ("depthwise", "float16")]
"""Halves run the same code as float32, with other loads."""


@pytest.mark.parametrize(("name", "dtype"), [*itertools.product(CONVOLUTIONS, ("float32", "float64")), *HALVES])
def test_convolution_and_its_relatives_are_sums_over_windows(name: str, dtype: str):
    check_convolution(name, dtype)


def check_convolution(name: str, dtype: str) -> None:
    geometry, groups, channels, made = CONVOLUTIONS[name]
    spatial, size, strides, padding, dilation = geometry
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3, *spatial, channels)).astype(dtype)
    w = rng.normal(size=(*size, channels // groups, made)).astype(dtype)
    y = rng.normal(size=(3, *visits(geometry)[0], made)).astype(dtype)
    options = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    inputs = program(x, w, y)
    outputs = [
        convolution.conv(*inputs[:2], **options),
        convolution.conv_input_gradient(inputs[2], inputs[1], spatial=spatial, **options),
        convolution.conv_kernel_gradient(inputs[0], inputs[2], kernel=size, **options),
    ]
    for found, wanted in zip(run(inputs, outputs, [x, w, y]), bilinear_form(geometry, groups, x, w, y)):
        rounding = 4 * np.finfo(dtype).eps * max(1.0, float(np.abs(wanted).max()))
        terms = 1 if dtype == "float16" else 20  # sums of halves are formed in float
        np.testing.assert_allclose(found, wanted, rtol=0, atol=terms * rounding)


def test_convolution_of_nothing_is_zero():
    x, w = np.ones((0, 5, 2), np.float32), np.ones((3, 2, 4), np.float32)
    options = {"strides": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}
    y = np.ones((0, 3, 4), np.float32)
    inputs = program(x, w, y)
    outputs = [convolution.conv(*inputs[:2], **options)]
    outputs.append(convolution.conv_kernel_gradient(inputs[0], inputs[2], kernel=(3,), **options))
    found = run(inputs, outputs, [x, w, y])
    assert found[0].shape == (0, 3, 4)
    np.testing.assert_array_equal(found[1], np.zeros_like(w))


# Halves -------------------------------------------------------------------------------------------------------------


def check_halves() -> None:
    """All halves to wider types; between each pair of neighbours the numbers where rounding changes, to halves."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    for dtype in ("float32", "float64"):
        some = np.unique(halves[np.isfinite(halves)]).astype(dtype)
        ties = (some[1:] + some[:-1]) / 2
        edges = np.array([65519.99, 65520, 1e30, -1e30, np.inf, -np.inf, np.nan, -0.0, 2**-25, 1e-30], dtype)
        wide = np.concatenate([ties, np.nextafter(ties, np.inf), np.nextafter(ties, -np.inf), edges]).astype(dtype)
        inputs = program(halves, wide)
        outputs = [
            elementwise.cast(inputs[0], dtype=np.dtype(dtype)),
            elementwise.cast(inputs[1], dtype=np.dtype("f2")),
        ]
        widened, narrowed = run(inputs, outputs, [halves, wide])
        with np.errstate(over="ignore"):
            wanted = wide.astype(np.float16)
        np.testing.assert_array_equal(widened, halves.astype(dtype))
        np.testing.assert_array_equal(narrowed, wanted)
        np.testing.assert_array_equal(np.signbit(narrowed[wanted == 0]), np.signbit(wanted[wanted == 0]))


def test_halves_are_rounded_once_to_the_nearest_even():
    check_halves()


# Lesser processors --------------------------------------------------------------------------------------------------

LESSER = """
import test_kernels as t
t.check_halves()
t.check_sorting("float16", (5, 200))
t.check_sorting("float32", (33, 200))
t.check_systems("float32", (17, 5))
t.check_systems("float64", (17, 5))
for dtype in ("float16", "float32", "uint8"):
    t.check_windows(t.STRIDED, dtype)
for dtype in ("float16", "float32"):
    t.check_convolution("strided", dtype)
    t.check_convolution("depthwise", dtype)
"""


@pytest.mark.parametrize("cpu", ["avx2", "sse2"])
def test_code_for_lesser_processors(cpu: str):
    env = {**os.environ, "GRADLOOM_CPU": cpu, "PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run([sys.executable, "-c", LESSER], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
