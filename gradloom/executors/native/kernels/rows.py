"""Joined kernels: all that happens to a block of rows, then the next block (see the pass rows.py)."""

from __future__ import annotations

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Index, Value
from gradloom.executors.native.kernel import Kernel, storage
from gradloom.executors.native.kernels import elementwise, reduction
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are blocks of rows."""
    b, (rows,) = writer.b, {units(member, target)[0] for member in kernel.members}
    room = {n: b.local(f"[{kernel.rows * _row_bytes(n, rows)} x i8]") for n in kernel.local}
    with b.loop(writer.begin, writer.end) as block:
        first = b.imul(block, kernel.rows)
        last = b.imin(b.iadd(first, kernel.rows), rows)
        for member in kernel.members:
            pointers = {n: _address(writer, n, first, room, rows) for n in member.buffers()}
            each = units(member, target)[1]
            inside = BlockWriter(b, pointers, writer.fault, b.imul(first, each), b.imul(last, each))
            (elementwise if member.core is None else reduction).write(inside, member, target)
    return -(-rows // kernel.rows)


def units(member: Kernel, target: Target) -> tuple[int, int]:
    """The rows that a member walks, and its units in each."""
    loops = (elementwise if member.core is None else reduction).units(member, target)
    each = 1
    for n in loops[1:]:
        each *= n
    return loops[0], each


def _row_bytes(node: Node, rows: int) -> int:
    return node.tensor_type.size // rows * node.dtype.itemsize


def _address(writer: BlockWriter, buffer: Node, first: Index, room: dict[Node, Value], rows: int) -> Value:
    """Where row 0 of a buffer lies; of one that has room for a block alone, where it would lie."""
    root = storage(buffer)
    if root not in room:
        return writer.pointers[buffer]
    before = writer.b.index(writer.b.imul(first, -_row_bytes(root, rows)))
    return writer.b.emit("ptr", f"getelementptr i8, ptr {room[root].text}, i64 {before.text}")
