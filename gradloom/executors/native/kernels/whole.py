"""What kernels that read and write whole tensors share: arrays with strides, and the division of work into units."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from gradloom.executors.native import scalars
from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.loops import contiguous
from gradloom.ir.graph import Node
from gradloom.records import dataclass

MOST_UNITS, FEWEST_UNITS = 64, 8
WORKING_MEMORY = 2**24  # bytes that all units together may have where there are more than the fewest


@dataclass(frozen=True)
class Array:
    """A tensor in memory from one of its elements on, with the distances of neighbours along each axis.

    Elements of type half are computed with as float.
    """

    b: Function
    pointer: Value
    element: str
    itemsize: int
    strides: tuple[int, ...]

    def at(self, *index: Index) -> Array:
        """The same array from the element at ``index`` on; axes that are not named stay where they are."""
        offset: Index = 0
        for i, stride in zip(index, self.strides):
            offset = self.b.iadd(offset, self.b.imul(i, stride))
        return replace(self, pointer=self.b.at(self.pointer, offset, self.element))

    def load(self, *index: Index, lanes: int = 1, valid: int | None = None) -> Value:
        """The element at ``index``, or so many from there on in memory; of these only the first ``valid`` are read."""
        count = lanes if valid is None else valid
        found = self.b.load_some(self.at(*index).pointer, vector(self.element, lanes), self.itemsize, count)
        return self.b.convert(found, "float") if self.element == "half" else found

    def store(self, x: Value, *index: Index, valid: int | None = None) -> None:
        """Write an element or a vector, or of this the first ``valid`` elements."""
        count = x.lanes if valid is None else valid
        self.b.store_some(self.b.convert(x, self.element), self.at(*index).pointer, self.itemsize, count)

    def item(self, i: Index) -> Array:
        """Element ``i`` of the first axis, with the axes behind it."""
        return replace(self.at(i), strides=self.strides[1:])

    def tail(self, axes: int) -> Array:
        """The last axes alone, from the element where the array begins."""
        return replace(self, strides=self.strides[-axes:])

    def turned(self) -> Array:
        """The axes of a matrix exchanged."""
        return replace(self, strides=self.strides[::-1])

    def backwards(self, *sizes: int) -> Array:
        """The first axes, of these sizes, from their last element to their first."""
        last, turned = self.at(*(n - 1 for n in sizes)), len(sizes)
        return replace(last, strides=(*(-s for s in self.strides[:turned]), *self.strides[turned:]))


def array(writer: BlockWriter, node: Node, *, bits: bool = False) -> Array:
    """A buffer as an array; ``bits``: its elements as integers of their width."""
    size = node.dtype.itemsize
    element = f"i{8 * size}" if bits else scalars.MEMORY[node.dtype.name]
    return Array(writer.b, writer.pointers[node], element, size, contiguous(node.shape))


def local_array(b: Function, element: str, itemsize: int, *sizes: int) -> Array:
    """An array on the stack."""
    strides = contiguous(sizes)
    return Array(b, b.local(f"[{strides[0] * sizes[0]} x {element}]"), element, itemsize, strides)


def local_sums(writer: BlockWriter, unit: Index, size: int, shape: tuple[int, ...]) -> Array:
    """An array of single precision in a unit's working memory of so many bytes."""
    return Array(writer.b, writer.working_memory(unit, size), "float", 4, contiguous(shape))


def core_of(kernel: Kernel) -> Node:
    """The node that a kernel computes."""
    assert kernel.core is not None
    return kernel.core


def ascending(b: Function, element: str, lanes: int, first: int = 0) -> Value:
    """A vector of first, first + 1, ..."""
    if lanes == 1:
        return b.const(element, first)
    listed = ", ".join(f"{element} {first + lane}" for lane in range(lanes))
    return Value(f"<{listed}>", vector(element, lanes))


def units_for(items: int, memory: int) -> int:
    """Into how many units equal items are divided, when each unit needs so many bytes to work with."""
    return max(1, min(items, MOST_UNITS, max(FEWEST_UNITS, WORKING_MEMORY // max(memory, 1))))


@contextlib.contextmanager
def each(b: Function, items: int, units: int) -> Iterator[tuple[Value, Value]]:
    """A loop over the items of this thread's units; gives the item, and its unit, whose memory it works in."""
    with b.loop(b.param("begin"), b.param("end")) as unit:
        first = b.index(b.idiv(b.imul(unit, items), units))
        last = b.index(b.idiv(b.index(b.imul(b.iadd(unit, 1), items)), units))
        with b.loop(first, last) as item:
            yield item, unit


def unravelled(b: Function, number: Index, sizes: Sequence[int]) -> list[Index]:
    """The index with this number, last axis fastest."""
    index: list[Index] = []
    for n in reversed(sizes[1:]):
        index.insert(0, b.irem(number, n))
        number = b.idiv(number, n)
    return [number, *index] if sizes else []


Turn = Callable[[list[Index], list[Value]], list[Value]]


def nest(b: Function, ranges: Sequence[tuple[Index, Index]], carried: list[Value], body: Turn) -> list[Value]:
    """Loops inside loops, over first ≤ i < last, that carry values; ``body(index, carried)`` gives the next ones."""
    if not ranges:
        return body([], carried)
    (first, last), *rest = ranges
    i, inside, finish = b.loop_carrying(b.index(first), b.index(last), 1, carried)
    return finish(nest(b, rest, inside, lambda index, values: body([i, *index], values)))


def across(b: Function, x: Value) -> Value:
    """The sum of a vector's elements: halves added to halves."""
    while x.lanes > 1:
        half = x.lanes // 2
        kind = vector(x.element, half)
        parts = []
        for first in (0, half):
            places = ", ".join(f"i32 {first + i}" for i in range(half))
            text = f"shufflevector {x.type} {x.text}, {x.type} poison, <{half} x i32> <{places}>"
            parts.append(b.lane(x, first) if half == 1 else b.emit(kind, text))
        x = b.add(*parts)
    return x
