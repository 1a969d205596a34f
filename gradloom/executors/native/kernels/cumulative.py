"""Running sums along an axis: the loop along the axis carries the sum, all other loops are around it."""

from __future__ import annotations

import math

from gradloom.executors.native import scalars
from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Index, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.elementwise import Row, lanes_of
from gradloom.executors.native.target import Target


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are turns of the loops in front of the axis."""
    assert kernel.core is not None
    assert kernel.inner is not None
    b, shape, node, inner = writer.b, kernel.shape, kernel.core, kernel.inner
    axis = node.attrs["axis"]
    before, behind = shape[:axis], shape[axis + 1 :]
    row = Row(b, lanes_of(target, inner) if behind else 1)

    def column(outer: list[Index], inside: list[Index], lanes: int) -> None:
        """All sums of one line along the axis, or of a vector of lines."""
        kind = vector(scalars.REGISTER[node.dtype.name], lanes)
        i, (total,), finish = b.loop_carrying(0, shape[axis], 1, [b.const(kind, 0)])
        place = b.iadd(b.imul(i, -1), shape[axis] - 1) if node.attrs["reverse"] else i
        here = Here([*outer, place, *inside], lanes, len(shape) - 1)
        values = writer.values(inner, here, {})
        total = b.add(total, b.splat(values[kernel.inner_value], lanes))
        for s in kernel.stores:
            writer.store(total, s.buffer, s.place, here)
        finish([total])

    def lines(outer: list[Index], inside: list[Index], sizes: tuple[int, ...]) -> None:
        if not sizes:
            column(outer, inside, 1)
        elif len(sizes) == 1:
            row.cover(0, sizes[0], lambda k, lanes: column(outer, [*inside, k], lanes))
        else:
            with b.loop(0, sizes[0]) as k:
                lines(outer, [*inside, k], sizes[1:])

    with b.loop(b.param("begin"), b.param("end")) as unit:
        left: Index = unit
        outer: list[Index] = []
        for n in reversed(before):
            outer.insert(0, b.irem(left, n))
            left = b.idiv(left, n)
        lines(outer, [], behind)
    return math.prod(before)
