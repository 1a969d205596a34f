"""Where the time of a program goes: its kernels by time, and what share of the machine's measured peak each reaches.

The share is that of the roofline model (Williams, Waterman, Patterson, CACM 52, 2009): a kernel takes at least the time
of its operations at the peak of the arithmetic units, and at least that of its bytes at the speed at which memory is
read.  The longer of these two, over the time measured, is the share; it says which of the two bounds the kernel.

A kernel's bytes are held against the speed of the nearest cache that holds so many (peak.py), so a kernel whose data
must come from farther away has a smaller share, never a larger one.  Operations are counted as the graph states
them: an exponential counts one, so kernels of elementary functions, and of whole numbers, do more than is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from gradloom.executors.native import peak
from gradloom.executors.native.cost import Cost, cost
from gradloom.executors.native.explain import counted
from gradloom.executors.native.kernel import Kernel
from gradloom.records import dataclass

_SECONDS, _FEWEST, _MOST = 0.25, 5, 200
"""How long calls are measured for by default, and how many at least and at most."""
_SHOWN = 25
"""Kernels that are listed in the text."""


@dataclass(frozen=True)
class KernelTime:
    """One kernel's part in a call of the program.

    Attributes:
        name: what it computes, as :func:`gradloom.explain` names it.
        number: its place in the list of :func:`gradloom.explain`, from 1.
        calls: how often it ran; a kernel inside a loop runs in every turn.
        seconds: of all its calls, the wait for the other threads included.
        operations: of all its calls.
        bytes: read and written by all its calls.
        floor: the least seconds that all its calls could take on this machine.
        bound: what sets that floor: "arithmetic" or "memory".
    """

    name: str
    number: int
    calls: int
    seconds: float
    operations: int
    bytes: int
    floor: float
    bound: str

    @property
    def share_of_peak(self) -> float:
        """The floor over the time; 0 for what neither computes nor moves anything."""
        return self.floor / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, repr=False)
class Profile:
    """The time of one call, kernel by kernel; ``print`` shows the table.

    Attributes:
        kernels: in the order of the program; a kernel that was not called (in a branch not taken) has no time.
        seconds: the median time of a call, with what lies outside kernels.
        threads: that ran it.
        runs: calls measured.
    """

    kernels: tuple[KernelTime, ...]
    seconds: float
    threads: int
    runs: int

    @property
    def share_of_peak(self) -> float:
        """The floors of all kernels over the time of a call."""
        return sum(k.floor for k in self.kernels) / self.seconds

    def __str__(self) -> str:
        ranked = sorted(self.kernels, key=lambda k: -k.seconds)
        shown, rest = ranked[:_SHOWN], ranked[_SHOWN:]
        head = (
            f"{self.seconds * 1e6:,.1f} us a call, the median of {self.runs}, on {counted(self.threads, 'thread')}; "
            f"{self.share_of_peak:.0%} of the measured peak"
        )
        titles = f"{'us':>10} {'share':>6} {'calls':>7} {'GFLOP/s':>8} {'GB/s':>7}   of the peak of   kernel"
        lines = [head, titles, *(self._line(k) for k in shown)]
        if rest:
            seconds = sum(k.seconds for k in rest)
            lines.append(self._outside(seconds, f"the other {counted(len(rest), 'kernel')}"))
        outside = max(0.0, self.seconds - sum(k.seconds for k in self.kernels))
        return "\n".join([*lines, self._outside(outside, "outside kernels: the way in and out, NumPy on the host")])

    __repr__ = __str__

    def _line(self, k: KernelTime) -> str:
        if not k.seconds:
            return self._outside(0.0, f"{k.name} (#{k.number})")
        rates = f"{k.operations / k.seconds / 1e9:8.1f} {k.bytes / k.seconds / 1e9:7.1f}"
        start = f"{k.seconds * 1e6:10,.1f} {k.seconds / self.seconds:6.1%} {k.calls:7,} {rates}"
        return f"{start}   {k.share_of_peak:5.0%} {k.bound:<10} {k.name} (#{k.number})"

    def _outside(self, seconds: float, what: str) -> str:
        return f"{seconds * 1e6:10,.1f} {seconds / self.seconds:6.1%} {'':43} {what}"


def profile(
    kernels: Sequence[Kernel], threads: int, call: Callable[[], np.ndarray], runs: int | None = None
) -> Profile:
    """Measure calls of a program with clocks.

    Args:
        kernels: those with clocks, in their order.
        threads: that run the program.
        call: runs it once; gives ticks and calls of each kernel.
        runs: how many calls are measured; by default as many as take about a quarter of a second.
    """
    call()  # brings memory and threads into place
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    count = runs or int(np.clip(_SECONDS / max(first, 1e-9), _FEWEST, _MOST))
    seconds, counted = np.empty(count), np.empty((count, len(kernels), 2))
    for run in range(count):
        start = time.perf_counter()
        counted[run] = call()
        seconds[run] = time.perf_counter() - start
    ticks, calls = np.median(counted, axis=0).T if kernels else np.empty((2, 0))
    times = ticks / peak.clock_rate()
    found = [
        _kernel_time(kernel, number, int(turns), float(taken), threads)
        for number, (kernel, turns, taken) in enumerate(zip(kernels, calls, times), start=1)
    ]
    return Profile(tuple(found), float(np.median(seconds)), threads, count)


def _kernel_time(kernel: Kernel, number: int, calls: int, seconds: float, threads: int) -> KernelTime:
    least = cost(kernel)
    arithmetic, memory = _floors(kernel, least, threads)
    moved = least.read + least.written
    bound = "arithmetic" if arithmetic >= memory else "memory"
    floor = calls * max(arithmetic, memory)
    return KernelTime(str(kernel), number, calls, seconds, calls * least.operations, calls * moved, floor, bound)


def _floors(kernel: Kernel, least: Cost, threads: int) -> tuple[float, float]:
    """The least seconds of a call, by operations and by bytes."""
    wide = any(b.dtype == np.float64 for b in kernel.buffers())
    moved = least.read + least.written
    dtype = "bfloat16" if kernel.in_pairs else "float64" if wide else "float32"
    return least.operations / peak.peak_flops(threads, dtype), moved / peak.bandwidth_for(moved, threads)
