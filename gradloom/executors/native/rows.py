"""Join kernels that walk the same rows: run them row after row in one kernel, so that a row stays in the nearest cache.

A softmax is a maximum, a sum and a division, each a sweep over the rows of a matrix; so is a layer normalisation.  In
between no row needs anything of another row.  So all sweeps over the first few rows can run before any over the next:
each row comes from memory once, and threads need not wait for each other in between.  Before → after:

    m[r] = max x[r,:]           for all r              for each block of rows:
    s[r] = sum e^(x[r,:]-m[r])  for all r      →           m[r] = ... for all r of the block
    y[r,:] = e^(x[r,:]-m) / s   for all r                  s[r] = ...;  y[r,:] = ...

What only the joined kernels use (``m``, ``s``) has room for one block, on the stack of each thread.

A row may be an example of a batch, and one of the sweeps a convolution: what normalises its operand, and the sums of
its results, then meet an example while it lies in the second-level cache.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gradloom.executors.native.kernel import Kernel, storage
from gradloom.executors.native.kernels import conv_rows, reduction
from gradloom.executors.native.kernels.units import ENOUGH
from gradloom.executors.native.target import Target
from gradloom.executors.native.walks import Walk, divided, walk
from gradloom.ir.graph import PLACEHOLDER, Node

BLOCK_BYTES = 2**14
"""Of the rows of a block, in all buffers: half of a nearest cache."""
MOST_BYTES = 2**16
"""The same where it lets what has one element a row be computed in vectors."""
FEWEST_ROWS = 16
"""Of a block, if they are short: as many as a vector has lanes, for what has one element a row."""
LOCAL_BYTES = 2**15
"""Of what joined kernels keep on the stack."""
SMALL = 2**15
"""Elements up to which few rows are joined too: threads would not share them anyway."""
EXAMPLE_BYTES = 2**20
"""Of all that a convolution and its neighbours touch of an example: twice a second-level cache."""
LOOK_BACK = 8
"""Kernels over which one is moved forward to be joined."""


def join_rows(kernels: Sequence[Kernel], same: Mapping[Node, Node], wanted: set[Node], target: Target) -> list[Kernel]:
    """Join kernels that walk the same rows.

    Args:
        kernels: in the order in which they run.
        same: nodes that lie in the memory of another.
        wanted: what is read when all kernels have run.
        target: the machine.
    """
    groups: list[_Group] = []
    for kernel in kernels:
        group, behind = _Group([kernel], same), len(groups)
        for place in reversed(range(max(0, len(groups) - LOOK_BACK), len(groups))):
            joined = groups[place].joined(group, target)
            if joined is not None:  # the earlier group grows, and may now be joined to one before it
                group, behind = joined, place
                del groups[place]
            elif groups[place].conflicts(group):
                break
        groups.insert(behind, group)
    uses = Counter(node for group in groups for node in group.reads | group.writes)
    kept = {same.get(n, n) for n in wanted}
    own = {n for n, count in uses.items() if count == 1 and n not in kept and n.op is not PLACEHOLDER}
    return [group.kernel(own & group.writes, target) for group in groups]


class _Group:
    """Kernels that run row after row; ``rows`` is how many of them there are."""

    def __init__(self, members: Sequence[Kernel], same: Mapping[Node, Node], rows: int = 0) -> None:
        self.members, self.same, self.rows = members, same, rows
        self.reads = {self._root(b) for k in members for b in k.reads()}
        self.writes = {self._root(b) for k in members for b in k.results}

    def _root(self, buffer: Node) -> Node:
        root = storage(buffer)
        return self.same.get(root, root)

    def conflicts(self, later: _Group) -> bool:
        """Whether a later group must wait for this one."""
        return bool(self.writes & (later.reads | later.writes) or self.reads & later.writes)

    def joined(self, later: _Group, target: Target) -> _Group | None:
        """This group with a later kernel in it, if all can run row after row."""
        if not (self.reads | self.writes) & (later.reads | later.writes):
            return None
        kernels = [*self.members, *later.members]
        if not all(_may_join(k) for k in kernels):
            return None
        convolutions = sum(conv_rows.goes_by_examples(k) for k in kernels)
        if convolutions:
            return self._around_convolution(kernels, target) if convolutions == 1 else None
        for depth in range(min(len(k.shape) for k in kernels), 0, -1):
            shape = kernels[0].shape[:depth]
            if all(k.shape[:depth] == shape for k in kernels):
                group = _Group([replace(k, rows=depth) for k in kernels], self.same, math.prod(shape))
                if group._is_row_wise(target):
                    return group
        return None

    def _around_convolution(self, kernels: Sequence[Kernel], target: Target) -> _Group | None:
        """Kernels one of which is a convolution, example after example."""
        rows = math.gcd(*(k.shape[0] if k.shape else 1 for k in kernels))
        if rows < ENOUGH:
            return None
        group = _Group([divided(k, rows) for k in kernels], self.same, rows)
        return group if group._is_row_wise(target) and sum(group._row_bytes(target).values()) <= EXAMPLE_BYTES else None

    def _walks(self, target: Target) -> list[Walk | None]:
        return [walk(kernel, self.rows, target) for kernel in self.members]

    def _is_row_wise(self, target: Target) -> bool:
        """Whether every row of what several members touch and one writes is touched in that row's turn alone."""
        if self.rows < ENOUGH // 2 and any(k.shape and math.prod(k.shape) > SMALL for k in self.members):
            return False
        touched: dict[Node, set[int]] = {}
        strays: set[Node] = set()
        for number, steps in enumerate(self._walks(target)):
            if steps is None or steps.sizes[:1] != (self.rows,):
                return False
            for access in steps.accesses:
                root = self._root(access.buffer)
                touched.setdefault(root, set()).add(number)
                if not access.stays_in_row(steps.sizes, root.tensor_type.size):
                    strays.add(root)
        return not any(len(touched[n]) > 1 and n in self.writes for n in strays)

    def _row_bytes(self, target: Target) -> dict[Node, int]:
        """How far apart rows lie in each buffer that members touch."""
        return {
            storage(access.buffer): abs(access.place.strides[0]) * access.buffer.dtype.itemsize
            for steps in self._walks(target)
            for access in (steps.accesses if steps else ())
            if access.place is not None
        }

    def kernel(self, own: set[Node], target: Target) -> Kernel:
        """The group as one kernel; ``own`` is what nothing else reads."""
        if len(self.members) == 1:
            return self.members[0]
        bytes_of = self._row_bytes(target)
        size = self._rows_of_block(max(sum(bytes_of.values()), 1), target)
        local, room = [], LOCAL_BYTES
        for node in sorted((n for n in bytes_of if n in own), key=lambda n: bytes_of[n]):  # in the same order always
            room -= size * bytes_of[node]
            if room >= 0:
                local.append(node)
        return Kernel((self.rows,), members=self.members, local=local, rows=size)

    def _rows_of_block(self, of_row: int, target: Target) -> int:
        """How many rows a block has if one takes so many bytes."""
        if any(conv_rows.goes_by_examples(k) for k in self.members):
            return 1
        walks = zip(self.members, self._walks(target))
        one_loop = any(k.core is None and steps and len(steps.sizes) == 1 for k, steps in walks)
        size = min(BLOCK_BYTES // of_row, max(FEWEST_ROWS, self.rows // ENOUGH))
        return max(1, size, FEWEST_ROWS if one_loop and FEWEST_ROWS * of_row <= MOST_BYTES else 1)


def _may_join(kernel: Kernel) -> bool:
    loops = math.prod(kernel.shape) > 0 and not kernel.whole
    return loops and (kernel.core is None or reduction.is_reduction(kernel) or conv_rows.goes_by_examples(kernel))
