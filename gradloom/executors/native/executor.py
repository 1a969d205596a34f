"""The executor's face: graphs in, programs out; what LLVM refuses runs on the reference executor, with a warning."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from gradloom.errors import CompileError
from gradloom.executors.base import Program
from gradloom.executors.reference import ReferenceProgram
from gradloom.ir.graph import Graph

if TYPE_CHECKING:
    from gradloom.executors.native.target import Target


class NativeExecutor:
    """Compiles graphs to machine code.

    Args:
        target: the machine to make code for; default: this one.
    """

    name = "native"

    def __init__(self, target: Target | None = None) -> None:
        self.target = target

    def compile(self, graph: Graph, *, flush_denormals: bool = False) -> Program:
        """Plan the kernels of ``graph`` and compile them.

        The compiler is loaded when it is first asked for: it is larger than all the rest that an import needs.
        """
        from gradloom.executors.native.program import NativeProgram  # noqa: PLC0415

        try:
            return NativeProgram(graph, self.target, flush_denormals=flush_denormals)
        except CompileError as problem:
            warnings.warn(f"{problem} It does so now, more slowly.", RuntimeWarning, stacklevel=2)
            return ReferenceProgram(graph)
