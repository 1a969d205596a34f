"""Code for processors and systems that the tests do not run on, read as assembly."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest

import gradloom as gl
from gradloom.executors.native.machine import llvm
from gradloom.executors.native.module import write_module
from gradloom.executors.native.plan import make_plan
from gradloom.executors.native.scalars import CODE
from gradloom.executors.native.target import Target, machine
from gradloom.executors.native.vectormath import FUNCTIONS

ARM = Target("neon", "cortex-a72", "", 16, 32, "linux", "aarch64-unknown-linux-gnu")
MAC = Target("neon", "apple-m1", "", 16, 32, "darwin", "arm64-apple-macosx")
AVX2 = Target("avx2", "haswell", "", 32, 16, "linux", "x86_64-unknown-linux-gnu")
SSE2 = Target("sse2", "x86-64", "", 16, 16, "linux", "x86_64-unknown-linux-gnu")
WINDOWS = Target("avx2", "haswell", "", 32, 16, "win32", "x86_64-pc-windows-msvc")

MATHEMATICS = {
    f"{name}{kind}" for name in ("sin", "cos", "tan", "fmod", "fma", "floor", "ceil", "rint") for kind in ("", "f")
}
KNOWN = {
    "linux": {"syscall", "sched_yield", "memcpy", "memset", *MATHEMATICS},
    "darwin": {"sched_yield", "usleep", "memcpy", "memset", "bzero", *MATHEMATICS},
    "win32": {"SwitchToThread", "Sleep", "memcpy", "memset", *MATHEMATICS},
}
"""What the C library of each system has, and code may call."""


def product(x, w, b):
    return gl.relu(x @ w + b)


def every_elementwise_function(x):
    functions = [getattr(gl, name) for name in {*FUNCTIONS, *CODE} if hasattr(gl, name) and name not in LOGICAL]
    return [f(x, x + 1) if f.__name__ in BINARY else f(x) for f in functions]


LOGICAL = {"logical_and", "logical_or", "logical_xor", "logical_not"}
BINARY = {"add", "atan2", "floor_divide", "maximum", "minimum", "power", "remainder"}


def loop(x):
    return gl.scan(lambda c, row: (gl.tanh(c + row), gl.sum(c)), x[0], x)


GRAPHS: dict[str, Callable[[], tuple[Callable[..., Any], list[Any]]]] = {
    "product": lambda: (product, [gl.zeros((33, 40)), gl.zeros((40, 24)), gl.zeros(24)]),
    "elementwise float32": lambda: (every_elementwise_function, [gl.zeros(37)]),
    "elementwise float64": lambda: (every_elementwise_function, [gl.zeros(37, dtype="float64")]),
    "elementwise float16": lambda: (gl.exp, [gl.zeros(37, dtype="float16")]),
    "reduction": lambda: (
        lambda x: (gl.sum(x, axis=0), gl.max(x, axis=1), gl.logsumexp(x, axis=1)),
        [gl.zeros((50, 33))],
    ),
    "cumulative": lambda: (lambda x: gl.cumsum(x, axis=0), [gl.zeros((50, 33))]),
    "loop": lambda: (loop, [gl.zeros((50, 33))]),
    "random": lambda: (lambda key: gl.random.normal(key, (100,)), [gl.random.key(0)]),
    "gather": lambda: (lambda x, i: gl.take(x, i, mode="raise"), [gl.zeros((50, 33)), gl.tensor([1, 2])]),
}


@lru_cache
def assembly(graph: str, target: Target) -> str:
    """The assembly of a graph's program and of its kernels; LLVM must know the target."""
    llvm().initialize_all_targets()
    llvm().initialize_all_asmprinters()
    f, args = GRAPHS[graph]()
    program = write_module(make_plan(gl.trace(f, *args), target), target, flush=graph == "loop")
    modules = [llvm().parse_assembly(text) for text in (program.text, *(k.text() for k in program.kernels))]
    for module in modules:
        module.verify()
    return "\n".join(map(machine(target).emit_assembly, modules))


def strangers(text: str, target: Target) -> set[str]:
    """Names that the assembly refers to and does not define, without those that are known."""
    code = re.sub(r'"[^"\n]*"|(?:#|//|;).*', "", text)
    prefix = "_" if target.system == "darwin" else ""
    defined = {name.removeprefix(prefix) for name in re.findall(r"^(\w+):", code, re.MULTILINE)}
    calls = (
        r"\bbl?\s+([A-Za-z_]\w*)" if target.architecture == "arm" else r"\b(?:callq|jmp|movabsq)\s+\$?([A-Za-z_]\w*)"
    )
    found = {name.removeprefix(prefix) for name in re.findall(calls, code)}
    return found - defined - KNOWN[target.system]


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("target", [ARM, SSE2], ids=lambda t: t.name)
def test_code_calls_known_functions_alone(graph: str, target: Target):
    assert not strangers(assembly(graph, target), target)


@pytest.mark.parametrize("target", [MAC, WINDOWS], ids=lambda t: t.system)
def test_threads_wait_by_what_the_system_has(target: Target):
    text = assembly("product", target)
    assert not strangers(text, target)
    assert all(
        name in text
        for name in {"darwin": ("usleep", "sched_yield"), "win32": ("Sleep", "SwitchToThread")}[target.system]
    )
    assert "syscall" not in text


def test_arm_multiplies_and_adds_whole_vectors_at_once():
    assert len(re.findall(r"\bfmla\s+v\d+\.4s", assembly("product", ARM))) >= 16
    assert re.search(r"\bfmla\s+v\d+\.2d", assembly("elementwise float64", ARM))
    assert "isb" in assembly("product", ARM)


def test_denormals_are_switched_off_where_that_is_asked_for():
    assert len(re.findall(r"msr\s+fpcr", assembly("loop", ARM), re.IGNORECASE)) == 2
    assert not re.search(r"msr\s+fpcr", assembly("product", ARM), re.IGNORECASE)


@pytest.mark.parametrize("graph", GRAPHS)
def test_lesser_processors_use_the_registers_they_have(graph: str):
    assert not re.search(r"%[yz]mm", assembly(graph, SSE2))
    assert not re.search(r"%zmm|%[xy]mm(?:1[6-9]|[23]\d)", assembly(graph, AVX2))


def test_lesser_processors_use_whole_registers():
    assert re.search(r"vfmadd\w+ps\s.*%ymm", assembly("product", AVX2))
    assert re.search(r"mulps\s.*%xmm", assembly("product", SSE2))
    assert "fmaf" not in assembly("product", SSE2)  # a call for each element
