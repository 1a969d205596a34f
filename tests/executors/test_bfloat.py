"""bfloat16 in native programs: bits of casts, float32 sums, two bytes an element in memory."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from running import compiled, run

import gradloom as gl
from gradloom.executors.native.executor import NativeExecutor
from gradloom.executors.native.target import Target, lesser
from gradloom.executors.native.widen import widen
from gradloom.ir.tensortype import is_bfloat16
from gradloom.ops import contraction

TARGETS: dict[str, Target | None] = {"own": None, **lesser()}
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
COUNT = 64


@pytest.fixture(scope="module", params=TARGETS)
def rounding(request: pytest.FixtureRequest):
    """A program that casts floats to bfloat16 and back."""
    graph = gl.trace(lambda x: (gl.cast(x, "bfloat16"), gl.cast(gl.cast(x, "bfloat16"), "float32")), gl.zeros(COUNT))
    return NativeExecutor(TARGETS[request.param]).compile(graph)


def check_rounding(rounding, bits: np.ndarray) -> None:
    """Bit for bit what the package ml_dtypes makes of these floats."""
    x = bits.view(np.float32)
    with np.errstate(invalid="ignore"):
        wanted = x.astype(BFLOAT16)
    narrow, wide = rounding([x])
    np.testing.assert_array_equal(narrow.view(np.uint16), wanted.view(np.uint16))
    np.testing.assert_array_equal(wide.view(np.uint32), wanted.view(np.uint16).astype(np.uint32) << 16)


@settings(max_examples=60, deadline=None)
@given(bits=hnp.arrays(np.uint32, COUNT, elements=st.integers(0, 2**32 - 1)))
def test_any_bits_are_rounded_as_by_the_package(rounding, bits: np.ndarray):
    check_rounding(rounding, bits)


def test_ties_and_their_neighbours_are_rounded_as_by_the_package(rounding):
    """Lower halves where rounding changes, with NaN, infinities, subnormals and carries among the upper ones."""
    upper = np.arange(0, 2**16, 7, dtype=np.uint32)[:, np.newaxis] << 16
    bits = (upper | np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)).ravel()
    special = np.array([0x7F7FFFFF, 0x7F800000, 0x7F800001, 0xFF800001, 0x80000000, 1, 0x7FFFFFFF], np.uint32)
    bits = np.concatenate([special, bits])
    bits = np.concatenate([bits, np.zeros(-len(bits) % COUNT, np.uint32)])
    for part in bits.reshape(-1, COUNT)[::13]:
        check_rounding(rounding, part)


def test_all_numbers_become_wide_and_come_back():
    bits = np.arange(2**16, dtype=np.uint16)
    every = bits[bits & 0x7FFF <= 0x7F80].view(BFLOAT16)  # but for NaN
    wide, back = run(lambda x: (gl.cast(x, "float64"), gl.cast(gl.cast(x, "float64"), "bfloat16")), every)
    np.testing.assert_array_equal(wide, every.astype(np.float64))
    np.testing.assert_array_equal(back.view(np.uint16), every.view(np.uint16))


def test_products_and_sums_are_formed_in_single_precision():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(33, 300)).astype(BFLOAT16), rng.normal(size=(300, 21)).astype(BFLOAT16)
    product, total, turned = run(lambda x, w: (x @ w, gl.sum(x, axis=1), w.T @ x.T), x, w)
    exact = x.astype(np.float64) @ w.astype(np.float64)
    for found, wanted in ((product, exact), (turned, exact.T), (total, x.astype(np.float64).sum(1))):
        assert found.dtype == BFLOAT16
        np.testing.assert_allclose(found.astype(np.float64), wanted, rtol=2**-8, atol=1e-4)
    assert run(lambda x: gl.sum(x), np.ones(5000, BFLOAT16))[0] == 4992  # a running sum would stop at 256


def test_fused_steps_are_rounded_one_by_one():
    """(1 + 2⁻⁸) - 1 is 0 where the sum is rounded, 2⁻⁸ where it is not."""
    x = np.full(20, 2.0**-8, BFLOAT16)
    assert not run(lambda v: (v + 1.0) - 1.0, x)[0].any()


def test_odd_sizes_strides_and_reversals():
    x = np.random.default_rng(1).normal(size=(13, 37)).astype(BFLOAT16)
    turned, picked, padded, taken = run(
        lambda v: (gl.flip(v.T, 0), v[::2, 3:20:5] * 2, gl.pad(v, 1), gl.take(v, gl.tensor([3, 0, 12]), 1)), x
    )
    np.testing.assert_array_equal(turned, x.T[::-1])
    np.testing.assert_array_equal(picked, x[::2, 3:20:5] * BFLOAT16.type(2))
    np.testing.assert_array_equal(padded[1:-1, 1:-1], x)
    np.testing.assert_array_equal(taken, x[:, [3, 0, 12]])


def test_widening_leaves_bfloat16_to_what_moves_and_casts():
    x, w = gl.zeros((4, 6), "bfloat16"), gl.zeros((6, 5), "bfloat16")
    graph = gl.trace(lambda x, w: gl.tanh(x @ w + 1.0).T, x, w)
    wide = widen(graph)
    wide.verify()
    assert wide.output_types == graph.output_types
    computing = [n for n in wide.nodes if n.inputs and not n.op.moves and n.op.name != "cast"]
    assert {n.op.name for n in computing} == {"contract", "add", "tanh"}
    assert not any(is_bfloat16(x.dtype) for n in computing for x in (n, *n.inputs))
    (product,) = (n for n in wide.nodes if n.op is contraction.contract)
    assert product.dtype == "float32"
    plain = gl.trace(lambda x: x + 1, gl.zeros(3))
    assert widen(plain) is plain


def test_values_take_two_bytes_in_memory():
    def steps(x: gl.Tensor) -> gl.Tensor:
        """What reverse mode keeps: every activation."""
        return gl.grad(lambda v: gl.sum(gl.cast(gl.tanh(gl.tanh(gl.tanh(v * 2) * 3)), "float32")))(x)

    x = np.ones((64, 1000), np.float32)
    sizes = [compiled(steps, x.astype(dtype)).plan.size for dtype in (np.float32, BFLOAT16)]
    assert sizes[1] <= 0.55 * sizes[0]
