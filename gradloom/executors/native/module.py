"""From a plan to one LLVM module: a function a kernel, and the program that calls them in order.

Every thread runs ``program`` with its number; each takes its share of a kernel's units, then all wait for each other
at a barrier.  Work is cut by the size of the problem, so results do not depend on the number of threads.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Function, Value
from gradloom.executors.native.fuse import SCATTERS, Kernel, Plan, storage
from gradloom.executors.native.kernels import cumulative, elementwise, product, reduction, scatter
from gradloom.executors.native.memory import Memory
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ops import reduce

_BARRIER = """
declare i32 @sched_yield()

; All threads wait here until the last has come.  Counter and generation lie on cache lines of their own.
define internal void @barrier(ptr %state, i64 %threads) nounwind noinline {
entry:
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %done, label %join
join:
  %generation = getelementptr i8, ptr %state, i64 128
  %mine = load atomic i64, ptr %generation acquire, align 8
  %before = atomicrmw add ptr %state, i64 1 acq_rel
  %others = sub i64 %threads, 1
  %last = icmp eq i64 %before, %others
  br i1 %last, label %release, label %wait
release:
  store atomic i64 0, ptr %state release, align 8
  %next = add i64 %mine, 1
  store atomic i64 %next, ptr %generation release, align 8
  br label %done
wait:
  %spins = phi i64 [ 0, %join ], [ %more, %again ]
  %now = load atomic i64, ptr %generation acquire, align 8
  %same = icmp eq i64 %now, %mine
  br i1 %same, label %still, label %done
still:
  %more = add i64 %spins, 1
  %long = icmp ugt i64 %more, 4000
  br i1 %long, label %sleep, label %again
sleep:
  %ignored = call i32 @sched_yield()
  br label %again
again:
  br label %wait
done:
  ret void
}
"""


@dataclass(frozen=True)
class Module:
    """LLVM's text, and the cost of what it computes.

    Attributes:
        text: the module.
        work: rough number of elementary operations, for deciding on threads.
    """

    text: str
    work: int


FAULT_SLOT, CLOCK_SLOT = 32, 64
"""Places in the program's state (8 bytes each): the flag for indices out of range; cycles spent in each kernel."""


def write_module(plan: Plan, memory: Memory, target: Target, *, clocks: bool = False) -> Module:
    """Write all kernels and the program that runs them.

    Args:
        plan: the kernels.
        memory: where buffers lie.
        target: the machine.
        clocks: add up the processor's cycles spent in each kernel by the first thread, for profiles.
    """
    table = {node: i for i, node in enumerate((*memory.inputs, *memory.outputs))}
    numbers, addresses = ("thread", "threads"), ("table", "arena", "state", "host")
    params = [*(("i64", name, "") for name in numbers), *(("ptr", name, "") for name in addresses)]
    main = Function("program", params, internal=False)
    functions = [main]
    pointers = _Pointers(main, table, memory)
    work = 0
    for number, kernel in enumerate(plan.kernels):
        if kernel.host:
            _call_host(main, number)
            continue
        if math.prod(kernel.shape) == 0:
            continue
        function, buffers, units = _write_kernel(f"kernel{number}", kernel, target)
        functions.append(function)
        given = [pointers.of(b) for b in buffers]
        with _clock(main, number) if clocks else contextlib.nullcontext():
            _call(main, function, given, units)
        work += _work(kernel)
    main.finish()
    declarations = sorted({d for f in functions for d in f.needs})
    return Module("\n".join([*declarations, _BARRIER, *(f.text() for f in functions)]), work)


class _Pointers:
    """Addresses of buffers in the program, loaded when first asked for."""

    def __init__(self, main: Function, table: dict[Node, int], memory: Memory) -> None:
        self.main, self.table, self.memory = main, table, memory
        self.known: dict[Node, Value] = {}

    def of(self, buffer: Node) -> Value:
        """The address of a buffer."""
        root = storage(buffer)
        if root not in self.known:
            main = self.main
            if root in self.table:
                slot = main.at(main.param("table"), self.table[root], "ptr")
                self.known[root] = main.load(slot, "ptr", 8)
            else:
                self.known[root] = main.at(main.param("arena"), self.memory.offsets[root], "i8")
        return self.known[root]


def _write_kernel(name: str, kernel: Kernel, target: Target) -> tuple[Function, list[Node], int]:
    """A kernel's function, the buffers that it takes, and its number of units."""
    buffers = list(dict.fromkeys([*kernel.reads(), *kernel.results]))
    params = [("ptr", f"p{i}", "noalias" if b in kernel.results else "") for i, b in enumerate(buffers)]
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


def _call(main: Function, function: Function, addresses: list[Value], units: int) -> None:
    """Each thread's share of the units: from units · thread / threads on."""
    thread, threads = main.param("thread"), main.param("threads")
    begin = main.idiv(main.imul(thread, units), threads)
    end = main.idiv(main.index(main.imul(main.iadd(thread, 1), units)), threads)
    fault = main.at(main.param("state"), FAULT_SLOT, "i64")
    listed = ", ".join(f"{a.type} {a.text}" for a in (*addresses, fault, main.index(begin), main.index(end)))
    main.do(f"call void @{function.name}({listed})")
    main.do(f"call void @barrier(ptr {main.param('state').text}, i64 {threads.text})")


@contextlib.contextmanager
def _clock(main: Function, number: int) -> Iterator[None]:
    """Add the cycles that pass inside to a kernel's slot, on the first thread."""
    before = main.call("llvm.readcyclecounter", "i64")
    yield
    spent = main.sub(main.call("llvm.readcyclecounter", "i64"), before)
    with main.when(main.compare("eq", main.param("thread"), main.index(0))):
        slot = main.at(main.param("state"), CLOCK_SLOT + number, "i64")
        main.store(main.add(main.load(slot, "i64", 8), spent), slot, 8)


def _call_host(main: Function, number: int) -> None:
    """Let the first thread call back into Python for a kernel, while the others wait."""
    with main.when(main.compare("eq", main.param("thread"), main.index(0))):
        main.do(f"call void %host(i64 {number})")
    main.do(f"call void @barrier(ptr %state, i64 {main.param('threads').text})")


def _work(kernel: Kernel) -> int:
    """Elements times instructions, roughly."""
    results = math.prod(kernel.shape)
    inner = math.prod(kernel.reduced or (kernel.segments[3] if kernel.segments else ()))
    steps = len(kernel.inner.code) if kernel.inner else 1
    return results * (len(kernel.block.code) + inner * steps)
