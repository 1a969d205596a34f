"""Compiling: a function traced once for each combination of argument types and run as a program."""

from __future__ import annotations

from collections.abc import Hashable
from functools import wraps
from typing import Any

from gradloom import executors
from gradloom.errors import OptionError
from gradloom.executors.base import Program
from gradloom.ir.graph import constant
from gradloom.tracing import Arguments, Function, Results, graph_and_results


def jit(f: Function, executor: str = executors.DEFAULT) -> Function:
    """``f`` compiled: traced once for each combination of argument types, then run as one program.

    Values that ``f`` takes from outside are compiled in as constants.  Inside another traced function ``f`` simply
    becomes part of that function's graph.

    Args:
        f: a function of tensors (or nested values of them).
        executor: the executor's name.
    """
    chosen = executors.get(executor)
    programs: dict[Hashable, tuple[Program, Results]] = {}

    @wraps(f)
    def compiled(*args: Any) -> Any:
        arguments = Arguments("jit", args)
        if any(x.value is None for x in arguments.nodes):
            return f(*args)
        signature = _hashable(arguments)
        if signature not in programs:
            graph, found = graph_and_results(f, arguments)
            if graph.free:  # closes over a value that is being traced: no program of its own
                return f(*args)
            programs[signature] = chosen.compile(graph), found
        program, found = programs[signature]
        outputs = program([x.value for x in arguments.nodes])
        return found.rebuilt([constant(y) for y in outputs])

    compiled.programs = programs  # type: ignore[attr-defined]
    return compiled


def _hashable(arguments: Arguments) -> Hashable:
    try:
        hash(arguments.signature)
    except TypeError as problem:
        raise OptionError(
            "jit", rule="arguments that are not tensors must be hashable", got=str(problem), fix="Pass them by closure."
        ) from None
    return arguments.signature
