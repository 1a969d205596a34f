"""What an executor is: it takes a graph and gives a program, a callable from arrays to arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from gradloom.ir.graph import Graph

Call = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


class Program(Protocol):
    """A graph made ready to run."""

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The graph's outputs for these inputs, which have the graph's input types."""
        ...

    def bound(self, fixed: Sequence[np.ndarray]) -> Call:
        """The program with its first inputs fixed, for callers that change the others alone."""
        ...


class Executor(Protocol):
    """A way to run graphs."""

    name: str

    def compile(self, graph: Graph, *, flush_denormals: bool = False) -> Program:
        """Make a graph ready to run.

        Args:
            graph: what to compute.
            flush_denormals: numbers too small for a full mantissa may be taken for 0, where that is quicker.
        """
        ...
