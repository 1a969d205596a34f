"""The loops of a matrix product with those merged that can be, and how they are cut: all that its kernel's code needs.

    result[s, r, c] = Σ_k left[s, r, k] · right[s, k, c]

Each of s, r, c and k may be several loops.  The innermost over rows and over columns are tiled, the innermost summed
one may be cut into steps; those around them run turn by turn.
"""

from __future__ import annotations

import math
from dataclasses import replace

from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.kernels.tiling import Packs, Tiling, tiling
from gradloom.executors.native.loops import Affine, Block, Load, extended, merge
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.records import dataclass

FAR_APART, VERY_FAR_APART = 256, 2048  # bytes between rows of the right operand from which a copy may pay, or does
FEWEST_SUMMED = 32  # rows of the right operand from which it may
FEW_COLUMNS, LONG_SUM = 14, 256  # of results, and elements of a sum, for vectors to lie along the rows of results
SOME_ROWS, ENOUGH_ROWS, MANY_ROWS = 16, 64, 1024  # of the left operand, for a copy to pay: in the worst case, in others


@dataclass(frozen=True)
class Nest:
    """The merged loops of a product.

    Attributes:
        core: the product.
        sizes: turns of each loop.
        left: where the left operand is read.
        right: where the right operand is read.
        block: the epilogue.
        stores: what the epilogue writes.
        partial: where the unfinished sums lie between steps.
        swapped: whether the kernel's operands have changed places, and so rows and columns of its result.
        shared: loops over what both operands share.
        around: all loops of results around the tiled ones, the shared ones first.
        row: the tiled loop over rows, None where there is a single one.
        column: the tiled loop over columns.
        outside: summed loops around the innermost.
        depth: the innermost summed loop.
        paired: for operands of bfloat16, how many elements it sums: its turns have two, the last of them perhaps one.
    """

    core: Node
    sizes: tuple[int, ...]
    left: Load
    right: Load
    block: Block
    stores: tuple[Store, ...]
    partial: Load
    swapped: bool
    shared: tuple[int, ...]
    around: tuple[int, ...]
    row: int | None
    column: int | None
    outside: tuple[int, ...]
    depth: int | None
    paired: int | None = None

    @property
    def turns(self) -> int:
        """Whole turns of the innermost summed loop."""
        return self.size(self.depth) if self.paired is None else self.paired // 2

    @property
    def odd(self) -> bool:
        """Whether an element is left over after these."""
        return self.paired is not None and self.paired % 2 == 1

    @property
    def left_is_in_rows(self) -> bool:
        """Whether summed elements of the left operand are neighbours in memory."""
        return self.stride(self.left, self.depth) == (1 if self.paired is None else 2)

    def size(self, loop: int | None) -> int:
        """Turns of a loop; a loop that is not there has one."""
        return 1 if loop is None else self.sizes[loop]

    def stride(self, load: Load, loop: int | None) -> int:
        """How far apart the elements read in neighbouring turns of a loop lie."""
        return 0 if loop is None else load.place.strides[loop]

    def packs(self) -> Packs:
        """Whether the right operand must be copied into panels, or had better be.

        The kernel reads it row after row, a few vectors wide, so its columns must be neighbours in memory.  Rows that
        lie far apart share few places in the caches, and each is on another page of memory; then a copy pays if many
        rows of the left operand share it.
        """
        if self.paired is not None:
            return Packs.ALWAYS
        if self.column is None or self.depth is None:
            return Packs.NEVER
        if self.swapped or self.stride(self.right, self.column) != 1:
            return Packs.ALWAYS
        apart = abs(self.stride(self.right, self.depth)) * self.right.buffer.dtype.itemsize
        if self.outside or apart < FAR_APART or self.size(self.depth) < FEWEST_SUMMED:
            return Packs.NEVER
        if self.size(self.row) >= (SOME_ROWS if apart >= VERY_FAR_APART else MANY_ROWS):
            return Packs.ALWAYS
        return Packs.ASTRIDE if self.size(self.row) >= ENOUGH_ROWS else Packs.NEVER

    def tiling(self, target: Target) -> Tiling:
        """How the loops are cut.  A pair of bfloat16 is as long as a float, so in pairs it is cut as in floats."""
        m, n, k = (self.size(loop) for loop in (self.row, self.column, self.depth))
        cut_depth, itemsize = not self.outside, self.core.dtype.itemsize
        turned = self.stride(self.left, self.row) == 1 != self.stride(self.left, self.depth)
        return tiling(m, n, k, itemsize, target, cut_depth=cut_depth, packing=self.packs(), turned=turned)

    def units(self, target: Target) -> int:
        """Parts into which the work can be divided."""
        t = self.tiling(target)
        return math.prod(self.sizes[d] for d in self.around) * t.column_blocks.parts * t.row_blocks.parts


def nest(kernel: Kernel) -> Nest:
    """The merged loops of a product's kernel."""
    assert kernel.core is not None
    left, right = kernel.operands
    summed = len(kernel.segments[3])
    partial = kernel.partial or Load(kernel.core, Affine(0, (0,) * len(kernel.shape)))
    outer = [*kernel.block.places(), *(s.place for s in kernel.stores), partial.place]
    merged = merge(kernel.segments, [left.place, right.place, *(extended(p, 0, summed) for p in outer)])

    def inside(place: Affine) -> Affine:
        return merged.place(extended(place, 0, summed))

    shared, rows, columns, depths = (tuple(r) for r in merged.segments)
    left, right = (Load(operand.buffer, merged.place(operand.place)) for operand in kernel.operands)
    if swapped := _better_swapped(merged.sizes, left, right, rows, columns, depths):
        left, right, rows, columns = right, left, columns, rows
    found = Nest(
        core=kernel.core,
        sizes=merged.sizes,
        left=left,
        right=right,
        block=kernel.block.rewritten(inside),
        stores=tuple(Store(s.value, s.buffer, inside(s.place)) for s in kernel.stores),
        partial=Load(partial.buffer, inside(partial.place)),
        swapped=swapped,
        shared=shared,
        around=(*shared, *rows[:-1], *columns[:-1]),
        row=rows[-1] if rows else None,
        column=columns[-1] if columns else None,
        outside=depths[:-1],
        depth=depths[-1] if depths else None,
    )
    return _in_pairs(found) if kernel.in_pairs else found


def _in_pairs(found: Nest) -> Nest:
    """The same loops with two summed elements in each turn of the innermost."""
    depth = found.depth
    assert depth is not None
    assert not found.outside
    count = found.sizes[depth]

    def paired(load: Load) -> Load:
        strides = (stride * (2 if d == depth else 1) for d, stride in enumerate(load.place.strides))
        return Load(load.buffer, Affine(load.place.offset, tuple(strides)))

    sizes = tuple(-(-n // 2) if d == depth else n for d, n in enumerate(found.sizes))
    return replace(found, sizes=sizes, left=paired(found.left), right=paired(found.right), paired=count)


def _better_swapped(
    sizes: tuple[int, ...],
    left: Load,
    right: Load,
    rows: tuple[int, ...],
    columns: tuple[int, ...],
    depths: tuple[int, ...],
) -> bool:
    """Whether vectors had better lie along the result's rows: it has few columns, which would leave lanes empty.

    Then the left operand, a transposed one, is read as it lies in memory.  The results are scattered, which costs
    little beside a long sum.
    """
    if not (len(rows) == len(columns) == len(depths) == 1):
        return False
    (row,), (column,), (depth,) = rows, columns, depths
    turned = left.place.strides[row] == 1 and right.place.strides[column] == 1
    return turned and sizes[column] <= FEW_COLUMNS < LONG_SUM <= sizes[depth] and sizes[row] > FEW_COLUMNS**2
