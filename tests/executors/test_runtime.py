"""What is around compiled code: threads, memory, processes, signals, and code that LLVM refuses."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gradloom as gl
from gradloom import config, executors, limits
from gradloom.errors import CompileError, GradloomError, OptionError, OutOfMemoryError
from gradloom.executors.native import scalars
from gradloom.executors.native.builder import Function, Value
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.native.target import host
from gradloom.ir.graph import scope


def program_of_products(seed: int, threads: int) -> tuple[NativeProgram, list[np.ndarray]]:
    """A loop of products and functions, all kernels shared."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(30 + seed, 20)).astype(np.float32), rng.normal(size=(20, 20)).astype(np.float32) / 5
    graph = gl.trace(lambda x, w: gl.scan(lambda c, _: (gl.tanh(c @ w), gl.sum(c)), x, gl.zeros(20)), x, w)
    program = NativeProgram(graph)
    program.threads, program.shared_from = threads, 1
    return program, [x, w, np.zeros(20, np.float32)][: len(graph.inputs)]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b))


# Threads --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with sixteen processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


def put(root: Path, path: str, text: str) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text + "\n")


QUOTAS = {
    "none": ({}, 16),
    "version 2, no limit": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, 16),
    "version 2, 2.5 processors": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "250000 100000"}, 3),
    "version 2, a tenth": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "10000 100000"}, 1),
    "version 2, the outer group is tighter": (
        {
            "proc/self/cgroup": "0::/a/b",
            "sys/fs/cgroup/a/b/cpu.max": "800000 100000",
            "sys/fs/cgroup/a/cpu.max": "400000 100000",
        },
        4,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "9:memory:/x\n4:cpu,cpuacct:/docker/abc\n0::/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "600000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        6,
    ),
    "version 1, no limit": (
        {
            "proc/self/cgroup": "4:cpu:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        16,
    ),
    "another process's group": ({"proc/self/cgroup": "0::/a", "sys/fs/cgroup/b/cpu.max": "100000 100000"}, 16),
}


@pytest.mark.usefixtures("sixteen")
@pytest.mark.parametrize("case", QUOTAS)
def test_the_container_s_quota_bounds_the_threads(case: str, tmp_path: Path):
    texts, wanted = QUOTAS[case]
    for path, text in texts.items():
        put(tmp_path, path, text)
    assert limits.processors(tmp_path) == wanted


@pytest.mark.usefixtures("sixteen")
def test_the_number_of_threads_can_be_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GRADLOOM_THREADS", "5")
    assert config.threads() == 5
    monkeypatch.delenv("GRADLOOM_THREADS")
    assert 1 <= config.threads() <= 16
    for wrong in ("0", "-1", "two", "", "²", "10000000"):
        monkeypatch.setenv("GRADLOOM_THREADS", wrong)
        with pytest.raises(OptionError, match="GRADLOOM_THREADS"):
            config.threads()


def test_many_python_threads_run_programs_at_once():
    """The same program and different ones, from more callers than processors; every result has the bits of one."""
    programs = [program_of_products(seed, threads) for seed, threads in enumerate((1, 2, 3, 8))]
    wanted = [program(arrays) for program, arrays in programs]
    start = threading.Barrier(8)

    def hammer(caller: int) -> bool:
        start.wait()
        chosen = [(caller * turn) % len(programs) for turn in range(25)]
        return all(same(programs[i][0](programs[i][1]), wanted[i]) for i in chosen)

    with ThreadPoolExecutor(8) as pool:
        assert all(f.result(timeout=60) for f in [pool.submit(hammer, i) for i in range(8)])


def test_threads_wait_without_the_system_s_help():
    """As on macOS: by looking again after short sleeps."""
    program, arrays = program_of_products(1, 1)
    polling = NativeProgram(program.graph, replace(host(), system="darwin"))
    assert "@usleep" in polling.module.text
    polling.threads, polling.shared_from = 3, 1
    assert all(same(polling(arrays), program(arrays)) for _ in range(3))


def test_a_program_runs_alone_where_no_thread_can_be_had(monkeypatch: pytest.MonkeyPatch):
    program, arrays = program_of_products(2, 1)
    wanted = program(arrays)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    program.threads, program.shared_from = 100, 1
    assert same(program(arrays), wanted)
    monkeypatch.undo()
    program.threads, program.shared_from = 2, 1
    assert same(program(arrays), wanted)


# Processes and signals ------------------------------------------------------------------------------------------------


def run_script(body: str) -> None:
    """Run a script with ``program`` and ``arrays`` in a process of its own; it must succeed and print nothing."""
    here = os.path.dirname(__file__)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])}
    code = f"from test_runtime import *\nprogram, arrays = program_of_products(0, 3)\n{body}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_is_left_running_at_exit():
    run_script("assert program(arrays)")


def test_exit_while_another_thread_runs_a_program():
    run_script("""
import time
def forever():
    while True:
        program(arrays)
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.2)
""")


FORK = """
import warnings
warnings.simplefilter("ignore")  # Python warns of forking a process with threads, which is what is tested
wanted = program(arrays)
stop = threading.Event()
def busy():
    while not stop.is_set():
        program(arrays)
other = threading.Thread(target=busy)
other.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        fine = same(program(arrays), wanted) and threading.active_count() == 3
        os._exit(7 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
stop.set()
other.join()
assert same(program(arrays), wanted)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_fork_while_another_thread_runs_a_program():
    run_script(FORK)


INTERRUPT = """
import signal, time
wanted = program(arrays)
main = threading.main_thread().ident
threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
try:
    while True:
        program(arrays)
except KeyboardInterrupt:
    pass
assert same(program(arrays), wanted)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to threads")
def test_ctrl_c_between_calls():
    run_script(INTERRUPT)


# Memory ---------------------------------------------------------------------------------------------------------------


def test_memory_is_what_is_free_or_the_container_s(tmp_path: Path):
    assert limits.memory(tmp_path) == math.inf
    put(tmp_path, "proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    4000 kB\nSwapFree: 1000 kB")
    assert limits.memory(tmp_path) == 5000 * 1024
    put(tmp_path, "proc/self/cgroup", "0::/a")
    put(tmp_path, "sys/fs/cgroup/a/memory.max", "max")
    assert limits.memory(tmp_path) == 5000 * 1024
    put(tmp_path, "sys/fs/cgroup/a/memory.max", "1048576")
    assert limits.memory(tmp_path) == 1048576
    put(tmp_path, "sys/fs/cgroup/a/memory.current", "1000000")
    assert limits.memory(tmp_path) == 48576
    put(tmp_path, "sys/fs/cgroup/a/memory.stat", "anon 600000\ninactive_file 300000\nactive_file 100000")
    assert limits.memory(tmp_path) == 348576
    put(tmp_path, "sys/fs/cgroup/a/memory.current", "2000000")
    assert limits.memory(tmp_path) == 0


def test_memory_of_a_container_of_the_first_version(tmp_path: Path):
    put(tmp_path, "proc/self/cgroup", "8:memory:/b")
    put(tmp_path, "sys/fs/cgroup/memory/b/memory.limit_in_bytes", "1000")
    put(tmp_path, "sys/fs/cgroup/memory/b/memory.usage_in_bytes", "900")
    put(tmp_path, "sys/fs/cgroup/memory/b/memory.stat", "inactive_file 100\ntotal_inactive_file 300")
    assert limits.memory(tmp_path) == 400


def test_an_arena_that_cannot_be_had_is_refused_before_compiling(monkeypatch: pytest.MonkeyPatch):
    graph = gl.trace(lambda x, w: gl.tanh(gl.tanh(x @ w) @ w.T), gl.zeros((64, 1024)), gl.zeros((1024, 512)))
    monkeypatch.setattr(limits, "memory", lambda: 200_000)
    with pytest.raises(MemoryError) as caught:
        NativeProgram(graph)
    assert isinstance(caught.value, GradloomError)
    arena = 64 * 512 * 4 + 1024 * 512 * 4  # the first product, and the second's packed operand if it has one
    named = int(str(caught.value).split("an arena of ")[1].split(" bytes")[0].replace(",", ""))
    assert 64 * 512 * 4 <= named <= 2 * arena
    assert "results of 262,144 bytes (0.0 GiB), where 200,000 bytes (0.0 GiB) are free" in str(caught.value)


def test_results_that_cannot_be_had_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "memory", lambda: math.inf)
    program = NativeProgram(gl.trace(lambda x: gl.broadcast_to(x, (2**48, 4)) + 1, gl.zeros(4)))
    with pytest.raises(OutOfMemoryError, match=r"results of 4,503,599,627,370,496 bytes \(4,194,304\.0 GiB\)"):
        program([np.zeros(4, np.float32)])


# Refusals -------------------------------------------------------------------------------------------------------------


def unreadable(b: Function, args: list[Value], dtype: np.dtype) -> Value:
    return b.emit(args[0].type, f"fsub {args[0].type} %nowhere, {args[0].text}")


def illegal(b: Function, args: list[Value], dtype: np.dtype) -> Value:
    return b.emit(args[0].type, f"call {args[0].type} @llvm.sqrt.f32(i64 0)")


@pytest.mark.parametrize("broken", [unreadable, illegal], ids=lambda f: f.__name__)
def test_what_llvm_refuses_runs_on_the_reference_executor(
    broken: Callable[..., Value], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(scalars.CODE, "sub", broken)
    monkeypatch.setenv("GRADLOOM_CACHE", "off")  # which knows these kernels, unbroken

    def f(x):
        y = gl.cumsum(x, axis=0)
        with scope("encoder"):
            return gl.cumsum(y - 2 * x, axis=0)

    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    graph = gl.trace(f, x)
    with pytest.raises(CompileError, match=r"LLVM refuses cumsum \[5,3\] with .*sub.* of encoder; got .*error"):
        NativeProgram(graph)
    with pytest.warns(RuntimeWarning, match="LLVM refuses cumsum"):
        program = executors.get("native").compile(graph)
    np.testing.assert_allclose(program([x])[0], np.cumsum(np.cumsum(x, 0) - 2 * x, 0), rtol=1e-5)


def test_denormal_numbers_are_kept_or_taken_for_0() -> None:
    """On every thread, and NumPy beside the program keeps its own."""
    x = np.full((512, 512), 1e-39, np.float32)
    least = np.finfo(np.float32).tiny

    def f(x: gl.Tensor) -> tuple[gl.Tensor, gl.Tensor]:
        return x * 1.5, gl.sum(gl.full((512, 512), float(least)) * (0.5 + 0 * x), 0)

    kept, halves = gl.jit(f)(x)
    np.testing.assert_array_equal(kept.numpy(), x * np.float32(1.5))
    np.testing.assert_array_equal(halves.numpy(), np.full(512, least * np.float32(256)))
    flushed, zeros = gl.jit(f, flush_denormals=True)(x)
    assert not flushed.numpy().any()
    assert not zeros.numpy().any()
    assert (x * np.float32(1.5)).all()
    assert np.float32(least) * np.float32(0.5) > 0
