"""Forward mode: from a graph to the graph of its directional derivative.

Walk the nodes from operands to users and ask each primitive's forward rule for the tangent of its result.  A
tangent of None is a zero that is known to be one, and costs nothing.

Two styles serve the two uses.  ``fused`` computes values and tangents side by side, inside one loop where the
graph has loops.  ``split`` keeps everything that is nonlinear in values apart from everything that is linear in
tangents, so that reverse mode can transpose the linear part alone; loops then save what their linear half needs.
They differ only for primitives that hold graphs.

Source: Griewank and Walther, "Evaluating derivatives" (2008), ch. 3; Wengert, CACM 7 (1964).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradloom.ir.graph import Node, project, scope_of, topological
from gradloom.ir.tensortype import TensorType


def pushforward(
    outputs: Sequence[Node], seeds: Mapping[Node, Node], *, split: bool = False
) -> tuple[list[Node], list[Node | None]]:
    """The values and the tangents of ``outputs``.

    Args:
        outputs: nodes to differentiate.
        seeds: for the nodes to differentiate by, their tangents (nodes of the same types).
        split: keep nonlinear and linear parts apart (for transposition).

    Returns:
        ``(values, tangents)``.  The values are the outputs, rebuilt where a loop had to save intermediate
        results; a tangent is None where the output does not depend on the seeds.
    """
    walk = _Walk(split)
    walk.tangents.update(seeds)
    for node in topological(outputs):
        if node not in seeds:
            with scope_of(node):
                walk.visit(node)
    return [walk.value(x) for x in outputs], [walk.tangents.get(x) for x in outputs]


class _Walk:
    """Values and tangents found so far; nodes with several results keep a list of each."""

    def __init__(self, split: bool) -> None:
        self.split = split
        self.values: dict[Node, Node] = {}
        self.tangents: dict[Node, Node] = {}
        self.many: dict[Node, tuple[Sequence[Node], Sequence[Node | None]]] = {}

    def value(self, node: Node) -> Node:
        return self.values.get(node, node)

    def visit(self, node: Node) -> None:
        if node.op is project and node.inputs[0] in self.many:
            values, tangents = self.many[node.inputs[0]]
            self.keep(node, values[node.attrs["index"]], tangents[node.attrs["index"]])
            return
        if any(self.value(x) is not x for x in node.inputs):
            rebuilt = node.op(*(self.value(x) for x in node.inputs), **node.attrs)
        else:
            rebuilt = node
        tangents = [self.tangents.get(x) for x in node.inputs]
        if all(t is None for t in tangents):
            self.keep(node, rebuilt, None)
        elif node.op.nested is not None:
            self.many[node] = node.op.nested.derivative(rebuilt, tangents, self.split, pushforward)
        else:
            rule = node.op.derivative
            # What is split is for reverse mode, and belongs to it.
            with scope_of(node, "backward" if self.split else ""):
                tangent = rule(rebuilt, tangents) if rule else None
            self.keep(node, rebuilt, tangent)

    def keep(self, node: Node, value: Node, tangent: Node | None) -> None:
        if value is not node:
            self.values[node] = value
        # An integer result has no derivative, whatever its operands.
        if tangent is not None and isinstance(node.type, TensorType) and node.type.is_float:
            assert tangent.type == node.type, f"tangent {tangent} of {node}"
            self.tangents[node] = tangent
