"""Loop nests: what a fused kernel computes, before it is code.

Every node that is computed element by element is a function of its index, and the index maps of broadcasting,
permuting, slicing and flipping are affine.  So a chain of such nodes, read at one index of a loop nest, is a short
straight-line program (:class:`Block`) whose loads are affine in the loop variables:

    buffer[offset + Σ strides[d] · i_d]

That is all the later stages need: dimensions can be merged, reordered and vectorised by looking at strides alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gradloom.ir.graph import CONSTANT, Node
from gradloom.ir.tensortype import name_of
from gradloom.ops import core, elementwise, index, movement, sampling
from gradloom.records import dataclass

ELEMENTWISE = frozenset(
    op for module in (core, elementwise) for op in vars(module).values() if getattr(op, "batch", None) is core.batch_all
)
"""Primitives whose result at an index depends on the operands at that index alone."""


SMALL_CONSTANT = 256
"""Elements up to which constants are looked at one by one."""


class Affine(NamedTuple):
    """offset + Σ strides[d] · i_d over the variables of a loop nest."""

    offset: int
    strides: tuple[int, ...]

    def plus(self, other: Affine) -> Affine:
        """The sum of two."""
        return Affine(self.offset + other.offset, tuple(a + b for a, b in zip(self.strides, other.strides)))

    def times(self, factor: int, shift: int = 0) -> Affine:
        """factor · self + shift."""
        return Affine(factor * self.offset + shift, tuple(factor * s for s in self.strides))


Map = tuple[Affine, ...]  # the index into a tensor, one affine form an axis


@lru_cache
def variables(rank: int) -> Map:
    """The loop variables themselves."""
    return tuple(Affine(0, tuple(int(i == d) for i in range(rank))) for d in range(rank))


@lru_cache
def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides of a tensor whose last axis is fastest."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


@lru_cache
def linear(at: Map, strides: tuple[int, ...], rank: int) -> Affine:
    """The place in a buffer of an index over ``rank`` loops: Σ strides · index."""
    total = Affine(0, (0,) * rank)
    for a, s in zip(at, strides):
        total = total.plus(a.times(s))
    return total


# Instructions of a block: each is named by its place in the list ----------------------------------------------------


@dataclass(frozen=True)
class Load:
    """An element of a buffer."""

    buffer: Node
    place: Affine


@dataclass(frozen=True)
class Gathered:
    """An element of a buffer at ``place`` + ``step`` · (an integer of the block), which must lie in [0, size)."""

    buffer: Node
    place: Affine
    position: int
    step: int
    size: int


@dataclass(frozen=True, eq=False)
class Scalar:
    """A constant; two are equal if they are to the bit, so that 0 and -0 differ and NaN is NaN."""

    value: bool | int | float
    dtype: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scalar) and (repr(self.value), self.dtype) == (repr(other.value), other.dtype)

    def __hash__(self) -> int:
        return hash((repr(self.value), self.dtype))


@dataclass(frozen=True)
class Apply:
    """An elementwise primitive applied to earlier instructions."""

    name: str
    operands: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class RandomWord:
    """Word number ``place`` of the random stream of a key (two words at ``key`` in its buffer)."""

    buffer: Node
    key: Affine
    place: Affine


@dataclass(frozen=True)
class Given:
    """A value that the kernel around the block provides: the element of a matrix product, of a reduction."""

    node: Node


Instruction = Load | Gathered | Scalar | Apply | RandomWord | Given


@dataclass
class Block:
    """A straight-line program over one index of a loop nest.

    Attributes:
        code: the instructions, equal ones shared.
        dtypes: the data type of each.
    """

    code: list[Instruction] = field(default_factory=list)
    dtypes: list[np.dtype] = field(default_factory=list)
    _known: dict[Instruction, int] = field(default_factory=dict)

    def add(self, instruction: Instruction, dtype: np.dtype) -> int:
        """The place of an instruction, new or found."""
        place = self._known.get(instruction)
        if place is None:
            place = self._known[instruction] = len(self.code)
            self.code.append(instruction)
            self.dtypes.append(dtype)
        return place

    def places(self) -> list[Affine]:
        """All affine forms that occur, for merging dimensions."""
        found: list[Affine] = []
        for instruction in self.code:
            if isinstance(instruction, (Load, Gathered, RandomWord)):
                found.append(instruction.place)
            if isinstance(instruction, RandomWord):
                found.append(instruction.key)
        return found

    def append(self, other: Block, known: Mapping[Instruction, int]) -> list[int]:
        """Add another block's instructions, but for those ``known`` already; gives the place of each."""
        moved: list[int] = []
        for instruction, dtype in zip(other.code, other.dtypes):
            if instruction in known:
                moved.append(known[instruction])
                continue
            if isinstance(instruction, Apply):
                instruction = replace(instruction, operands=tuple(moved[i] for i in instruction.operands))
            elif isinstance(instruction, Gathered):
                instruction = replace(instruction, position=moved[instruction.position])
            moved.append(self.add(instruction, dtype))
        return moved

    def rewritten(self, change: Callable[[Affine], Affine]) -> Block:
        """The block with every affine form changed."""
        return Block([_moved(instruction, change) for instruction in self.code], list(self.dtypes))


def _moved(x: Instruction, change: Callable[[Affine], Affine]) -> Instruction:
    """An instruction with its affine forms changed."""
    match x:
        case Load():
            return Load(x.buffer, change(x.place))
        case Gathered():
            return replace(x, place=change(x.place))
        case RandomWord():
            return RandomWord(x.buffer, change(x.key), change(x.place))
        case _:
            return x


def uniform_value(node: Node) -> Any:
    """The one value of a constant that is the same everywhere, else None."""
    if node.op is not CONSTANT or node.value.size == 0:
        return None
    value = node.value[tuple(slice(1) if s == 0 else slice(None) for s in node.value.strides)]  # each element once
    if value.size > SMALL_CONSTANT or value.tobytes() != value.size * value.flat[0].tobytes():
        return None
    return value.flat[0].item()


def only_unit_axes_change(node: Node) -> bool:
    """Whether a reshape adds or removes axes of size 1 alone."""
    before, after = node.inputs[0].shape, node.shape
    return [n for n in before if n != 1] == [n for n in after if n != 1]


def is_expression(node: Node) -> bool:
    """Whether a node can be computed inside the loop of its user."""
    op = node.op
    if op in ELEMENTWISE or op in (core.broadcast, core.permute, movement.slice, movement.flip, sampling.random_bits):
        return True
    if op in (index.take, index.take_along):
        return True
    return op is core.reshape and only_unit_axes_change(node)


class Reader:
    """Writes the instructions that compute nodes at an index of a loop nest into a block.

    Args:
        block: where to write.
        rank: number of loop variables.
        is_buffer: whether a node's value lies in memory (then it is loaded, not computed).
        given: nodes whose elements the kernel around the block provides.
        load_constants: whether a constant that is the same everywhere is loaded like any other, for kernels that
            need an address.
    """

    def __init__(
        self,
        block: Block,
        rank: int,
        is_buffer: Callable[[Node], bool],
        given: Sequence[Node] = (),
        *,
        load_constants: bool = False,
    ) -> None:
        self.block, self.is_buffer, self.given = block, is_buffer, set(given)
        self.load_constants = load_constants
        self.zero = Affine(0, (0,) * rank)
        self._seen: dict[tuple[Node, Map], int] = {}

    def read(self, node: Node, at: Map) -> int:
        """The place of the instruction that gives ``node`` at an index."""
        key = (node, at)
        place = self._seen.get(key)
        if place is None:
            place = self._seen[key] = self._read(node, at)
        return place

    def _read(self, node: Node, at: Map) -> int:
        if node in self.given:
            return self.block.add(Given(node), node.dtype)
        value = None if self.load_constants else uniform_value(node)
        if value is not None:
            return self.block.add(Scalar(value, name_of(node.dtype)), node.dtype)
        if self.is_buffer(node):
            return self.block.add(Load(node, self.linear(at, contiguous(node.shape))), node.dtype)
        if node.op in ELEMENTWISE:
            operands = tuple(self.read(x, at) for x in node.inputs)
            return self.block.add(Apply(node.op.name, operands, name_of(node.dtype)), node.dtype)
        if node.op is index.take:
            return self._take(node, at)
        if node.op is index.take_along:
            axis = node.attrs["axis"]
            return self._gathered(node.inputs[0], node.inputs[1], at, at, axis)
        if node.op is sampling.random_bits:
            keys = node.inputs[0]
            rank = len(keys.shape) - 1
            key = self.linear((*at[:rank], self.zero), contiguous(keys.shape))
            word = self.linear(at[rank:], contiguous(node.attrs["shape"]))
            return self.block.add(RandomWord(keys, key, word), node.dtype)
        return self.read(node.inputs[0], self._operand_index(node, at))

    def _take(self, node: Node, at: Map) -> int:
        x, positions = node.inputs
        axis = node.attrs["axis"]
        spread = len(positions.shape)
        where = (*at[:axis], self.zero, *at[axis + spread :])
        return self._gathered(x, positions, where, at[axis : axis + spread], axis)

    def _gathered(self, x: Node, positions: Node, at: Map, positions_at: Map, axis: int) -> int:
        position = self.read(positions, positions_at)
        strides = contiguous(x.shape)
        rest = tuple(a if i != axis else self.zero for i, a in enumerate(at))
        read = Gathered(x, self.linear(rest, strides), position, strides[axis], x.shape[axis])
        return self.block.add(read, x.dtype)

    def linear(self, at: Map, strides: tuple[int, ...]) -> Affine:
        """The place in a buffer of an index: Σ strides · index."""
        return linear(at, strides, len(self.zero.strides))

    def _operand_index(self, node: Node, at: Map) -> Map:
        """The index into the operand of a movement from the index into its result."""
        x = node.inputs[0]
        if node.op is core.broadcast:
            return tuple(at[a] if n != 1 else self.zero for a, n in zip(node.attrs["axes"], x.shape))
        if node.op is core.permute:
            found = dict(zip(node.attrs["axes"], at))
            return tuple(found[i] for i in range(len(at)))
        if node.op is movement.slice:
            return tuple(a.times(s, b) for a, s, b in zip(at, node.attrs["step"], node.attrs["start"]))
        if node.op is movement.flip:
            turned = node.attrs["axes"]
            return tuple(a.times(-1, n - 1) if i in turned else a for i, (a, n) in enumerate(zip(at, x.shape)))
        assert node.op is core.reshape
        kept = iter(a for a, n in zip(at, node.shape) if n != 1)
        return tuple(next(kept) if n != 1 else self.zero for n in x.shape)


# Merging loops ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Merged:
    """Neighbouring loops made one where every access moves through them evenly; loops of one turn are gone.

    Attributes:
        sizes: turns of the loops that are left.
        segments: which of them belong to each segment, as ranges.
        kept: for each loop left, the original loop whose stride it has.
    """

    sizes: tuple[int, ...]
    segments: tuple[range, ...]
    kept: tuple[int, ...]

    def place(self, place: Affine) -> Affine:
        """An affine form over the loops left."""
        return Affine(place.offset, tuple(place.strides[d] for d in self.kept))


def merge(segments: Sequence[Sequence[int]], places: Sequence[Affine]) -> Merged:
    """Merge loops, but none across the border of two segments.

    Args:
        segments: sizes of the loops, outermost first, in segments (results and reduced, say).
        places: all accesses, over all loops.
    """
    sizes: list[int] = []
    kept: list[int] = []
    ranges = []
    first = 0
    for segment in segments:
        begin = len(sizes)
        for d, n in enumerate(segment, first):
            if n == 1:
                continue
            even = len(sizes) > begin and all(p.strides[kept[-1]] == p.strides[d] * n for p in places)
            if even:
                sizes[-1], kept[-1] = sizes[-1] * n, d
            else:
                sizes.append(n)
                kept.append(d)
        first += len(segment)
        ranges.append(range(begin, len(sizes)))
    return Merged(tuple(sizes), tuple(ranges), tuple(kept))


def extended(place: Affine, before: int, after: int) -> Affine:
    """An affine form over more loops, on which it does not depend."""
    return Affine(place.offset, (0,) * before + place.strides + (0,) * after)
