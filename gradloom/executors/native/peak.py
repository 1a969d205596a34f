"""What the machine could do at most, measured: multiply-adds in registers, and reads of memory or of a cache.

Both are small programs of the same compiler, run on every thread at once.  A kernel's share of these peaks says how
much there is to win in it: what is far below both waits for something else.  The third program reads the clock that
profiles read, so that its ticks are known in seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from gradloom import config
from gradloom.executors.native.builder import Function, Value, vector
from gradloom.executors.native.compile import Code, compile_module
from gradloom.executors.native.dots import add_dots
from gradloom.executors.native.target import Target, host

_NAME = "work"
_LLVM_NAMES = {4: "float", 8: "double"}
_ATTEMPTS = 4  # the best counts: the first brings the processor to its speed
_ROUNDS = 800_000
"""Turns of the loop of multiply-adds, some 4 ms: long beside the start of a thread."""
_CHAINS = {32: 24, 16: 12}
"""Independent sums by the number of registers: more than latency times units, so that no unit ever waits."""
_READ_BYTES = 64 * 2**20  # beyond most caches
_READ_VECTORS = 16
_LEAST_READ = 2**14
"""Bytes of a thread's smallest array: half of most first-level caches."""
_CLOCK_SECONDS = 0.02


@lru_cache
def peak_flops(threads: int | None = None, dtype: str = "float32") -> float:
    """:func:`measured_flops`, measured once a process."""
    return measured_flops(threads, dtype)


@lru_cache
def peak_bandwidth(threads: int | None = None, size: int = _READ_BYTES) -> float:
    """:func:`measured_bandwidth`, measured once a process."""
    return measured_bandwidth(threads, size)


def bandwidth_for(size: int, threads: int) -> float:
    """The most bytes a second that so many bytes can be read at, from the nearest cache that holds them.

    Sizes are rounded up to a power of 4, so that few are measured.
    """
    rounded = _LEAST_READ * threads
    while rounded < min(size, _READ_BYTES):
        rounded *= 4
    return peak_bandwidth(threads, rounded)


@lru_cache
def clock_rate() -> float:
    """Ticks a second of the clock of profiles, measured once a process in some 20 ms."""
    code, _ = _compiled(_reads_clock, host(), 0)
    function, ticks = code.function(_NAME, 2), np.zeros(1, np.int64)

    def now() -> tuple[float, int]:
        function(0, ticks.ctypes.data)
        return time.perf_counter(), int(ticks[0])

    start, first = now()
    time.sleep(_CLOCK_SECONDS)
    end, last = now()
    return (last - first) / (end - start)


def measured_flops(threads: int | None = None, dtype: str = "float32") -> float:
    """The most operations a second that the processor's floating-point units reach now, measured in some 20 ms.

    Every thread runs chains of fused multiply-adds, 2 operations each, that never leave the registers; where the
    processor has none, a multiplication and an addition.

    Args:
        threads: how many run at once; those of programs if None.
        dtype: float32 or float64; bfloat16 for products of pairs, 4 operations each.

    Returns:
        Operations a second of all threads together.
    """
    write, itemsize = (_dots, 2) if dtype == "bfloat16" else (_multiply_adds, np.dtype(dtype).itemsize)
    code, operations = _compiled(write, host(), itemsize)
    return _best_rate(code, operations, [np.zeros(0)] * (threads or config.threads()))


def measured_bandwidth(threads: int | None = None, size: int = _READ_BYTES) -> float:
    """The most bytes a second that reading an array again and again reaches now, measured in some 50 ms.

    Every thread adds up a part of its own of the array.

    Args:
        threads: how many run at once; those of programs if None.
        size: bytes of the array; by default it is larger than most caches.

    Returns:
        Bytes a second of all threads together.
    """
    count = threads or config.threads()
    code, read = _compiled(_reads, host(), size // count)
    return _best_rate(code, read, [np.ones(size // count // 4, np.float32) for _ in range(count)])


@lru_cache
def _compiled(write: Callable[[Function, Target, int], int], target: Target, size: int) -> tuple[Code, int]:
    """A function (array, place of the result) whose body ``write`` writes, and how much work a call of it does."""
    function = Function(_NAME, [("ptr", "array", ""), ("ptr", "result", "")], internal=False)
    work = write(function, target, size)
    function.finish()
    return compile_module("\n".join([*sorted(function.needs), function.text()]), target), work


def _multiply_adds(b: Function, target: Target, itemsize: int) -> int:
    """Chains of x ← x / 2 + 1, which go to 2; the operations of a call."""
    kind = vector(_LLVM_NAMES[itemsize], lanes := target.lanes(itemsize))
    chains = _CHAINS[target.registers]
    half, one = b.const(kind, 0.5), b.const(kind, 1.0)
    _, sums, finish = b.loop_carrying(0, _ROUNDS, 1, [b.const(kind, float(i)) for i in range(chains)])
    fused = target.name != "sse2"
    sums = finish([b.fma(x, half, one) if fused else b.add(b.mul(x, half), one) for x in sums])
    _keep(b, sums)
    return _ROUNDS * chains * lanes * 2


def _dots(b: Function, target: Target, itemsize: int) -> int:
    """Chains of x ← x + 1/32 · 1 + 1/32 · 1, each a product of pairs; the operations of a call."""
    kind, words = vector("float", lanes := target.lanes(4)), vector("i32", target.lanes(4))
    chains = _CHAINS[target.registers]
    small, ones = b.const(words, 0x3D003D00), b.const(words, 0x3F803F80)
    _, sums, finish = b.loop_carrying(0, _ROUNDS, 1, [b.const(kind, float(i)) for i in range(chains)])
    _keep(b, finish([add_dots(b, x, small, ones, target.pairs) for x in sums]))
    return _ROUNDS * chains * lanes * 4


def _reads(b: Function, target: Target, size: int) -> int:
    """Adds up an array of so many bytes, rounded down to whole turns, until as much is read as of the largest; the
    bytes of a call."""
    kind, width = vector("float", target.lanes(4)), target.vector_bytes
    turn = width * _READ_VECTORS
    rounds = max(1, _READ_BYTES // size)
    array = b.param("array")
    _, again, finish_all = b.loop_carrying(0, rounds, 1, [b.const(kind, 0.0)] * _READ_VECTORS)
    i, sums, finish = b.loop_carrying(0, size // turn, 1, again)
    begin = b.at(array, b.imul(i, turn), "i8")
    sums = finish([b.add(x, b.load(b.at(begin, j * width, "i8"), kind, 4)) for j, x in enumerate(sums)])
    _keep(b, finish_all(sums))
    return size // turn * turn * rounds


def _reads_clock(b: Function, target: Target, size: int) -> int:
    """Writes the ticks of the clock."""
    b.store(b.call(target.clock, "i64"), b.param("result"), 8)
    return 0


def _keep(b: Function, values: list[Value]) -> None:
    """Write the sum of some values, or LLVM would see that nobody needs them."""
    total = values[0]
    for value in values[1:]:
        total = b.add(total, value)
    b.store(total, b.param("result"), 4)


def _best_rate(code: Code, work: int, arrays: Sequence[np.ndarray]) -> float:
    """Work a second of a thread for each array, from the start of the first to the end of the last; the best of some
    attempts."""
    threads, function = len(arrays), code.function(_NAME, 2)
    spans: list[tuple[float, float]] = []
    together = threading.Barrier(threads)

    def run(thread: int) -> None:
        result = np.empty(64, np.uint8)
        addresses = arrays[thread].ctypes.data, result.ctypes.data
        for _ in range(_ATTEMPTS):
            together.wait()
            start = time.perf_counter()
            function(*addresses)
            spans.append((start, time.perf_counter()))

    workers = [threading.Thread(target=run, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    spans.sort()
    attempts = [spans[i : i + threads] for i in range(0, len(spans), threads)]
    return max(work * threads / (max(end for _, end in each) - each[0][0]) for each in attempts)
