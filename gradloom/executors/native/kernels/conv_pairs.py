"""Convolutions of bfloat16, and the gradients of their inputs, two neighbouring input channels at a time.

The loops are those of conv_rows.py.  A turn repeats a word of the source, two channels of an element, over a vector of
words of the kernel, which a copy has in pairs (pair_copies.py), and adds the products of pairs (dots.py).  Positions
that lie side by side are one loop with the channels if these are even in number; else each ends with a single one.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Value, vector
from gradloom.executors.native.dots import HALF, WORD, add_dots, paired
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.conv_form import Form
from gradloom.executors.native.kernels.conv_rows import Rows
from gradloom.executors.native.kernels.tiling import Lanes
from gradloom.executors.native.target import Target


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the body of a convolution's function; units as in conv_rows.py."""
    return _PairRows(Form(writer, kernel, target), backward=False).write()


def write_input_gradient(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the body of the function of an input's gradient; units likewise."""
    return _PairRows(Form(writer, kernel, target), backward=True).write()


class _PairRows(Rows):
    """The loops of a convolution with turns of two channels."""

    together = 2

    def _turn(
        self,
        places: Sequence[int],
        x: Value,
        w: Value,
        vectors: Sequence[Lanes],
        tile: list[Value],
        mask: Value | None,
    ) -> list[Value]:
        assert mask is None, "bundles have no pairs"
        self._ask_ahead(w, vectors)
        half = self.source.itemsize  # at which words may begin
        return self._add([self.b.load(self.b.at(x, at, HALF), WORD, half) for at in places], w, vectors, tile)

    def _last_turn(
        self, places: Sequence[int], x: Value, w: Value, vectors: Sequence[Lanes], tile: list[Value]
    ) -> list[Value]:
        b, half = self.b, self.source.itemsize
        return self._add([paired(b, b.load(b.at(x, at, HALF), HALF, half), None) for at in places], w, vectors, tile)

    def _add(self, xs: Sequence[Value], w: Value, vectors: Sequence[Lanes], tile: list[Value]) -> list[Value]:
        """Add the products of a word for each row and the words at ``w``."""
        b, size, how = self.b, self.kernel.itemsize, self.form.target.pairs
        ys = [b.load_some(b.at(w, v.first, WORD), vector(WORD, v.width), size, v.valid) for v in vectors]
        pairs = [(x, y) for x in xs for y in ys]
        return [add_dots(b, total, y, b.splat(x, y.lanes), how) for total, (x, y) in zip(tile, pairs, strict=True)]
