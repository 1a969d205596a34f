"""What the compiler made of a graph, for reading: what each stage did, then every kernel, its loops and its cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import count

from gradloom.executors.native.cost import Cost, cost
from gradloom.executors.native.kernel import CONVOLUTIONS, Kernel
from gradloom.executors.native.kernels.conv_form import sides
from gradloom.executors.native.kernels.elementwise import lanes_of, merged_loops
from gradloom.executors.native.kernels.tiling import Packs
from gradloom.executors.native.layout import lay_out
from gradloom.executors.native.loops import Apply
from gradloom.executors.native.nest import nest
from gradloom.executors.native.plan import Plan
from gradloom.executors.native.simplify import simplify
from gradloom.executors.native.target import Target
from gradloom.executors.native.widen import widen
from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node
from gradloom.ir.text import inner_graphs
from gradloom.ops import control


def explain(graph: Graph, plan: Plan, target: Target, threads: int) -> str:
    """The stages in order, then every kernel with its loops, how it uses vectors, and what it moves and computes.

    Kernels are numbered as in profiles; those inside a loop run in each of its turns, and totals count all turns.
    """
    simple = simplify(graph)
    kernels = [k for k in plan.every_kernel() if k.core_op not in _CONTROL]
    whole, calls = _total(plan)
    functions = len({k.fingerprint() for k in kernels if not k.host})
    lines = [
        f"{graph.name}: compiled for {target.name}, run by {counted(threads, 'thread')}",
        f"  simplify   {_operations(graph):,} operations become {_operations(simple):,}",
        f"  layout     {_operations(lay_out(widen(simple))):,} operations, with operands as kernels read them",
        f"  fuse       {counted(len(kernels), 'kernel')}: {_kinds(kernels)}",
        f"  memory     an arena of {plan.size:,} bytes for values of {_unshared(plan):,}",
        f"  program    {counted(functions, 'function')}, {counted(calls, 'call')}; {_figures(whole)}",
    ]
    return "\n".join([*lines, *_kernels(plan, target, "  ", count(1))])


_CONTROL = frozenset((control.scan, control.while_loop, control.cond, control.checkpoint))


def _operations(graph: Graph) -> int:
    """Nodes that compute something, those of graphs inside included."""
    inside = sum(_operations(g) for n in graph.nodes for g in inner_graphs(n))
    return inside + sum(n.op not in (PLACEHOLDER, CONSTANT) for n in graph.nodes)


def _kinds(kernels: list[Kernel]) -> str:
    """How many kernels there are of each kind."""
    found = Counter(map(_kind, kernels))
    return ", ".join(f"{number} {kind}" for kind, number in found.items())


def _kind(kernel: Kernel) -> str:
    if kernel.members:
        return "row after row"
    if kernel.host:
        return "on the host"
    if kernel.is_product:
        return "matrix products"
    if kernel.core is not None:
        return f"around {kernel.core.op.name}"
    return "elementwise" if kernel.nodes else "copies and fills"


def _unshared(plan: Plan) -> int:
    """Bytes of all values in the arena, inner plans included, as if each had a place of its own."""
    own = sum(n.tensor_type.nbytes for n in plan.offsets)
    return own + sum(_unshared(p) for inner in plan.inner.values() for p in inner)


def _total(plan: Plan) -> tuple[Cost, int]:
    """What all calls cost, and how many there are; of a branch the side that computes more."""
    read = written = operations = calls = 0
    for kernel in plan.kernels:
        if kernel in plan.inner:
            node = kernel.core
            assert node is not None
            turns = node.attrs.get("length", 1)
            inside, most = max((_total(p) for p in plan.inner[kernel]), key=lambda found: found[0].operations)
        else:
            turns, inside, most = 1, cost(kernel), 1
        read, written = read + turns * inside.read, written + turns * inside.written
        operations, calls = operations + turns * inside.operations, calls + turns * most
    return Cost(read, written, operations), calls


def _kernels(plan: Plan, target: Target, indent: str, numbers: Iterator[int]) -> Iterator[str]:
    for kernel in plan.kernels:
        if kernel in plan.inner:
            node = kernel.core
            assert node is not None
            turns = f" of {node.attrs['length']} turns" if "length" in node.attrs else ""
            yield f"{indent}{node.op.name}{turns}"
            for inner, name in zip(plan.inner[kernel], _names(node)):
                copies = f", {len(inner.in_place)} carried values in place, {len(inner.copied)} copied"
                yield f"{indent}  {name}{copies if name == 'turn' else ''}"
                yield from _kernels(inner, target, indent + "    ", numbers)
            continue
        number = f"#{next(numbers)} " if not kernel.host and math.prod(kernel.shape) else ""
        if kernel.members:
            local = len(kernel.local)
            yield (
                f"{indent}{number}row after row in blocks of {kernel.rows}, {local} buffers on the stack; "
                f"{_figures(cost(kernel))}"
            )
            for member in kernel.members:
                yield f"{indent}  {member}: {_shape_of_loops(member, target)}"
                yield from _fused(member, indent + "    ")
        else:
            yield f"{indent}{number}{kernel}: {_shape_of_loops(kernel, target)}; {_figures(cost(kernel))}"
            yield from _fused(kernel, indent + "  ")


def _names(node: Node) -> list[str]:
    """What the graphs inside a node are."""
    if "carries" in node.attrs:
        return ["condition", "turn"] if "condition" in node.attrs else ["turn"]
    return ["side"] * len(inner_graphs(node))


def _shape_of_loops(kernel: Kernel, target: Target) -> str:
    """How a kernel walks its results."""
    if kernel.host:
        return "NumPy"
    if kernel.whole:
        return "whole tensors"
    if kernel.is_product:
        shared, rows, columns, summed = (math.prod(segment) for segment in kernel.segments)
        t = nest(kernel).tiling(target)
        columns_of_tile = " + ".join(str(v.valid) for v in (t.vectors if t.full else t.rest))
        size = f"{rows}x{columns}x{summed}" if shared == 1 else f"{shared} x {rows}x{columns}x{summed}"
        steps = f" in {t.steps} steps" if t.steps > 1 else ""
        packed = ", right operand packed" if t.packing is Packs.ALWAYS else ""
        return f"{size}{_pairs(kernel)}{steps}, tiles of {t.height} rows x {columns_of_tile} columns{packed}"
    if kernel.core is not None and kernel.core.op in CONVOLUTIONS:
        s = sides(kernel.core)
        grid, window = ("x".join(map(str, sizes)) for sizes in (s.windows.counts, s.windows.size))
        groups = f" in each of {s.groups} groups" if s.groups > 1 else ""
        return f"{s.examples} x {grid} windows of {window}, {s.taken} to {s.made} channels{groups}{_pairs(kernel)}"
    if kernel.core is None:
        sizes = merged_loops(kernel).sizes
        return f"loops {' x '.join(map(str, sizes)) or '1'} by {lanes_of(target, kernel.block)}"
    return f"by {lanes_of(target, kernel.inner, kernel.block)}"


def _pairs(kernel: Kernel) -> str:
    return " in pairs" if kernel.in_pairs else ""


def _fused(kernel: Kernel, indent: str) -> Iterator[str]:
    """The primitives that share its loop, and the layers that its values belong to."""
    code = [*(kernel.inner.code if kernel.inner else ()), *kernel.block.code]
    found = Counter(i.name for i in code if isinstance(i, Apply))
    names = ", ".join(f"{number} {name}" if number > 1 else name for name, number in found.items())
    layers = ", ".join(dict.fromkeys(n.scope for n in kernel.nodes if n.scope))
    if names or layers:
        yield f"{indent}{f'in its loop: {names}' if names else ''}{'; ' if names and layers else ''}{layers}"


def _figures(found: Cost) -> str:
    return f"reads {found.read:,} writes {found.written:,} bytes, {found.operations:,} operations"


def counted(number: int, what: str) -> str:
    """A number of things: ``1 kernel``, ``1,200 kernels``."""
    return f"{number:,} {what}{'s' * (number != 1)}"
