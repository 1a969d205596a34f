"""Joined kernels: all that happens to a block of rows, then the next block (see the pass rows.py)."""

from __future__ import annotations

import math
from collections.abc import Callable

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Index, Value
from gradloom.executors.native.kernel import Kernel, storage
from gradloom.executors.native.kernels import conv_rows, elementwise, reduction
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ops import convolution


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are blocks of rows."""
    b, rows = writer.b, math.prod(kernel.shape)
    room = {n: b.local(f"[{kernel.rows * _row_bytes(n, rows)} x i8]") for n in kernel.local}
    with b.loop(writer.begin, writer.end) as block:
        first = b.imul(block, kernel.rows)
        last = b.imin(b.iadd(first, kernel.rows), rows)
        for member in kernel.members:
            pointers = {n: _address(writer, n, first, room, rows) for n in member.buffers()}
            writes, units = _loops(member, target)
            each = units // rows
            writes(BlockWriter(b, pointers, writer.fault, b.imul(first, each), b.imul(last, each)), member, target)
    return -(-rows // kernel.rows)


def _loops(member: Kernel, target: Target) -> tuple[Callable[[BlockWriter, Kernel, Target], int], int]:
    """What writes a member, and how many units it has in all rows."""
    if member.core is None:
        return elementwise.write, math.prod(elementwise.units(member, target))
    if member.core.op is convolution.conv:
        return conv_rows.write, conv_rows.units(member)
    if member.core.op is convolution.conv_input_gradient:
        return conv_rows.write_input_gradient, conv_rows.units(member)
    return reduction.write, math.prod(reduction.units(member, target))


def _row_bytes(node: Node, rows: int) -> int:
    return node.tensor_type.size // rows * node.dtype.itemsize


def _address(writer: BlockWriter, buffer: Node, first: Index, room: dict[Node, Value], rows: int) -> Value:
    """Where row 0 of a buffer lies; of one that has room for a block alone, where it would lie."""
    root = storage(buffer)
    if root not in room:
        return writer.pointers[buffer]
    before = writer.b.index(writer.b.imul(first, -_row_bytes(root, rows)))
    return writer.b.emit("ptr", f"getelementptr i8, ptr {room[root].text}, i64 {before.text}")
