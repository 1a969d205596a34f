"""Which nodes share a loop: from a graph to a list of kernels.

Two questions are answered in turn.

1. What must lie in memory?  Results; reductions and matrix products; what they and indexing read; and values that
   several loops want and that are dear to compute again.  Everything else is computed in the loop of its user.
2. Which loops are one?  Values of one shape are computed in one loop where no result of a later kernel is needed for
   it.  A loop over the result of a reduction or of a matrix product becomes its epilogue: bias, activation, the
   derivative's mask and the optimiser's update happen while the result is in registers.
"""

from __future__ import annotations

from gradloom.executors.native.bodies import write_bodies
from gradloom.executors.native.kernel import (
    DEAR,
    FUSED,
    JOININGS,
    REDUCTIONS,
    SCATTERS,
    Kernel,
    Region,
    base_of,
    columns_are_neighbours,
    is_alias,
    is_matrix,
    is_vector_product,
    storage,
)
from gradloom.executors.native.loops import (
    ELEMENTWISE,
    Affine,
    Block,
    Gathered,
    Load,
    RandomWord,
    Reader,
    contiguous,
    is_expression,
    uniform_value,
    variables,
)
from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node, project
from gradloom.ir.tensortype import TensorType, is_bfloat16
from gradloom.ops import contraction, core, elementwise, index, movement, reduce, sampling

MOST_RESULTS = 24
"""Results that one kernel computes at most: LLVM's time grows with the square of a loop's length."""


FEW = 2
"""Operations on an element that are always repeated rather than kept."""
LARGE = 2**15
"""Elements from which on a value computed from two tensors is kept even then."""
SOME = 12
"""Those that are repeated where keeping their result would save no trip to memory."""


def fuse(graph: Graph) -> list[Kernel]:
    """Group the nodes of a graph into kernels, in an order in which they can run."""
    buffers = in_memory(graph)
    kernels = _Grouping(graph, buffers).kernels
    for kernel in kernels:
        write_bodies(kernel, buffers)
    _drop_unread(kernels, graph)
    return kernels


def _drop_unread(kernels: list[Kernel], graph: Graph) -> None:
    """Values that only the epilogue of their own kernel uses never leave the registers."""
    needed = {storage(y) for y in graph.outputs}
    for kernel in kernels:
        needed.update(storage(b) for b in kernel.reads())
    for kernel in kernels:
        if kernel.region is None and not _is_sequential(kernel):
            kernel.stores = [s for s in kernel.stores if s.buffer in needed]


# What lies in memory ------------------------------------------------------------------------------------------------


def in_memory(graph: Graph) -> set[Node]:
    """The nodes whose values must lie in memory."""
    users: dict[Node, int] = {}
    for node in graph.nodes:
        for x in set(node.inputs):
            users[x] = users.get(x, 0) + 1
    found = {n for n in graph.nodes if n.op in (PLACEHOLDER, CONSTANT)} | set(graph.outputs)
    for node in graph.nodes:
        if node.op not in (PLACEHOLDER, CONSTANT):
            found.update(_needed_for(node, users.get(node, 0), found))
    return found


def _needed_for(node: Node, users: int, found: set[Node]) -> list[Node]:
    """What must lie in memory because of a node."""
    if node.op is contraction.contract:
        return [node, *_operands_in_memory(node)]
    if node.op in SCATTERS:
        base, _, updates = node.inputs
        return [node, updates] if _computed_from(updates, base, found) else [node]
    if node.op in REDUCTIONS or node.op in JOININGS or node.op is reduce.cumsum:
        return [node]
    if not is_expression(node):  # a reshape, or a node that reads whole operands
        return [node, *node.inputs]
    if node.op in (index.take, index.take_along):
        return [node.inputs[0]]
    if node.op is sampling.random_bits:
        return [node.inputs[0], node] if users > 1 else [node.inputs[0]]
    if node.op is core.broadcast:
        return [node.inputs[0]] if _cost(node.inputs[0], found) > FEW else []
    return [node] if users > 1 and _is_dear(node, found) else []


def _computed_from(node: Node, source: Node, buffers: set[Node]) -> bool:
    """Whether a node reads a buffer where it is computed.

    Updates that do would see a base that is written in place half changed.
    """
    stack, seen = [node], set()
    while stack:
        x = stack.pop()
        if x is source:
            return True
        if x not in buffers and x not in seen:
            seen.add(x)
            stack += x.inputs
    return False


def _operands_in_memory(node: Node) -> list[Node]:
    """What a product reads: the memory under views of its operands, or a copy in the order that its kernel needs.

    The left operand may lie in any order, and so may a right one that can be packed; another right one's last axis must
    have neighbours in memory (layout.py made it a free axis).  Products with a vector are reductions, which read
    anything.
    """
    left, right = node.inputs
    in_any_order = is_vector_product(node) or is_matrix(node) or columns_are_neighbours(right)
    return [base_of(left), base_of(right) if in_any_order else right]


def _is_dear(node: Node, buffers: set[Node]) -> bool:
    """Whether a value is better kept than computed by each of its users.

    One that is computed from a single tensor of its size takes as long to read as that tensor, and none to write.
    """
    cost = _cost(node, buffers)
    if cost <= FEW and node.tensor_type.size < LARGE:
        return False
    return cost > SOME or len(_large_sources(node, buffers)) > 1


def _large_sources(node: Node, buffers: set[Node]) -> list[Node]:
    """The tensors in memory, no smaller than a value, that it is computed from."""
    found, stack, seen = [], [node], set()
    while stack:
        x = stack.pop()
        if x in seen or x.tensor_type.size < node.tensor_type.size:
            continue
        seen.add(x)
        if x not in buffers:
            stack += x.inputs
        elif uniform_value(x) is None:
            found.append(x)
    return found


def _cost(node: Node, buffers: set[Node]) -> int:
    """Roughly how many operations an element takes when computed in place; a dear function counts too many."""
    total, stack, seen = 0, [node], set()
    while stack and total <= SOME:
        x = stack.pop()
        if x in buffers or x in seen:
            continue
        seen.add(x)
        total += SOME + 1 if x.op in DEAR else int(x.op in ELEMENTWISE)
        stack += x.inputs
    return total


# Which loops are one ------------------------------------------------------------------------------------------------


class _Grouping:
    """Assigns every computed buffer to a kernel, in topological order."""

    def __init__(self, graph: Graph, buffers: set[Node]) -> None:
        self.buffers = buffers
        self.kernels: list[Kernel] = []
        self.plain: dict[tuple[int, ...], list[int]] = {}  # kernels without a core, by shape
        self.position: dict[Node, int] = {}
        for node in _numbers_first(graph):
            if node not in buffers or node.op in (PLACEHOLDER, CONSTANT):
                continue
            if _is_copy(node, buffers):
                self._append(Kernel(node.shape), node)
            elif is_expression(node):
                self._place(node)
            elif node.op is project:
                self._project(node)
            elif node.op in JOININGS:
                self._join(node)
            elif not is_alias(node):
                self._append(Kernel(_shape(node), core=node, whole=node.op not in FUSED), node)

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
        place = self._open_kernel(node.shape, *self._dependencies(block, node.shape))
        if place is not None:
            self.position[node] = place
            self.kernels[place].nodes.append(node)
            return
        self._append(Kernel(node.shape), node)
        self.plain.setdefault(node.shape, []).append(self.position[node])

    def _open_kernel(self, shape: tuple[int, ...], elementwise: set[int], anywhere: set[int]) -> int | None:
        """The latest kernel that can compute one more node, which must come behind those it reads anywhere.

        That is a kernel without a core, or the core whose result is read; the latter only if nothing it reads is later.
        """
        first, latest = max(anywhere, default=-1) + 1, max(elementwise, default=-1)
        plain = self.plain.get(shape, [])
        while plain and len(self.kernels[plain[-1]].nodes) == MOST_RESULTS:
            plain.pop()
        if plain and plain[-1] >= max(first, latest):
            return plain[-1]
        kernel = self.kernels[latest] if latest >= first else None
        if kernel is None or kernel.core is None or kernel.whole or _is_sequential(kernel):
            return None
        return latest if kernel.shape == shape and len(kernel.nodes) < MOST_RESULTS else None

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


def _is_copy(node: Node, buffers: set[Node]) -> bool:
    """Whether a node is a float32 copy, for a product or a convolution, of something in memory rounded to bfloat16.

    It has a loop of its own, just before its user's: among those of its operand it would lie in memory in between.
    """
    if node.op is not elementwise.cast or not is_bfloat16(node.inputs[0].dtype):
        return False
    source = node.inputs[0]
    while source not in buffers and source.op is elementwise.cast:
        source = source.inputs[0]
    return source in buffers


def _numbers_first(graph: Graph) -> list[Node]:
    """The nodes in an order that computes single numbers that depend on nothing larger (rates, counts) at once.

    Whatever uses them can then join the loop that makes its other operands.
    """
    small: set[Node] = set()
    for node in graph.nodes:
        single = isinstance(node.type, TensorType) and node.type.size == 1
        if single and all(x in small for x in node.inputs):
            small.add(node)
    return [n for n in graph.nodes if n in small] + [n for n in graph.nodes if n not in small]


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
