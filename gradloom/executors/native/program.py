"""A compiled program: memory, threads, the call."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from gradloom import config
from gradloom.errors import IndexRangeError
from gradloom.executors.native.compile import HOST, compile_module
from gradloom.executors.native.explain import explain
from gradloom.executors.native.kernel import Kernel, storage
from gradloom.executors.native.module import CLOCK_SLOT, FAULT_SLOT, write_module
from gradloom.executors.native.plan import ALIGNMENT, make_plan
from gradloom.executors.native.target import host
from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node, project
from gradloom.ir.interpret import evaluate

PARALLEL_FROM = 40_000
"""Programs whose kernels have fewer elementary operations than this on average run on one thread: meeting at a
barrier after each would cost more than the others help."""


class NativeProgram:
    """A graph compiled to machine code.

    Attributes:
        plan: the kernels, and where buffers lie.
        threads: how many threads run it.
    """

    def __init__(self, graph: Graph, *, clocks: bool = False) -> None:
        self.graph = graph
        self.plan = make_plan(graph, host())
        self.module = write_module(self.plan, host(), clocks=clocks)
        self.code = compile_module(self.module.text, host())
        self.threads = config.threads() if self.module.work >= PARALLEL_FROM * max(self.module.calls, 1) else 1
        self._constants = {n: np.asarray(n.value, order="C") for n in self.plan.inputs if n.op is CONSTANT}
        self._state = np.zeros(CLOCK_SLOT + len(self.module.timed), np.int64)
        self._arena = np.empty(self.plan.size + ALIGNMENT, np.uint8)
        self._in_use = threading.Lock()  # a program has one arena: callers on several threads take turns

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The graph's outputs for these inputs.

        Raises:
            IndexRangeError: a position lies outside its axis.
        """
        held = {x: np.asarray(a, order="C") for x, a in zip(self.graph.inputs, arrays)}
        held |= self._constants
        held |= {n: np.empty(n.shape, n.dtype) for n in self.plan.outputs}
        given = [held[n] for n in (*self.plan.inputs, *self.plan.outputs)]
        table = np.array([a.ctypes.data for a in (*given, self.module.records)], np.uintp)
        first = -self._arena.ctypes.data % ALIGNMENT
        with self._in_use:
            self._state[:CLOCK_SLOT] = 0
            callback = _Host(self.module.hosted)
            addresses = (a.ctypes.data for a in (table, self._arena[first:], self._state))
            self._run(*addresses, callback.address)
            callback.check()
            outside = bool(self._state[FAULT_SLOT])
        if outside:
            evaluate(self.graph, arrays)  # which says which position it is
            raise IndexRangeError(
                "take",
                rule="positions must lie inside their axis",
                got="one outside",
                fix="Check the indices, or bring them into range with gl.clip.",
            )
        return [self._output(y, held) for y in self.plan.graph.outputs]

    def explain(self) -> str:
        """What the compiler made of the graph: kernels, loops, tiles, memory (see explain.py)."""
        return explain(self.graph, self.plan, host())

    def profile(self, arrays: Sequence[np.ndarray], runs: int = 20) -> str:
        """Cycles a run in each kernel, as a table: what it computes, on how many elements, its share of the whole."""
        timed = NativeProgram(self.graph, clocks=True)
        timed.threads = self.threads
        timed(arrays)
        timed._state[CLOCK_SLOT:] = 0
        for _ in range(runs):
            timed(arrays)
        cycles = timed._state[CLOCK_SLOT:] / runs
        lines = [f"{'cycles':>12}  share  kernel"]
        for kernel, count in zip(timed.module.timed, cycles):
            lines.append(f"{count:12,.0f}  {count / max(cycles.sum(), 1):5.1%}  {kernel}")
        return "\n".join([*lines, f"{cycles.sum():12,.0f}         all"])

    def _run(self, *addresses: int | None) -> None:
        """Call the program on every thread."""
        if self.threads == 1:
            self.code.function(0, 1, *addresses)
            return
        with _team.one_program_at_a_time:
            workers = _team.workers(self.threads - 1)
            others = [workers.submit(self.code.function, t, self.threads, *addresses) for t in range(1, self.threads)]
            self.code.function(0, self.threads, *addresses)
            for other in others:
                other.result()

    def _output(self, node: Node, held: dict[Node, np.ndarray]) -> np.ndarray:
        root = storage(node)
        if root.op is CONSTANT:
            return np.array(root.value).reshape(node.shape)
        value = held[root].reshape(node.shape)
        return value.copy() if root.op is PLACEHOLDER else value


class _Host:
    """Runs kernels that only NumPy has, on the buffers of one call; an error waits until the program is over."""

    def __init__(self, kernels: Sequence[Kernel]) -> None:
        self.kernels = kernels
        self.error: BaseException | None = None
        self._callback = HOST(self._run) if kernels else None
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value if self._callback else None

    def _run(self, number: int, addresses: Any) -> None:
        kernel = self.kernels[number]
        node = kernel.core
        if self.error is not None or node is None:
            return
        try:
            arrays = [_array_at(address, n) for address, n in zip(addresses, (*node.inputs, *kernel.results))]
            operands, results = arrays[: len(node.inputs)], arrays[len(node.inputs) :]
            with np.errstate(all="ignore"):
                found = node.op.compute(*operands, **node.attrs)
            for n, place in zip(kernel.results, results):
                place[...] = found[n.attrs["index"]] if n.op is project else found
        except BaseException as error:
            self.error = error

    def check(self) -> None:
        """Raise what went wrong during the call."""
        if self.error is not None:
            raise self.error


def _array_at(address: int, like: Node) -> np.ndarray:
    """The buffer at an address as an array."""
    size = like.tensor_type.size * like.dtype.itemsize
    if size == 0:
        return np.empty(like.shape, like.dtype)
    raw = memoryview((ctypes.c_char * size).from_address(address))
    return np.frombuffer(raw, like.dtype).reshape(like.shape)


class _Team:
    """The threads beside the caller's.

    The threads of a program wait for each other, so all of them must run at once: programs on several threads take
    turns, and there are as many workers as the program has threads.
    """

    def __init__(self) -> None:
        self.one_program_at_a_time = threading.Lock()
        self._workers: ThreadPoolExecutor | None = None
        self._count = 0

    def workers(self, count: int) -> ThreadPoolExecutor:
        """At least so many workers, started when they are first needed."""
        if self._workers is None or self._count < count:
            if self._workers is not None:
                self._workers.shutdown(wait=False)
            self._workers, self._count = ThreadPoolExecutor(count, thread_name_prefix="gradloom"), count
        return self._workers


_team = _Team()


def _start_anew() -> None:
    """A forked process has none of its parent's threads."""
    global _team
    _team = _Team()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
