"""The reference executor: NumPy, one node at a time, obviously right.  Every other executor is tested against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradloom.executors.base import Call
from gradloom.ir.graph import Graph
from gradloom.ir.interpret import schedule_of


class ReferenceExecutor:
    """Runs graphs by the NumPy meaning of each primitive."""

    name = "reference"

    def compile(self, graph: Graph, *, flush_denormals: bool = False) -> ReferenceProgram:
        """Order the nodes of ``graph`` once.  NumPy keeps denormal numbers."""
        return ReferenceProgram(graph)


class ReferenceProgram:
    """A graph with the order in which its nodes are computed."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._schedule = schedule_of(graph)

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The graph's outputs for these inputs."""
        found = self._schedule.run(arrays)
        return [np.asarray(v, dtype=t.dtype) for v, t in zip(found, self.graph.output_types)]

    def bound(self, fixed: Sequence[np.ndarray]) -> Call:
        """The program with its first inputs fixed."""
        return lambda arrays: self([*fixed, *arrays])
