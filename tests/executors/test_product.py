"""Matrix products of the native executor: every form, odd sizes, long sums, lanes over the edge, lesser processors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.executors.native.kernels.tiling import Split, cover, tiling
from gradloom.executors.native.module import write_module
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.native.target import host
from gradloom.ir.interpret import evaluate

FORMS = ("xy", "x'y", "xy'", "x'y'")
EDGES = st.sampled_from([1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 47, 63, 65, 129])


def operands(m: int, k: int, n: int, form: str, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Operands as they lie in memory, and their product in twice the precision."""
    rng = np.random.default_rng(m * 1_000_003 + k * 1_009 + n)
    if np.dtype(dtype).kind == "f":
        x, y = (rng.normal(size=s).astype(dtype) for s in ((m, k), (k, n)))
        wide = np.float64 if dtype == "float32" else np.longdouble
    else:
        x, y = (rng.integers(0, 9, s).astype(dtype) for s in ((m, k), (k, n)))
        wide = np.dtype(dtype).type
    left = np.ascontiguousarray(x.T) if "x'" in form else x
    right = np.ascontiguousarray(y.T) if "y'" in form else y
    return left, right, x.astype(wide) @ y.astype(wide)


def product(form: str) -> Callable[[gl.Tensor, gl.Tensor], gl.Tensor]:
    return lambda a, b: (a.T if "x'" in form else a) @ (b.T if "y'" in form else b)


def run(f: Callable[..., object], *arrays: np.ndarray) -> list[np.ndarray]:
    return NativeProgram(gl.trace(f, *map(gl.tensor, arrays)))(arrays)


def assert_close(got: np.ndarray, wanted: np.ndarray, k: int) -> None:
    """Within the error of a sum of ``k`` products of normal numbers; integers are exact."""
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted)
        return
    bound = 4 * np.finfo(got.dtype).eps * (k + 8)
    np.testing.assert_allclose(got.astype(wanted.dtype), wanted, rtol=bound, atol=bound)


# How a product is cut ------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 500), st.sampled_from([1, 2, 4, 8, 16, 64]))
def test_vectors_cover_every_element_once(count: int, lanes: int):
    vectors = cover(count, lanes)
    assert [v.first + i for v in vectors for i in range(v.valid)] == list(range(count))
    assert all(v.valid <= v.width <= lanes and v.width & (v.width - 1) == 0 for v in vectors)
    assert all(v.width < 2 * v.valid for v in vectors)


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 5000), st.sampled_from([1, 2, 4, 8]), st.booleans())
def test_tilings_cover_the_result_and_fit_the_registers(m: int, n: int, k: int, itemsize: int, turned: bool):
    for target in (host(), host("avx2"), host("sse2")):
        t = tiling(m, n, k, itemsize, target, turned=turned)
        for vectors in (t.vectors, t.rest):
            assert t.height * len(vectors) + len(vectors) < target.registers
        assert t.full * t.width + sum(v.valid for v in t.rest) == n
        assert (t.groups - 1) * t.height < m <= t.groups * t.height
        assert t.height <= m
        assert t.row_blocks.total == t.groups
        assert t.column_blocks.total == t.panels
        assert (t.steps - 1) * t.depth < max(k, 1) <= max(t.steps * t.depth, 1)


def test_a_split_is_even():
    split = Split(14, 4)
    assert (split.size, split.larger) == (3, 2)


# Against NumPy in twice the precision --------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(EDGES, EDGES, EDGES, st.sampled_from(FORMS), st.sampled_from(["float32", "float64", "int32"]))
def test_products_of_any_form_and_size(m: int, k: int, n: int, form: str, dtype: str):
    left, right, wanted = operands(m, k, n, form, dtype)
    assert_close(run(product(form), left, right)[0], wanted, k)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16"])
@pytest.mark.parametrize("form", FORMS)
def test_products_of_other_types(form: str, dtype: str):
    if dtype == "float16":
        left, right, wanted = operands(20, 9, 37, form, "float32")
        got = run(product(form), left.astype(dtype), right.astype(dtype))[0]
        np.testing.assert_allclose(got.astype(np.float32), wanted, rtol=2e-2, atol=5e-2)
        return
    left, right, wanted = operands(20, 9, 37, form, dtype)
    np.testing.assert_array_equal(run(product(form), left, right)[0], wanted)


@pytest.mark.parametrize("form", ["xy", "x'y'"])
@pytest.mark.parametrize(("m", "k", "n"), [(40, 2100, 70), (150, 900, 100)])
def test_long_sums_run_in_steps(m: int, k: int, n: int, form: str):
    left, right, wanted = operands(m, k, n, form, "float32")
    program = NativeProgram(gl.trace(product(form), gl.tensor(left), gl.tensor(right)))
    assert "steps" in program.explain()
    assert_close(program([left, right])[0], wanted, k)


def test_unfinished_sums_beside_an_epilogue_lie_in_a_buffer_of_their_own():
    left, right, wanted = operands(33, 1700, 45, "xy", "float32")
    rest = np.linspace(-30, 30, 33 * 45, dtype=np.float32).reshape(33, 45)
    found = run(lambda x, y, r: (gl.relu(x @ y + r), (x @ y) * r), left, right, rest)
    for got, expected in zip(found, (np.maximum(wanted + rest, 0), wanted * rest), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-2)


def test_rows_a_multiple_of_pages_apart_are_copied_and_give_the_same():
    left, right, wanted = operands(45, 1024, 300, "xy", "float32")
    assert_close(run(product("xy"), left, right)[0], wanted, 1024)
    left, right, wanted = operands(256, 200, 300, "x'y", "float32")
    assert_close(run(product("x'y"), left, right)[0], wanted, 200)


@pytest.mark.parametrize("form", ["xy", "x'y"])
def test_large_results_are_asked_for_before_they_are_written(form: str):
    """Lines of the last tiles that do not exist may be asked for as well: that reads nothing."""
    for m, k, n, asked in ((367, 45, 371, True), (67, 45, 71, False)):
        left, right, wanted = operands(m, k, n, form, "float32")
        graph = gl.trace(product(form), gl.tensor(left), gl.tensor(right))
        program = NativeProgram(graph)
        assert_close(program([left, right])[0], wanted, k)
        text = "".join(kernel.text() for kernel in write_module(program.plan, host()).kernels)
        assert (", i32 1, i32 3, i32 1)" in text) == asked


def test_a_scattered_left_operand_of_a_long_sum_is_transposed_first():
    left, right, wanted = operands(130, 261, 530, "x'y", "float32")
    program = NativeProgram(gl.trace(product("x'y"), gl.tensor(left), gl.tensor(right)))
    assert len(program.plan.kernels) == 2
    assert_close(program([left, right])[0], wanted, 261)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_columns_of_a_transposed_left_operand(dtype: str):
    """Vectors lie along the rows of the result, in steps where the operand is large; the epilogue sees both orders."""
    for m, k, n in ((230, 260, 10), (333, 700, 7)):
        left, right, wanted = operands(m, k, n, "x'y", dtype)
        rest = np.linspace(-9, 9, m * n).astype(dtype).reshape(m, n)
        plain, sums = run(lambda x, y, r: (x.T @ y, gl.relu(x.T @ y + r) * 2), left, right, rest)
        assert_close(plain, wanted, k)
        np.testing.assert_allclose(sums, np.maximum(wanted + rest, 0) * 2, rtol=1e-4, atol=1e-3)
    many = np.random.default_rng(2).normal(size=(300, 3, 80, 5)).astype(dtype)
    few = np.random.default_rng(3).normal(size=(300, 3, 4)).astype(dtype)
    got = run(lambda x, y: gl.einsum("kbij,kbc->bijc", x, y), many, few)[0]
    np.testing.assert_allclose(got, np.einsum("kbij,kbc->bijc", many, few), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_few_rows_take_short_steps_through_a_large_transposed_right_operand(form: str):
    for m in (1, 2, 12):
        left, right, wanted = operands(m, 520, 410, form, "float32")
        program = NativeProgram(gl.trace(product(form), gl.tensor(left), gl.tensor(right)))
        one_tile = m == 2 or host().registers > 16  # has all rows
        assert m == 1 or "y'" not in form or not one_tile or "in 3 steps" in program.explain()
        assert_close(program([left, right])[0], wanted, 520)


@pytest.mark.parametrize(("m", "k", "n"), [(61, 1700, 77), (200, 90, 333), (2, 300, 700)])
def test_bits_do_not_depend_on_the_number_of_threads(m: int, k: int, n: int):
    left, right, _ = operands(m, k, n, "xy'", "float32")
    program = NativeProgram(gl.trace(product("xy'"), gl.tensor(left), gl.tensor(right)))
    found = []
    for threads in (1, 2, 3, 8):
        program.threads, program.shared_from = threads, 1
        found.append(program([left, right])[0])
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_bits_do_not_depend_on_where_an_operand_begins():
    """A right operand that begins inside a cache line is copied, another is read in place."""
    left, right, wanted = operands(150, 90, 128, "xy", "float32")
    program, found = NativeProgram(gl.trace(product("xy"), gl.tensor(left), gl.tensor(right))), []
    for first in range(0, 64, 16):
        room = np.empty(right.nbytes + 128, np.uint8)
        begin = -room.ctypes.data % 64 + first
        placed = room[begin : begin + right.nbytes].view(right.dtype).reshape(right.shape)
        placed[...] = right
        found.append(program([left, placed])[0])
    assert_close(found[0], wanted, 90)
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_rows_that_tiles_share_are_updated_once():
    """The last tile of 13 rows begins early; a row that it shares with the one before must not be updated twice."""
    rng = np.random.default_rng(10)
    x, y = (rng.normal(size=s).astype(np.float32) for s in ((2, 13, 9), (2, 9, 40)))
    w = rng.normal(size=(13, 40)).astype(np.float32)
    graph = gl.trace(
        lambda w, x, y: gl.scan(lambda w, a: (w * 3 - a[0] @ a[1], ()), w, (x, y))[0], *map(gl.tensor, (w, x, y))
    )
    wanted = w.astype(np.float64)
    for a, b in zip(x.astype(np.float64), y.astype(np.float64), strict=True):
        wanted = wanted * 3 - a @ b
    np.testing.assert_allclose(NativeProgram(graph)((w, x, y))[0], wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("swapped", [False, True])
def test_batched_products_and_several_axes(swapped: bool):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(5, 3, 17, 9)), rng.normal(size=(5, 3, 33, 9) if swapped else (5, 3, 9, 33))
    got = run(lambda a, b: a @ (gl.transpose(b, (0, 1, 3, 2)) if swapped else b), x, y)[0]
    np.testing.assert_allclose(got, x @ (y.swapaxes(2, 3) if swapped else y), rtol=1e-12, atol=1e-12)
    many = run(lambda a, b: gl.einsum("abij,abkj->ik", a, b if swapped else gl.transpose(b, (0, 1, 3, 2))), x, y)[0]
    columns = y if swapped else y.swapaxes(2, 3)
    np.testing.assert_allclose(many, np.einsum("abij,abkj->ik", x, columns), rtol=1e-12, atol=1e-12)


def test_strided_and_reversed_right_operands_are_read_in_place():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(70, 21)), rng.normal(size=(42, 90))
    got = run(lambda a, b: a @ b[::2, ::3], x, y)[0]
    np.testing.assert_allclose(got, x @ y[::2, ::3], rtol=1e-12, atol=1e-12)
    got = run(lambda a, b: a @ b[::-2, ::-1], x, y)[0]
    np.testing.assert_allclose(got, x @ y[::-2, ::-1], rtol=1e-12, atol=1e-12)


def test_outer_products_and_products_with_vectors():
    rng = np.random.default_rng(6)
    row, matrix, column = rng.normal(size=(1, 130)), rng.normal(size=(130, 75)), rng.normal(size=(75, 1))
    found = run(lambda r, m, c: (r @ m, m @ c, m.T @ r.T, c @ r), row, matrix, column)
    wanted = (row @ matrix, matrix @ column, matrix.T @ row.T, column @ row)
    for got, expected in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_infinities_stay_in_their_rows_and_columns():
    """Lanes beyond the edge are filled with zeros, which must not meet what lies there."""
    x, y = np.ones((5, 4)), np.ones((4, 19))
    x[2, 1], y[3, 18] = np.inf, np.inf
    wanted = np.full((5, 19), 4.0)
    wanted[2, :] = wanted[:, 18] = np.inf
    np.testing.assert_array_equal(run(product("xy"), x, y)[0], wanted)


# Epilogues over the edge of the last vector --------------------------------------------------------------------------


def test_epilogues_with_gathers_random_numbers_integers_and_turned_operands():
    rng = np.random.default_rng(8)
    x, y = (rng.normal(size=s).astype(np.float32) for s in ((21, 12), (12, 19)))
    table, at = rng.normal(size=11).astype(np.float32), rng.integers(0, 11, (21, 19))
    turned, whole = rng.normal(size=(19, 21)).astype(np.float32), rng.integers(1, 5, (21, 19)).astype(np.int32)

    def f(x, y, table, at, turned, whole):
        z = x @ y
        mask = gl.random.uniform(gl.random.key(1), z.shape) < 0.5
        return z * gl.take(table, at), gl.where(mask, z, 0.0), z + turned.T, z.astype("int32") // whole, z > 0

    arrays = (x, y, table, at, turned, whole)
    graph = gl.trace(f, *map(gl.tensor, arrays))
    for got, wanted in zip(NativeProgram(graph)(arrays), evaluate(graph, arrays), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_updates_in_place_wait_for_long_sums():
    """The gradient of w sums over many rows; the epilogue of its last step overwrites w."""
    rng = np.random.default_rng(9)
    x, y = (rng.normal(size=s).astype(np.float32) / 30 for s in ((3, 1300, 20), (3, 1300, 37)))
    w = rng.normal(size=(20, 37)).astype(np.float32)

    def f(w, x, y):
        return gl.scan(lambda w, xy: (w - 0.1 * (xy[0].T @ (xy[0] @ w - xy[1])), gl.sum(w)), w, (x, y))

    graph = gl.trace(f, *map(gl.tensor, (w, x, y)))
    for got, wanted in zip(NativeProgram(graph)((w, x, y)), evaluate(graph, (w, x, y)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


# Lesser processors ---------------------------------------------------------------------------------------------------

LESSER = """
import test_product as t
for dtype, form in (("float32", "xy"), ("float64", "x'y'"), ("uint8", "xy'")):
    left, right, wanted = t.operands(23, 70, 45, form, dtype)
    t.assert_close(t.run(t.product(form), left, right)[0], wanted, 70)
t.test_unfinished_sums_beside_an_epilogue_lie_in_a_buffer_of_their_own()
t.test_epilogues_with_gathers_random_numbers_integers_and_turned_operands()
t.test_rows_a_multiple_of_pages_apart_are_copied_and_give_the_same()
"""


@pytest.mark.parametrize("cpu", ["avx2", "sse2"])
def test_products_on_lesser_processors(cpu: str):
    env = {**os.environ, "GRADLOOM_CPU": cpu, "PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run([sys.executable, "-c", LESSER], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
