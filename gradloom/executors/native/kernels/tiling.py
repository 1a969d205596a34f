"""How a matrix product is cut: register tiles, blocks for the caches, units for the threads.

Three levels, as in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008:

- A *tile* of the result, some rows by a few vectors of columns, stays in registers while the inner loop runs.
- A *block* of columns is walked by all rows, so that its part of the right operand stays in the second-level cache.
- A long sum is cut into *steps*, so that what a block reads stays there as well.

All of it follows from the sizes of the product and from the machine, never from the number of threads.
"""

from __future__ import annotations

from enum import Enum

from gradloom.executors.native.target import Target
from gradloom.records import dataclass

MOST_ROWS = 14
TURNED_ROWS = 8  # of a tile whose left operand is transposed: its rows are copied half a cache line at a time
MANY_ROWS = 64  # of a result, for such tiles
ENOUGH_ROWS = 6  # of a tile: with so many, loading the right operand costs little beside the multiply-adds
SAVING = 0.95  # of the rows that tiles cover, from which lower tiles pay
LOADING = 0.1  # cycles that a load costs beside the multiply-adds, which have to wait for room in the caches
LATENCY = 4  # cycles from a multiply-add to the next that needs its sum; two begin in each
SECOND_LEVEL = 400 * 1024  # bytes of the right operand that are to stay in the second-level cache
DEEPEST = 2048  # bytes of a row of the left operand that are summed at once; more in steps
DEPTH = 1600  # of at most so many
SHALLOW = 1024  # of so many where one tile has all rows: a large right operand is copied in long pieces of its rows
TOGETHER = 2  # summed elements in a turn of the inner loop; steps are whole turns
FEWEST_GROUPS = 4  # of rows, for a long sum to run in steps: fewer read the right operand too seldom
MOST_COPIES = 8  # blocks of a copied operand that may lie in memory at once in a step
UNITS = 32  # parts that a large product is to have at least, for the threads
OWN_BLOCKS = 4  # blocks of columns, two panels or more in each, where threads had better read parts of their own


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


class Packs(Enum):
    """When the right operand is copied, block by block, into panels that lie in one piece."""

    NEVER = 0
    ASTRIDE = 1  # where it does not begin at a cache line, so that each of its vectors would lie on two
    ALWAYS = 2


@dataclass(frozen=True)
class Tiling:
    """How the result of a product is cut.

    Attributes:
        height: rows of a tile.
        groups: groups of rows so high; the last begins earlier where they do not come out even.
        vectors: the vectors of a full panel of columns.
        full: number of full panels.
        rest: the vectors of the last, narrower panel.
        row_blocks: groups of rows in units.
        column_blocks: panels in blocks.
        depth: summed elements of a step.
        steps: how many steps a sum takes.
        packing: whether the right operand is copied.
    """

    height: int
    groups: int
    vectors: tuple[Lanes, ...]
    full: int
    rest: tuple[Lanes, ...]
    row_blocks: Split
    column_blocks: Split
    depth: int
    steps: int
    packing: Packs

    @property
    def width(self) -> int:
        """Columns of a full panel."""
        return sum(v.width for v in self.vectors)

    @property
    def panels(self) -> int:
        """Number of panels."""
        return self.full + bool(self.rest)

    @property
    def block_elements(self) -> int:
        """Elements of the right operand that a block holds in a step."""
        blocks = self.column_blocks
        return (blocks.size + bool(blocks.larger)) * self.depth * self.width


def tile_shape(m: int, n: int, lanes: int, registers: int, turned: bool = False) -> tuple[int, int]:
    """Rows and number of vectors of a tile: rows · vectors sums, the vectors, and one repeated element.

    Wide tiles load least, for each repeated element serves all vectors; but they need rows enough.  A single tile of
    all rows reads the right operand once.  Else, of those with enough rows, the one that wastes least at the lower edge
    and in the last panel is taken.

    Args:
        m: rows of the result.
        n: its columns.
        lanes: elements of a vector.
        registers: for vectors.
        turned: whether the left operand lies transposed in memory.
    """
    across = -(-n // lanes)
    shapes = [(min(MOST_ROWS, (registers - 1 - v) // v), v) for v in (8, 6, 4, 3, 2, 1) if v <= across or v == 1]
    if single := [shape for shape in shapes if shape[0] >= m and shape[1] >= min(2, across)]:
        return single[0]
    if turned and m >= MANY_ROWS and (wide := [v for rows, v in shapes if rows >= TURNED_ROWS and v > 2]):
        return TURNED_ROWS, wide[0]
    enough = next(i for i, (rows, v) in enumerate(shapes) if rows >= min(m, ENOUGH_ROWS) or v == 1)
    return min(shapes[enough:], key=lambda shape: _cycles(m, across, *shape))


def tile_height(m: int, most: int) -> int:
    """Rows of a tile, so that tiles cover ``m`` rows about evenly: fewer than possible where that saves a lot."""

    def covered(height: int) -> int:
        return -(-m // height) * height

    tallest = -(-m // -(-m // most))
    lower = range(max(1, tallest - 1), max(1, tallest * 2 // 3) - 1, -1)
    return min((tallest, *(h for h in lower if covered(h) < SAVING * covered(tallest))), key=covered)


def _cycles(m: int, across: int, most: int, vectors: int) -> float:
    """What a row costs for each summed element: two multiply-adds a cycle, but no chain of them faster than it is."""
    rows = tile_height(m, most)
    waste = -(-m // rows) * rows / m

    def panel(v: int) -> float:
        return max(v / 2, (rows + v) / 2 / rows, LATENCY / rows) + LOADING * (rows + v) / rows if v else 0.0

    return waste * (across // vectors * panel(vectors) + panel(across % vectors))


def _depth(groups: int, panels: int, width: int, row: int, packing: Packs) -> int:
    """The most bytes of a row of the left operand, which has ``row`` of them, that are summed at once."""
    whole = row * width  # bytes of a panel of the right operand
    if packing is Packs.ALWAYS and groups == 1 and panels > 1 and whole * panels > SECOND_LEVEL:
        return SHALLOW
    once = panels == 1 and whole <= SECOND_LEVEL
    return DEPTH if groups >= FEWEST_GROUPS and row > DEEPEST and not once else row


def tiling(
    m: int,
    n: int,
    k: int,
    itemsize: int,
    target: Target,
    *,
    cut_depth: bool = True,
    packing: Packs = Packs.NEVER,
    turned: bool = False,
) -> Tiling:
    """Cut a product of ``m`` rows, ``n`` columns and ``k`` summed elements; ``turned``: see :func:`tile_shape`."""
    lanes = target.lanes(itemsize)
    most, across = tile_shape(m, n, lanes, target.registers, turned)
    height = tile_height(m, most)
    groups = -(-m // height)
    width = across * lanes
    panels = -(-n // width)
    steps = -(-k * itemsize // _depth(groups, panels, width, k * itemsize, packing)) if cut_depth and k else 1
    depth = -(-k // steps)
    if steps > 1:
        depth = -(-depth // TOGETHER) * TOGETHER
    steps = -(-k // depth) if k else 1
    panel_bytes = max(1, depth * width * itemsize)
    column_blocks = -(-panels // max(1, SECOND_LEVEL // panel_bytes))
    if packing is Packs.ALWAYS or n > m:
        column_blocks = max(column_blocks, min(-(-panels // 2), OWN_BLOCKS))
    together = max(1, groups * column_blocks // UNITS)
    row_blocks = -(-groups // together)
    if packing is not Packs.NEVER:  # for each unit there is memory for a block
        row_blocks = min(row_blocks, max(MOST_COPIES // column_blocks, steps))
    return Tiling(
        height,
        groups,
        cover(width, lanes),
        n // width,
        cover(n % width, lanes),
        Split(groups, row_blocks),
        Split(panels, column_blocks),
        depth,
        steps,
        packing,
    )
