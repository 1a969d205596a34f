"""Calls of kernels as data: lists of records, and one small function that walks them.

A program of a thousand layers calls thousands of kernels.  As code these calls would keep LLVM busy for minutes (its
time grows faster than a function's length); as data they cost it nothing, and a call costs the machine some
nanoseconds more.  A record is a run of 64-bit numbers:

    function, units, groups, work, clock, operands,
    then for each operand: slot, offset, and the stride by each loop around

The address of an operand is ``table[slot] + offset + Σ stride · turn``: loops change no addresses, they count turns.
The addresses of the kernels' functions, their units and the groups that these make are filled in when their code is in
memory: this is all the linking that there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

import numpy as np

from gradloom.executors.native.builder import Function, Value
from gradloom.records import dataclass

FUNCTION, UNITS, GROUPS, WORK, CLOCK, OPERANDS, HEADER = range(7)
"""Places in a record; a header is as long as the last."""

CLOCK_WORDS = 2
"""What a clock counts: ticks, and calls."""


NEVER = 2**62
"""More operations than a kernel is said to have: where so many are asked for, none is shared."""


@dataclass(frozen=True)
class Slots:
    """Places in a program's state, of 8 bytes each.

    Attributes:
        fault: the flag for indices out of range.
        board: the address of the board of the team that helps.
        least: the operations from which a kernel is shared with the team; NEVER where there is none.
        stop: not 0 ends loops whose number of turns is not known.
        look: what such loops call now and then; see signals.py.
        clock: the first of the kernels' clocks.
    """

    fault: int
    board: int
    least: int
    stop: int
    look: int
    clock: int


SLOTS = Slots(fault=0, board=1, least=2, stop=3, look=4, clock=16)
"""What a program's state is made of."""

DATA = object.__basicsize__
"""Where an array says at which address its data lie: the first field of NumPy's ``PyArrayObject``, whose place is part
of NumPy's binary interface."""


@dataclass(frozen=True)
class Address:
    """Where a buffer lies, as a number of bytes behind an address in the program's table.

    Attributes:
        slot: place in the table.
        offset: bytes.
        strides: bytes by which it moves with each turn of the loops around, the outermost first.
    """

    slot: int
    offset: int = 0
    strides: tuple[int, ...] = ()

    def element(self, size: int, depth: int, length: int, *, reverse: bool) -> Address:
        """Of a sequence: its element (of ``size`` bytes) in each turn of the loop that has ``depth`` loops around."""
        first, step = (size * (length - 1), -size) if reverse else (0, size)
        return Address(self.slot, self.offset + first, (*self.strides, *(0,) * (depth - len(self.strides)), step))


@dataclass(frozen=True)
class Call:
    """A call of a kernel: its number in the list of kernels, its elementary operations, its clock, its operands."""

    kernel: int
    work: int
    clock: int
    operands: Sequence[Address]


@dataclass
class CallLists:
    """Collects the calls of a program.

    Attributes:
        depth: how many loops are inside each other at most.
        clock: LLVM's name of what reads the processor's clock; empty for no measuring.
        records: all records, one after the other.
        called: the number of the kernel of each record.
        places: where each record begins.
        most_operands: of a call.
    """

    depth: int
    clock: str
    records: list[int] = field(default_factory=list)
    called: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    most_operands: int = 1

    def add(self, calls: Sequence[Call]) -> int:
        """Keep a list; gives the place where it begins."""
        first = len(self.records)
        for call in calls:
            self.called.append(call.kernel)
            self.places.append(len(self.records))
            self.add_operands(call.operands, call.clock, call.work)
            self.most_operands = max(self.most_operands, len(call.operands))
        return first

    def add_operands(self, operands: Sequence[Address], clock: int = 0, work: int = 0) -> int:
        """Keep a record that calls nothing; gives its place."""
        first = len(self.records)
        self.records += [0, 0, 0, min(work, NEVER - 1), clock, len(operands)]
        for a in operands:
            self.records += [a.slot, a.offset, *a.strides, *(0,) * (self.depth - len(a.strides))]
        return first

    def linked(self, functions: Sequence[tuple[int, int, int]]) -> np.ndarray:
        """The records with address, units and groups of the kernels' functions, which are given by number."""
        records, places = np.array(self.records, np.int64), np.array(self.places, np.int64)
        found = np.array(functions, np.int64).reshape(-1, 3)[self.called]
        for place, values in zip((FUNCTION, UNITS, GROUPS), found.T):
            records[places + place] = values
        return records

    # The functions that read records ------------------------------------------------------------------------------

    def functions(self, slots: Slots) -> list[Function]:
        """``addresses`` and ``run``."""
        return [self._addresses(), self._run(slots)]

    def _addresses(self) -> Function:
        """``addresses(record, table, turns, found)``: write the addresses of a record's operands."""
        b = Function("addresses", [("ptr", name, "") for name in ("record", "table", "turns", "found")], "ptr")
        size = 2 + self.depth
        count = b.load(b.at(b.param("record"), OPERANDS, "i64"), "i64", 8)
        first = b.at(b.param("record"), HEADER, "i64")
        turns = [b.load(b.at(b.param("turns"), d, "i64"), "i64", 8) for d in range(self.depth)]
        with b.loop(0, count) as i:
            operand = b.at(first, b.imul(i, size), "i64")
            slot, offset, *strides = (b.load(b.at(operand, k, "i64"), "i64", 8) for k in range(size))
            for stride, turn in zip(strides, turns):
                offset = b.add(offset, b.mul(stride, turn))
            start = b.load(b.at(b.param("table"), slot, "ptr"), "ptr", 8)
            b.store(b.at(start, offset, "i8"), b.at(b.param("found"), i, "ptr"), 8)
        total = b.mul(count, b.const("i64", size))
        b.do(f"ret ptr {b.at(first, total, 'i64').text}")
        return b

    def _run(self, slots: Slots) -> Function:
        """``run(records, count, table, turns, state)``: the calls of a list in order.

        A kernel of enough operations is shared with the team whose board the state names; see sharing.py.
        """
        pointers = ("records", "table", "turns", "state")
        b = Function("run", [*(("ptr", n, "") for n in pointers), ("i64", "count", "")])
        found = b.local(f"[{self.most_operands} x ptr]")
        record_at = b.local("ptr")
        b.store(b.param("records"), record_at, 8)
        fault, board_at, least_at = (b.at(b.param("state"), n, "i64") for n in (slots.fault, slots.board, slots.least))
        board, least = b.load(board_at, "ptr", 8), b.load(least_at, "i64", 8)
        with b.loop(0, b.param("count")):
            record = b.load(record_at, "ptr", 8)
            given = f"ptr {record.text}, ptr %table, ptr %turns, ptr {found.text}"
            b.store(b.emit("ptr", f"call ptr @addresses({given})"), record_at, 8)
            kernel = b.load(b.at(record, FUNCTION, "i64"), "ptr", 8)
            units, groups, work = (b.load(b.at(record, n, "i64"), "i64", 8) for n in (UNITS, GROUPS, WORK))
            before = self._cycles(b)
            shared = b.compare("sge", work, least)
            given = f"ptr {found.text}, ptr {fault.text}"
            posted = f"ptr {board.text}, i64 {work.text}, ptr {kernel.text}"
            with b.when(shared):
                b.do(f"call void @share({posted}, {given}, i64 {units.text}, i64 {groups.text})")
            with b.when(b.binary("xor", shared, b.const("i1", 1))):
                b.do(f"call void {kernel.text}({given}, i64 0, i64 {units.text})")
            self._count_cycles(b, before, record, slots.clock)
        b.finish()
        return b

    def _cycles(self, b: Function) -> Value | None:
        return b.call(self.clock, "i64") if self.clock else None

    def _count_cycles(self, b: Function, before: Value | None, record: Value, clock_slot: int) -> None:
        """Add what passed since ``before`` to the record's clock, and the call to its number."""
        if before is None:
            return
        spent = b.sub(b.call(self.clock, "i64"), before)
        clock = b.load(b.at(record, CLOCK, "i64"), "i64", 8)
        first = b.at(b.param("state"), clock_slot, "i64")
        for place, more in enumerate((spent, b.const("i64", 1))):
            slot = b.at(first, b.iadd(b.imul(clock, CLOCK_WORDS), place), "i64")
            b.store(b.add(b.load(slot, "i64", 8), more), slot, 8)
