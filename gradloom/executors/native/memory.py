"""Where every buffer lies: in the caller's arrays, or in one arena that dead buffers leave to later ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradloom.executors.native.fuse import Kernel, Plan, storage
from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Node

ALIGNMENT = 64


@dataclass(frozen=True)
class Memory:
    """Places of buffers.

    Attributes:
        inputs: placeholders and constants that kernels read, in the order of the table of addresses.
        outputs: computed results that kernels write straight into the caller's arrays, likewise.
        offsets: the byte at which every other buffer begins in the arena.
        size: bytes of the arena.
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    offsets: dict[Node, int]
    size: int


def place_buffers(plan: Plan) -> Memory:
    """Assign places; first fit among what is free when a buffer is first written."""
    last_use = _last_uses(plan.kernels)
    read = dict.fromkeys(storage(b) for k in plan.kernels for b in k.reads())
    inputs = tuple(n for n in read if n.op in (PLACEHOLDER, CONSTANT))
    roots = dict.fromkeys(storage(y) for y in plan.graph.outputs)
    outputs = tuple(n for n in roots if n.op not in (PLACEHOLDER, CONSTANT))
    arena = _Arena()
    for step, kernel in enumerate(plan.kernels):
        for node in kernel.results:
            if node not in outputs:
                arena.put(node, node.tensor_type.size * node.dtype.itemsize)
        for node in list(arena.live):
            if last_use.get(node, step) <= step:
                arena.drop(node)
    return Memory(inputs, outputs, arena.offsets, arena.size)


def _last_uses(kernels: Sequence[Kernel]) -> dict[Node, int]:
    return {storage(b): step for step, kernel in enumerate(kernels) for b in kernel.reads()}


class _Arena:
    """Live intervals of bytes."""

    def __init__(self) -> None:
        self.offsets: dict[Node, int] = {}
        self.live: dict[Node, tuple[int, int]] = {}
        self.size = 0

    def put(self, node: Node, size: int) -> None:
        """The lowest gap that is large enough."""
        size = -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
        start = 0
        for low, high in sorted(self.live.values()):
            if low - start >= size:
                break
            start = max(start, high)
        self.live[node] = start, start + size
        self.offsets[node] = start
        self.size = max(self.size, start + size)

    def drop(self, node: Node) -> None:
        """Give the bytes of a dead buffer back."""
        del self.live[node]
