"""How a matrix product is cut: register tiles, blocks for the caches, units for the threads.

Three levels, as in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008:

- A *tile* of the result, some rows by a few vectors of columns, stays in registers while the inner loop runs.
- A *block* of rows and columns shares what it reads: its columns of the right operand stay in the second-level cache.
- A long sum is cut into blocks of *depth*, so that what a tile reads stays in the caches as well.

All of it follows from the sizes of the product and from the machine, never from the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradloom.executors.native.target import Target

MOST_ROWS = 14
SECOND_LEVEL = 384 * 1024  # bytes of the right operand that are to stay in the second-level cache
DEEPEST = 3200  # bytes of a row of the left operand from which a sum is cut
DEPTH = 1376  # and into blocks of at most how many
UNITS = 32  # parts that a large product is to have at least, for the threads
FEWEST_SWEEPS = 4  # tiles that must share some rows of the left operand for a copy of these to pay


@dataclass(frozen=True)
class Lanes:
    """A vector of a tile: where it begins, how wide it is, how many of its lanes exist."""

    first: int
    width: int
    valid: int


def cover(count: int, lanes: int) -> tuple[Lanes, ...]:
    """Vectors over ``count`` elements; the last is as narrow as it may be, and may reach over the end."""
    found = [Lanes(first, lanes, lanes) for first in range(0, count - lanes + 1, lanes)]
    rest = count % lanes
    if rest:
        found.append(Lanes(count - rest, 1 << (rest - 1).bit_length(), rest))
    return tuple(found)


@dataclass(frozen=True)
class Split:
    """``total`` things in ``parts`` groups, the first ``larger`` of which have one more than ``size``."""

    total: int
    parts: int

    @property
    def size(self) -> int:
        """Things in a smaller group."""
        return self.total // self.parts

    @property
    def larger(self) -> int:
        """How many groups have one more."""
        return self.total % self.parts


@dataclass(frozen=True)
class Tiling:
    """How the result of a product is cut.

    Attributes:
        rows: rows in groups, the heights of tiles.
        vectors: the vectors of a full panel of columns.
        full: number of full panels.
        rest: the vectors of the last, narrower panel.
        row_blocks: groups of rows in blocks.
        column_blocks: panels in blocks.
        depth: summed elements of a block.
        steps: number of blocks of depth.
    """

    rows: Split
    vectors: tuple[Lanes, ...]
    full: int
    rest: tuple[Lanes, ...]
    row_blocks: Split
    column_blocks: Split
    depth: int
    steps: int

    @property
    def width(self) -> int:
        """Columns of a full panel."""
        return sum(v.width for v in self.vectors)

    @property
    def panels(self) -> int:
        """Number of panels."""
        return self.full + bool(self.rest)


def tile_shape(m: int, n: int, lanes: int, registers: int) -> tuple[int, int]:
    """Most rows and number of vectors of a tile: rows · vectors sums, the vectors, and one repeated element.

    Few rows leave registers for more columns, which are read in longer runs then.
    """
    across = -(-n // lanes)
    rows, vectors = 1, 1
    for vectors in (8, 6, 4, 3, 2, 1):
        rows = min(MOST_ROWS, (registers - 1 - vectors) // vectors)
        if vectors <= across and rows >= 1 and (vectors <= 2 or rows >= m):
            break
    return rows, vectors


def tiling(m: int, n: int, k: int, itemsize: int, target: Target, *, cut_depth: bool = True) -> Tiling:
    """Cut a product of ``m`` rows, ``n`` columns and ``k`` summed elements."""
    lanes = target.lanes(itemsize)
    most, across = tile_shape(m, n, lanes, target.registers)
    rows = Split(m, -(-m // most))
    width = across * lanes
    panels = -(-n // width)
    steps = -(-k * itemsize // DEPTH) if cut_depth and k * itemsize > DEEPEST else 1
    depth = -(-k // steps) if k else 0
    panel_bytes = max(1, depth * width * itemsize)
    column_blocks = -(-panels // max(1, SECOND_LEVEL // panel_bytes))
    # One group of rows a block reads the right operand anew for each; more share what a block of depth holds.
    together = max(1, min(10 if steps > 1 else 1, rows.parts * column_blocks // UNITS))
    return Tiling(
        rows,
        cover(width, lanes),
        n // width,
        cover(n % width, lanes),
        Split(rows.parts, -(-rows.parts // together)),
        Split(panels, column_blocks),
        depth,
        steps,
    )
