"""Run a function as a native program on several numbers of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gradloom as gl
from gradloom.executors.native.program import NativeProgram

THREADS = (1, 2, 3, 8)


def compiled(f: Callable[..., Any], *arrays: np.ndarray) -> NativeProgram:
    """The program of a function."""
    return NativeProgram(gl.trace(f, *map(gl.tensor, arrays)))


def run(f: Callable[..., Any] | NativeProgram, *arrays: np.ndarray) -> list[np.ndarray]:
    """The results of a function, which have the same bits on any number of threads."""
    program = f if isinstance(f, NativeProgram) else compiled(f, *arrays)
    found = []
    for threads in THREADS:
        program.threads, program.shared_from = threads, 1
        found.append(program(arrays))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
    return found[0]
