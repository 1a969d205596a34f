"""The straight-line programs inside a kernel's loops: what is computed at one index of its results."""

from __future__ import annotations

from gradloom.executors.native.kernel import (
    CONVOLUTIONS,
    REDUCTIONS,
    SCATTERS,
    Kernel,
    Region,
    Store,
    base_of,
    is_vector_product,
    product_segments,
)
from gradloom.executors.native.loops import Affine, Apply, Block, Load, Reader, Scalar, contiguous, variables
from gradloom.ir.graph import Node
from gradloom.ir.tensortype import name_of
from gradloom.ops import index, reduce


def write_bodies(kernel: Kernel, buffers: set[Node]) -> None:
    """Write the straight-line programs of a kernel."""
    if kernel.whole:
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
    elif kernel.core.op in CONVOLUTIONS:
        kernel.operands = tuple(Load(x, Affine(0, contiguous(x.shape))) for x in kernel.core.inputs)
    else:
        _write_product(kernel, kernel.core, buffers)


def _write_region(kernel: Kernel, region: Region, buffers: set[Node]) -> None:
    """Copy a node, or one value, into a part of a buffer."""
    rank = len(kernel.shape)
    if region.source is None:
        dtype = region.target.dtype
        value = kernel.block.add(Scalar(region.value, name_of(dtype)), dtype)
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
    block, vector = Block(), is_vector_product(node)
    # Not any buffer on the way: fuse.py looked at these, and another may lie in an order that the kernel cannot read.
    held = {x if x in buffers else base_of(x) for x in node.inputs}
    reader = Reader(block, rank, lambda n: n in held, load_constants=not vector)
    places = []
    for side, free in enumerate((rows, columns)):
        at = {**dict(zip(batch[side], shared)), **dict(zip(contract[side], summed))}
        others = [a for a in range(len(node.inputs[side].shape)) if a not in at]
        at.update(zip(others, free))
        places.append(reader.read(node.inputs[side], tuple(at[a] for a in range(len(at)))))
    kernel.segments = segments
    if vector:
        kernel.reduced = segments[3]
        kernel.inner = block
        kernel.inner_value = block.add(Apply("mul", (places[0], places[1]), name_of(node.dtype)), node.dtype)
        return
    loads = [block.code[p] for p in places]
    assert all(isinstance(load, Load) for load in loads), "operands of products lie in memory"
    kernel.operands = tuple(load for load in loads if isinstance(load, Load))
