"""From a plan to one LLVM module: a function a kernel, and the program that calls them in order.

Every thread runs ``program`` with its number; each takes its share of a kernel's units, then all wait for each other
at a barrier.  Work is cut by the size of the problem, so results do not depend on the number of threads.  A loop of
the graph is a loop in the program: its body's kernels are called again with the addresses of the turn.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gradloom.executors.native.barrier import barrier
from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Function, Index, Value
from gradloom.executors.native.kernel import SCATTERS, Kernel, storage
from gradloom.executors.native.kernels import cumulative, elementwise, product, reduction, scatter
from gradloom.executors.native.plan import Plan
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ops import control, reduce


@dataclass(frozen=True)
class Module:
    """LLVM's text, and what the program around it needs to know.

    Attributes:
        head: declarations, and the barrier.
        functions: the text of every function by its name.
        kernels: the kernels' functions by name; kernels that differ in their buffers alone share one.
        work: rough number of elementary operations in a call, for deciding on threads.
        calls: how many kernels a call runs.
        timed: the kernels in the order of their clocks.
        hosted: the kernels that call back, in the order of their numbers.
    """

    head: str
    functions: dict[str, str]
    kernels: dict[str, Kernel]
    work: int
    calls: int
    timed: list[Kernel]
    hosted: list[Kernel]

    @property
    def text(self) -> str:
        """The module as LLVM reads it."""
        return "\n".join([self.head, *self.functions.values()])


FAULT_SLOT, CLOCK_SLOT = 32, 64
"""Places in the program's state (8 bytes each): the flag for indices out of range; cycles spent in each kernel."""

Addresses = Mapping[Node, Value]


def write_module(plan: Plan, target: Target, *, clocks: bool = False) -> Module:
    """Write all kernels and the program that runs them.

    Args:
        plan: kernels and places of buffers.
        target: the machine.
        clocks: add up the processor's cycles spent in each kernel by the first thread, for profiles.
    """
    numbers, names = ("thread", "threads"), ("table", "arena", "state", "host")
    params = [*(("i64", name, "") for name in numbers), *(("ptr", name, "") for name in names)]
    main = Function("program", params, internal=False)
    writer = _Writer(main, target, clocks)
    table = {
        node: main.load(main.at(main.param("table"), i, "ptr"), "ptr", 8)
        for i, node in enumerate((*plan.inputs, *plan.outputs))
    }
    work = writer.run(plan, table, main.param("arena"))
    main.finish()
    functions = {f.name: f for f in (main, *writer.functions.values())}
    head = "\n".join([*sorted({d for f in functions.values() for d in f.needs}), barrier(target)])
    texts = {name: f.text() for name, f in functions.items()}
    return Module(head, texts, writer.kernels, work.operations, work.calls, writer.timed, writer.hosted)


@dataclass(frozen=True)
class _Work:
    """Elementary operations and kernels run."""

    operations: int = 0
    calls: int = 0

    def plus(self, other: _Work, times: int = 1) -> _Work:
        return _Work(self.operations + times * other.operations, self.calls + times * other.calls)


@dataclass
class _Writer:
    """Writes the program, and collects the functions of the kernels it calls."""

    main: Function
    target: Target
    clocks: bool
    functions: dict[str, Function] = field(default_factory=dict)
    kernels: dict[str, Kernel] = field(default_factory=dict)
    timed: list[Kernel] = field(default_factory=list)
    hosted: list[Kernel] = field(default_factory=list)

    def run(self, plan: Plan, given: Addresses, arena: Value) -> _Work:
        """Call the kernels of a plan; ``given`` are the addresses of inputs and outputs."""
        main = self.main
        addresses = {**given, **{n: main.at(arena, offset, "i8") for n, offset in plan.offsets.items()}}
        work = _Work()
        for kernel in plan.kernels:
            if kernel in plan.inner:
                work = work.plus(self._control(plan, kernel, addresses, arena))
            elif kernel.host:
                self._call_host(kernel, [addresses[storage(b)] for b in (*kernel.core_inputs(), *kernel.results)])
            elif math.prod(kernel.shape):
                self._call(kernel, addresses)
                work = work.plus(_Work(_operations(kernel), 1))
        return work

    # Kernels ------------------------------------------------------------------------------------------------------

    def _call(self, kernel: Kernel, addresses: Addresses) -> None:
        """Each thread's share of the units: from units · thread / threads on."""
        main = self.main
        function, buffers, units = _write_kernel(f"kernel{len(self.functions)}", kernel, self.target)
        # Kernels that differ in their buffers alone are one function.
        function = self.functions.setdefault("\n".join(function.lines), function)
        self.kernels.setdefault(function.name, kernel)
        thread, threads = main.param("thread"), main.param("threads")
        begin = main.idiv(main.imul(thread, units), threads)
        end = main.idiv(main.index(main.imul(main.iadd(thread, 1), units)), threads)
        fault = main.at(main.param("state"), FAULT_SLOT, "i64")
        given = [addresses[storage(b)] for b in buffers]
        listed = ", ".join(f"{a.type} {a.text}" for a in (*given, fault, main.index(begin), main.index(end)))
        with self._clock(kernel) if self.clocks else contextlib.nullcontext():
            main.do(f"call void @{function.name}({listed})")
            self._wait()

    def _wait(self) -> None:
        self.main.do("call void @barrier(ptr %state, i64 %threads)")

    @contextlib.contextmanager
    def _clock(self, kernel: Kernel) -> Iterator[None]:
        """Add the cycles that pass inside to a kernel's slot, on the first thread."""
        main = self.main
        # Programs may not read an ARM processor's counter of cycles, but its clock.
        counter = "llvm.readsteadycounter" if self.target.architecture == "arm" else "llvm.readcyclecounter"
        before = main.call(counter, "i64")
        yield
        spent = main.sub(main.call(counter, "i64"), before)
        with main.when(main.compare("eq", main.param("thread"), main.index(0))):
            slot = main.at(main.param("state"), CLOCK_SLOT + len(self.timed), "i64")
            main.store(main.add(main.load(slot, "i64", 8), spent), slot, 8)
        self.timed.append(kernel)

    def _call_host(self, kernel: Kernel, buffers: list[Value]) -> None:
        """Let the first thread call back into Python with the addresses of operands and results; the others wait."""
        main = self.main
        listed = main.local(f"[{len(buffers)} x ptr]")
        for i, address in enumerate(buffers):
            main.store(address, main.at(listed, i, "ptr"), 8)
        with main.when(main.compare("eq", main.param("thread"), main.index(0))):
            main.do(f"call void %host(i64 {len(self.hosted)}, ptr {listed.text})")
        self._wait()
        self.hosted.append(kernel)

    # Loops and branches -------------------------------------------------------------------------------------------

    def _control(self, plan: Plan, kernel: Kernel, addresses: Addresses, arena: Value) -> _Work:
        node, inner = kernel.core, plan.inner[kernel]
        assert node is not None
        arenas = [self.main.at(arena, offset, "i8") for offset in plan.inner_offsets[kernel]]
        constants = {n: a for p in inner for n in p.inputs if (a := addresses.get(n)) is not None}
        operands = [addresses[storage(x)] for x in node.inputs]
        results = [addresses[storage(n)] for n in kernel.nodes]
        if node.op is control.scan:
            return self._loop(node, inner[0], operands, results, constants, arenas[0])
        return self._branch(inner, operands, results, constants, arenas)

    def _loop(
        self, node: Node, body: Plan, operands: list[Value], results: list[Value], constants: Addresses, arena: Value
    ) -> _Work:
        """The turns of a scan: addresses of elements of sequences move from turn to turn."""
        main, length = self.main, node.attrs["length"]
        fixed, carries = node.attrs["consts"], node.attrs["carries"]
        inputs = body.graph.inputs
        with main.loop(0, length) as turn:
            i: Index = main.iadd(main.imul(turn, -1), length - 1) if node.attrs["reverse"] else turn
            given = dict(constants)
            given.update(zip(inputs[:fixed], operands[:fixed]))
            given.update(zip(inputs[fixed : fixed + carries], results[:carries]))
            for x, whole in zip(inputs[fixed + carries :], operands[fixed + carries :]):
                given[x] = self._element(whole, x, i)
            for y, whole in zip(body.graph.outputs[carries:], results[carries:]):
                given[storage(y)] = self._element(whole, y, i)
            given.update({root: given[carried] for root, carried in body.in_place.items()})
            work = self.run(body, given, arena)
        return _Work().plus(work, times=length)

    def _element(self, whole: Value, like: Node, i: Index) -> Value:
        """The address of element ``i`` of a sequence."""
        size = like.tensor_type.size * like.dtype.itemsize
        return self.main.at(whole, self.main.imul(i, size), "i8")

    def _branch(
        self, sides: list[Plan], operands: list[Value], results: list[Value], constants: Addresses, arenas: list[Value]
    ) -> _Work:
        """Both sides write the same results; every thread takes the same side."""
        main = self.main
        condition, *values = operands
        holds = main.compare("ne", main.load(condition, "i8", 1), main.const("i8", 0))
        work = []
        for side, arena, wanted in zip(sides, arenas, (holds, main.binary("xor", holds, main.const("i1", 1)))):
            given = {**constants, **dict(zip(side.graph.inputs, values))}
            given.update({storage(y): address for y, address in zip(side.graph.outputs, results)})
            with main.when(wanted):
                work.append(self.run(side, given, arena))
        return max(work, key=lambda w: w.operations)


def _write_kernel(name: str, kernel: Kernel, target: Target) -> tuple[Function, list[Node], int]:
    """A kernel's function, the buffers that it takes, and its number of units."""
    buffers = list(dict.fromkeys([*kernel.reads(), *kernel.results]))
    params = [("ptr", f"p{i}", "") for i, b in enumerate(buffers)]
    function = Function(name, [*params, ("ptr", "fault", ""), ("i64", "begin", ""), ("i64", "end", "")])
    pointers = {b: function.param(f"p{i}") for i, b in enumerate(buffers)}
    writer = BlockWriter(function, pointers, function.param("fault"))
    if kernel.core is None:
        units = elementwise.write(writer, kernel, target)
    elif kernel.core.op in SCATTERS:
        units = scatter.write(writer, kernel, target)
    elif kernel.core.op is reduce.cumsum:
        units = cumulative.write(writer, kernel, target)
    elif kernel.operands:
        units = product.write(writer, kernel, target)
    else:
        units = reduction.write(writer, kernel, target)
    function.finish()
    return function, buffers, units


def _operations(kernel: Kernel) -> int:
    """Elements times instructions, roughly."""
    results = math.prod(kernel.shape)
    inner = math.prod(kernel.reduced or (kernel.segments[3] if kernel.segments else ()))
    steps = len(kernel.inner.code) if kernel.inner else 1
    return results * (len(kernel.block.code) + inner * steps)
