"""From a plan to text for LLVM: a function a kernel, each a module, and the program that calls them in order.

The caller's thread runs ``program``, and shares the large kernels with others (see sharing.py).  Work is cut into units
by the size of the problem, so results do not depend on the number of threads.  A loop of the graph is a loop in the
program: its body's kernels are called again with the addresses of the turn.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import field

from gradloom.executors.native import kernels
from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Function, Value
from gradloom.executors.native.calls import DATA, SLOTS, WORK, Address, Call, CallLists
from gradloom.executors.native.denormals import flush_denormals
from gradloom.executors.native.half import conversions_for
from gradloom.executors.native.kernel import Kernel, storage
from gradloom.executors.native.outline import groups_name, units_name
from gradloom.executors.native.plan import Plan
from gradloom.executors.native.sharing import SHARED_FROM, share
from gradloom.executors.native.target import Target
from gradloom.ir.graph import CONSTANT, Node
from gradloom.ops import control
from gradloom.records import dataclass


@dataclass(frozen=True)
class KernelFunction:
    """The function of a kernel; kernels that differ in their buffers alone share one.

    Its text is only written where its code is not at hand: what it depends on is known without it.  It takes the
    addresses of its buffers, the flag for faults, and the units to do.

    Attributes:
        kernel: what it computes.
        target: the machine.
        content: all that its text depends on, see compile.py.
    """

    kernel: Kernel
    target: Target
    content: str

    @property
    def name(self) -> str:
        """The function's name."""
        return "kernel_" + hashlib.sha256(self.content.encode()).hexdigest()[:32]

    @property
    def units_name(self) -> str:
        """The name of a constant beside it: into how many units its work is cut."""
        return units_name(self.name)

    @property
    def groups_name(self) -> str:
        """The name of another: how many groups of units there are that are better done by one thread."""
        return groups_name(self.name)

    def text(self) -> str:
        """The function with what it needs, as a module of its own."""
        params = [("ptr", "buffers", ""), ("ptr", "fault", ""), ("i64", "begin", ""), ("i64", "end", "")]
        function = Function(self.name, params, internal=False)
        listed = function.param("buffers")
        buffers = self.kernel.buffers()
        pointers = {b: function.load(function.at(listed, i, "ptr"), "ptr", 8) for i, b in enumerate(buffers)}
        scratch = function.load(function.at(listed, len(buffers), "ptr"), "ptr", 8)
        fault, begin, end = (function.param(name) for name in ("fault", "begin", "end"))
        writer = BlockWriter(function, pointers, fault, begin, end, scratch)
        units = kernels.write(writer, self.kernel, self.target)
        function.finish()
        sizes = {self.units_name: units, self.groups_name: units // writer.group}
        constants = [f"@{name} = constant i64 {size}" for name, size in sizes.items()]
        text = "\n".join([*sorted(function.needs), *constants, function.text()])
        return text + conversions_for(text)


@dataclass(frozen=True)
class Module:
    """LLVM's text, and what the program around it needs to know.

    Attributes:
        text: the program around the kernels.
        kernels: the functions of the kernels, by number.
        lists: the calls of kernels.
        work: rough number of elementary operations in a call's kernels that are worth sharing, for deciding on threads.
        timed: the kernels in the order of their clocks.
        hosted: the kernels that call back, in the order of their numbers.
    """

    text: str
    kernels: list[KernelFunction]
    lists: CallLists
    work: int
    timed: list[Kernel]
    hosted: list[Kernel]


FEW_ROWS = 4
"""A product of fewer rows takes as long as one of so many: what takes time is reading the other matrix."""

_TURNS = 100
"""Turns that are counted of a loop whose number of turns is not known."""

_UNSEEN = 20_000_000
"""Elementary operations, some milliseconds, in which a loop does not look at signals: to look takes a microsecond, and
milliseconds where another thread has Python's lock."""

_OF_A_CALL = 100
"""Elementary operations that take as long as calling a kernel."""

Addresses = Mapping[Node, Address]


def write_module(plan: Plan, target: Target, *, clocks: bool = False, flush: bool = False) -> Module:
    """Write the program that runs the kernels; their functions write themselves when they are asked to.

    Args:
        plan: kernels and places of buffers.
        target: the machine.
        clocks: count each kernel's calls and the time that the first thread spends in them, for profiles.
        flush: take denormal numbers for 0.
    """
    outer = held(plan)
    lists = CallLists(_depth(plan), target.clock if clocks else "")
    writer = _Writer(lists, target, slots=2 + len(outer))
    restore = flush_denormals(writer.main, target) if flush else None
    work = writer.run(plan, {node: Address(1 + i) for i, node in enumerate(outer)}, 0)
    if restore is not None:
        restore()
    writer.main.finish()
    functions = [writer.main, *lists.functions(SLOTS)]
    needs, sharing = share(target)
    declarations = sorted({*needs, *(d for f in functions for d in f.needs)})
    text = "\n".join([*declarations, sharing, *(f.text() for f in functions)])
    written = [KernelFunction(kernel, target, content) for content, kernel in writer.kernels.items()]
    return Module(text, written, lists, work, writer.timed, writer.hosted)


def held(plan: Plan) -> tuple[Node, ...]:
    """The arrays of a program's call in the order of its table: inputs, results, constants."""
    outputs = [storage(y) for y in plan.graph.outputs]
    constants = [n for n in dict.fromkeys((*plan.inputs, *outputs)) if n.op is CONSTANT]
    return *plan.graph.inputs, *plan.outputs, *constants


def _depth(plan: Plan) -> int:
    """How many loops are inside each other."""
    loops = [
        _depth(p) + (kernel.core is not None and kernel.core.op is control.scan)
        for kernel, inner in plan.inner.items()
        for p in inner
    ]
    return max(loops, default=0)


@dataclass
class _Writer:
    """Writes the program, and collects the kernels it calls.

    Attributes:
        lists: the calls, as data.
        target: the machine.
        slots: length of the table: the arena, what the caller gives, the records.
        main: the program's function: loops and branches around lists of calls.
        kernels: the kernels by their content; those that differ in their buffers alone are one.
        numbers: their places in the list of functions, likewise.
        timed: see Module.
        hosted: see Module.
        depth: how many loops are around what is written now.
    """

    lists: CallLists
    target: Target
    slots: int
    main: Function = field(init=False)
    kernels: dict[str, Kernel] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    timed: list[Kernel] = field(default_factory=list)
    hosted: list[Kernel] = field(default_factory=list)
    depth: int = 0

    def __post_init__(self) -> None:
        params = [("ptr", name, "") for name in ("table", "arena", "state", "host")]
        self.main = main = Function("program", params, internal=False)
        self.turns = main.local(f"[{max(self.lists.depth, 1)} x i64]")
        # The arena and the data of the arrays that the caller gives are one table.
        self.table = main.local(f"[{self.slots} x ptr]")
        main.store(main.param("arena"), self.table, 8)
        with main.loop(1, self.slots) as i:
            array = main.load(main.at(main.param("table"), main.iadd(i, -1), "ptr"), "ptr", 8)
            main.store(main.load(main.at(array, DATA, "i8"), "ptr", 8), main.at(self.table, i, "ptr"), 8)

    def run(self, plan: Plan, given: Addresses, arena: int) -> int:
        """Run the kernels of a plan; ``given`` are the places of inputs and outputs, ``arena`` that of its arena.

        Gives the operations that are worth sharing.
        """
        addresses = {**given, **{n: Address(0, arena + offset) for n, offset in plan.offsets.items()}}
        work, calls = 0, []
        for kernel in plan.kernels:
            if kernel in plan.inner or kernel.host:
                self._call_all(calls)
                calls = []
            if kernel in plan.inner:
                work += self._control(plan, kernel, addresses, arena)
            elif kernel.host:
                self._call_host(kernel, [addresses[storage(b)] for b in (*kernel.core_inputs(), *kernel.results)])
            elif math.prod(kernel.shape):
                calls.append(self._call(kernel, addresses, arena + plan.scratch.get(kernel, 0)))
                work += calls[-1].work if calls[-1].work >= SHARED_FROM else 0
        self._call_all(calls)
        return work

    # Kernels ------------------------------------------------------------------------------------------------------

    def _call(self, kernel: Kernel, addresses: Addresses, scratch: int) -> Call:
        """The record of a kernel's call; ``scratch`` is where its working memory lies in the arena."""
        content = kernel.fingerprint()
        self.kernels.setdefault(content, kernel)
        number = self.numbers.setdefault(content, len(self.numbers))
        self.timed.append(kernel)
        operands = [*(addresses[storage(b)] for b in kernel.buffers()), Address(0, scratch)]
        return Call(number, _operations(kernel), len(self.timed) - 1, operands)

    def _call_all(self, calls: Sequence[Call]) -> None:
        if calls:
            given = f"{self._record(self.lists.add(calls))}, ptr {self.table.text}, ptr {self.turns.text}, ptr %state"
            self.main.do(f"call void @run({given}, i64 {len(calls)})")

    def _record(self, place: int) -> str:
        """The address of a record; where all records begin lies in the last slot of the table."""
        main = self.main
        records = main.load(main.at(self.table, self.slots - 1, "ptr"), "ptr", 8)
        return f"ptr {main.at(records, place, 'i64').text}"

    def _addresses(self, operands: Sequence[Address]) -> Value:
        """A list of addresses as kernels see them."""
        main = self.main
        found = main.local(f"[{max(len(operands), 1)} x ptr]")
        given = f"{self._record(self.lists.add_operands(operands))}, ptr {self.table.text}, ptr {self.turns.text}"
        main.emit("ptr", f"call ptr @addresses({given}, ptr {found.text})")
        return found

    def _call_host(self, kernel: Kernel, operands: Sequence[Address]) -> None:
        """Call back into Python with the addresses of operands and results."""
        self.main.do(f"call void %host(i64 {len(self.hosted)}, ptr {self._addresses(operands).text})")
        self.hosted.append(kernel)

    # Loops and branches -------------------------------------------------------------------------------------------

    def _control(self, plan: Plan, kernel: Kernel, addresses: Addresses, arena: int) -> int:
        node, inner = kernel.core, plan.inner[kernel]
        assert node is not None
        arenas = [arena + offset for offset in plan.inner_offsets[kernel]]
        constants = {n: a for p in inner for n in p.inputs if (a := addresses.get(n)) is not None}
        operands = [addresses[storage(x)] for x in node.inputs]
        results = [addresses[storage(n)] for n in kernel.nodes]
        if node.op is control.scan:
            return self._loop(node, inner[0], operands, results, constants, arenas[0])
        if node.op is control.while_loop:
            return self._while(node, inner, operands, results, constants, arenas)
        if node.op is control.cond:
            return self._branch(inner, operands, results, constants, arenas)
        return self._side(inner[0], operands, results, constants, arenas[0])

    def _loop(
        self,
        node: Node,
        body: Plan,
        operands: list[Address],
        results: list[Address],
        constants: Addresses,
        arena: int,
    ) -> int:
        """The turns of a scan: elements of sequences lie elsewhere in each turn, all else where it lay."""
        main, length = self.main, node.attrs["length"]
        fixed, carries = node.attrs["consts"], node.attrs["carries"]
        inputs = body.graph.inputs

        def element(whole: Address, like: Node) -> Address:
            size = like.tensor_type.nbytes
            return whole.element(size, self.depth, length, reverse=node.attrs["reverse"])

        given = dict(constants)
        given.update(zip(inputs[:fixed], operands[:fixed]))
        given.update(zip(inputs[fixed : fixed + carries], results[:carries]))
        given.update({x: element(whole, x) for x, whole in zip(inputs[fixed + carries :], operands[fixed + carries :])})
        outputs = body.graph.outputs[carries:]
        given.update({storage(y): element(whole, y) for y, whole in zip(outputs, results[carries:])})
        given.update({root: given[carried] for root, carried in body.in_place.items()})
        bounded = node.attrs.get("bounded")
        turns = main.load(main.load(self._addresses(operands[:1]), "ptr", 8), "i64", 8) if bounded else length
        with main.loop(0, turns) as turn:
            main.store(turn, main.at(self.turns, self.depth, "i64"), 8)
            self.depth += 1
            work = self.run(body, given, arena)
            self.depth -= 1
        return work * length

    def _while(
        self,
        node: Node,
        inner: list[Plan],
        operands: list[Address],
        results: list[Address],
        constants: Addresses,
        arenas: list[int],
    ) -> int:
        """Turns while a condition holds.

        Before each the condition's kernels write the last result: after the last turn it says whether the condition
        still holds.
        """
        main, fixed = self.main, node.attrs["consts"]
        condition, body = inner
        places = [*operands[:fixed], *results[:-1]]
        given = {**constants, **dict(zip(body.graph.inputs, places))}
        given.update({root: given[carried] for root, carried in body.in_place.items()})
        limit = node.attrs.get("limit")
        with main.loop_until(2**62 if limit is None else limit + 1) as (turn, leave):
            asking = self._side(condition, places, results[-1:], constants, arenas[0])
            leave(main.binary("xor", self._holds(results[-1]), main.const("i1", 1)))
            if limit is not None:
                leave(main.compare("eq", turn, main.index(limit)))
            first = len(self.lists.places)
            work = self.run(body, given, arenas[1])
            leave(self._interrupted(turn, 1 if body.inner else self._unseen_turns(first)))
        return asking + (asking + work) * min(_TURNS, limit or _TURNS)

    def _unseen_turns(self, first: int) -> int:
        """After how many turns a loop looks at signals, a power of 2; its calls are those from the first on."""
        works = [self.lists.records[place + WORK] for place in self.lists.places[first:]]
        return 1 << max(_UNSEEN // (sum(works) + _OF_A_CALL * (1 + len(works))), 1).bit_length() - 1

    def _interrupted(self, turn: Value, every: int) -> Value:
        """Let Python handle signals in one of so many turns; whether the loop has to end for one."""
        main = self.main
        state, last = main.param("state"), main.index(every - 1)
        with main.when(main.compare("eq", main.binary("and", turn, last), last)):
            look = main.load(main.at(state, SLOTS.look, "i64"), "ptr", 8)
            main.do(f"call void {look.text}()")
        return main.compare("ne", main.load(main.at(state, SLOTS.stop, "i64"), "i64", 8), main.index(0))

    def _holds(self, boolean: Address) -> Value:
        """A boolean in memory."""
        main = self.main
        address = main.load(self._addresses([boolean]), "ptr", 8)
        return main.compare("ne", main.load(address, "i8", 1), main.const("i8", 0))

    def _side(
        self, side: Plan, operands: list[Address], results: list[Address], constants: Addresses, arena: int
    ) -> int:
        """The kernels of a graph, from operands to results."""
        given = {**constants, **dict(zip(side.graph.inputs, operands))}
        given.update({storage(y): address for y, address in zip(side.graph.outputs, results)})
        return self.run(side, given, arena)

    def _branch(
        self,
        sides: list[Plan],
        operands: list[Address],
        results: list[Address],
        constants: Addresses,
        arenas: list[int],
    ) -> int:
        """Both sides write the same results."""
        main = self.main
        condition, *values = operands
        holds = self._holds(condition)
        work = []
        for side, arena, wanted in zip(sides, arenas, (holds, main.binary("xor", holds, main.const("i1", 1)))):
            with main.when(wanted):
                work.append(self._side(side, values, results, constants, arena))
        return max(work)


def _operations(kernel: Kernel) -> int:
    """Elements times instructions, roughly."""
    if kernel.members:
        return sum(map(_operations, kernel.members))
    counted = kernels.operations(kernel)
    if counted is not None:
        return counted
    results = math.prod(kernel.shape)
    if kernel.is_product:
        shared, rows, columns, summed = map(math.prod, kernel.segments)
        return results * len(kernel.block.code) + shared * max(rows, FEW_ROWS) * columns * summed
    inner = math.prod(kernel.reduced)
    steps = len(kernel.inner.code) if kernel.inner else 1
    return results * (len(kernel.block.code) + inner * steps)
