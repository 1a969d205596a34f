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


def even_blocks(length: int, rows: int, most: int) -> int | None:
    """Into how many even blocks a loop over all elements of some rows is cut: ``most``, or down to half as many.

    Blocks that are whole rows, or parts of one, are better: a kernel that goes row after row can have them (rows.py).
    """
    even = [n for n in range(most, most // 2, -1) if length % n == 0]
    return next((n for n in even if n % rows == 0 or rows % n == 0), even[0] if even else None)


def decode(b: Function, unit: Index, sizes: Sequence[int]) -> list[Index]:
    """The turn of every loop in a unit, the last loop fastest."""
    index: list[Index] = []
    for size in reversed(sizes[1:]):
        index.insert(0, b.irem(unit, size))
        unit = b.idiv(unit, size)
    return [unit, *index] if sizes else []
