"""Looking at what the native executor makes of a function: the stages and kernels, and where the time goes."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.errors import OptionError
from gradloom.ir.graph import Graph
from gradloom.tracing import Arguments, Function, graph_and_results


def explain(f: Function | Graph, *args: Any) -> str:
    """What each stage of the native executor does with a function: for reading, ``print(gl.explain(f, *args))``.

    First the stages: how many operations are left after simplifying, how many kernels they share, how large the arena
    of intermediate values is.  Then every kernel in the order in which they run: its loops or the tile of its matrix
    product, the bytes that it reads and writes and its operations, the primitives fused into its loop, and the layers
    they belong to.  Kernels of a loop (``gl.scan``) stand indented below it, and run in each of its turns.

    Args:
        f: a function of tensors, compiled by ``gl.jit`` or not; or its graph, then without ``args``.
        args: example arguments; only their shapes and data types count.
    """
    return _program(_graph_of(f, Arguments("explain", args))).explain()


def profile(f: Function | Graph, *args: Any, runs: int | None = None) -> Any:
    """Run a function on the native executor and measure each of its kernels: ``print(gl.profile(f, *args))``.

    The table says for each kernel its time in a call, its calls, the rates at which it computes and moves bytes, and
    what share that is of the most that this machine was measured to do.  A kernel takes at least the time of its
    operations at the peak of the arithmetic units, and at least the time of reading its bytes from the nearest cache
    that holds them; the longer of the two over the measured time is the share (the roofline model).  The peaks are
    measured at the first profile, in less than a second.

    Args:
        f: a function of tensors, compiled by ``gl.jit`` or not; or its graph.
        args: the arguments (for a graph: an array for each input).
        runs: how many calls are measured; by default as many as take about a quarter of a second.

    Returns:
        A ``Profile`` (gradloom/executors/native/profile.py): ``kernels``, ``seconds`` of a call, ``share_of_peak``.

    Raises:
        OptionError: the arguments are not those of the graph.

    Source: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", CACM 52 (2009).
    """
    arguments = Arguments("profile", args)
    graph = _graph_of(f, arguments)
    arrays = [np.asarray(x.value) for x in arguments.nodes]
    if [x.tensor_type for x in arguments.nodes] != graph.input_types:
        raise OptionError(
            "profile",
            rule="a graph is run on one array for each of its inputs",
            got=f"{', '.join(str(x.type) for x in arguments.nodes) or 'none'}",
            fix=f"Pass {', '.join(map(str, graph.input_types))}.",
        )
    return _program(graph).profile(arrays, runs)


def _graph_of(f: Function | Graph, arguments: Arguments) -> Graph:
    return f if isinstance(f, Graph) else graph_and_results(f, arguments)[0]


def _program(graph: Graph) -> Any:
    """The compiled program; the compiler is loaded when it is first asked for."""
    from gradloom.executors.native.program import NativeProgram  # noqa: PLC0415

    return NativeProgram(graph)
