"""bfloat16 in pairs: the operation, products and convolutions to the bit, and the instruction in their code."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from running import THREADS

import gradloom as gl
from gradloom.executors.native import target as target_module
from gradloom.executors.native.builder import Function, vector
from gradloom.executors.native.compile import compile_module
from gradloom.executors.native.dots import add_dots, paired
from gradloom.executors.native.machine import Machine, llvm
from gradloom.executors.native.module import write_module
from gradloom.executors.native.plan import make_plan
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.native.target import Pairs, Target, host, lesser, machine
from gradloom.ir.interpret import evaluate

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
EMULATED = {name: replace(t, pairs=Pairs.EMULATED) for name, t in {"own": host(), **lesser()}.items()}
COOPERLAKE = Target(
    "avx512", "cooperlake", "-prefer-256-bit", 64, 32, "linux", "x86_64-unknown-linux-gnu", Pairs.INSTRUCTION
)
"""The first processor with AVX512_BF16."""

HAS_IT = host().pairs is Pairs.INSTRUCTION
WAYS = [
    pytest.param(EMULATED["own"], id="emulated"),
    pytest.param(
        host(),
        id="instruction",
        marks=pytest.mark.skipif(not HAS_IT, reason=f"this processor ({host().cpu}) has no AVX512_BF16 (vdpbf16ps)"),
    ),
]
"""The targets whose code runs here: those that emulate the instruction, and this processor if it has it."""

# The operation ------------------------------------------------------------------------------------------------------


@lru_cache
def operation(target: Target, lanes: int) -> Callable[..., np.ndarray]:
    """total + the pairs of x · the pairs of y on a vector."""
    b = Function("dots", [("ptr", name, "") for name in ("total", "x", "y", "found")], internal=False)
    total = b.load(b.param("total"), vector("float", lanes), 4)
    x, y = (b.load(b.param(name), vector("i32", lanes), 4) for name in ("x", "y"))
    b.store(add_dots(b, total, x, y, target.pairs), b.param("found"), 4)
    b.finish()
    code = compile_module("\n".join([*sorted(b.needs), b.text()]), target)
    function = code.function("dots", 4)

    def run(total: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        assert code is not None  # it owns the code
        found = np.empty_like(total)
        function(*(a.ctypes.data for a in (total, x, y, found)))
        return found

    return run


TINY, HUGE = 2.0**-126, 2.0**128


def flushed(x: float) -> float:
    return np.copysign(0.0, x) if abs(x) < TINY else x


def fused(x: float, y: float, z: float) -> float:
    """x · y + z rounded once to 24 bits, denormal numbers as zeros; by arithmetic of 1,000 bits."""
    x, y, z = map(flushed, (x, y, z))
    if not all(map(np.isfinite, (x, y, z))) or x * y == 0:  # of 16 bits, so exact in float64
        with np.errstate(invalid="ignore"):
            return float(np.float64(x) * np.float64(y) + np.float64(z))
    with mpmath.workprec(1000):
        exact = mpmath.mpf(x) * mpmath.mpf(y) + mpmath.mpf(z)
        with mpmath.workprec(24):
            rounded = +exact
        if abs(rounded) >= HUGE:
            return float(np.copysign(np.inf, float(mpmath.sign(exact))))
        return flushed(float(rounded))


def meant(total: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[float]:
    """What the instruction is documented to give, lane by lane: upper halves first."""
    found = []
    for z, p, q in zip(total.view(np.float32).tolist(), x.tolist(), y.tolist(), strict=True):
        for shift in (16, 0):
            a, b = (float(np.uint16(word >> shift & 0xFFFF).view(BFLOAT16)) for word in (p, q))
            z = fused(a, b, z)
        found.append(z)
    return found


WORDS = hnp.arrays(np.uint32, 16, elements=st.integers(0, 2**32 - 1))
NEAR_ONE = hnp.arrays(np.uint32, 16, elements=st.builds(lambda a, b: a << 16 | b, *[st.integers(0x3E00, 0x41FF)] * 2))
"""Pairs whose products and sums have digits in common, so that roundings matter."""
ONES = np.full(16, 0x3F803F80, np.uint32)


@pytest.mark.parametrize("target", [*WAYS, *(pytest.param(EMULATED[name], id=name) for name in lesser())])
@settings(max_examples=25, deadline=None)
@given(total=WORDS | NEAR_ONE, x=WORDS | NEAR_ONE, y=WORDS | NEAR_ONE, lanes=st.sampled_from([1, 2, 4, 8, 16]))
@example(total=ONES * 0 + 0x3F800000, x=ONES, y=np.full(16, 0x00010001, np.uint32), lanes=16)  # a denormal factor
@example(total=ONES * 0 + 0x00000001, x=ONES * 0, y=ONES * 0, lanes=2)  # a denormal sum
@example(total=ONES * 0, x=np.full(16, 0x00800080, np.uint32), y=ONES - 0x01000100, lanes=4)  # a denormal result
@example(total=ONES * 0 + 0x4B800000, x=ONES, y=ONES, lanes=16)  # 2²⁴ + 1 + 1, twice a tie to even
@example(total=ONES * 0 + 0x4B800000, x=ONES, y=ONES + 1, lanes=8)  # upper halves come first
def test_the_operation_is_what_is_documented(
    target: Target, total: np.ndarray, x: np.ndarray, y: np.ndarray, lanes: int
):
    total, x, y = (np.ascontiguousarray(a[:lanes]) for a in (total, x, y))
    found, wanted = operation(target, lanes)(total, x, y).view(np.float32), np.array(meant(total, x, y), np.float32)
    edge = np.maximum(np.abs(found), np.abs(wanted)) == TINY  # of what is lifted to it nothing is documented
    lifted = edge & (np.minimum(np.abs(found), np.abs(wanted)) == 0)
    if target.name == "sse2":  # rounds products, where they are not exact: beyond the range of floats
        far = np.array([x, y]).view(np.uint16) >> 7 & 0xFF
        lifted |= ((far < 64) | (far > 190)).any(0).reshape(-1, 2).any(1)
    np.testing.assert_array_equal(found[~lifted], wanted[~lifted])
    signed = ~np.isnan(wanted) & ~lifted
    np.testing.assert_array_equal(np.signbit(found)[signed], np.signbit(wanted)[signed])


def test_words_have_the_first_element_below():
    b = Function("pairs", [("ptr", name, "") for name in ("x", "y", "found")], internal=False)
    x, y = (b.load(b.param(name), vector("i16", 4), 2) for name in ("x", "y"))
    b.store(paired(b, x, y), b.param("found"), 4)
    b.finish()
    code = compile_module(b.text(), EMULATED["own"])
    x, y, found = np.arange(4, dtype=np.uint16), np.arange(4, 8, dtype=np.uint16) | 0x8000, np.empty(4, np.uint32)
    code.function("pairs", 3)(*(a.ctypes.data for a in (x, y, found)))
    np.testing.assert_array_equal(found, x | y.astype(np.uint32) << 16)


# Products and convolutions ------------------------------------------------------------------------------------------


def small(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Whole numbers of which all products and sums are exact, so that one rounding at the end is all there is."""
    return np.random.default_rng(seed).integers(-8, 9, shape).astype(BFLOAT16)


def run(f: Callable[..., Any], target: Target, *arrays: np.ndarray) -> np.ndarray:
    """The result, which has the same bits on any number of threads, of a program whose products are in pairs."""
    program = NativeProgram(gl.trace(f, *map(gl.tensor, arrays)), target)
    assert any(kernel.in_pairs for kernel in program.plan.every_kernel())
    found = []
    for threads in THREADS:
        program.threads, program.shared_from = threads, 1
        found.append(program(arrays)[0])
    assert all(np.array_equal(found[0], other, equal_nan=True) for other in found)
    return found[0]


def exact(f: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """The meaning in float64, rounded once."""
    wide = [a.astype(np.float64) for a in arrays]
    return evaluate(gl.trace(f, *map(gl.tensor, wide)), wide)[0].astype(BFLOAT16)


def product(form: str) -> Callable[[gl.Tensor, gl.Tensor], gl.Tensor]:
    return lambda x, y: (x.T if "x'" in form else x) @ (y.T if "y'" in form else y)


def factors(m: int, k: int, n: int, form: str) -> tuple[np.ndarray, np.ndarray]:
    return small((k, m) if "x'" in form else (m, k), m + k), small((n, k) if "y'" in form else (k, n), n)


FORMS = ("xy", "x'y", "xy'", "x'y'")


SIZES = [*((m, k, n, form) for m, k, n in [(5, 2, 3), (33, 129, 37)] for form in FORMS)]
SIZES += [(1, 9, 40, "xy"), (70, 2049, 70, "xy"), (70, 2049, 70, "x'y'"), (64, 515, 400, "x'y"), (200, 301, 10, "x'y")]
"""A single row; sums of several steps, the last with an odd end; rows that are turned before, and as columns."""


@pytest.mark.parametrize("target", WAYS)
@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "-".join(map(str, s)))
def test_products_are_exact(target: Target, sizes: tuple[int, int, int, str]):
    arrays, f = factors(*sizes), product(sizes[-1])
    np.testing.assert_array_equal(run(f, target, *arrays), exact(f, *arrays))


EDGES = st.sampled_from([2, 3, 7, 8, 15, 16, 17, 31, 33, 47, 65])


@settings(max_examples=5, deadline=None)
@given(EDGES, EDGES, EDGES, st.sampled_from(FORMS), st.sampled_from(list(EMULATED)))
def test_products_of_any_size_are_exact(m: int, k: int, n: int, form: str, name: str):
    arrays = factors(m, k, n, form)
    np.testing.assert_array_equal(run(product(form), EMULATED[name], *arrays), exact(product(form), *arrays))


ORDERS: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = {
    "backwards": (lambda x, y: gl.flip(x, 1) @ gl.flip(y, 0), (24, 33), (33, 40)),
    "apart": (lambda x, y: x[:, ::2] @ y[::2, ::3], (24, 33), (33, 40)),
    "the same": (lambda x, y: gl.broadcast_to(x[:, :1], (24, 33)) @ y, (24, 33), (33, 40)),
    "two summed axes": (lambda x, y: gl.einsum("abi,abj->ij", x, y), (3, 7, 24), (3, 7, 40)),
    "shared axes": (lambda x, y: gl.einsum("bij,bjk->bik", x, y), (3, 7, 9), (3, 9, 20)),
    "shared axes, turned": (lambda x, y: gl.einsum("jbi,bkj->bik", x, y), (9, 3, 7), (3, 20, 9)),
}


@pytest.mark.parametrize("target", WAYS)
@pytest.mark.parametrize("name", ORDERS)
def test_operands_in_any_order_in_memory(target: Target, name: str):
    f, *shapes = ORDERS[name]
    arrays = [small(shape, i) for i, shape in enumerate(shapes)]
    np.testing.assert_array_equal(run(f, target, *arrays), exact(f, *arrays))


@pytest.mark.parametrize("target", WAYS)
def test_what_is_no_pair_is_widened(target: Target):
    """Sums of one element or none, no results, vectors, two axes that are not one in memory."""
    for f, *arrays in (
        *((lambda x: x @ x.T, small(shape, 0)) for shape in ((7, 1), (7, 0), (0, 5))),
        (lambda x, y: x @ y, small((7, 9), 0), small((9,), 1)),
        (lambda x, y: gl.einsum("abi,abj->ij", x[:, :5], y[:, 2:]), small((3, 7, 9), 0), small((3, 7, 20), 1)),
        (lambda x, y: gl.einsum("abi,baj->ij", x, y), small((3, 7, 9), 0), small((7, 3, 20), 1)),
    ):
        program = NativeProgram(gl.trace(f, *map(gl.tensor, arrays)), target)
        assert not any(kernel.in_pairs for kernel in program.plan.every_kernel())
        np.testing.assert_array_equal(program(arrays)[0], exact(f, *arrays))


@pytest.mark.parametrize("form", FORMS)
def test_what_lies_behind_an_odd_sum_is_not_multiplied(form: str):
    """Infinite and missing values in one row of either operand, beside zeros, stay in that row of the result."""
    x, y = small((20, 9), 0), small((9, 30), 1)
    x[7], y[:, 11] = np.nan, np.inf
    wanted = np.ones((20, 30), bool)
    wanted[7], wanted[:, 11] = False, False
    arrays = [np.ascontiguousarray(a.T) if f"{n}'" in form else a for a, n in ((x, "x"), (y, "y"))]
    found = run(product(form), EMULATED["own"], *arrays)
    np.testing.assert_array_equal(np.isfinite(found.astype(np.float32)), wanted)


GEOMETRIES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "even": ((2, 8, 9, 16), (3, 3, 16, 32), {"padding": "same"}),
    "odd": ((2, 9, 7, 5), (3, 3, 5, 21), {"padding": "same"}),
    "strides": ((2, 9, 7, 3), (5, 5, 3, 16), {"padding": "same", "strides": 2}),
    "dilation": ((2, 12, 13, 7), (3, 3, 7, 40), {"padding": "same", "dilation": 2}),
    "groups": ((2, 9, 6, 12), (3, 3, 4, 15), {"padding": "same", "groups": 3}),
    "odd groups": ((2, 9, 6, 9), (3, 3, 3, 12), {"padding": "same", "groups": 3}),
    "panels": ((3, 8, 8, 6), (3, 3, 6, 256), {"padding": "same"}),
    "one axis": ((2, 20, 4), (3, 4, 6), {"strides": 3}),
    "three axes": ((1, 5, 6, 7, 3), (3, 3, 3, 3, 5), {"padding": "same"}),
    "few channels": ((2, 8, 8, 2), (3, 3, 2, 3), {"padding": "same"}),
    "window as grid": ((6, 4, 4, 3), (4, 4, 3, 20), {}),
    "single elements": ((2, 5, 5, 7), (1, 1, 7, 20), {}),
}


def convolution(name: str) -> tuple[Callable[..., gl.Tensor], list[np.ndarray]]:
    x, w, options = GEOMETRIES[name]
    return lambda x, w: gl.relu(gl.conv(x, w, **options)), [small(x, 0), small(w, 1)]


@pytest.mark.parametrize("target", WAYS)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_convolutions_are_exact(target: Target, name: str):
    f, arrays = convolution(name)
    np.testing.assert_array_equal(run(f, target, *arrays), exact(f, *arrays))


@pytest.mark.parametrize("target", WAYS)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_gradients_of_inputs_are_exact(target: Target, name: str):
    x, w, options = GEOMETRIES[name]
    shape = gl.trace(lambda x, w: gl.conv(x, w, **options), gl.zeros(x), gl.zeros(w)).outputs[0].shape

    def f(x, w, dy):
        return gl.grad(lambda x: gl.sum(gl.cast(gl.conv(x, w, **options) * dy, "float64")))(x)

    arrays = [small(s, i) for i, s in enumerate((x, w, shape))]
    np.testing.assert_array_equal(run(f, target, *arrays), exact(f, *arrays))


@pytest.mark.parametrize("name", lesser())
def test_lesser_processors_emulate_pairs(name: str):
    for geometry in ("odd", "strides"):
        f, arrays = convolution(geometry)
        np.testing.assert_array_equal(run(f, EMULATED[name], *arrays), exact(f, *arrays))


def test_what_lies_behind_an_odd_number_of_channels_is_not_multiplied():
    """A missing value stays in the windows that hold it, and is in none that ends in front of it."""

    def f(x, w):
        return gl.conv(x, w, padding="same")

    x, w = small((2, 9, 7, 5), 0), small((3, 3, 5, 21), 1)
    x[0, 4, 3] = np.nan
    missing = np.zeros((2, 9, 7, 21), bool)
    missing[0, 3:6, 2:5] = True
    np.testing.assert_array_equal(np.isnan(run(f, EMULATED["own"], x, w).astype(np.float32)), missing)


def test_a_step_of_training_in_a_loop():
    """Loops are planned on their own; their products are in pairs as well, and weights kept in float32 are rounded."""

    def steps(w, v, x):
        def loss(w, v):
            hidden = gl.relu(gl.conv(x, gl.cast(w, "bfloat16"), padding="same"))
            return gl.sum(gl.cast(gl.reshape(hidden, (4, -1)) @ gl.cast(v, "bfloat16"), "float32") ** 2)

        def turn(carry, _):
            gw, gv = gl.grad(loss, (0, 1))(*carry)
            return (carry[0] - 2**-12 * gw, carry[1] - 2**-12 * gv), loss(*carry)

        return gl.scan(turn, (w, v), gl.zeros(3))[1]

    rng = np.random.default_rng(0)
    weights = [rng.normal(size=s).astype(np.float32) / 4 for s in ((3, 3, 4, 8), (6 * 6 * 8, 5))]
    arrays = [*weights, rng.normal(size=(4, 6, 6, 4)).astype(BFLOAT16)]
    graph = gl.trace(steps, *map(gl.tensor, arrays))
    program = NativeProgram(graph, EMULATED["own"])
    assert sum(kernel.in_pairs for kernel in program.plan.every_kernel()) >= 4
    (found,), (wanted,) = program(arrays), evaluate(graph, arrays)
    assert wanted[2] < 0.9 * wanted[0]
    np.testing.assert_allclose(found, wanted, rtol=0.01)


# Who multiplies in pairs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has", [True, False])
def test_a_processor_with_the_instruction_uses_it(has: bool, monkeypatch: pytest.MonkeyPatch):
    features = f"+avx512f,+avx512vl,{'+' if has else '-'}avx512bf16"
    monkeypatch.setattr(target_module, "this_machine", lambda: Machine("20.1.8", "some", features))
    monkeypatch.setattr(target_module.platform, "machine", lambda: "x86_64")
    monkeypatch.delenv("GRADLOOM_CPU", raising=False)
    assert host.__wrapped__().pairs is (Pairs.INSTRUCTION if has else Pairs.WIDENED)
    assert all(t.pairs is Pairs.WIDENED for t in lesser().values())


def assembly(f: Callable[..., Any], target: Target, *shapes: tuple[int, ...]) -> str:
    llvm().initialize_all_targets()
    llvm().initialize_all_asmprinters()
    plan = make_plan(gl.trace(f, *(gl.zeros(s, "bfloat16") for s in shapes)), target)
    modules = [llvm().parse_assembly(k.text()) for k in write_module(plan, target, flush=False).kernels]
    for module in modules:
        module.verify()
    return "\n".join(map(machine(target).emit_assembly, modules))


def gradient(x, w, dy):
    return gl.grad(lambda x: gl.sum(gl.cast(gl.conv(x, w, padding="same") * dy, "float32")))(x)


CODE: dict[str, tuple[Any, ...]] = {
    "product": (lambda x, w: gl.relu(x @ w), (96, 65), (65, 130)),
    "gradient of a weight": (lambda x, dy: x.T @ dy, (96, 65), (96, 70)),
    "convolution": (lambda x, w: gl.relu(gl.conv(x, w, padding="same")), (2, 8, 8, 32), (3, 3, 32, 64)),
    "gradient of an input": (gradient, (2, 8, 8, 33), (3, 3, 33, 20), (2, 8, 8, 20)),
}


@pytest.mark.parametrize("name", CODE)
def test_code_for_cooper_lake_multiplies_pairs(name: str):
    """It multiplies and adds nothing but pairs; code for a processor without the instruction has none of it."""
    f, *shapes = CODE[name]
    text = assembly(f, COOPERLAKE, *shapes)
    assert len(re.findall(r"\bvdpbf16ps\s.*%zmm", text)) >= 16
    assert not re.search(r"\bvfn?m(add|sub)\w+ps\b", text)
    plain = assembly(f, replace(COOPERLAKE, cpu="cascadelake", pairs=Pairs.WIDENED), *shapes)
    assert "vdpbf16ps" not in plain
    assert re.search(r"\bvfmadd\w+ps\b", plain)
