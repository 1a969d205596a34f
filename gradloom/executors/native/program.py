"""A compiled program: from arrays to arrays."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gradloom import config
from gradloom.errors import IndexRangeError, OutOfMemoryError
from gradloom.executors.base import Call
from gradloom.executors.native import kept
from gradloom.executors.native.calls import CLOCK_WORDS, NEVER, SLOTS
from gradloom.executors.native.compile import Code
from gradloom.executors.native.host import HostKernels
from gradloom.executors.native.outline import Outline
from gradloom.executors.native.sharing import SHARED_FROM
from gradloom.executors.native.target import Target, host
from gradloom.executors.native.team import TEAM
from gradloom.executors.native.workspace import Workspace, allocator, check_memory, out_of_memory
from gradloom.ir.graph import Graph
from gradloom.ir.interpret import evaluate

if TYPE_CHECKING:
    from gradloom.executors.native.module import Module
    from gradloom.executors.native.plan import Plan
    from gradloom.executors.native.planning import Planned
    from gradloom.executors.native.profile import Profile

WORTH = 800_000
"""Elementary operations of kernels that are large enough to be shared, some 25 microseconds of one thread, from which a
program has helpers at all.  What they save of shorter ones goes into meeting them."""

LONG = 2_000_000
"""The operations from which a program wakes helpers that sleep.  Shorter ones would be over before these have come,
unless there is one call after the other."""

_KEPT = 4
"""Workspaces kept for later calls."""


class NativeProgram:
    """A graph compiled to machine code.  Several threads may call it at once.

    Args:
        graph: what to compute.
        target: the machine to make code for; default: this one.
        clocks: measure the time of each kernel (see :meth:`profile`).
        flush_denormals: take numbers too small for a full mantissa for 0, as is quicker (see denormals.py).

    Attributes:
        threads: how many threads run it.
        shared_from: the operations from which a kernel is shared among them.

    Raises:
        OutOfMemoryError: it needs more memory than there is.
        CompileError: LLVM refuses a kernel; the message names it.
    """

    def __init__(
        self, graph: Graph, target: Target | None = None, *, clocks: bool = False, flush_denormals: bool = False
    ) -> None:
        self.graph, self.target = graph, target or host()
        self._options = clocks, flush_denormals
        self._who = f"native executor, {graph.name}"
        name = None if clocks else kept.name_of(graph, self.target, flush=flush_denormals)
        self._outline, self._code = kept.find(name, self.target) or self._compiled(name)
        main, *functions = self._code
        self.threads = config.threads() if self._outline.work >= WORTH else 1
        self.shared_from = SHARED_FROM
        self._function = main.function("program", 4)
        self._hosted = self.module.hosted if self._outline.hosted else []
        self._resting: deque[Workspace] = deque(maxlen=_KEPT)
        self._prepare(functions)

    def _compiled(self, name: str | None) -> tuple[Outline, list[Code]]:
        """Plan the graph, compile what code is missing, and keep the outline."""
        outline = self._planned.outline
        check_memory(self._who, outline)
        codes = self._planned.compiled(self._who)
        kept.keep(name, outline)
        return outline, codes

    @cached_property
    def _planned(self) -> Planned:
        """The plan; of a program whose outline was kept it is made for those who want to see it."""
        from gradloom.executors.native.planning import planned  # noqa: PLC0415

        clocks, flush = self._options
        return planned(self.graph, self.target, clocks=clocks, flush=flush)

    @property
    def plan(self) -> Plan:
        """The kernels, and where buffers lie."""
        return self._planned.plan

    @property
    def module(self) -> Module:
        """The text of the program around the kernels, and their functions."""
        return self._planned.module

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The graph's outputs for these inputs.

        Raises:
            IndexRangeError: a position lies outside its axis.
            OutOfMemoryError: there is no memory for intermediate values or results.
        """
        return self._call([np.asarray(a, order="C") for a in arrays])

    def bound(self, fixed: Sequence[np.ndarray]) -> Call:
        """The program with its first inputs fixed, for callers that change the others alone."""
        kept = [np.asarray(a, order="C") for a in fixed]
        return lambda arrays: self._call([*kept, *[np.asarray(a, order="C") for a in arrays]])

    def _call(self, given: list[np.ndarray]) -> list[np.ndarray]:
        """Run once on arrays whose elements lie side by side."""
        computed, space = self._allocate()
        arrays = [*given, *computed, *self._constants]
        space.take(arrays)
        self._run(space)
        space.signals.check()
        space.host.check()
        if space.fault.value:
            space.fault.value = 0
            self._resting.append(space)
            self._explain_fault(given)
        self._resting.append(space)
        results = [arrays[number] for number in self._outputs]
        for place, shape in self._shaped:
            results[place] = results[place].reshape(shape)
        for place in self._copied:
            results[place] = results[place].copy()
        return results

    def _explain_fault(self, arrays: Sequence[np.ndarray]) -> None:
        evaluate(self.graph, arrays)  # which says which position it is
        raise IndexRangeError(
            "take",
            rule="positions must lie inside their axis",
            got="one outside",
            fix="Check the indices, or bring them into range with gl.clip.",
        )

    def explain(self) -> str:
        """What the compiler made of the graph: kernels, loops, tiles, memory (see explain.py)."""
        from gradloom.executors.native.explain import explain  # noqa: PLC0415

        return explain(self.graph, self.plan, self.target, self.threads)

    def profile(self, arrays: Sequence[np.ndarray], runs: int | None = None) -> Profile:
        """Where the time of a call goes, kernel by kernel (see profile.py).

        Args:
            arrays: inputs.
            runs: how many calls are measured; by default as many as take about a quarter of a second.
        """
        from gradloom.executors.native.profile import profile  # noqa: PLC0415

        timed = NativeProgram(self.graph, self.target, clocks=True)
        timed.threads, timed.shared_from = self.threads, self.shared_from
        return profile(timed.module.timed, self.threads, lambda: timed._timed_call(arrays), runs)

    def _timed_call(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Run a program with clocks; gives what each counted, a row for each kernel."""
        if self._resting:
            self._resting[-1].state[SLOTS.clock :] = 0
        self(arrays)
        return self._resting[-1].state[SLOTS.clock :].reshape(-1, CLOCK_WORDS)

    def _prepare(self, functions: Sequence[Code]) -> None:
        """Work out what is the same in every call: how results are allocated, and where outputs come from."""
        outline = self._outline
        self._constants = [*(np.asarray(x, order="C") for x in outline.constants), outline.linked(functions)]
        self._allocators = [allocator(shape, dtype) for shape, dtype in outline.computed]
        self._outputs, self._shaped, self._copied = outline.outputs, outline.shaped, outline.copied

    def _allocate(self) -> tuple[list[np.ndarray], Workspace]:
        """Arrays for results, and a workspace that no other call uses."""
        try:
            return [allocate() for allocate in self._allocators], self._workspace()
        except OutOfMemoryError:
            raise
        except MemoryError as problem:
            raise out_of_memory(self._who, self._outline) from problem

    def _workspace(self) -> Workspace:
        try:
            return self._resting.pop()
        except IndexError:  # all are in use
            pass
        check_memory(self._who, self._outline)
        words = SLOTS.clock + CLOCK_WORDS * self._outline.clocks
        arrays = len(self.graph.inputs) + len(self._allocators) + len(self._constants)
        return Workspace(self._outline.size, words, arrays, HostKernels(self._hosted))

    def _run(self, space: Workspace) -> None:
        """Run with the team's help, or alone where one thread is enough or the team is busy."""
        board = TEAM.enter(self.threads, waking=self._outline.work >= LONG) if self.threads > 1 else 0
        if not board:
            self._function(*space.arguments)
            return
        space.board.value, space.least.value = board, self.shared_from
        try:
            self._function(*space.arguments)
        finally:
            space.least.value = NEVER
            TEAM.leave()
