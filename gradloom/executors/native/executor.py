"""The executor's face: graphs in, programs out; what LLVM refuses runs on the reference executor, with a warning."""

from __future__ import annotations

import warnings

from gradloom.executors.base import Program
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.reference import ReferenceProgram
from gradloom.ir.graph import Graph


class NativeExecutor:
    """Compiles graphs to machine code."""

    name = "native"

    def compile(self, graph: Graph) -> Program:
        """Plan the kernels of ``graph`` and compile them."""
        try:
            return NativeProgram(graph)
        except RuntimeError as problem:  # what llvmlite raises for a module that LLVM refuses
            warnings.warn(
                f"native executor: LLVM refused the graph {graph.name}, which runs on the reference executor instead; "
                f"got {str(problem)[:200]}",
                RuntimeWarning,
                stacklevel=2,
            )
            return ReferenceProgram(graph)
