"""What the kernels of a convolution share: its arrays and sizes, and the end of a sum.

See ops/convolution.py for the form that convolution and its two relatives have in common.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field, replace

from gradloom.executors.native.blocks import BlockWriter, Here
from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.elementwise import widths
from gradloom.executors.native.kernels.grid import Axis, axes_of
from gradloom.executors.native.kernels.tiling import Lanes, cover
from gradloom.executors.native.kernels.whole import Array, core_of
from gradloom.executors.native.loops import Given, contiguous
from gradloom.executors.native.scalars import MEMORY, REGISTER
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ops.geometry import Sizes, Windows
from gradloom.records import dataclass

_ARRAYS = {"conv": "xwy", "conv_input_gradient": "ywx", "conv_kernel_gradient": "xyw"}
"""Which of the form's arrays are the operands and the result."""


@dataclass(frozen=True)
class Sides:
    """The sizes of a form.

    Attributes:
        examples: N.
        windows: where windows lie on the grid.
        groups: of channels that do not mix.
        taken: input channels of a group.
        made: output channels of a group.
    """

    examples: int
    windows: Windows
    groups: int
    taken: int
    made: int

    @property
    def depthwise(self) -> bool:
        """Whether each channel meets itself alone; then vectors lie along the groups."""
        return self.taken == self.made == 1

    @property
    def x(self) -> Sizes:
        """Shape of the input."""
        return (self.examples, *self.windows.spatial, self.groups * self.taken)

    @property
    def y(self) -> Sizes:
        """Shape of the output."""
        return (self.examples, *self.windows.counts, self.groups * self.made)

    @property
    def w(self) -> Sizes:
        """Shape of the kernel."""
        return (*self.windows.size, self.taken, self.groups * self.made)


def sides(node: Node) -> Sides:
    """The sizes of a convolution or of one of its relatives."""
    a, names = node.attrs, _ARRAYS[node.op.name]
    shapes = dict(zip(names, (x.shape for x in (*node.inputs, node))))
    spatial = a["spatial"] if names[2] == "x" else shapes["x"][1:-1]
    size = a["kernel"] if names[2] == "w" else shapes["w"][:-2]
    windows = Windows(spatial, size, a["strides"], a["padding"], a["dilation"])
    groups, first = a["groups"], shapes[names[0]]
    inputs = shapes["w"][-2] if names[2] != "w" else shapes["x"][-1] // groups
    return Sides(first[0], windows, groups, inputs, shapes["y" if names[2] == "w" else "w"][-1] // groups)


def operations(node: Node) -> int:
    """Rough number of elementary operations: a multiply and an add for each pair of factors."""
    s, bundle = sides(node), node.attrs.get("bundle")
    size = math.prod(s.windows.size)
    return 2 * math.prod(s.y) * s.taken * (size // bundle.taps * bundle.window if bundle else size)


@dataclass
class Form:
    """A kernel under construction.

    Attributes:
        kind: LLVM's name of the type in which sums are formed: float for halves.
        lanes: of a vector.
    """

    writer: BlockWriter
    kernel: Kernel
    target: Target
    b: Function = field(init=False)
    sides: Sides = field(init=False)

    def __post_init__(self) -> None:
        self.b = self.writer.b
        self.core = core_of(self.kernel)
        self.sides = sides(self.core)
        self.memory, self.itemsize = MEMORY[self.core.dtype.name], self.core.dtype.itemsize
        self.kind = "float" if self.memory == "half" else self.memory
        self.lanes = self.target.lanes(4 if self.kind == "float" else 8)
        self.axes: list[Axis] = axes_of(self.b, self.sides.windows)

    def operand(self, number: int, shape: Sequence[int]) -> Array:
        """An operand as an array."""
        buffer = self.kernel.operands[number].buffer
        memory, itemsize = MEMORY[buffer.dtype.name], buffer.dtype.itemsize
        return Array(self.b, self.writer.pointers[buffer], memory, itemsize, contiguous(shape))

    def vectors(self, channels: int) -> tuple[Lanes, ...]:
        """Vectors over so many channels; halves, which cannot be masked, get narrower ones at the end.

        Others are as wide as those beside them: repeated in two widths, an element of the source would be a sum of the
        one and the other, and LLVM would move most sums from register to register in each turn of a loop.
        """
        if self.memory != "half":
            found = cover(channels, self.lanes)
            return tuple(replace(v, width=found[0].width) for v in found)
        full = channels // self.lanes
        found = [Lanes(i * self.lanes, self.lanes, self.lanes) for i in range(full)]
        first = full * self.lanes
        for width in widths(channels - first, self.lanes):
            found.append(Lanes(first, width, width))
            first += width
        return tuple(found)

    def zeros(self, rows: int, vectors: Sequence[Lanes]) -> list[Value]:
        """The sums of a tile before anything is added."""
        return [self.b.const(vector(self.kind, v.width), 0) for _ in range(rows) for v in vectors]

    def load(self, pointer: Value, lanes: Lanes | None = None) -> Value:
        """An element, or the elements of a vector that exist."""
        b = self.b
        if lanes is None:
            return b.convert(b.load(pointer, self.memory, self.itemsize), self.kind)
        return b.convert(b.load_some(pointer, vector(self.memory, lanes.width), self.itemsize, lanes.valid), self.kind)

    def add_products(
        self, xs: Sequence[Value], ys: Sequence[Value], tile: Sequence[Value], *, pairwise: bool = False
    ) -> list[Value]:
        """Add the product of each x, repeated over a vector, and each y; ``pairwise``: a list of x for each row."""
        rows = len(tile) // len(ys)
        return [
            self.b.muladd(xs[r * len(ys) + j] if pairwise else self.b.splat(xs[r], y.lanes), y, tile[r * len(ys) + j])
            for r in range(rows)
            for j, y in enumerate(ys)
        ]

    # The end of a sum: what follows from it ---------------------------------------------------------------------------

    @property
    def only_stored(self) -> bool:
        """Whether nothing happens to sums but that they are stored."""
        return [type(i) for i in self.kernel.block.code] == [Given]

    def finish(self, total: Value, index: Sequence[Index], lanes: Lanes) -> list[Value]:
        """The kernel's block on a vector of finished sums; gives its values."""
        here = Here(index, lanes.width, len(index) - 1, lanes.valid)
        given = self.b.convert(total, REGISTER[self.core.dtype.name])
        values = self.writer.values(self.kernel.block, here, {self.core: given})
        for s in self.kernel.stores:
            self.writer.store(values[s.value], s.buffer, s.place, here)
        return values
