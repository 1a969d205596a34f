"""Rows of a product's left operand: read where they are, or copied so that they lie close together.

The elements of a tile's rows are read again for every panel of columns.  Where rows, or the elements of a row, lie far
apart they share few places in the first-level cache, so that each panel would fetch them anew; a copy stays there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gradloom.executors.native.builder import Function, Value, vector
from gradloom.executors.native.kernels.tiling import cover

MOST_BYTES = 24 * 1024  # of a copy of rows that vectors can read, for it is to stay in the first-level cache
MOST_SCATTERED = 64 * 1024  # of a copy of rows whose elements lie apart, for it lies on the stack
CONFLICT = 512  # bytes: rows that lie multiples of this apart share few places in the first-level cache
ALIGNMENT = 64


@dataclass(frozen=True)
class LeftRows:
    """Some rows.

    Attributes:
        start: the first element.
        rows: how many they are.
        by_row: how far apart rows are.
        by_depth: how far apart the elements of a row are.
        following: of a copy of rows that lay in one piece each, the rows of the next group, which are copied next.
    """

    start: Value
    rows: int
    by_row: int
    by_depth: int
    following: LeftRows | None = None


@dataclass(frozen=True)
class Elements:
    """A type of elements: LLVM's name, bytes, and how many fit a vector."""

    kind: str
    itemsize: int
    lanes: int


def worth_copying(source: LeftRows, depth: int, kind: Elements) -> bool:
    """Whether the rows' lines would push each other out of the cache, and vectors can copy them.

    They do where rows lie a multiple of pages apart, and where the elements of a row lie on a line each.
    """
    size = source.rows * depth * kind.itemsize
    if depth < kind.lanes:
        return False
    if source.by_depth == 1:
        return source.by_row * kind.itemsize % CONFLICT == 0 and size <= MOST_BYTES
    return source.by_row == 1 and size <= MOST_SCATTERED


def copied(b: Function, source: LeftRows, depth: int, kind: Elements) -> LeftRows:
    """A copy on the stack of rows ``depth`` long, in the order in which their elements are neighbours."""
    by_row = source.by_depth == 1
    count, run = (source.rows, depth) if by_row else (depth, source.rows)
    last = cover(run, kind.lanes)[-1]
    pitch = last.first + last.width + (kind.lanes if by_row else 0)  # odd multiples of a line use the cache evenly
    room = b.local(f"[{count * pitch} x {kind.kind}]", ALIGNMENT)
    with b.loop(0, count) as i:
        start = b.at(source.start, b.imul(i, source.by_row if by_row else source.by_depth), kind.kind)
        _copy_run(b, start, b.at(room, b.imul(i, pitch), kind.kind), run, kind)
    following = replace(source, start=b.at(source.start, source.rows * source.by_row, kind.kind)) if by_row else None
    return LeftRows(room, source.rows, pitch if by_row else 1, 1 if by_row else pitch, following)


def _copy_run(b: Function, source: Value, target: Value, count: int, kind: Elements) -> None:
    """Copy neighbouring elements; the last vector may write over the end."""
    whole = count // kind.lanes * kind.lanes
    if whole:
        with b.loop(0, whole, kind.lanes) as i:
            x = b.load(b.at(source, i, kind.kind), vector(kind.kind, kind.lanes), kind.itemsize)
            b.store(x, b.at(target, i, kind.kind), kind.itemsize)
    for part in cover(count - whole, kind.lanes):
        place = whole + part.first
        x = b.load_some(b.at(source, place, kind.kind), vector(kind.kind, part.width), kind.itemsize, part.valid)
        b.store(x, b.at(target, place, kind.kind), kind.itemsize)
