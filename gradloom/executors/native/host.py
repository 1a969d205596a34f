"""Kernels that only NumPy has: a program calls back into Python for them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradloom.ir.graph import Node, project

if TYPE_CHECKING:
    from gradloom.executors.native.kernel import Kernel

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.POINTER(ctypes.c_void_p))


class HostKernels:
    """Runs a program's host kernels on the buffers of one call; an error waits until the program is over.

    Attributes:
        address: what the program calls with a kernel's number and the addresses of its buffers; 0 without kernels.
    """

    def __init__(self, kernels: Sequence[Kernel]) -> None:
        self.kernels = kernels
        self._error: BaseException | None = None
        self._callback = _CALLBACK(self._run) if kernels else None
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value or 0 if self._callback else 0

    def check(self) -> None:
        """Raise what went wrong during the call."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self, number: int, addresses: Any) -> None:
        kernel = self.kernels[number]
        node = kernel.core
        if self._error is not None or node is None:
            return
        try:
            arrays = [_array_at(address, n) for address, n in zip(addresses, (*node.inputs, *kernel.results))]
            operands, results = arrays[: len(node.inputs)], arrays[len(node.inputs) :]
            with np.errstate(all="ignore"):
                found = node.op.compute(*operands, **node.attrs)
            for n, place in zip(kernel.results, results):
                place[...] = found[n.attrs["index"]] if n.op is project else found
        except BaseException as error:
            self._error = error


def _array_at(address: int, like: Node) -> np.ndarray:
    """The buffer at an address as an array."""
    size = like.tensor_type.nbytes
    if size == 0:
        return np.empty(like.shape, like.dtype)
    raw = memoryview((ctypes.c_char * size).from_address(address))
    return np.frombuffer(raw, like.dtype).reshape(like.shape)
