"""A program run on chunks whose results are added up in a fixed tree, whoever computes which chunk.

The chunks are the leaves of a binary tree that halves them again and again.  Floating-point addition is not
associative, so the tree decides the bits: it follows from the number of chunks alone.  A process has a range of chunks
and adds up what lies within it; the sums that cross the ranges are left to one process.  Each chunk has a slot, and the
sum of a part of the tree lies in the slot of its first chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from gradloom import executors
from gradloom.ir.graph import Graph
from gradloom.parallel.memory import Kind, Shared
from gradloom.records import dataclass


@dataclass(frozen=True)
class Task:
    """What the processes work on together.

    Attributes:
        graph: gives the results of a chunk; its inputs are the common ones, the data, and the number of the chunk.
        executor: the name of what runs it.
        common: kinds of the inputs that are written before every step.
        data: kinds of those that change rarely.
        slot: kinds of the results.
        chunks: how many there are.
    """

    graph: Graph
    executor: str
    common: list[Kind]
    data: list[Kind]
    slot: list[Kind]
    chunks: int

    def memory(self, exchange: Shared, data: Shared) -> Memory:
        """The arrays of the task in files that several processes have."""
        arrays = exchange.arrays([*self.common, *self.slot * self.chunks])
        split, each = len(self.common), len(self.slot)
        slots = [arrays[start : start + each] for start in range(split, len(arrays), each)]
        return Memory(arrays[:split], data.arrays(self.data), slots)


@dataclass(frozen=True)
class Memory:
    """The arrays of a task; see :class:`Task`."""

    common: list[np.ndarray]
    data: list[np.ndarray]
    slots: list[list[np.ndarray]]

    def add(self, sums: Sequence[tuple[int, int, int]]) -> None:
        """Add up what :func:`merges` says."""
        for first, middle, _ in sums:
            for left, right in zip(self.slots[first], self.slots[middle]):
                np.add(left, right, out=left)


class Share:
    """One process's part of a task.

    Args:
        task: the whole.
        memory: its arrays.
        first: the first chunk of the part.
        last: the chunk behind the last.
    """

    def __init__(self, task: Task, memory: Memory, first: int, last: int) -> None:
        self._program = executors.get(task.executor).compile(task.graph, flush_denormals=True)
        self._call = self._program.bound([*memory.common, *memory.data])
        self._memory = memory
        self._work = [
            (np.asarray(chunk), [m for m in merges(0, task.chunks) if m[2] == chunk + 1 and m[0] >= first])
            for chunk in range(first, last)
        ]

    def __call__(self) -> None:
        """Compute the chunks and add them up."""
        for chunk, sums in self._work:
            for kept, found in zip(self._memory.slots[int(chunk)], self._call([chunk])):
                np.copyto(kept, found)
            self._memory.add(sums)


def merges(first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """The sums of the tree over some chunks, each after those that it needs.

    Yields:
        (first, middle, last): what lies in the slots of ``first`` and ``middle`` makes the sum of the chunks from
        ``first`` to below ``last``.
    """
    if last - first > 1:
        middle = (first + last) // 2
        yield from merges(first, middle)
        yield from merges(middle, last)
        yield first, middle, last


def shares(chunks: int, workers: int) -> list[tuple[int, int]]:
    """The range of chunks of each worker, as even as can be."""
    ends = [chunks * i // workers for i in range(workers + 1)]
    return list(pairwise(ends))


def left_over(chunks: int, workers: int) -> list[tuple[int, int, int]]:
    """The sums that no worker can make, for they cross the ranges."""
    ranges = shares(chunks, workers)
    return [m for m in merges(0, chunks) if not any(a <= m[0] and m[2] <= b for a, b in ranges)]
