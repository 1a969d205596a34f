"""Adding at positions: the base is copied, then the updates are added one after the other, in their order.

One thread does it all, so that equal positions add up in one order whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Index, Value
from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.kernels.elementwise import Row, lanes_of
from gradloom.executors.native.loops import Gathered
from gradloom.executors.native.target import Target

Element = Callable[[list[Index], int], None]


def write(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; one unit."""
    b = writer.b
    with b.when(b.compare("slt", b.param("begin"), b.param("end"))):
        _copy(writer, kernel, target)
        _add(writer, kernel, target)
    return 1


def _copy(writer: BlockWriter, kernel: Kernel, target: Target) -> None:
    """The base, element by element."""
    store = kernel.stores[0]

    def element(at: list[Index], lanes: int) -> None:
        here = Here(at, lanes, len(at) - 1)
        values = writer.values(kernel.block, here, {})
        writer.store(values[store.value], store.buffer, store.place, here)

    _loops(writer, kernel.shape, Row(writer.b, lanes_of(target, kernel.block)), [], element)


def _add(writer: BlockWriter, kernel: Kernel, target: Target) -> None:
    """The updates, in vectors where a vector goes to one position."""
    assert kernel.core is not None
    assert kernel.inner is not None
    inner, store = kernel.inner, kernel.stores[1]
    axis, b = kernel.core.attrs["axis"], writer.b
    size, step = kernel.shape[axis], _stride(kernel, axis)
    together = kernel.core.op.name == "scatter_add" and axis < len(kernel.shape) - 1
    lanes = lanes_of(target, inner) if together else 1

    def element(at: list[Index], width: int) -> None:
        here = Here(at, width, len(at) - 1)
        values = writer.values(inner, here, {})
        position = writer.checked_position(values[kernel.position], Gathered(store.buffer, store.place, 0, step, size))
        _add_at(writer, store, position, b.splat(values[kernel.inner_value], width), here)

    _loops(writer, kernel.reduced, Row(b, lanes), [], element)


def _stride(kernel: Kernel, axis: int) -> int:
    """Distance of neighbours along an axis of the result."""
    step = 1
    for n in kernel.shape[axis + 1 :]:
        step *= n
    return step


def _add_at(writer: BlockWriter, store: Store, position: Index, x: Value, here: Here) -> None:
    """Add a value to the elements at ``store.place`` + ``position``."""
    b = writer.b
    moved = BlockWriter(b, {store.buffer: b.at(writer.pointers[store.buffer], position, writer.memory(store.buffer))})
    before = b.splat(moved.load(store.buffer, store.buffer.dtype, store.place, here), here.lanes)
    moved.store(b.add(before, x), store.buffer, store.place, here)


def _loops(writer: BlockWriter, sizes: Sequence[int], row: Row, outer: list[Index], element: Element) -> None:
    """Loops inside loops, the innermost in vectors."""
    if not sizes:
        element(outer, 1)
    elif len(sizes) == 1:
        row.cover(0, sizes[0], lambda i, lanes: element([*outer, i], lanes))
    else:
        with writer.b.loop(0, sizes[0]) as i:
            _loops(writer, sizes[1:], row, [*outer, i], element)
