"""All that calling a program takes, without the plan: how to call its kernels, where its arrays belong.

It is plain data, so it can be kept on disk (``kept``) and a second process need not plan what the first one has.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradloom.executors.native.calls import CallLists
from gradloom.executors.native.compile import Code
from gradloom.records import dataclass

Shape = tuple[int, ...]

_MOST_BYTES = 2**20
"""Of the constants of an outline that is kept: they may be as large as data."""


@dataclass(frozen=True)
class Outline:
    """What is known of a program once it is planned.

    Attributes:
        keys: of the program's code and of that of its kernels' functions (see compile.py).
        names: of the kernels' functions; beside each lie its units and groups (see module.py).
        records: all calls, as calls.py has them.
        called: the number of the kernel of each call.
        places: where each call's record begins.
        work: rough number of operations that are worth sharing.
        clocks: how many kernels are clocked.
        hosted: how many kernels run in Python.
        size: bytes of the arena.
        computed: shape and type of each array that a call makes.
        constants: the arrays that are the same in all calls.
        outputs: the place of each output among inputs, computed arrays and constants.
        shaped: outputs that have another shape than the array there.
        copied: outputs that are copied, for the array belongs to others as well.
    """

    keys: list[str]
    names: list[str]
    records: list[int]
    called: list[int]
    places: list[int]
    work: int
    clocks: int
    hosted: int
    size: int
    computed: list[tuple[Shape, np.dtype]]
    constants: list[np.ndarray]
    outputs: list[int]
    shaped: list[tuple[int, Shape]]
    copied: list[int]

    @property
    def result_bytes(self) -> int:
        """Of all computed arrays."""
        return sum(math.prod(shape) * dtype.itemsize for shape, dtype in self.computed)

    @property
    def can_be_kept(self) -> bool:
        """Whether it is small and says all: not of kernels in Python, nor of types without a text (bfloat16)."""
        types = [*(dtype for _, dtype in self.computed), *(x.dtype for x in self.constants)]
        own = (math.prod(n for n, stride in zip(x.shape, x.strides) if stride) * x.itemsize for x in self.constants)
        return all(np.dtype(t.str) == t for t in types) and sum(own) <= _MOST_BYTES and not self.hosted

    def linked(self, codes: Sequence[Code]) -> np.ndarray:
        """The records of all calls, with what is known since the code of the kernels is in memory."""
        pairs = zip(self.names, codes)
        functions = [(c.address(n), c.number(units_name(n)), c.number(groups_name(n))) for n, c in pairs]
        return CallLists(0, "", self.records, self.called, self.places).linked(functions)

    def to_bytes(self) -> bytes:
        """For :meth:`from_bytes`."""
        said: dict[str, Any] = dict(vars(self))
        said["computed"] = [(shape, dtype.str) for shape, dtype in self.computed]
        said["constants"] = [(x.dtype.str, x.shape, *_once(x)) for x in self.constants]
        return json.dumps(said).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Outline:
        """What :meth:`to_bytes` was given."""
        said = json.loads(data)
        said["computed"] = [(tuple(shape), np.dtype(dtype)) for shape, dtype in said["computed"]]
        said["constants"] = [_again(*constant) for constant in said["constants"]]
        said["shaped"] = [(place, tuple(shape)) for place, shape in said["shaped"]]
        return Outline(**said)


def units_name(function: str) -> str:
    """The name of a constant beside a kernel's function: into how many units its work is cut."""
    return f"{function}.units"


def groups_name(function: str) -> str:
    """The name of another: how many groups of units there are that are better done by one thread."""
    return f"{function}.groups"


def _once(x: np.ndarray) -> tuple[Shape, str]:
    """What an array repeats once: the shape of that, and its bytes."""
    part = x[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in x.strides)]
    return part.shape, part.tobytes().hex()


def _again(dtype: str, shape: Sequence[int], part: Sequence[int], data: str) -> np.ndarray:
    """The array of :func:`_once`."""
    return np.broadcast_to(np.frombuffer(bytes.fromhex(data), dtype).reshape(part), shape)
