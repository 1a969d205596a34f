"""Cut reductions to few results into blocks, so that all threads have a part of them.

A reduction is divided among threads by its results.  One with few results (a loss, the gradient of a bias) is made two
kernels: the first reduces blocks of one of the reduced loops, the second what the first found.  The number of blocks
depends on the problem's size alone, so results have the same bits on any number of threads.  Before → after:

    sum(x[n])   →   part[b] = sum over i < size of x[size · b + i];   sum(part)

What is left over where the loop cannot be cut evenly is a block of its own.  Positions of extremes need both the
extreme and the position in every block:

    argmax(x[n])   →   peak[b], at[b];   b' = argmax(peak);   size · b' + at[b']
"""

from __future__ import annotations

import math
from dataclasses import replace

from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.kernels import reduction
from gradloom.executors.native.kernels.units import ENOUGH, even_blocks
from gradloom.executors.native.loops import Affine, Apply, Block, Gathered, Given, Load, Scalar, contiguous, merge
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ir.tensortype import TensorType, name_of
from gradloom.ops import reduce
from gradloom.records import dataclass

FEWEST_ELEMENTS = 2**15
"""Elements from which a reduction is worth a second kernel."""
BLOCK_ELEMENTS = 2**12
"""The least number of elements in a block."""
MOST_BLOCKS = 64
"""How many blocks there are of small reductions."""
LARGE_BLOCK_ELEMENTS, MOST_LARGE_BLOCKS = 2**13, 512
"""Larger ones have more, so that what several sums read of a block stays in the nearest caches (see rows.py)."""

POSITIONS = (reduce.argmax, reduce.argmin)
"""Reductions that have one loop and give a place in it."""


def split_reductions(kernels: list[Kernel], target: Target) -> list[Kernel]:
    """The kernels with reductions to few results made two or three: blocks, what is left over, the whole."""
    split: list[Kernel] = []
    for kernel in kernels:
        split += _split(kernel) if _pays(kernel, target) else [kernel]
    return split


def _pays(kernel: Kernel, target: Target) -> bool:
    if not kernel.reduced or kernel.inner is None or not reduction.is_reduction(kernel):
        return False
    elements = math.prod(kernel.shape) * math.prod(kernel.reduced)
    return elements >= FEWEST_ELEMENTS and math.prod(reduction.units(kernel, target)) < ENOUGH


@dataclass(frozen=True)
class _Cut:
    """One reduced loop in blocks.

    Attributes:
        axis: which of the reduced loops.
        blocks: how many even blocks.
        size: turns of each.
        left: turns left over.
    """

    axis: int
    blocks: int
    size: int
    left: int

    @property
    def parts(self) -> int:
        """Blocks, with what is left over."""
        return self.blocks + bool(self.left)


def _cut(kernel: Kernel, rows: int) -> _Cut:
    """Cut the longest loop, which goes over so many rows, in blocks that are even if some number near makes them so."""
    length = max(kernel.reduced)
    elements = math.prod(kernel.shape) * math.prod(kernel.reduced)
    most = max(MOST_BLOCKS, min(MOST_LARGE_BLOCKS, elements // LARGE_BLOCK_ELEMENTS))
    most = min(most, elements // BLOCK_ELEMENTS, length)
    blocks = even_blocks(length, rows, most) or most
    return _Cut(kernel.reduced.index(length), blocks, length // blocks, length % blocks)


def _merged(kernel: Kernel) -> Kernel:
    """The reduced loops made one where every access moves through them evenly, so that it can be cut anywhere."""
    assert kernel.inner is not None
    results = len(kernel.shape)
    merged = merge([kernel.reduced], [Affine(p.offset, p.strides[results:]) for p in kernel.inner.places()])
    if kernel.core_op in POSITIONS:
        return kernel
    inner = kernel.inner.rewritten(
        lambda p: Affine(p.offset, (*p.strides[:results], *(p.strides[results + d] for d in merged.kept)))
    )
    return replace(kernel, inner=inner, reduced=merged.sizes)


def _split(kernel: Kernel) -> list[Kernel]:
    rows, kernel = kernel.reduced[0], _merged(kernel)
    core, cut, inner = kernel.core, _cut(kernel, rows), kernel.inner
    assert core is not None
    assert inner is not None
    parts = Node(core.op, core.inputs, core.attrs, TensorType((cut.parts, *kernel.shape), core.dtype))
    extremes = None
    if core.op in POSITIONS:
        dtype = inner.dtypes[kernel.inner_value]
        op = reduce.reduce_max if core.op is reduce.argmax else reduce.reduce_min
        extremes = Node(op, core.inputs, {"axes": (core.attrs["axis"],)}, TensorType(parts.shape, dtype))
    found = [_blocks(kernel, cut, parts, extremes)]
    if cut.left:
        found.append(_left_over(kernel, cut, parts, extremes))
    return [*found, _combination(kernel, cut, parts, extremes)]


def _part(kernel: Kernel, cut: _Cut, size: int, parts: Node, extremes: Node | None) -> Kernel:
    """A kernel that reduces ``size`` turns of the loop; where and with what loops over results is for the caller."""
    reduced = tuple(size if a == cut.axis else n for a, n in enumerate(kernel.reduced))
    part = Kernel(kernel.shape, parts, nodes=[parts], inner_value=kernel.inner_value, reduced=reduced)
    part.extreme = extremes
    part.nodes += [extremes] if extremes is not None else []
    return part


def _blocks(kernel: Kernel, cut: _Cut, parts: Node, extremes: Node | None) -> Kernel:
    """Loops (blocks, results, reduced)."""
    assert kernel.inner is not None
    part = _part(kernel, cut, cut.size, parts, extremes)
    part.shape = (cut.blocks, *kernel.shape)
    axis = len(kernel.shape) + cut.axis
    part.inner = kernel.inner.rewritten(lambda p: Affine(p.offset, (cut.size * p.strides[axis], *p.strides)))
    for node in part.nodes:
        value = part.block.add(Given(node), node.dtype)
        part.stores.append(Store(value, node, Affine(0, contiguous(node.shape))))
    return part


def _left_over(kernel: Kernel, cut: _Cut, parts: Node, extremes: Node | None) -> Kernel:
    """Loops (results, reduced) over what follows the last block."""
    assert kernel.inner is not None
    part = _part(kernel, cut, cut.left, parts, extremes)
    axis, first = len(kernel.shape) + cut.axis, cut.blocks * cut.size
    part.inner = kernel.inner.rewritten(lambda p: Affine(p.offset + first * p.strides[axis], p.strides))
    for node in part.nodes:
        before, *strides = contiguous(node.shape)
        value = part.block.add(Given(node), node.dtype)
        part.stores.append(Store(value, node, Affine(cut.blocks * before, tuple(strides))))
    return part


def _combination(kernel: Kernel, cut: _Cut, parts: Node, extremes: Node | None) -> Kernel:
    """The same reduction of what was found in the blocks, and all that followed the whole."""
    source = parts if extremes is None else extremes
    step, *strides = contiguous(source.shape)
    combination = Kernel(kernel.shape, kernel.core, kernel.nodes, kernel.block, kernel.stores, reduced=(cut.parts,))
    combination.inner = Block()
    combination.inner_value = combination.inner.add(Load(source, Affine(0, (*strides, step))), source.dtype)
    if extremes is not None:
        _find_position(combination, cut, parts)
    return combination


def _find_position(kernel: Kernel, cut: _Cut, positions: Node) -> None:
    """The result is the number of a block; its position is looked up there before the rest of the block follows."""
    core, block = kernel.core, Block()
    assert core is not None
    step, *strides = contiguous(positions.shape)
    chosen = block.add(Given(core), core.dtype)
    size = block.add(Scalar(cut.size, name_of(core.dtype)), core.dtype)
    first = block.add(Apply("mul", (chosen, size), name_of(core.dtype)), core.dtype)
    at = block.add(Gathered(positions, Affine(0, tuple(strides)), chosen, step, cut.parts), core.dtype)
    position = block.add(Apply("add", (first, at), name_of(core.dtype)), core.dtype)
    moved = block.append(kernel.block, {Given(core): position})
    kernel.block = block
    kernel.stores = [Store(moved[s.value], s.buffer, s.place) for s in kernel.stores]
