"""A compiled program: from arrays to arrays."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from gradloom import config
from gradloom.errors import CompileError, IndexRangeError, OutOfMemoryError
from gradloom.executors.base import Call
from gradloom.executors.native.calls import CLOCK_WORDS, NEVER
from gradloom.executors.native.compile import Code, Refused, Written, load
from gradloom.executors.native.explain import explain
from gradloom.executors.native.host import HostKernels
from gradloom.executors.native.kernel import Kernel, storage
from gradloom.executors.native.loops import Apply
from gradloom.executors.native.module import SLOTS, KernelFunction, Module, held, write_module
from gradloom.executors.native.plan import make_plan
from gradloom.executors.native.profile import Profile, profile
from gradloom.executors.native.sharing import SHARED_FROM
from gradloom.executors.native.target import Target, host
from gradloom.executors.native.team import TEAM
from gradloom.executors.native.workspace import Workspace, allocator, check_memory, out_of_memory
from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph
from gradloom.ir.interpret import evaluate

LONG = 400_000
"""Elementary operations of shared kernels, about 80 microseconds of one thread, from which a program wakes helpers that
sleep.  Shorter ones would be over before these have come, unless there is one call after the other."""

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
        plan: the kernels, and where buffers lie.
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
        self.plan = make_plan(graph, self.target)
        self._who = f"native executor, {graph.name}"
        check_memory(self._who, self.plan)
        self.module = write_module(self.plan, self.target, clocks=clocks, flush=flush_denormals)
        self._code = main, *functions = _compiled(self._who, self.module, self.target)
        self.threads = config.threads() if self.module.work else 1
        self.shared_from = SHARED_FROM
        self._records = self.module.linked(functions)
        self._function = main.function("program", 4)
        self._resting: deque[Workspace] = deque(maxlen=_KEPT)
        self._prepare()

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
        return explain(self.graph, self.plan, self.target, self.threads)

    def profile(self, arrays: Sequence[np.ndarray], runs: int | None = None) -> Profile:
        """Where the time of a call goes, kernel by kernel (see profile.py).

        Args:
            arrays: inputs.
            runs: how many calls are measured; by default as many as take about a quarter of a second.
        """
        timed = NativeProgram(self.graph, self.target, clocks=True)
        timed.threads, timed.shared_from = self.threads, self.shared_from
        return profile(timed.module.timed, self.threads, lambda: timed._timed_call(arrays), runs)

    def _timed_call(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Run a program with clocks; gives what each counted, a row for each kernel."""
        if self._resting:
            self._resting[-1].state[SLOTS.clock :] = 0
        self(arrays)
        return self._resting[-1].state[SLOTS.clock :].reshape(-1, CLOCK_WORDS)

    def _prepare(self) -> None:
        """Work out what is the same in every call: how results are allocated, and where outputs come from."""
        plan = self.plan
        nodes = held(plan)
        self._constants = [*(np.asarray(n.value, order="C") for n in nodes if n.op is CONSTANT), self._records]
        self._allocators = [allocator(n.shape, n.dtype) for n in plan.outputs]
        places = {n: i for i, n in enumerate(nodes)}
        roots = [storage(y) for y in plan.graph.outputs]
        self._outputs = [places[root] for root in roots]
        pairs = list(enumerate(zip(plan.graph.outputs, roots)))
        self._shaped = [(i, y.shape) for i, (y, root) in pairs if y.shape != root.shape]
        self._copied = [i for i, (_, root) in pairs if root.op in (CONSTANT, PLACEHOLDER)]

    def _allocate(self) -> tuple[list[np.ndarray], Workspace]:
        """Arrays for results, and a workspace that no other call uses."""
        try:
            return [allocate() for allocate in self._allocators], self._workspace()
        except OutOfMemoryError:
            raise
        except MemoryError as problem:
            raise out_of_memory(self._who, self.plan) from problem

    def _workspace(self) -> Workspace:
        try:
            return self._resting.pop()
        except IndexError:  # all are in use
            pass
        check_memory(self._who, self.plan)
        words = SLOTS.clock + CLOCK_WORDS * len(self.module.timed)
        arrays = len(self.graph.inputs) + len(self._allocators) + len(self._constants)
        return Workspace(self.plan.size, words, arrays, HostKernels(self.module.hosted))

    def _run(self, space: Workspace) -> None:
        """Run with the team's help, or alone where one thread is enough or the team is busy."""
        board = TEAM.enter(self.threads, waking=self.module.work >= LONG) if self.threads > 1 else 0
        space.board.value, space.least.value = board, self.shared_from if board else NEVER
        try:
            self._function(*space.arguments)
        finally:
            if board:
                TEAM.leave()


def _compiled(who: str, module: Module, target: Target) -> list[Code]:
    """The code of the program and of its kernels; where LLVM refuses a kernel, the error names it."""
    try:
        return load([Written(module.text), *module.kernels], target)
    except Refused as problem:
        kernel = problem.part.kernel if isinstance(problem.part, KernelFunction) else None
        raise CompileError(
            who,
            rule=f"LLVM refuses {_described(kernel) if kernel else 'the program around the kernels'}",
            got=" ".join(str(problem).split())[:300],
            fix="This is a mistake of gradloom: please report it. The reference executor runs the graph.",
        ) from problem


def _described(kernel: Kernel) -> str:
    """A kernel, with the primitives that are fused into its loops and the layers that its nodes are of."""
    code = [*(kernel.inner.code if kernel.inner else ()), *kernel.block.code]
    fused = ", ".join(dict.fromkeys(i.name for i in code if isinstance(i, Apply)))
    layers = ", ".join(dict.fromkeys(n.scope for n in kernel.nodes if n.scope))
    return f"{kernel}{f' with {fused}' if fused else ''}{f' of {layers}' if layers else ''}"
