"""What one call of a program has to itself: intermediate values, state, the table of its arrays' addresses.

A program that several threads call at once has a workspace for each of them.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from gradloom import limits
from gradloom.errors import OutOfMemoryError
from gradloom.executors.native.calls import DATA, NEVER, SLOTS
from gradloom.executors.native.host import HostKernels
from gradloom.executors.native.outline import Outline
from gradloom.executors.native.signals import Signals

_BOUNDARY = 128
_LARGE = 4096  # bytes of an array from which its place matters


class Workspace:
    """Memory of one call at a time.

    Args:
        arena: bytes for intermediate values.
        words: 8-byte words of the program's state.
        arrays: how many a call has.
        host: what runs the kernels that call back.

    Attributes:
        fault: not 0 after a position outside its axis was met.
        board: the address of the board of the team that helps.
        least: the operations from which a kernel is shared with it.
        signals: what lets handlers of signals run.
        arguments: what the program's function is told of all this.
    """

    def __init__(self, arena: int, words: int, arrays: int, host: HostKernels) -> None:
        self.arena = aligned(arena)
        self.state = aligned(8 * words)
        self.table = (ctypes.c_size_t * arrays)()
        self.host = host
        self._pack = partial(struct.Struct(f"{arrays}N").pack_into, self.table, 0)
        self.fault, self.board, self.least, stop, look = (
            ctypes.c_int64.from_address(address(self.state) + 8 * slot)
            for slot in (SLOTS.fault, SLOTS.board, SLOTS.least, SLOTS.stop, SLOTS.look)
        )
        self.least.value = NEVER
        self.signals = Signals(stop)
        look.value = self.signals.address
        places = ctypes.addressof(self.table), address(self.arena), address(self.state), host.address
        self.arguments = [ctypes.c_int64(place) for place in places]

    def take(self, arrays: Sequence[np.ndarray]) -> None:
        """Let the next run work on these arrays.

        The table has the addresses of the objects: the program itself reads from them where their data lie, in a
        hundredth of the time that it takes from here.
        """
        self._pack(*map(id, arrays))


def aligned(size: int) -> np.ndarray:
    """At least ``size`` bytes of zeros, as 8-byte words, that begin where a pair of cache lines does."""
    return _from_boundary(np.zeros(-(-size // 8) * 8 + _BOUNDARY, np.uint8)).view(np.int64)


def _from_boundary(whole: np.ndarray) -> np.ndarray:
    """The bytes of an array from its first boundary on, all but ``_BOUNDARY`` of them."""
    first = -address(whole) % _BOUNDARY
    return whole[first : first + len(whole) - _BOUNDARY]


def allocator(shape: Sequence[int], dtype: np.dtype) -> Callable[[], np.ndarray]:
    """What makes arrays for a result, which begin where a cache line does unless they are small.

    NumPy's large arrays begin 16 bytes behind the start of a line, so that each vector of the widest registers would
    lie on two.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE:
        return partial(np.empty, shape, dtype)

    def from_boundary() -> np.ndarray:
        whole = np.empty(size + _BOUNDARY, np.uint8)
        return np.ndarray(shape, dtype, whole, -address(whole) % _BOUNDARY)

    return from_boundary


def address(array: np.ndarray) -> int:
    """Where an array's data begin; ``array.ctypes.data`` says the same ten times slower."""
    return ctypes.c_size_t.from_address(id(array) + DATA).value


def check_memory(who: str, outline: Outline) -> None:
    """Refuse a program that cannot fit, before anything is allocated.

    Args:
        who: the program's name, for the message.
        outline: the program's outline.

    Raises:
        OutOfMemoryError: arena and results are larger than the memory that this process may still take.
    """
    if outline.size + outline.result_bytes > limits.memory():
        raise out_of_memory(who, outline)


def out_of_memory(who: str, outline: Outline) -> OutOfMemoryError:
    """The error for a program that memory does not suffice for."""
    arena, results, free = (
        f"{n:,.0f} bytes ({n / 2**30:,.1f} GiB)" for n in (outline.size, outline.result_bytes, limits.memory())
    )
    return OutOfMemoryError(
        who,
        rule="a program's intermediate values (the arena) and its results must fit into memory",
        got=f"an arena of {arena} and results of {results}, where {free} are free",
        fix="Use smaller batches, or cut the work into several calls.",
    )
