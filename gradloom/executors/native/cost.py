"""What a kernel costs at least: the bytes that it must read and write once, and its arithmetic operations.

Bytes are counted by what the loops touch, not by the size of buffers: a batch gathered from a large data set costs the
batch.  What joined kernels hand each other a block of rows at a time never leaves the cache, and costs none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from gradloom.executors.native import kernels
from gradloom.executors.native.kernel import SCATTERS, Kernel, storage
from gradloom.executors.native.loops import Affine, Apply, Block, Gathered, Load
from gradloom.ir.graph import Node
from gradloom.records import dataclass


@dataclass(frozen=True)
class Cost:
    """Of one call of a kernel.

    Attributes:
        read: bytes.
        written: bytes.
        operations: additions, multiplications and calls of elementary functions; a multiply-add counts two.
    """

    read: int
    written: int
    operations: int


def cost(kernel: Kernel) -> Cost:
    """What a kernel costs at least."""
    return Cost(_bytes(_reads(kernel)), _bytes(_writes(kernel)), operations(kernel))


def operations(kernel: Kernel) -> int:
    """Arithmetic operations of a kernel; a multiply-add counts two."""
    if kernel.members:
        return sum(map(operations, kernel.members))
    counted = kernels.operations(kernel)
    if counted is not None:
        return counted
    results = math.prod(kernel.shape)
    count = results * _applied(kernel.block)
    if kernel.is_product:
        count += results * 2 * math.prod(kernel.segments[3])
    elif kernel.inner is not None:
        count += kernel.inner_turns * (1 + _applied(kernel.inner))
    return count


def _applied(block: Block) -> int:
    return sum(isinstance(i, Apply) for i in block.code)


Touched = tuple[Node, object, int]
"""A buffer, a place in it (equal places count once), and how many of its elements lie there at most."""


def _bytes(touched: Iterable[Touched]) -> int:
    """The bytes of all places; those of a buffer are no more than it has."""
    elements: dict[Node, int] = {}
    for buffer, _, count in dict.fromkeys(touched):
        elements[buffer] = elements.get(buffer, 0) + count
    return sum(min(count, b.tensor_type.size) * b.dtype.itemsize for b, count in elements.items())


def _reads(kernel: Kernel) -> list[Touched]:
    if kernel.members:
        return [t for member in kernel.members for t in _reads(member) if t[0] not in kernel.local]
    if kernel.whole:
        return [_all_of(x) for x in kernel.core_inputs()]
    results = kernel.shape
    found = _loads(kernel.block, results)
    if kernel.inner is not None:
        scatters = kernel.core is not None and kernel.core.op in SCATTERS
        found += _loads(kernel.inner, kernel.reduced if scatters else (*results, *kernel.reduced))
        found += _scattered(kernel) if scatters else []
    loops = [n for segment in kernel.segments for n in segment]
    for load in kernel.operands:  # those of convolutions have no loops of their own, and are read whole
        found.append((storage(load.buffer), load.place, _reached(load.place, loops)) if loops else _all_of(load.buffer))
    return found + ([_all_of(kernel.partial.buffer)] if kernel.partial else [])


def _writes(kernel: Kernel) -> list[Touched]:
    if kernel.members:
        return [t for member in kernel.members for t in _writes(member) if t[0] not in kernel.local]
    if kernel.whole:
        return [_all_of(b) for b in kernel.results]
    if kernel.core is not None and kernel.core.op in SCATTERS:
        return _scattered(kernel)
    found: list[Touched] = [(storage(s.buffer), s.place, math.prod(kernel.shape)) for s in kernel.stores]
    found += [_all_of(b) for b in kernel.pooling.buffers] if kernel.pooling else []
    return found + ([_all_of(kernel.partial.buffer)] if kernel.partial else [])


def _scattered(kernel: Kernel) -> list[Touched]:
    """The elements that a scatter adds to."""
    return [(storage(b), "added", kernel.inner_turns) for b in kernel.results]


def _all_of(buffer: Node) -> Touched:
    return storage(buffer), "all", buffer.tensor_type.size


def _loads(block: Block, loops: Sequence[int]) -> list[Touched]:
    """What the instructions of a block read; what is gathered may lie elsewhere in every turn."""
    turns = math.prod(loops)
    return [
        (storage(i.buffer), i.place, turns if isinstance(i, Gathered) else _reached(i.place, loops))
        for i in block.code
        if isinstance(i, (Load, Gathered))
    ]


def _reached(place: Affine, loops: Sequence[int]) -> int:
    """How many elements an affine place goes through: loops that do not move it see the same ones again."""
    return math.prod(n for n, stride in zip(loops, place.strides) if stride)
