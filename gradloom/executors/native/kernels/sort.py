"""Sorting along an axis: lines of elements, by the order of integers that compare as the elements do.

Short lines are sorted by rank: the place of an element is the number of elements that come before it, counted with
vectors.  Long lines are sorted by their digits, the last one first; a digit that all elements share costs one look.
Both keep the order of equal elements, compare nothing but integers and give the same on every machine.

``arg_top_k`` sorts all of a line and keeps the first k positions.

Source: Knuth, "The Art of Computer Programming", volume 3 (1998), sections 5.2 (comparison counting) and 5.2.5
(distribution sorting).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.whole import (
    Array,
    array,
    ascending,
    core_of,
    each,
    local_array,
    units_for,
)
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.records import dataclass

RANKED = 128  # elements of a line up to which counting is faster than distributing
LONG = 4096  # elements of a line from which larger digits pay for their larger tables


@dataclass(frozen=True)
class _Sort:
    """What is sorted: lines of ``count`` elements, ``apart`` of each other in memory, of which ``kept`` are wanted."""

    dtype: np.dtype
    lines: int
    count: int
    kept: int
    apart: int
    positions: bool
    descending: bool

    @property
    def bits(self) -> str:
        """The integer type of an element's width."""
        return f"i{8 * self.dtype.itemsize}"

    @property
    def number(self) -> str:
        """The integer type of positions while sorting."""
        return "i32" if self.count < 2**31 else "i64"

    @property
    def digit(self) -> int:
        """Bits of a digit."""
        return min(8 * self.dtype.itemsize, 11 if self.count >= LONG else 8)

    @property
    def passes(self) -> int:
        """How many digits an element has."""
        return -(-8 * self.dtype.itemsize // self.digit)

    @property
    def memory(self) -> int:
        """Bytes to work with on a line: two copies of the elements, and of their positions."""
        if self.count <= RANKED:
            return 0
        return 2 * self.count * (self.dtype.itemsize + (int(self.number[1:]) // 8 if self.positions else 0))

    def key(self, b: Function, x: Value) -> Value:
        """The bits of an element as an unsigned integer that compares as elements do; NaN is the largest."""
        kind, width = self.dtype.kind, 8 * self.dtype.itemsize
        sign = b.const(x.type, -(2 ** (width - 1)))
        if kind == "i":
            x = b.binary("xor", x, sign)
        elif kind == "f":
            infinity = int(np.array(math.inf, self.dtype).view(f"u{self.dtype.itemsize}"))
            size = b.binary("and", x, b.const(x.type, 2 ** (width - 1) - 1))
            nan = b.compare("ugt", size, b.const(x.type, infinity))
            positive_zero = b.select(b.compare("eq", x, sign), b.const(x.type, 0), x)
            negative = b.binary("ashr", positive_zero, b.const(x.type, width - 1))
            ordered = b.binary("xor", positive_zero, b.binary("or", negative, sign))
            x = b.select(nan, b.const(x.type, -1), ordered)
        return b.binary("xor", x, b.const(x.type, -1)) if self.descending else x


def _sort_of(node: Node) -> _Sort:
    (x,), axis = node.inputs, node.attrs["axis"]
    count = x.shape[axis]
    return _Sort(
        dtype=x.dtype,
        lines=x.tensor_type.size // max(count, 1),
        count=count,
        kept=node.shape[axis],
        apart=math.prod(x.shape[axis + 1 :]),
        positions=node.op.name != "sort",
        descending=node.op.name == "arg_top_k",
    )


def scratch(node: Node, target: Target) -> int:
    """Bytes to work with."""
    s = _sort_of(node)
    return s.memory * units_for(s.lines, s.memory)


def operations(node: Node) -> int:
    """Rough number of elementary operations."""
    s = _sort_of(node)
    return s.lines * s.count * (max(s.count // 8, 1) if s.count <= RANKED else 12 * s.passes)


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are groups of lines."""
    node, b = core_of(kernel), writer.b
    s = _sort_of(node)
    units = units_for(s.lines, s.memory)
    x, y = (array(writer, n, bits=True) for n in (*node.inputs, node))
    # Axes: those before the sorted one, those behind it, the sorted one.
    source = replace(x, strides=(s.count * s.apart, 1, s.apart))
    result = replace(y, strides=(s.kept * s.apart, 1, s.apart))
    with each(b, s.lines, units) as (line, unit):
        outer, inner = b.idiv(line, s.apart), b.irem(line, s.apart)
        given, found = (x.at(outer, inner).tail(1) for x in (source, result))
        if s.count <= RANKED:
            _by_rank(b, s, given, found, target.lanes(s.dtype.itemsize))
        else:
            memory = writer.working_memory(unit, s.memory)
            _by_digits(b, s, given, found, memory)
    return units


# Short lines --------------------------------------------------------------------------------------------------------


def _by_rank(b: Function, s: _Sort, source: Array, result: Array, lanes: int) -> None:
    """Count for every element those that come before it: the smaller, and of equal ones those further in front."""
    padded = -(-s.count // lanes) * lanes
    keys = local_array(b, s.bits, s.dtype.itemsize, padded)
    with b.loop(0, s.count) as i:
        keys.store(s.key(b, source.load(i)), i)
    with b.loop(s.count, padded) as i:
        keys.store(b.const(s.bits, -1), i)  # behind all others: as large as any, and further back
    wide, steps = vector(s.bits, lanes), ascending(b, s.bits, lanes)
    with b.loop(0, s.count) as i:
        key, place = b.splat(keys.load(i), lanes), b.splat(b.convert(i, s.bits), lanes)
        j, (so_far,), finish = b.loop_carrying(0, padded, lanes, [b.const(wide, 0)])
        other, there = keys.load(j, lanes=lanes), b.add(b.splat(b.convert(j, s.bits), lanes), steps)
        equal_in_front = b.binary("and", b.compare("eq", other, key), b.compare("ult", there, place))
        before = b.binary("or", b.compare("ult", other, key), equal_in_front)
        (counts,) = finish([b.add(so_far, b.convert(before, s.bits))])
        total = counts if lanes == 1 else b.call(f"llvm.vector.reduce.add.v{lanes}{s.bits}", s.bits, counts)
        rank = b.convert(total, "i64", signed=False)
        with b.when(b.compare("ult", rank, b.index(s.kept))):
            result.store(i if s.positions else source.load(i), rank)


# Long lines ---------------------------------------------------------------------------------------------------------


def _by_digits(b: Function, s: _Sort, source: Array, result: Array, memory: Value) -> None:
    """Count all digits, then distribute by each in turn, from one copy to the other."""
    width, count = s.dtype.itemsize, s.count
    places = int(s.number[1:]) // 8
    elements = [b.at(memory, i * count * width, "i8") for i in range(2)]
    numbers = [b.at(memory, 2 * count * width + i * count * places, "i8") for i in range(2)] if s.positions else []
    tables = local_array(b, s.number, places, s.passes, 2**s.digit)
    _count(b, s, source, _Copy(b, s, elements[0], *numbers[:1]), tables)
    turn, pointers, finish = b.loop_carrying(0, s.passes, 1, [*elements, *numbers])
    old, new = (_Copy(b, s, *pointers[side::2]) for side in range(2))
    moves = _distribute(b, s, turn, old, new, tables.item(turn))
    last = finish([b.select(moves, pointers[i ^ 1], p) for i, p in enumerate(pointers)])
    found = _Copy(b, s, *last[::2])
    with b.loop(0, s.kept) as i:
        if found.numbers:
            result.store(b.convert(found.numbers.load(i), "i64", signed=False), i)
        else:
            result.store(found.elements.load(i), i)


class _Copy:
    """The elements of a line; where positions are wanted, these and the elements' keys."""

    def __init__(self, b: Function, s: _Sort, elements: Value, numbers: Value | None = None) -> None:
        self.b, self.s = b, s
        self.elements = Array(b, elements, s.bits, s.dtype.itemsize, (1,))
        self.numbers = Array(b, numbers, s.number, int(s.number[1:]) // 8, (1,)) if numbers is not None else None

    def key(self, x: Value) -> Value:
        """The key of an element of the copy."""
        return x if self.numbers else self.s.key(self.b, x)


def _digit(b: Function, s: _Sort, key: Value, turn: Index) -> Value:
    """A digit of a key, as an index."""
    shift = b.convert(b.index(b.imul(turn, s.digit)), s.bits)
    found = b.binary("and", b.binary("lshr", key, shift), b.const(s.bits, 2**s.digit - 1))
    return b.convert(found, "i64", signed=False)


def _count(b: Function, s: _Sort, source: Array, copy: _Copy, tables: Array) -> None:
    """Copy a line, and count how often each digit has each value."""
    one = b.const(s.number, 1)
    with b.loop(0, s.passes * 2**s.digit) as d:
        tables.store(b.const(s.number, 0), 0, d)
    with b.loop(0, s.count) as i:
        x = source.load(i)
        key = s.key(b, x)
        copy.elements.store(key if copy.numbers else x, i)
        if copy.numbers:
            copy.numbers.store(b.convert(i, s.number), i)
        for turn in range(s.passes):
            here = tables.at(turn, _digit(b, s, key, turn))
            here.store(b.add(here.load(), one))


def _distribute(b: Function, s: _Sort, turn: Value, old: _Copy, new: _Copy, table: Array) -> Value:
    """Order by one digit from the old copy to the new; gives whether anything was moved."""
    first = table.load(_digit(b, s, old.key(old.elements.load(0)), turn))
    moves = b.compare("ne", first, b.const(s.number, s.count))
    d, (start,), finish = b.loop_carrying(0, 2**s.digit, 1, [b.const(s.number, 0)])
    size = table.load(d)
    table.store(start, d)
    finish([b.add(start, size)])
    turns = b.select(moves, b.index(s.count), b.index(0))
    with b.loop(0, turns) as i:
        x = old.elements.load(i)
        here = table.at(_digit(b, s, old.key(x), turn))
        place = here.load()
        here.store(b.add(place, b.const(s.number, 1)))
        target = b.convert(place, "i64", signed=False)
        new.elements.store(x, target)
        if old.numbers and new.numbers:
            new.numbers.store(old.numbers.load(i), target)
    return moves
