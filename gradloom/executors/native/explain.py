"""What the compiler made of a graph, for reading: kernels, loops, tiles, memory, operations."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradloom.executors.native import kernels
from gradloom.executors.native.kernel import Kernel, storage
from gradloom.executors.native.kernels.elementwise import lanes_of, merged_loops
from gradloom.executors.native.kernels.tiling import Packs
from gradloom.executors.native.loops import Apply
from gradloom.executors.native.nest import nest
from gradloom.executors.native.plan import Plan
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Graph


def explain(graph: Graph, plan: Plan, target: Target) -> str:
    """The graph's size, then every kernel with its loops, how it uses vectors, and what it moves and computes."""
    lines = [
        f"{graph.name}: {len(graph.nodes)} nodes in {len(plan.every_kernel())} kernels for {target.name}, "
        f"arena {plan.size:,} bytes"
    ]
    lines += _kernels(plan, target, "  ")
    return "\n".join(lines)


def _kernels(plan: Plan, target: Target, indent: str) -> Iterator[str]:
    for kernel in plan.kernels:
        if kernel in plan.inner:
            node = kernel.core
            assert node is not None
            turns = f" of {node.attrs['length']} turns" if "length" in node.attrs else ""
            yield f"{indent}{node.op.name}{turns}"
            for inner in plan.inner[kernel]:
                in_place = len(inner.in_place)
                yield (
                    f"{indent}  {in_place} carried values in place, {len(inner.copied)} copied"
                    if turns
                    else f"{indent}  side"
                )
                yield from _kernels(inner, target, indent + "    ")
        elif kernel.members:
            yield f"{indent}row after row in blocks of {kernel.rows}, {len(kernel.local)} buffers on the stack"
            yield from (f"{indent}  {k}: {_shape_of_loops(k, target)}; {_cost(k)}" for k in kernel.members)
        else:
            yield f"{indent}{kernel}: {_shape_of_loops(kernel, target)}; {_cost(kernel)}"


def _shape_of_loops(kernel: Kernel, target: Target) -> str:
    """How a kernel walks its results."""
    if kernel.host:
        return "NumPy"
    if kernel.whole:
        return "whole tensors"
    if kernel.operands:
        shared, rows, columns, summed = (math.prod(segment) for segment in kernel.segments)
        t = nest(kernel).tiling(target)
        columns_of_tile = " + ".join(str(v.valid) for v in (t.vectors if t.full else t.rest))
        size = f"{rows}x{columns}x{summed}" if shared == 1 else f"{shared} x {rows}x{columns}x{summed}"
        steps = f" in {t.steps} steps" if t.steps > 1 else ""
        packed = ", right operand packed" if t.packing is Packs.ALWAYS else ""
        return f"{size}{steps}, tiles of {t.height} rows x {columns_of_tile} columns{packed}"
    if kernel.core is None:
        sizes = merged_loops(kernel).sizes
        return f"loops {' x '.join(map(str, sizes)) or '1'} by {lanes_of(target, kernel.block)}"
    return f"by {lanes_of(target, kernel.inner, kernel.block)}"


def _cost(kernel: Kernel) -> str:
    """Bytes read and written once, and arithmetic operations."""
    read = sum(storage(b).tensor_type.size * b.dtype.itemsize for b in set(map(storage, kernel.reads())))
    written = sum(b.tensor_type.size * b.dtype.itemsize for b in kernel.results)
    return f"reads {read:,} writes {written:,} bytes, {operations(kernel):,} operations"


def operations(kernel: Kernel) -> int:
    """Arithmetic operations of a kernel; a multiply-add counts two."""
    counted = kernels.operations(kernel)
    if counted is not None:
        return counted
    results = math.prod(kernel.shape)
    count = results * sum(isinstance(i, Apply) for i in kernel.block.code)
    if kernel.operands:
        count += results * 2 * math.prod(kernel.segments[3])
    elif kernel.inner is not None:
        count += kernel.inner_turns * (1 + sum(isinstance(i, Apply) for i in kernel.inner.code))
    return count
