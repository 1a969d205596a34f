"""Rows of a product's left operand: read where they are, or copied so that they lie close together.

The elements of a tile's rows are read again for every panel of columns.  Where the operand is transposed each summed
element of a row lies on another line, far from the next; a copy of a few rows stays in the first-level cache.
"""

from __future__ import annotations

from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.kernels.tiling import cover
from gradloom.records import dataclass

MOST_BYTES = 64 * 1024  # of a copy, for it lies on the stack
ALIGNMENT = 64


@dataclass(frozen=True)
class LeftRows:
    """Some rows.

    Attributes:
        start: the first element.
        by_row: how far apart rows are.
        by_depth: how far apart the elements of a row are.
        kind: LLVM's name of the elements' type.
    """

    start: Value
    by_row: int
    by_depth: int
    kind: str


@dataclass(frozen=True)
class Elements:
    """A type of elements: LLVM's name, bytes, and how many fit a vector."""

    kind: str
    itemsize: int
    lanes: int


def worth_copying(source: LeftRows, rows: int, depth: int, kind: Elements) -> bool:
    """Whether the elements of a row lie on a line each, and vectors can copy them."""
    return source.by_row == 1 != source.by_depth and kind.lanes <= depth and rows * depth * kind.itemsize <= MOST_BYTES


def copied(b: Function, source: LeftRows, rows: int, most: int, depth: Index, kind: Elements) -> LeftRows:
    """A copy on the stack of ``depth`` summed elements (at most ``most``) of each row, all rows' side by side."""
    parts = cover(rows, kind.lanes)
    pitch = parts[-1].first + parts[-1].width
    room = b.local(f"[{most * pitch} x {kind.kind}]", ALIGNMENT)
    with b.loop(0, depth) as k:
        x, y = (b.at(p, b.imul(k, by), kind.kind) for p, by in ((source.start, source.by_depth), (room, pitch)))
        for part in parts:
            found = b.load_some(
                b.at(x, part.first, kind.kind), vector(kind.kind, part.width), kind.itemsize, part.valid
            )
            b.store(found, b.at(y, part.first, kind.kind), kind.itemsize)
    return LeftRows(room, 1, pitch, kind.kind)
