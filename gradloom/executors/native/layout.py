"""Bring operands into the order that kernels want.

The kernel of matrix products needs the right operand's last axis to be one that stays in the result.  Where it is
summed over instead (``x @ W.T``), the operand is transposed first.  Before → after:

    contract(x[m,k], w[n,k])   →   contract(x[m,k], permute(w)[k,n])
"""

from __future__ import annotations

from gradloom.executors.native.algebra import simpler
from gradloom.executors.native.kernel import is_vector_product
from gradloom.ir.graph import Graph, Node, scope_of
from gradloom.ops import contraction, core


def lay_out(graph: Graph) -> Graph:
    """The graph with right operands of products transposed where their kernel needs it."""
    made: dict[Node, Node] = {}
    for node in graph.nodes:
        inputs = [made.get(x, x) for x in node.inputs]
        with scope_of(node):
            if node.op is contraction.contract and _needs_transposing(node):
                made[node] = _transposed(node, inputs)
            elif any(a is not b for a, b in zip(inputs, node.inputs)):
                made[node] = node.op(*inputs, **node.attrs)
    return Graph(graph.inputs, tuple(made.get(y, y) for y in graph.outputs), graph.name)


def _needs_transposing(node: Node) -> bool:
    right, last = node.inputs[1], len(node.inputs[1].shape) - 1
    summed = last in node.attrs["contract"][1] or last in node.attrs["batch"][1]
    return summed and not is_vector_product(node) and right.tensor_type.size > 0


def _transposed(node: Node, inputs: list[Node]) -> Node:
    """The same product with the right operand's axes in the order shared, summed, free."""
    (sum_left, sum_right), (shared_left, shared_right) = node.attrs["contract"], node.attrs["batch"]
    left, right = inputs
    free = tuple(a for a in range(len(right.shape)) if a not in sum_right and a not in shared_right)
    moved = simpler(core.permute(right, axes=(*shared_right, *sum_right, *free)))
    shared = tuple(range(len(shared_right)))
    summed = tuple(range(len(shared), len(shared) + len(sum_right)))
    return contraction.contract(left, moved, contract=(sum_left, summed), batch=(shared_left, shared))
