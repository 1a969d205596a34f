"""What a kernel is: loops that run together, and the straight-line programs inside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from types import NoneType
from typing import Any

import numpy as np

from gradloom.executors.native.loops import (
    ELEMENTWISE,
    Affine,
    Apply,
    Block,
    Gathered,
    Given,
    Load,
    RandomWord,
    Reader,
    Scalar,
    only_unit_axes_change,
    variables,
)
from gradloom.executors.native.vectormath import FUNCTIONS
from gradloom.ir.graph import Node, Op
from gradloom.ir.tensortype import TensorType, is_bfloat16
from gradloom.ops import contraction, convolution, core, index, linalg, movement, reduce, window
from gradloom.records import dataclass

REDUCTIONS = frozenset(
    (
        *(core.reduce_sum, reduce.reduce_max, reduce.reduce_min, reduce.reduce_prod),
        *(reduce.reduce_any, reduce.reduce_all, reduce.argmax, reduce.argmin, reduce.logsumexp),
    )
)
SCATTERS = frozenset((index.scatter_add, index.scatter_add_along))
JOININGS = frozenset((movement.concatenate, movement.pad))
VIEWS = frozenset((core.broadcast, core.permute, movement.slice, movement.flip))
DEAR = frozenset(
    op for op in ELEMENTWISE if op.name in FUNCTIONS or op.name in ("sqrt", "rsqrt", "div", "remainder", "floor_divide")
)
"""Primitives that are worth a trip to memory rather than computing them twice."""

CONVOLUTIONS = frozenset(
    (convolution.conv, convolution.conv_input_gradient, convolution.conv_kernel_gradient),
)
FUSED = REDUCTIONS | SCATTERS | CONVOLUTIONS | {contraction.contract, reduce.cumsum}
"""Primitives with a kernel of their own, into which what is read, and for some what follows, is fused."""

SORTS = frozenset((index.sort, index.argsort, index.arg_top_k))
WHOLE = SORTS | {
    *(linalg.cholesky, linalg.solve, linalg.triangular_solve),
    *(window.patches, window.fold_patches, window.window_sum, window.window_share),
    *(window.window_max, window.window_argmax, window.window_pick, window.window_place),
}
"""Primitives with a kernel of their own that reads whole operands from memory, and whose loops nothing shares."""


@dataclass(frozen=True)
class Store:
    """Instruction ``value`` of a block is written to a buffer."""

    value: int
    buffer: Node
    place: Affine


@dataclass(frozen=True)
class Region:
    """A part of a buffer that is filled from a node of the loops' shape, or with a value where there is none."""

    target: Node
    source: Node | None
    value: float
    place: Affine


@dataclass(frozen=True)
class Pooling:
    """What a convolution takes of its results where windows side by side cover them (poolings.py).

    Attributes:
        value: the instruction of the block that gives the results.
        largest: the largest element of each window.
        numbers: its number in its window, a byte, in rows of channels that are filled up; None if nobody asks.
    """

    value: int
    largest: Node
    numbers: Node | None

    @property
    def buffers(self) -> list[Node]:
        """What is written."""
        return [self.largest] + ([self.numbers] if self.numbers is not None else [])


@dataclass(eq=False)
class Kernel:
    """Loops that run together.

    Attributes:
        shape: sizes of the loops over results.
        core: the reduction, matrix product or other node around whose result the loops are; None for plain loops.
        nodes: the nodes in memory that it computes by its block.
        block: the straight-line program at an index of the results.
        stores: what is written.
        inner: for reductions, the program that gives the reduced element, over loops (results, reduced).
        inner_value: its result's place.
        reduced: sizes of the reduced loops.
        extreme: for parts of argmax and argmin (split.py), the node for the extreme value itself.
        position: for scatters, the place in ``inner`` of the position that is added at.
        region: for plain loops that fill a part of a buffer, what and where.
        whole: whether ``core`` reads whole operands from memory and writes whole results: primitives of WHOLE, loops
            and branches, and what NumPy computes on the host.
        operands: for matrix products, where the operands are read, over loops (results, reduced); for convolutions, the
            operands in one piece each; for gradients also (x, values, numbers), (values, w, numbers): poolings.py.
        members: for joined kernels (rows.py), the kernels that run row after row.
        local: for joined kernels, the buffers that only they use, a block of rows at a time.
        rows: for joined kernels, how many rows a block has; for their members, how many outer loops are over rows.
        partial: for matrix products that are summed in steps, where the unfinished sums lie, over loops of results.
        segments: for matrix products, the sizes of the loops: shared, of the left, of the right, summed.
        pooling: for convolutions, what is taken of windows of results.
    """

    shape: tuple[int, ...]
    core: Node | None = None
    nodes: list[Node] = field(default_factory=list)
    block: Block = field(default_factory=Block)
    stores: list[Store] = field(default_factory=list)
    inner: Block | None = None
    inner_value: int = 0
    reduced: tuple[int, ...] = ()
    extreme: Node | None = None
    position: int = 0
    region: Region | None = None
    whole: bool = False
    operands: tuple[Load, ...] = ()
    segments: tuple[tuple[int, ...], ...] = ()
    members: Sequence[Kernel] = ()
    local: Sequence[Node] = ()
    rows: int = 0
    partial: Load | None = None
    pooling: Pooling | None = None

    def __str__(self) -> str:
        """``contract + select [128,256]``: the node around which the loops are, what is fused to it, the loops."""
        if self.members:
            return "; ".join(map(str, self.members))
        names = [n.op.name for n in self.nodes] or ["fill" if self.region and self.region.source is None else "copy"]
        inner = f" over [{','.join(map(str, self.reduced))}]" if self.reduced else ""
        return f"{' + '.join(names)} [{','.join(map(str, self.shape))}]{inner}{' on the host' if self.host else ''}"

    @property
    def host(self) -> bool:
        """Whether NumPy computes ``core``, between kernels: a primitive that the compiler does not know."""
        return self.whole and self.core is not None and self.core.op not in WHOLE and not self.core.op.nested

    @property
    def is_product(self) -> bool:
        """Whether it is a product of matrices; one with a vector is a reduction."""
        return bool(self.segments and self.operands)

    @property
    def is_behind_pool(self) -> bool:
        """Whether a convolution's gradient is given by a pool's windows; a third operand says where they go."""
        gradient = self.core_op in (convolution.conv_input_gradient, convolution.conv_kernel_gradient)
        return gradient and len(self.operands) > 2

    @property
    def in_pairs(self) -> bool:
        """Whether it multiplies neighbouring elements of bfloat16 in pairs (narrow.py)."""
        return bool(self.operands) and is_bfloat16(self.operands[0].buffer.dtype)

    @property
    def results(self) -> list[Node]:
        """The buffers it writes."""
        if self.whole:
            return self.nodes
        written = [b for member in self.members for b in member.results if b not in self.local]
        unfinished = [self.partial.buffer] if self.partial else []
        pooled = self.pooling.buffers if self.pooling else []
        return list(dict.fromkeys([*written, *(s.buffer for s in self.stores), *pooled, *unfinished]))

    @property
    def inner_turns(self) -> int:
        """How often the inner program runs."""
        if self.core is not None and self.core.op in SCATTERS:
            return math.prod(self.reduced)
        return math.prod(self.shape) * math.prod(self.reduced)

    @property
    def core_op(self) -> Op | None:
        """The primitive around whose result the loops are."""
        return self.core.op if self.core is not None else None

    def core_inputs(self) -> tuple[Node, ...]:
        """The operands of the node around which the loops are."""
        return self.core.inputs if self.core is not None else ()

    def inner_reads(self, buffer: Node) -> bool:
        """Whether anything but the block reads a buffer."""
        inner = self.inner.code if self.inner else ()
        loads = [i.buffer for i in inner if isinstance(i, (Load, Gathered, RandomWord))]
        return buffer in map(storage, (*loads, *(load.buffer for load in self.operands)))

    def reads(self) -> list[Node]:
        """The buffers it reads."""
        found = {b: None for member in self.members for b in member.reads() if storage(b) not in self.local}
        for block in (self.inner, self.block):
            for instruction in block.code if block else ():
                if isinstance(instruction, (Load, Gathered, RandomWord)):
                    found[instruction.buffer] = None
        found.update({load.buffer: None for load in self.operands})
        if self.whole and self.core is not None:
            found.update(dict.fromkeys(self.core.inputs))
        return list(found)

    def buffers(self) -> list[Node]:
        """All buffers that it touches, in the order in which its function takes them."""
        return list(dict.fromkeys([*self.reads(), *self.results]))

    def fingerprint(self) -> str:
        """Equal for kernels with the same code, in every process: all that is known of one, buffers by their order."""
        places = {buffer: i for i, buffer in enumerate((*self.buffers(), *self.local))}
        for member in self.members:  # what lies in a local buffer under another shape
            places.update({b: places[storage(b)] for b in member.buffers() if b not in places})
        return _spelled(self, places)


def _spelled(x: Any, places: Mapping[Node, int]) -> str:
    """A value as text, nodes as their place and type, and numbers such that only equal bits are equal.

    Raises:
        TypeError: it is of a kind whose text might not tell all of it.
    """
    spelling = _SPELLINGS.get(type(x))
    if spelling is None:
        spelling = _SPELLINGS[type(x)] = _spelling(type(x))
    return spelling(x, places)


Spelling = Callable[[Any, Mapping[Node, int]], str]


def _spelling(kind: type) -> Spelling:
    """How values of a class are spelled: as those of the nearest of its bases that is in the table."""
    found = next((_SPELLINGS[base] for base in kind.__mro__ if base in _SPELLINGS), None)
    if found is None:
        raise TypeError(f"a kernel with a {kind.__name__} in it cannot be spelled")
    return found


def _listed(x: Iterable[Any], places: Mapping[Node, int]) -> str:
    return f"({','.join([repr(part) if type(part) in _PLAIN else _spelled(part, places) for part in x])})"


def _of_fields(x: Any, places: Mapping[Node, int]) -> str:
    return type(x).__name__ + _listed(vars(x).values(), places)


def _of_kernel(x: Kernel, places: Mapping[Node, int]) -> str:
    core = x.core and (x.core.op, x.core.attrs, [y.type for y in x.core.inputs])
    return _listed((core, *vars(x).values()), places)


_PLAIN = frozenset((bool, int, str, float, NoneType, Affine))
"""Classes of values that say all of themselves."""

_SPELLINGS: dict[type, Spelling] = {
    **dict.fromkeys((*_PLAIN, np.generic), lambda x, places: repr(x)),
    **dict.fromkeys((tuple, list), _listed),
    **dict.fromkeys((Load, Apply, Scalar, Gathered, RandomWord, Given, Store, Region, Pooling), _of_fields),
    Node: lambda x, places: f"{places.get(x)}:{_spelled(x.type, places)}",
    TensorType: lambda x, places: f"{x.dtype.str}{x.shape}",
    Op: lambda x, places: x.name,
    np.dtype: lambda x, places: x.str,
    dict: lambda x, places: _listed(sorted(x.items()), places),
    np.ndarray: lambda x, places: f"{x.dtype.str}{x.shape}{x.tobytes().hex()}",
    Kernel: _of_kernel,
    Block: lambda x, places: _listed((x.code, x.dtypes), places),
}
"""How values are spelled, by class."""


def base_of(node: Node) -> Node:
    """What lies in memory under views."""
    while node.op in VIEWS or (node.op is core.reshape and only_unit_axes_change(node)):
        node = node.inputs[0]
    return node


def storage(node: Node) -> Node:
    """The node whose memory a node's value lies in: a reshape of a buffer is the same buffer."""
    while is_alias(node):
        node = node.inputs[0]
    return node


def is_alias(node: Node) -> bool:
    """Whether a node is the memory of its operand under another shape."""
    return node.op is core.reshape and not only_unit_axes_change(node)


def product_segments(node: Node) -> tuple[tuple[int, ...], ...]:
    """Sizes of the loops of a product: shared, free of the left, free of the right, summed."""
    left, right = node.inputs
    (sum_left, sum_right), (shared, shared_right) = node.attrs["contract"], node.attrs["batch"]
    rows = tuple(n for a, n in enumerate(left.shape) if a not in sum_left and a not in shared)
    columns = tuple(n for a, n in enumerate(right.shape) if a not in sum_right and a not in shared_right)
    return tuple(left.shape[a] for a in shared), rows, columns, tuple(left.shape[a] for a in sum_left)


def is_vector_product(node: Node) -> bool:
    """Whether a product is computed as a reduction: its right side is a single column, or its left side a single row
    against columns that do not lie side by side."""
    _, rows, columns, _ = product_segments(node)
    return math.prod(columns) == 1 or (math.prod(rows) == 1 and not columns_are_neighbours(node.inputs[1]))


def columns_are_neighbours(node: Node) -> bool:
    """Whether the last axis of a view has neighbours in memory."""
    base, block, rank = base_of(node), Block(), len(node.shape)
    if not rank:
        return False
    Reader(block, rank, lambda n: n is base, load_constants=True).read(node, variables(rank))
    (load,) = block.code
    return isinstance(load, Load) and load.place.strides[-1] == 1


def is_matrix(node: Node) -> bool:
    """Whether the right operand of a product has one free and one summed axis, so that it can be packed."""
    _, _, columns, summed = product_segments(node)
    return len(columns) == 1 and len(summed) == 1
