"""Units: the parts into which the work of a kernel is divided, numbered in one row.

They are turns of outer loops, counted together.  How many there are depends on the problem's size alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradloom.executors.native.builder import Function, Index

ENOUGH = 32
"""Units from which on a kernel can be shared evenly among threads."""


def outer_loops(sizes: Sequence[int]) -> int:
    """How many of the outer loops together make enough units (all of them where even these do not)."""
    count = 1
    for n, size in enumerate(sizes):
        if count >= ENOUGH:
            return n
        count *= size
    return len(sizes)


def decode(b: Function, unit: Index, sizes: Sequence[int]) -> list[Index]:
    """The turn of every loop in a unit, the last loop fastest."""
    index: list[Index] = []
    for size in reversed(sizes[1:]):
        index.insert(0, b.irem(unit, size))
        unit = b.idiv(unit, size)
    return [unit, *index] if sizes else []
