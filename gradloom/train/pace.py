"""How many steps one call of a program takes: so many that calls last some tens of milliseconds.

Between calls come progress, Ctrl-C and checks, so calls must be short; the way in and out of a program costs some
tens of microseconds, so they must not be too short.  The number follows from the model and the batch alone, never
from a clock: a measured one would make other programs in every process, and none would be found in the cache.
Results do not depend on it.
"""

from __future__ import annotations

import math

from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node
from gradloom.ir.tensortype import TensorType
from gradloom.ir.text import inner_graphs
from gradloom.ops import control
from gradloom.ops.contraction import contract
from gradloom.ops.convolution import conv

_OPERATIONS_A_CALL = 8_000_000_000
"""About 20 ms of two fast processors, and half a second of one slow one."""
_OPERATIONS_A_STEP = 400_000
"""What a step costs however small it is."""
_OPERATIONS_A_PARAMETER = 10
"""What an update costs."""


def steps_a_call(executor: str, forward: Graph, examples: int, parameters: int, batch: int) -> int:
    """The largest number of steps that one call should take.

    Args:
        executor: that of the reference is called step by step, since it is slow anyway.
        forward: the model's graph for some examples.
        examples: how many.
        parameters: numbers that are trained.
        batch: examples of a step.
    """
    if executor == "reference":
        return 1
    # A product costs as much again for each of its two derivatives.
    step = 3 * operations(forward) * batch // examples + _OPERATIONS_A_PARAMETER * parameters + _OPERATIONS_A_STEP
    return max(1, _OPERATIONS_A_CALL // step)


def operations(graph: Graph) -> int:
    """Additions and multiplications of a graph, roughly."""
    return sum(map(_operations, graph.nodes))


def _operations(node: Node) -> int:
    if node.op is control.scan:
        return node.attrs["length"] * operations(node.attrs["body"])
    if node.op.nested is not None:  # of a branch the dearer side; a loop without a number of turns counts as one
        return max(map(operations, inner_graphs(node)))
    if node.op in (CONSTANT, PLACEHOLDER) or not isinstance(node.type, TensorType):
        return 0
    if node.op is contract:
        inner = math.prod(node.inputs[0].shape[axis] for axis in node.attrs["contract"][0])
        return 2 * node.type.size * inner
    if node.op is conv:
        kernel = node.inputs[1].tensor_type
        return 2 * node.type.size * kernel.size // kernel.shape[-1]
    return node.type.size
