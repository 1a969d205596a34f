"""Compiling: a function traced once for each combination of argument types and run as a program."""

from __future__ import annotations

from collections.abc import Hashable
from functools import update_wrapper
from types import MethodType
from typing import Any

import numpy as np

from gradloom import collection, executors, options
from gradloom.errors import OptionError
from gradloom.executors.base import Program
from gradloom.ir.graph import result
from gradloom.records import dataclass
from gradloom.tracing import Arguments, Function, Results, graph_and_results


@dataclass(frozen=True)
class Prepared:
    """A program with the arrays of its arguments, for callers that call it again with some of them exchanged.

    Attributes:
        program: takes the arrays, and gives those of the results.
        arrays: the leaves of the arguments, in order.
        results: how the results are nested.
    """

    program: Program
    arrays: list[np.ndarray]
    results: Results


class Compiled:
    """A function that is compiled for each combination of argument types at its first call with them.

    Attributes:
        programs: the programs so far, by argument types.
    """

    def __init__(self, f: Function, executor: str, flush_denormals: bool = False) -> None:
        update_wrapper(self, f)  # first, for it copies attributes too: those of another compiled function
        self._function = f
        self._executor, self._flush = executors.get(executor), flush_denormals
        self.programs: dict[Hashable, tuple[Program, Results]] = {}

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As an attribute of a class it is a method, like any function."""
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any) -> Any:
        """The function's results, by the program for arguments of these types."""
        arguments = Arguments("jit", args)
        found = self._entry(arguments)
        if found is None:
            return self._function(*args)
        program, results = found
        arrays = program([x.value for x in arguments.nodes])
        return results.rebuilt([result(y, n.tensor_type) for y, n in zip(arrays, results.nodes)])

    def prepare(self, *args: Any) -> Prepared:
        """The program for arguments of these types, compiled if it has not been, but not called.

        Args:
            args: what a call would take; no value of them may be that of a trace.
        """
        arguments = Arguments("jit", args)
        found = self._entry(arguments)
        assert found is not None, "inside a trace a function has no program of its own"
        return Prepared(found[0], [x.value for x in arguments.nodes], found[1])

    def _entry(self, arguments: Arguments) -> tuple[Program, Results] | None:
        """The program for these types; None where the function must become part of what is being traced."""
        if any(x.value is None for x in arguments.nodes):
            return None
        signature = _hashable(arguments)
        found = self.programs.get(signature)
        if found is None:
            with collection.paused():
                graph, results = graph_and_results(self._function, arguments)
                if graph.free:  # closes over a value that is being traced: no program of its own
                    return None
                found = self.programs[signature] = self._executor.compile(graph, flush_denormals=self._flush), results
        return found


def jit(f: Function, executor: str = executors.DEFAULT, *, flush_denormals: bool = False) -> Compiled:
    """``f`` compiled: traced once for each combination of argument types, then run as one program.

    Values that ``f`` takes from outside are compiled in as constants.  Inside another traced function ``f`` simply
    becomes part of that function's graph.

    Args:
        f: a function of tensors (or nested values of them).
        executor: the executor's name.
        flush_denormals: let the native executor take numbers too small for a full mantissa (below 1.2e-38 in float32,
            2.2e-308 in float64) for 0.  Processors compute with them a hundred times more slowly; gradients that vanish
            through long loops are such numbers.  Training does so always.

    Raises:
        UnknownNameError: there is no such executor.
    """
    return Compiled(f, executor, options.flag("jit", "flush_denormals", flush_denormals))


def _hashable(arguments: Arguments) -> Hashable:
    try:
        hash(arguments.signature)
    except TypeError as problem:
        raise OptionError(
            "jit", rule="arguments that are not tensors must be hashable", got=str(problem), fix="Pass them by closure."
        ) from None
    return arguments.signature
