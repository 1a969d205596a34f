"""Which nodes share a loop: from a graph to a list of kernels.

Three questions are answered in turn.

1. What must lie in memory?  Results; reductions and matrix products; what they and indexing read; and values that
   several loops want and that are dear to compute again.  Everything else is computed in the loop of its user.
2. Which loops are one?  Values of one shape are computed in one loop where no result of a later kernel is needed for
   it.  A loop over the result of a reduction or of a matrix product becomes its epilogue: bias, activation, the
   derivative's mask and the optimiser's update happen while the result is in registers.
3. In which order?  A parameter's update comes after everything that reads the parameter, so that it can be written
   in place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gradloom.executors.native.loops import (
    ELEMENTWISE,
    Affine,
    Apply,
    Block,
    Gathered,
    Load,
    RandomWord,
    Reader,
    Scalar,
    contiguous,
    is_expression,
    only_unit_axes_change,
    variables,
)
from gradloom.executors.native.vectormath import FUNCTIONS
from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node, project
from gradloom.ir.tensortype import TensorType
from gradloom.ops import contraction, core, index, movement, reduce, sampling

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

NATIVE = REDUCTIONS | SCATTERS | {contraction.contract, reduce.cumsum}
"""Primitives with a kernel of their own; those that are neither these nor expressions run on the host."""


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
        position: for scatters, the place in ``inner`` of the position that is added at.
        region: for plain loops that fill a part of a buffer, what and where.
        host: whether NumPy computes ``core`` on the host, between kernels.
        operands: for matrix products, where the operands are read, over loops (results, reduced).
        segments: for matrix products, the sizes of the loops: shared, of the left, of the right, summed.
    """

    shape: tuple[int, ...]
    core: Node | None = None
    nodes: list[Node] = field(default_factory=list)
    block: Block = field(default_factory=Block)
    stores: list[Store] = field(default_factory=list)
    inner: Block | None = None
    inner_value: int = 0
    reduced: tuple[int, ...] = ()
    position: int = 0
    region: Region | None = None
    host: bool = False
    operands: tuple[Load, ...] = ()
    segments: tuple[tuple[int, ...], ...] = ()

    def __str__(self) -> str:
        """``contract + select [128,256]``: the node around which the loops are, what is fused to it, the loops."""
        names = [n.op.name for n in self.nodes] or ["fill" if self.region and self.region.source is None else "copy"]
        inner = f" over [{','.join(map(str, self.reduced))}]" if self.reduced else ""
        return f"{' + '.join(names)} [{','.join(map(str, self.shape))}]{inner}{' on the host' if self.host else ''}"

    @property
    def results(self) -> list[Node]:
        """The buffers it writes."""
        return self.nodes if self.host else [s.buffer for s in self.stores]

    def reads(self) -> list[Node]:
        """The buffers it reads."""
        found: dict[Node, None] = {}
        for block in (self.inner, self.block):
            for instruction in block.code if block else ():
                if isinstance(instruction, (Load, Gathered, RandomWord)):
                    found[instruction.buffer] = None
        found.update({load.buffer: None for load in self.operands})
        if self.host and self.core is not None:
            found.update(dict.fromkeys(self.core.inputs))
        return list(found)


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


@dataclass
class Plan:
    """Kernels in the order in which they run, and what lies in memory."""

    graph: Graph
    buffers: set[Node]
    kernels: list[Kernel]


def plan(graph: Graph) -> Plan:
    """Group the nodes of a graph into kernels."""
    buffers = _in_memory(graph)
    kernels = _Grouping(graph, buffers).kernels
    for kernel in kernels:
        _write_block(kernel, buffers)
    return Plan(graph, buffers, kernels)


# What lies in memory ------------------------------------------------------------------------------------------------


def _in_memory(graph: Graph) -> set[Node]:
    users: dict[Node, int] = {}
    for node in graph.nodes:
        for x in set(node.inputs):
            users[x] = users.get(x, 0) + 1
    found = {n for n in graph.nodes if n.op in (PLACEHOLDER, CONSTANT)} | set(graph.outputs)
    for node in graph.nodes:
        if node.op not in (PLACEHOLDER, CONSTANT):
            found.update(_needed_for(node, users.get(node, 0), found))
    return found


def _needed_for(node: Node, users: int, buffers: set[Node]) -> list[Node]:
    """What must lie in memory because of a node."""
    if node.op is contraction.contract:
        return [node, *_operands_in_memory(node)]
    if node.op in REDUCTIONS or node.op in SCATTERS or node.op in JOININGS or node.op is reduce.cumsum:
        return [node]
    if not is_expression(node):  # a reshape, or a node that is computed on the host
        return [node, *node.inputs]
    if node.op in (index.take, index.take_along):
        return [node.inputs[0]]
    if node.op is sampling.random_bits:
        return [node.inputs[0], node] if users > 1 else [node.inputs[0]]
    if node.op is core.broadcast:
        return [node.inputs[0]] if _cost(node.inputs[0], buffers) > 2 else []
    return [node] if users > 1 and _cost(node, buffers) > 2 else []


def _operands_in_memory(node: Node) -> list[Node]:
    """What a product reads: the memory under views of its operands, or a copy in the order that its kernel needs.

    The left operand may lie in any order; the right one's last axis must have neighbours in memory (layout.py made
    it a free axis).  Products with a vector are reductions, which read anything.
    """
    left, right = node.inputs
    found = [base_of(left)]
    if is_vector_product(node) or not right.shape:
        return [*found, base_of(right)]
    base, rank = base_of(right), len(right.shape)
    block = Block()
    Reader(block, rank, lambda n: n is base).read(right, variables(rank))
    (load,) = block.code
    neighbours = not isinstance(load, Load) or load.place.strides[-1] == 1
    return [*found, base if neighbours else right]


def product_segments(node: Node) -> tuple[tuple[int, ...], ...]:
    """Sizes of the loops of a product: shared, free of the left, free of the right, summed."""
    left, right = node.inputs
    (sum_left, sum_right), (shared, shared_right) = node.attrs["contract"], node.attrs["batch"]
    rows = tuple(n for a, n in enumerate(left.shape) if a not in sum_left and a not in shared)
    columns = tuple(n for a, n in enumerate(right.shape) if a not in sum_right and a not in shared_right)
    return tuple(left.shape[a] for a in shared), rows, columns, tuple(left.shape[a] for a in sum_left)


def is_vector_product(node: Node) -> bool:
    """Whether one side of a product has a single row or column, so that it is a reduction."""
    _, rows, columns, _ = product_segments(node)
    return math.prod(rows) == 1 or math.prod(columns) == 1


def _cost(node: Node, buffers: set[Node]) -> int:
    """Roughly how many operations an element takes when computed in place; a dear function counts ten."""
    total, stack, seen = 0, [node], set()
    while stack and total <= 10:
        x = stack.pop()
        if x in buffers or x in seen:
            continue
        seen.add(x)
        total += 10 if x.op in DEAR else int(x.op in ELEMENTWISE)
        stack += x.inputs
    return total


# Which loops are one ------------------------------------------------------------------------------------------------


class _Grouping:
    """Assigns every computed buffer to a kernel, in topological order."""

    def __init__(self, graph: Graph, buffers: set[Node]) -> None:
        self.buffers = buffers
        self.kernels: list[Kernel] = []
        self.position: dict[Node, int] = {}
        for node in graph.nodes:
            if node not in buffers or node.op in (PLACEHOLDER, CONSTANT):
                continue
            if is_expression(node):
                self._place(node)
            elif node.op is project:
                self._project(node)
            elif node.op in JOININGS:
                self._join(node)
            elif not is_alias(node):
                self._append(Kernel(_shape(node), core=node, host=node.op not in NATIVE), node)

    def _append(self, kernel: Kernel, node: Node) -> None:
        self.position[node] = len(self.kernels)
        if isinstance(node.type, TensorType):
            kernel.nodes.append(node)
        self.kernels.append(kernel)

    def _project(self, node: Node) -> None:
        """One result of a node with several is written by that node's kernel."""
        place = self.position[node] = self.position[node.inputs[0]]
        self.kernels[place].nodes.append(node)

    def _join(self, node: Node) -> None:
        """Concatenating and padding fill parts of a buffer, each with loops of its own."""
        for shape, region in _regions(node):
            self.kernels.append(Kernel(shape, region=region))
        self.position[node] = len(self.kernels) - 1

    def _place(self, node: Node) -> None:
        """Put a node into the latest kernel that can compute it, else into one of its own."""
        rank = len(node.shape)
        block = Block()
        Reader(block, rank, lambda n: n in self.buffers and n is not node).read(node, variables(rank))
        elementwise, anywhere = self._dependencies(block, node.shape)
        first = max(anywhere, default=-1) + 1
        for place in reversed(range(first, len(self.kernels))):
            kernel = self.kernels[place]
            fits = kernel.shape == node.shape and all(q <= place for q in elementwise)
            open_to_more = kernel.region is None and not kernel.host and not _is_sequential(kernel)
            if fits and open_to_more and (kernel.core is None or place in elementwise):
                self.position[node] = place
                kernel.nodes.append(node)
                return
            if place in elementwise:
                break
        self._append(Kernel(node.shape), node)

    def _dependencies(self, block: Block, shape: tuple[int, ...]) -> tuple[set[int], set[int]]:
        """Kernels whose results are read at the element that is computed, and those read anywhere else."""
        elementwise: set[int] = set()
        anywhere: set[int] = set()
        same = Affine(0, contiguous(shape))
        for instruction in block.code:
            if isinstance(instruction, (Load, Gathered, RandomWord)):
                place = self.position.get(storage(instruction.buffer))
                if place is None:
                    continue
                here = isinstance(instruction, Load) and instruction.place == same and instruction.buffer.shape == shape
                (elementwise if here and instruction.buffer.op is not core.reshape else anywhere).add(place)
        return elementwise, anywhere


def _shape(node: Node) -> tuple[int, ...]:
    return node.type.shape if isinstance(node.type, TensorType) else ()


def _is_sequential(kernel: Kernel) -> bool:
    """Whether a kernel's results are final only when its last loop ends."""
    return kernel.core is not None and (kernel.core.op in SCATTERS or kernel.core.op is reduce.cumsum)


def _regions(node: Node) -> list[tuple[tuple[int, ...], Region]]:
    """The parts of a concatenation or a padding: the shape of each, what it holds, and where it lies."""
    strides = contiguous(node.shape)
    if node.op is movement.pad:
        low, gaps = node.attrs["low"], node.attrs["interior"]
        inside = Affine(sum(a * s for a, s in zip(low, strides)), tuple((g + 1) * s for g, s in zip(gaps, strides)))
        (x,) = node.inputs
        around = Region(node, None, node.attrs["value"], Affine(0, strides))
        return [(node.shape, around), (x.shape, Region(node, x, 0.0, inside))]
    axis, start, parts = node.attrs["axis"], 0, []
    for x in node.inputs:
        parts.append((x.shape, Region(node, x, 0.0, Affine(start * strides[axis], strides))))
        start += x.shape[axis]
    return parts


def _write_block(kernel: Kernel, buffers: set[Node]) -> None:
    """Write the straight-line programs of a kernel."""
    if kernel.host:
        return
    if kernel.region is not None:
        _write_region(kernel, kernel.region, buffers)
        return
    own = set(kernel.nodes)
    rank = len(kernel.shape)
    given = [kernel.core] if kernel.core is not None else []
    reader = Reader(kernel.block, rank, lambda n: n in buffers and n not in own, given)
    at = variables(rank)
    for node in kernel.nodes:
        value = reader.read(node, at)
        kernel.stores.append(Store(value, node, reader.linear(at, contiguous(node.shape))))
    if kernel.core is None:
        return
    if kernel.core.op in SCATTERS:
        _write_scatter(kernel, kernel.core, buffers)
    elif kernel.core.op is reduce.cumsum:
        _write_cumsum(kernel, kernel.core, buffers)
    elif kernel.core.op in REDUCTIONS:
        _write_reduction(kernel, kernel.core, buffers)
    else:
        _write_product(kernel, kernel.core, buffers)


def _write_region(kernel: Kernel, region: Region, buffers: set[Node]) -> None:
    """Copy a node, or one value, into a part of a buffer."""
    rank = len(kernel.shape)
    if region.source is None:
        dtype = region.target.dtype
        value = kernel.block.add(Scalar(region.value, dtype.name), dtype)
    else:
        value = Reader(kernel.block, rank, lambda n: n in buffers).read(region.source, variables(rank))
    kernel.stores.append(Store(value, region.target, region.place))


def _write_scatter(kernel: Kernel, node: Node, buffers: set[Node]) -> None:
    """The block copies the base; ``inner`` gives, over loops of the updates, the position and what is added."""
    base, positions, updates = node.inputs
    axis, rank, at = node.attrs["axis"], len(updates.shape), variables(len(updates.shape))
    kernel.block, kernel.stores = Block(), []
    own = variables(len(base.shape))
    reader = Reader(kernel.block, len(base.shape), lambda n: n in buffers)
    kernel.stores.append(Store(reader.read(base, own), node, reader.linear(own, contiguous(base.shape))))
    kernel.inner, kernel.reduced = Block(), updates.shape
    inner = Reader(kernel.inner, rank, lambda n: n in buffers)
    kernel.inner_value = inner.read(updates, at)
    spread = len(positions.shape) if node.op is index.scatter_add else 1
    positions_at = at[axis : axis + spread] if node.op is index.scatter_add else at
    kernel.position = inner.read(positions, positions_at)
    place = (*at[:axis], inner.zero, *at[axis + spread :])
    kernel.stores.append(Store(kernel.inner_value, node, inner.linear(place, contiguous(base.shape))))


def _write_cumsum(kernel: Kernel, node: Node, buffers: set[Node]) -> None:
    """``inner`` gives the element that is added, over the loops of the result."""
    rank = len(node.shape)
    kernel.inner = Block()
    kernel.inner_value = Reader(kernel.inner, rank, lambda n: n in buffers).read(node.inputs[0], variables(rank))


def _write_reduction(kernel: Kernel, node: Node, buffers: set[Node]) -> None:
    """The element that is reduced, over loops (results, reduced)."""
    (operand,) = node.inputs
    axes = node.attrs.get("axes", (node.attrs.get("axis"),))
    kept = [a for a in range(len(operand.shape)) if a not in axes]
    kernel.reduced = tuple(operand.shape[a] for a in axes)
    rank = len(operand.shape)
    at = dict(zip([*kept, *axes], variables(rank)))
    kernel.inner = Block()
    reader = Reader(kernel.inner, rank, lambda n: n in buffers)
    kernel.inner_value = reader.read(operand, tuple(at[a] for a in range(rank)))


def _write_product(kernel: Kernel, node: Node, buffers: set[Node]) -> None:
    """Where the operands are read, over loops (shared, rows, columns, summed)."""
    segments = product_segments(node)
    loops = iter(variables(sum(map(len, segments))))
    shared, rows, columns, summed = ([next(loops) for _ in segment] for segment in segments)
    contract, batch = node.attrs["contract"], node.attrs["batch"]
    rank = sum(map(len, segments))
    block = Block()
    reader = Reader(block, rank, lambda n: n in buffers)
    places = []
    for side, free in enumerate((rows, columns)):
        at = {**dict(zip(batch[side], shared)), **dict(zip(contract[side], summed))}
        others = [a for a in range(len(node.inputs[side].shape)) if a not in at]
        at.update(zip(others, free))
        places.append(reader.read(node.inputs[side], tuple(at[a] for a in range(len(at)))))
    kernel.segments = segments
    if is_vector_product(node):
        kernel.reduced = segments[3]
        kernel.inner = block
        kernel.inner_value = block.add(Apply("mul", (places[0], places[1]), node.dtype.name), node.dtype)
        return
    loads = [block.code[p] for p in places]
    assert all(isinstance(load, Load) for load in loads), "operands of products lie in memory"
    kernel.operands = tuple(load for load in loads if isinstance(load, Load))
