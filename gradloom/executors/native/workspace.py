"""What one call of a program has to itself: intermediate values, state, the table of its arrays' addresses.

A program that several threads call at once has a workspace for each of them.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence

import numpy as np

from gradloom import limits
from gradloom.errors import OutOfMemoryError
from gradloom.executors.native.host import HostKernels
from gradloom.executors.native.module import SLOTS
from gradloom.executors.native.plan import Plan

_DATA = object.__basicsize__
_BOUNDARY = 128
_LARGE = 4096  # bytes of an array from which its place matters


class Workspace:
    """Memory of one call at a time.

    Args:
        arena: bytes for intermediate values.
        words: 8-byte words of the program's state.
        table: addresses of arrays; those of inputs and outputs are set anew for each call.
        host: what runs the kernels that call back.

    Attributes:
        fault: not 0 after a position outside its axis was met.
        board: the address of the board of the team that helps.
        least: the operations from which a kernel is shared with it.
        arguments: what the program's function is told of all this.
    """

    def __init__(self, arena: int, words: int, table: Sequence[int], host: HostKernels) -> None:
        self.arena = aligned(arena)
        self.state = aligned(8 * words)
        self.table = (ctypes.c_size_t * len(table))(*table)
        self.host = host
        self.fault, self.board, self.least = (
            ctypes.c_int64.from_address(address(self.state) + 8 * slot)
            for slot in (SLOTS.fault, SLOTS.board, SLOTS.least)
        )
        places = ctypes.addressof(self.table), address(self.arena), address(self.state), host.address
        self.arguments = [ctypes.c_int64(place) for place in places]


def aligned(size: int) -> np.ndarray:
    """At least ``size`` bytes of zeros, as 8-byte words, that begin where a pair of cache lines does."""
    return _from_boundary(np.zeros(-(-size // 8) * 8 + _BOUNDARY, np.uint8)).view(np.int64)


def _from_boundary(whole: np.ndarray) -> np.ndarray:
    """The bytes of an array from its first boundary on, all but ``_BOUNDARY`` of them."""
    first = -address(whole) % _BOUNDARY
    return whole[first : first + len(whole) - _BOUNDARY]


def empty(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """An array for a result, which begins where a cache line does unless it is small.

    NumPy's large arrays begin 16 bytes behind the start of a line, so that each vector of the widest registers would
    lie on two.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE:
        return np.empty(shape, dtype)
    return _from_boundary(np.empty(size + _BOUNDARY, np.uint8)).view(dtype).reshape(shape)


def address(array: np.ndarray) -> int:
    """Where an array's data begin.

    ``array.ctypes.data`` says the same ten times slower, a third of the time of a small program's call.  This reads
    the first field of NumPy's ``PyArrayObject``, whose place is part of NumPy's binary interface.
    """
    return ctypes.c_size_t.from_address(id(array) + _DATA).value


def check_memory(who: str, plan: Plan) -> None:
    """Refuse a program that cannot fit, before anything is allocated.

    Args:
        who: the program's name, for the message.
        plan: the program's plan.

    Raises:
        OutOfMemoryError: arena and results are larger than the memory that this process may still take.
    """
    if plan.size + _results(plan) > limits.memory():
        raise out_of_memory(who, plan)


def out_of_memory(who: str, plan: Plan) -> OutOfMemoryError:
    """The error for a program that memory does not suffice for."""
    arena, results, free = (
        f"{n:,.0f} bytes ({n / 2**30:,.1f} GiB)" for n in (plan.size, _results(plan), limits.memory())
    )
    return OutOfMemoryError(
        who,
        rule="a program's intermediate values (the arena) and its results must fit into memory",
        got=f"an arena of {arena} and results of {results}, where {free} are free",
        fix="Use smaller batches, or cut the work into several calls.",
    )


def _results(plan: Plan) -> int:
    return sum(n.tensor_type.size * n.dtype.itemsize for n in plan.outputs)
