"""Code for the straight-line program of a kernel at one index, or at as many neighbouring ones as a vector holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gradloom.executors.native import bfloat, scalars
from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.loops import Affine, Apply, Block, Gathered, Given, Load, RandomWord, Scalar
from gradloom.ir.graph import Node
from gradloom.ir.tensortype import is_bfloat16
from gradloom.records import dataclass


@dataclass(frozen=True)
class Here:
    """An index of a loop nest.

    Attributes:
        index: the value of each loop variable (of lane 0).
        lanes: how many neighbouring indices are computed together.
        axis: the loop variable along which they lie.
        valid: how many of them exist, None for all; the others are computed, but neither read nor written.
    """

    index: Sequence[Index]
    lanes: int
    axis: int
    valid: int | None = None

    @property
    def existing(self) -> int:
        """How many indices exist."""
        return self.lanes if self.valid is None else self.valid

    def stride(self, place: Affine) -> int:
        """How far apart neighbouring lanes are."""
        return place.strides[self.axis] if self.lanes > 1 else 0


@dataclass
class BlockWriter:
    """Writes the code of blocks into a function.

    Attributes:
        b: the function.
        pointers: the address of each buffer.
        fault: address of a flag (i64) that is set where an index lies outside its axis.
        begin: the first of the kernel's units that is to be computed.
        end: the first that is not.
        scratch: address of working memory, for kernels that asked for some.
        group: how many units side by side share preparations, so that one thread had better do them.
    """

    b: Function
    pointers: Mapping[Node, Value]
    fault: Value | None = None
    begin: Index = 0
    end: Index = 0
    scratch: Value | None = None
    group: int = 1

    def working_memory(self, unit: Index, size: int) -> Value:
        """The address of a unit's own bytes."""
        assert self.scratch is not None
        return self.b.at(self.scratch, self.b.imul(unit, size), "i8")

    def values(
        self, block: Block, here: Here, given: Mapping[Node, Value], loaded: Mapping[int, Value] | None = None
    ) -> list[Value]:
        """The value of every instruction; scalars where all lanes agree.  Some loads may be there already."""
        found: list[Value] = []
        for place, (instruction, dtype) in enumerate(zip(block.code, block.dtypes)):
            if loaded and place in loaded:
                found.append(loaded[place])
            elif isinstance(instruction, Load):
                found.append(self.load(instruction.buffer, dtype, instruction.place, here))
            elif isinstance(instruction, Scalar):
                found.append(self.b.const(scalars.REGISTER[dtype.name], instruction.value))
            elif isinstance(instruction, Given):
                found.append(given[instruction.node])
            elif isinstance(instruction, Apply):
                found.append(self._apply(instruction, block, found))
            elif isinstance(instruction, RandomWord):
                found.append(self._random(instruction, here))
            else:
                found.append(self._gather(instruction, dtype, found[instruction.position], here))
        return found

    def offset(self, place: Affine, here: Here) -> Index:
        """The place in a buffer, of lane 0."""
        total: Index = place.offset
        for s, i in zip(place.strides, here.index):
            total = self.b.iadd(total, self.b.imul(i, s))
        return total

    def load(self, buffer: Node, dtype: np.dtype, place: Affine, here: Here) -> Value:
        """Elements of a buffer: one for all lanes, a vector, or one by one."""
        b, memory = self.b, scalars.MEMORY[dtype.name]
        stride = here.stride(place)
        start = b.at(self.pointers[buffer], self.offset(place, here), memory)
        if stride == 0:
            return self._received(b.load(start, memory, dtype.itemsize), dtype)
        if stride == 1:
            return self._received(b.load_some(start, vector(memory, here.lanes), dtype.itemsize, here.existing), dtype)
        found = self._none(memory, here)
        for lane in range(here.existing):
            element = b.load(b.at(start, lane * stride, memory), memory, dtype.itemsize)
            found = b.insert(found, vector(memory, here.lanes), element, lane)
        assert found is not None
        return self._received(found, dtype)

    def _none(self, memory: str, here: Here) -> Value | None:
        """What a vector is before its lanes are filled in: zeros if some of them will not be."""
        return None if here.existing == here.lanes else self.b.const(vector(memory, here.lanes), 0)

    def memory(self, buffer: Node) -> str:
        """The LLVM type of a buffer's elements."""
        return _memory(buffer.dtype)

    def _received(self, x: Value, dtype: np.dtype) -> Value:
        """An element in memory as an element to compute with: booleans are bytes there, bfloat16 half of a float."""
        if is_bfloat16(dtype):
            return bfloat.from_memory(self.b, x)
        return self.b.compare("ne", x, self.b.const(x.type, 0)) if dtype.kind == "b" else x

    def store(self, x: Value, buffer: Node, place: Affine, here: Here) -> None:
        """Write elements to a buffer."""
        b = self.b
        dtype = buffer.dtype
        memory = scalars.MEMORY[dtype.name]
        if dtype.kind == "b":
            x = b.convert(x, memory)
        elif is_bfloat16(dtype):
            x = bfloat.to_memory(b, x)
        x = b.splat(x, here.lanes)
        start = b.at(self.pointers[buffer], self.offset(place, here), memory)
        if here.lanes == 1 or here.stride(place) == 1:
            b.store_some(x, start, dtype.itemsize, here.existing)
            return
        for lane in range(here.existing):
            b.store(b.lane(x, lane), b.at(start, lane * here.stride(place), memory), dtype.itemsize)

    def _apply(self, instruction: Apply, block: Block, found: Sequence[Value]) -> Value:
        args = [found[i] for i in instruction.operands]
        lanes = max(a.lanes for a in args)
        operand = block.dtypes[instruction.operands[-1]]
        wide = [self.b.splat(a, lanes) for a in args]
        return scalars.apply(self.b, instruction.name, wide, operand, np.dtype(instruction.dtype))

    def _random(self, instruction: RandomWord, here: Here) -> Value:
        b, first = self.b, instruction.key
        words = first, Affine(first.offset + 1, first.strides)
        key = [self.load(instruction.buffer, instruction.buffer.dtype, word, here) for word in words]
        place = b.index(self.offset(instruction.place, here))
        stride = here.stride(instruction.place)
        if stride:
            steps = ", ".join(f"i64 {lane * stride}" for lane in range(here.lanes))
            kind = vector("i64", here.lanes)
            place = b.add(b.splat(place, here.lanes), Value(f"<{steps}>", kind))
        return scalars.threefry(b, (key[0], key[1]), place)

    def _gather(self, instruction: Gathered, dtype: np.dtype, position: Value, here: Here) -> Value:
        b = self.b
        position = b.convert(position, "i64")
        if position.lanes == 1:
            moved = b.at(
                self.pointers[instruction.buffer], self.checked_position(position, instruction), _memory(dtype)
            )
            return BlockWriter(b, {instruction.buffer: moved}).load(instruction.buffer, dtype, instruction.place, here)
        found = self._none(_memory(dtype), here)
        stride = here.stride(instruction.place)
        positions = self._checked(position, instruction, here.existing)
        start = self.offset(instruction.place, here)
        for lane in range(here.existing):
            offset = b.iadd(b.imul(b.lane(positions, lane), instruction.step), start)
            address = b.at(self.pointers[instruction.buffer], b.iadd(offset, lane * stride), _memory(dtype))
            element = b.load(address, _memory(dtype), dtype.itemsize)
            found = b.insert(found, vector(_memory(dtype), here.lanes), element, lane)
        assert found is not None
        return self._received(found, dtype)

    def checked_position(self, position: Value, instruction: Gathered) -> Index:
        """The distance of a position from the first; outside the axis the flag is set and the first is taken."""
        return self.b.imul(self._checked(self.b.convert(position, "i64"), instruction, 1), instruction.step)

    def _checked(self, positions: Value, instruction: Gathered, existing: int) -> Value:
        """Positions, or 0 where one lies outside the axis; the flag is set if one of the first ``existing`` does."""
        b = self.b
        inside = b.compare("ult", positions, b.const(positions.type, instruction.size))
        if self.fault is not None:
            outside = b.any_lane(b.binary("xor", inside, b.const(inside.type, 1)), existing)
            with b.when(outside):
                b.store(b.const("i64", 1), self.fault, 8)
        return b.select(inside, positions, b.const(positions.type, 0))


def _memory(dtype: np.dtype) -> str:
    return scalars.MEMORY[dtype.name]
