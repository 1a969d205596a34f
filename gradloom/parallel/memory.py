"""Arrays that several processes have in common.

They lie in a file without a name, which exists as long as a process has it open: however processes end, nothing is
left behind.  Under Linux it is memory and never a file system's business, so the size of ``/dev/shm`` does not matter.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence

import numpy as np

Kind = tuple[tuple[int, ...], np.dtype]
"""Shape and data type of an array."""

_BOUNDARY = 64
"""Arrays begin where a cache line does."""


class Shared:
    """A file without a name, as arrays.

    Args:
        file: the number of an open file that another process made; a new one by default.

    Attributes:
        file: its number, for processes that are started with it.
    """

    def __init__(self, file: int | None = None) -> None:
        self.file = _new_file() if file is None else file

    def arrays(self, kinds: Sequence[Kind]) -> list[np.ndarray]:
        """Arrays of these kinds, one behind the other; the same memory in every process that asks for the same."""
        starts, size = [], 0
        for shape, dtype in kinds:
            starts.append(size)
            bytes_of_it = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            size += -(-bytes_of_it // _BOUNDARY) * _BOUNDARY
        size = max(size, mmap.PAGESIZE)
        if os.fstat(self.file).st_size < size:
            os.ftruncate(self.file, size)
        memory = mmap.mmap(self.file, size)
        return [np.ndarray(shape, dtype, memory, start) for start, (shape, dtype) in zip(starts, kinds)]

    def close(self) -> None:
        """Let go of the file; arrays made before stay."""
        os.close(self.file)


def _new_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("gradloom")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def kinds_of(arrays: Sequence[np.ndarray]) -> list[Kind]:
    """The kinds of some arrays."""
    return [(a.shape, a.dtype) for a in arrays]
