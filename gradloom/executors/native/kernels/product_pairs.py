"""Matrix products of bfloat16, two neighbouring summed elements at a time.

A pair is a word of 32 bits, so tiles, panels and vectors are those of a product of floats with half as long a sum
(product.py); the multiply-add of a turn is a product of pairs (dots.py).

- The right operand is copied into panels always: a word there has an element of one row and that of the next.  Where
  rows are neighbours in memory pairs lie there already, and are transposed like floats.
- A row of the left operand is read in words as it lies.  Of a transposed one a tile's rows are paired on the stack;
  from any other order a word is put together from its elements.
- An element left over by pairs has a turn of its own, with zero for its neighbour in both operands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Index, Value, vector
from gradloom.executors.native.dots import HALF, WORD, add_dots, paired
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.left import LeftRows, worth_copying
from gradloom.executors.native.kernels.packing import Packing
from gradloom.executors.native.kernels.product import LINE, Block, Product, Spot, Step, times
from gradloom.executors.native.kernels.tiling import Lanes, cover
from gradloom.executors.native.nest import Nest, nest
from gradloom.executors.native.target import Target
from gradloom.records import dataclass

HALF_BYTES, WORD_BYTES = 2, 4


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; returns the number of units, as in product.py."""
    merged = nest(kernel)
    _PairProduct(writer, merged, target).write()
    return merged.units(target)


@dataclass(frozen=True)
class _PairPacking(Packing):
    """Copies rows two by two; ``single``: one row, with zeros for the other."""

    single: bool = False

    @property
    def is_turned(self) -> bool:
        """Whether elements of a column are neighbours in memory, and a square has whole pairs."""
        return self.by_row == 2 and self.by_column != 1 and self.fewest > 0

    @property
    def memory(self) -> str:
        """Elements lie there one by one."""
        return HALF

    @property
    def alignment(self) -> int:
        """So pairs may begin at any of them."""
        return HALF_BYTES

    def vector(self, start: Value, part: Lanes) -> Value:
        """Pairs of a row and the next."""
        following = None if self.single else self.some(self.b.at(start, self.by_row // 2, HALF), part)
        return paired(self.b, self.some(start, part), following)

    def copy_single(self, source: Value, target: Value, panels: tuple[Index, Index], row: Index) -> None:
        """Copy the row that is left over, behind so many pairs of rows."""
        replace(self, single=True)._row(source, target, panels, row)


class _Single(LeftRows):
    """Rows of which the element that is left over is read, and not a pair."""


class _PairProduct(Product):
    """The loops of a product with turns of two summed elements."""

    packing = _PairPacking

    def __init__(self, writer: BlockWriter, merged: Nest, target: Target) -> None:
        super().__init__(writer, merged, target)
        self.memory, self.elements = HALF, replace(self.elements, kind=WORD)

    # Operands -----------------------------------------------------------------------------------------------------

    def _copy(self, packing: Packing, source: Value, block: Block, step: Step) -> None:
        assert block.room is not None
        assert isinstance(packing, _PairPacking)
        room, panels = block.room, block.panels
        packing.copy(source, room, panels, self._whole_turns(step))

        def single(row: Index, _: list[Value]) -> list[Value]:
            packing.copy_single(source, room, panels, row)
            return []

        self._left_over(step, [], single)

    def _left(self, block: Block, row: Index, step: Step) -> LeftRows:
        n, t = self.nest, self.tiles
        start = self._address(n.left, self._index(block, row, 0, step.start))
        found = LeftRows(start, n.stride(n.left, n.row), n.stride(n.left, n.depth), HALF)
        return self._paired_rows(found, step) if worth_copying(found, t.height, t.depth, self.elements) else found

    def _paired_rows(self, source: LeftRows, step: Step) -> LeftRows:
        """A copy on the stack of the words of a tile's rows, all rows' side by side."""
        b, height = self.b, self.tiles.height
        parts = cover(height, self.elements.lanes)
        pitch = parts[-1].first + parts[-1].width
        room = b.local(f"[{self.tiles.depth * pitch} x {WORD}]", LINE)

        def some(pair: Index, second: bool, part: Lanes) -> Value:
            place = b.iadd(b.imul(pair, source.by_depth), second * (source.by_depth // 2) + part.first)
            return b.load_some(b.at(source.start, place, HALF), vector(HALF, part.width), HALF_BYTES, part.valid)

        def copy(pair: Index, single: bool) -> None:
            for part in parts:
                words = paired(b, some(pair, False, part), None if single else some(pair, True, part))
                b.store(words, b.at(room, b.iadd(b.imul(pair, pitch), part.first), WORD), WORD_BYTES)

        def single(pair: Index, _: list[Value]) -> list[Value]:
            copy(pair, single=True)
            return []

        with b.loop(0, self._whole_turns(step)) as pair:
            copy(pair, single=False)
        self._left_over(step, [], single)
        return LeftRows(room, 1, pitch, WORD)

    # The sum ------------------------------------------------------------------------------------------------------

    def _whole_turns(self, step: Step) -> Index:
        b = self.b
        if not self.nest.odd or step.last is None:
            return b.iadd(step.count, -self.nest.odd)
        return b.select(step.last, b.index(b.iadd(step.count, -1)), b.index(step.count))

    def _left_over(
        self, step: Step, carried: list[Value], body: Callable[[Index, list[Value]], list[Value]]
    ) -> list[Value]:
        """Run ``body(turn, carried)`` for the element that pairs leave over in a step, if there is one."""
        b = self.b
        if not self.nest.odd:
            return carried
        turn = b.iadd(step.count, -1)
        if step.last is None:
            return body(turn, carried)
        _, inside, finish = b.loop_carrying(0, b.select(step.last, b.index(1), b.index(0)), 1, carried)
        return finish(body(turn, inside))

    def _rest(
        self, spot: Spot, left: LeftRows, step: Step, operands: tuple[Value, Value, Index], tile: list[Value]
    ) -> list[Value]:
        b, (x, y, by_row) = self.b, operands
        single = left if left.kind == WORD else _Single(left.start, left.by_row, left.by_depth, left.kind)

        def last(turn: Index, tile: list[Value]) -> list[Value]:
            at = b.at(x, b.imul(turn, left.by_depth), left.kind), b.at(y, times(b, turn, by_row), WORD)
            return self._turn(spot.vectors, single, None, *at, tile)

        return self._left_over(step, tile, last)

    def _element(self, left: LeftRows, at: Value) -> Value:
        b = self.b
        if left.kind == WORD:
            return b.load(at, WORD, WORD_BYTES)
        if isinstance(left, _Single):
            return paired(b, b.load(at, HALF, HALF_BYTES), None)
        if self.nest.left_is_in_rows:
            return b.load(at, WORD, HALF_BYTES)
        return paired(b, *(b.load(b.at(at, i, HALF), HALF, HALF_BYTES) for i in (0, left.by_depth // 2)))

    def _multiply_add(self, x: Value, y: Value, total: Value) -> Value:
        return add_dots(self.b, total, y, x, self.target.pairs)
