"""Kernels: one file a family of loops, and the table that says which family a primitive belongs to."""

from __future__ import annotations

from collections.abc import Callable

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.kernel import REDUCTIONS, SCATTERS, SORTS, Kernel
from gradloom.executors.native.kernels import (
    conv_form,
    conv_pairs,
    conv_rows,
    conv_unpool,
    conv_weights,
    cumulative,
    elementwise,
    linalg,
    product,
    product_pairs,
    reduction,
    rows,
    scatter,
    sort,
    spread,
    transpose,
    window,
)
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node, Op
from gradloom.ops import contraction, reduce
from gradloom.ops import convolution as conv
from gradloom.ops import linalg as la
from gradloom.ops import window as win
from gradloom.records import dataclass

Writer = Callable[[BlockWriter, Kernel, Target], int]


@dataclass(frozen=True)
class Family:
    """Loops that compute a group of primitives.

    Attributes:
        write: writes a kernel's function and returns its number of units; each thread has a range of them.
        operations: rough number of elementary operations, where the kernel's loops do not tell.
        scratch: bytes of working memory, for families that need some.
    """

    write: Writer
    operations: Callable[[Node], int] | None = None
    scratch: Callable[[Node, Target], int] | None = None


def _write_contraction(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """A product of matrices, or with a vector, which is a reduction (see bodies.py)."""
    family = product_pairs if kernel.in_pairs else product if kernel.operands else reduction
    return family.write(writer, kernel, target)


def _write_conv(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    return (conv_pairs if kernel.in_pairs else conv_rows).write(writer, kernel, target)


def _write_conv_input_gradient(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """A convolution with a turned kernel, or what the windows of a pool give."""
    if conv_unpool.unpool_cut(kernel, target) is not None:
        return conv_unpool.write(writer, kernel, target)
    return (conv_pairs if kernel.in_pairs else conv_rows).write_input_gradient(writer, kernel, target)


def _write_plain(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Loops along memory; where loads and stores disagree about its direction, transposed tiles."""
    tiles = transpose.tiles_of(kernel, target)
    return transpose.write(writer, tiles) if tiles else elementwise.write(writer, kernel, target)


ELEMENTWISE = Family(_write_plain)
"""Loops without a node in their middle."""

FAMILIES: dict[Op, Family] = {
    contraction.contract: Family(_write_contraction),
    reduce.cumsum: Family(cumulative.write),
    **dict.fromkeys(REDUCTIONS, Family(reduction.write)),
    **dict.fromkeys(SCATTERS, Family(scatter.write)),
    **dict.fromkeys(SORTS, Family(sort.write, sort.operations, sort.scratch)),
    la.cholesky: Family(linalg.write_cholesky, linalg.operations, linalg.scratch),
    la.solve: Family(linalg.write_solve, linalg.operations, linalg.scratch),
    la.triangular_solve: Family(linalg.write_triangular_solve, linalg.operations),
    conv.conv: Family(_write_conv, conv_form.operations),
    conv.conv_input_gradient: Family(_write_conv_input_gradient, conv_form.operations),
    conv.conv_kernel_gradient: Family(conv_weights.write, conv_form.operations),
    win.patches: Family(window.write_patches, window.operations),
    win.fold_patches: Family(window.write_fold, window.operations),
    **dict.fromkeys(
        (win.window_sum, win.window_max, win.window_argmax, win.window_pick),
        Family(window.write_pooling, window.operations),
    ),
    **dict.fromkeys((win.window_share, win.window_place), Family(spread.write, window.operations, spread.scratch)),
}
"""The family of every primitive that has a kernel of its own."""


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write a kernel's function; returns its number of units."""
    if kernel.members:
        return rows.write(writer, kernel, target)
    family = ELEMENTWISE if kernel.core is None else FAMILIES[kernel.core.op]
    return family.write(writer, kernel, target)


def operations(kernel: Kernel) -> int | None:
    """Rough number of elementary operations; None where the kernel's loops tell."""
    node = kernel.core
    counted = FAMILIES[node.op].operations if node and node.op in FAMILIES else None
    return counted(node) if node and counted else None


def scratch(kernel: Kernel, target: Target) -> int:
    """Bytes of working memory that a kernel needs."""
    if kernel.is_product:
        return product.scratch(kernel, target)
    node = kernel.core
    needed = FAMILIES[node.op].scratch if node and node.op in FAMILIES else None
    return needed(node, target) if node and needed else 0
