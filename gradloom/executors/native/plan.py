"""A program's plan: its kernels in order, the plans of the loops and branches inside it, and where all values lie.

A loop's body is planned like a graph of its own.  What it carries from turn to turn lies in the loop's results; a
carried value is written in place where nothing reads the old one any more, and copied at the end of the turn
elsewhere.  To make that rare, kernels whose results only leave the turn (parameter updates) wait for those that read
the old values.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from gradloom.executors.native.bases import drop_base, separate_bases
from gradloom.executors.native.bodies import write_bodies
from gradloom.executors.native.convolve import prepare_convolutions
from gradloom.executors.native.fuse import fuse
from gradloom.executors.native.kernel import SCATTERS, Kernel, Region, storage
from gradloom.executors.native.kernels import scratch
from gradloom.executors.native.layout import lay_out
from gradloom.executors.native.loops import Affine, Gathered, Load, RandomWord, contiguous
from gradloom.executors.native.masks import read_masks
from gradloom.executors.native.narrow import narrow
from gradloom.executors.native.pack import prepare_products
from gradloom.executors.native.poolings import pool_results
from gradloom.executors.native.rows import join_rows
from gradloom.executors.native.shares import share_where_read
from gradloom.executors.native.simplify import simplify
from gradloom.executors.native.split import split_reductions
from gradloom.executors.native.target import Target
from gradloom.executors.native.widen import widen
from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node, project
from gradloom.ir.tensortype import TupleType
from gradloom.ir.text import inner_graphs
from gradloom.ops import control, elementwise
from gradloom.records import dataclass

ALIGNMENT = 64


@dataclass
class Plan:
    """The kernels of a graph, and places of buffers.

    Attributes:
        graph: what is computed.
        kernels: in the order in which they run.
        inner: for a kernel that is a loop or a branch, the plans of its graphs.
        inputs: placeholders and constants that kernels read, those in inner plans included.
        outputs: computed results; they lie where the caller says.
        offsets: the byte at which every other buffer begins in the arena.
        size: bytes of the arena.
        in_place: for the body of a loop, the carried input in whose place an output is written.
        copied: for the body of a loop, the outputs that are copied to the carried input at the end of a turn.
        inner_offsets: where the arenas of inner plans begin in this one.
        scratch: where the working memory of kernels that need some begins.
    """

    graph: Graph
    kernels: list[Kernel]
    inner: dict[Kernel, list[Plan]] = field(default_factory=dict)
    inputs: tuple[Node, ...] = ()
    outputs: tuple[Node, ...] = ()
    offsets: dict[Node, int] = field(default_factory=dict)
    size: int = 0
    in_place: dict[Node, Node] = field(default_factory=dict)
    copied: set[Node] = field(default_factory=set)
    inner_offsets: dict[Kernel, list[int]] = field(default_factory=dict)
    scratch: dict[Kernel, int] = field(default_factory=dict)

    def every_kernel(self) -> list[Kernel]:
        """All kernels, those in inner plans included."""
        return [k for kernel in self.kernels for k in (kernel, *_inside(self.inner.get(kernel, [])))]


def _inside(plans: list[Plan]) -> list[Kernel]:
    return [k for p in plans for k in p.every_kernel()]


def make_plan(graph: Graph, target: Target) -> Plan:
    """Plan a graph for a machine: kernels, inner plans, memory."""
    laid = _laid_out(simplify(graph), target)
    return _complete(Plan(laid, fuse(laid)), target)


def _laid_out(graph: Graph, target: Target) -> Graph:
    return share_where_read(narrow(read_masks(lay_out(widen(graph))), target))


def _complete(plan: Plan, target: Target) -> Plan:
    """Plan the graphs inside, then assign memory."""
    kernels: list[Kernel] = []
    for kernel in plan.kernels:
        node = kernel.core
        if node is not None and isinstance(node.type, TupleType):
            _name_results(kernel, node.type)
        if node is not None and node.op is control.scan:
            kernels += _initial_copies(kernel, node)
            plan.inner[kernel] = [_plan_body(node, target)]
        elif node is not None and node.op is control.while_loop:
            kernels += _initial_copies(kernel, node)
            plan.inner[kernel] = [_plan_branch(node.attrs["condition"], target), _plan_body(node, target)]
        elif node is not None and node.op.nested is not None:
            plan.inner[kernel] = [_plan_branch(graph, target) for graph in inner_graphs(node)]
        kernels.append(kernel)
    wanted = {storage(y) for y in plan.graph.outputs} | set(plan.in_place.values())
    kernels = prepare_convolutions(pool_results(kernels, wanted, target), target)
    kernels = prepare_products(split_reductions(separate_bases(kernels), target), target)
    plan.kernels = join_rows(kernels, plan.in_place, wanted, target)
    _place(plan, target)
    return plan


# Loops and branches -------------------------------------------------------------------------------------------------


def _plan_branch(graph: Graph, target: Target) -> Plan:
    laid = _own_outputs(_laid_out(graph, target))
    return _complete(Plan(laid, fuse(laid)), target)


def _plan_body(node: Node, target: Target) -> Plan:
    """The plan of one turn: updates as early as they can be, carried values in place or copied at the end."""
    graph = _own_outputs(_laid_out(node.attrs["body"], target))
    first, count = node.attrs["consts"], node.attrs["carries"]
    updates = dict(zip(map(storage, graph.outputs), graph.inputs[first : first + count]))
    plan = Plan(graph, _updates_early(fuse(graph), updates))
    uses = _Uses(plan.kernels[:])
    for carried, output in zip(graph.inputs[first : first + count], graph.outputs):
        root = storage(output)
        if uses.may_overwrite(carried, root):
            plan.in_place[root] = carried
            if root.op in SCATTERS:
                drop_base(plan.kernels[uses.writers[root][0]])
        else:
            plan.copied.add(root)
            whole = Affine(0, contiguous(carried.shape))
            plan.kernels.append(_region_kernel(Region(carried, output, 0.0, whole)))
    return _complete(plan, target)


def _own_outputs(graph: Graph) -> Graph:
    """Every output a buffer of its own: inputs, constants and repeated outputs are copied."""
    seen: set[Node] = set()
    outputs = []
    for y in graph.outputs:
        root = storage(y)
        if root.op in (PLACEHOLDER, CONSTANT) or root in seen or y.value is not None:
            y = _copied(y)
        seen.add(storage(y))
        outputs.append(y)
    return Graph(graph.inputs, tuple(outputs), graph.name)


def _copied(node: Node) -> Node:
    """A node that computes the same anew; made directly, for applying the primitive would fold a constant."""
    return Node(elementwise.stop_gradient, (node,), {}, node.type)


def _updates_early(kernels: list[Kernel], updates: Mapping[Node, Node]) -> list[Kernel]:
    """The kernels in an order in which what only leaves the turn comes as soon as it can.

    A new carried value is written in place of the old one, so its kernel waits for all that read the old one; but no
    longer, for what it reads (the values and gradients of a layer) takes up memory until then.

    Args:
        kernels: in an order in which they can run.
        updates: the old carried value of each new one.
    """
    reads = {k: {storage(b) for b in k.reads()} for k in kernels}
    results = {k: set(k.results) for k in kernels}
    read = set().union(*reads.values())
    leaving = {k: None for k in kernels if not any(storage(n) in read for n in results[k])}
    order = [k for k in kernels if k not in leaving]
    for kernel in sorted(leaving, key=lambda k: any(n in updates for n in results[k])):
        needed = reads[kernel] | results[kernel]  # it may write a part of a result
        replaced = {updates[n] for n in results[kernel] if n in updates}
        before = (
            place
            for place, other in reversed(list(enumerate(order)))
            if not (needed.isdisjoint(results[other]) and replaced.isdisjoint(reads[other]))
        )
        order.insert(next(before, -1) + 1, kernel)
    return order


class _Uses:
    """Which of some kernels write each buffer, and which is the last to read it."""

    def __init__(self, kernels: list[Kernel]) -> None:
        self.kernels = kernels
        self.writers: dict[Node, list[int]] = {}
        self.last_read: dict[Node, int] = {}
        for place, kernel in enumerate(kernels):
            for node in dict.fromkeys(kernel.results):
                self.writers.setdefault(node, []).append(place)
            self.last_read.update((storage(b), place) for b in kernel.reads())

    def may_overwrite(self, carried: Node, root: Node) -> bool:
        """Whether the kernel that writes ``root`` reads the old value only where it writes, and is the last to."""
        writers = self.writers.get(root, [])
        if len(writers) != 1 or root.shape != carried.shape:
            return False
        writer = self.kernels[writers[0]]
        if writer.whole or writer.region is not None or writer.inner_reads(carried):
            return False
        if self.last_read.get(carried, -1) > writers[0]:
            return False
        same = Affine(0, contiguous(carried.shape))
        return all(
            isinstance(i, Load) and i.place == same and i.buffer is carried
            for i in writer.block.code
            if isinstance(i, (Load, Gathered, RandomWord)) and storage(i.buffer) is carried
        )


def _name_results(kernel: Kernel, type: TupleType) -> None:
    """All results in order; those that nobody asked for exist as well."""
    assert kernel.core is not None
    known = {n.attrs["index"]: n for n in kernel.nodes}
    kernel.nodes = [known.get(i) or project(kernel.core, index=i) for i in range(len(type.parts))]


def _initial_copies(kernel: Kernel, node: Node) -> list[Kernel]:
    """The results of a loop begin as the first carried values; what turns that are not taken would write is 0."""
    first, count = node.attrs["consts"], node.attrs["carries"]
    starts = node.inputs[first : first + count]
    unwritten = kernel.nodes[count:] if node.attrs.get("bounded") else []
    pairs = [*zip(kernel.nodes, starts), *((result, None) for result in unwritten)]
    return [_region_kernel(Region(result, start, 0.0, Affine(0, contiguous(result.shape)))) for result, start in pairs]


def _region_kernel(region: Region) -> Kernel:
    kernel = Kernel(region.source.shape if region.source else region.target.shape, region=region)
    source = region.source
    write_bodies(kernel, {source} if source is not None else set())
    return kernel


# Memory -------------------------------------------------------------------------------------------------------------


def _place(plan: Plan, target: Target) -> None:
    """Assign places; first fit among what is free when a buffer is first written."""
    read: dict[Node, None] = {}
    for kernel in plan.kernels:
        read.update((storage(b), None) for b in kernel.reads())
        for inner in plan.inner.get(kernel, []):
            read.update((n, None) for n in inner.inputs if n.op is CONSTANT)
    plan.inputs = tuple(n for n in read if n.op in (PLACEHOLDER, CONSTANT))
    roots = dict.fromkeys(storage(y) for y in plan.graph.outputs)
    plan.outputs = tuple(n for n in roots if n.op not in (PLACEHOLDER, CONSTANT) and n not in plan.copied)
    last_use = {storage(b): step for step, k in enumerate(plan.kernels) for b in (*k.reads(), *k.results)}
    arena, outside = _Arena(), set(plan.outputs)
    dying: dict[int, list[Any]] = {}
    for step, kernel in enumerate(plan.kernels):
        for node in kernel.results:
            if node not in outside and node not in arena.offsets and node.op is not PLACEHOLDER:
                arena.put(node, node.tensor_type.nbytes)
                dying.setdefault(last_use[node], []).append(node)
        inner = [(kernel, i) for i in range(len(plan.inner.get(kernel, [])))]
        plan.inner_offsets[kernel] = [arena.put(what, plan.inner[kernel][what[1]].size) for what in inner]
        own: list[Any] = [*inner]
        if size := scratch(kernel, target):
            own.append((kernel, "scratch"))
            plan.scratch[kernel] = arena.put(own[-1], size)
        for what in (*dying.pop(step, []), *own):
            arena.free(what)
    plan.offsets = {what: offset for what, offset in arena.offsets.items() if isinstance(what, Node)}
    plan.size = arena.size


class _Arena:
    """Which bytes are taken; of those that are free, the lowest that are enough are taken first."""

    def __init__(self) -> None:
        self.offsets: dict[Any, int] = {}
        self.sizes: dict[Any, int] = {}
        self.gaps: list[tuple[int, int]] = []  # (first byte, first byte behind), sorted, none beside another
        self.size = 0

    def put(self, what: Any, size: int) -> int:
        """Take the lowest gap that is large enough; gives its first byte."""
        size = -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
        self.sizes[what] = size
        for i, (low, high) in enumerate(self.gaps):
            if high - low >= size:
                self.gaps[i : i + 1] = [(low + size, high)] if high - low > size else []
                self.offsets[what] = low
                return low
        last = self.gaps.pop()[0] if self.gaps and self.gaps[-1][1] == self.size else self.size
        self.offsets[what], self.size = last, last + size
        return last

    def free(self, what: Any) -> None:
        """Give bytes back; gaps that now touch become one."""
        low = self.offsets[what]
        high = low + self.sizes[what]
        place = bisect.bisect(self.gaps, (low, high))
        if place < len(self.gaps) and self.gaps[place][0] == high:
            high = self.gaps.pop(place)[1]
        if place and self.gaps[place - 1][1] == low:
            place -= 1
            low = self.gaps.pop(place)[0]
        self.gaps.insert(place, (low, high))
