"""Read the mask of a rectifier from its result where that lies in memory.

The derivative of r = relu(y) asks where y > 0.  That is where r > 0, and r lies in memory if the next layer reads it
there, as convolutions and products do.  Before → after:

    r = select(y > 0, y, 0);   dy = select(y > 0, dr, 0)   →   r = select(y > 0, y, 0);   dy = select(r > 0, dr, 0)

so that y never leaves the registers, and is not computed again.
"""

from __future__ import annotations

from gradloom.executors.native.fuse import in_memory
from gradloom.executors.native.loops import uniform_value
from gradloom.ir.graph import Graph, Node, rebuilt, scope_of
from gradloom.ops import elementwise


def read_masks(graph: Graph) -> Graph:
    """The graph with masks read from rectified values."""
    rectified = {n.inputs[0]: n for n in graph.nodes if _is_rectified(n)}
    if not rectified:
        return graph
    kept = in_memory(graph)
    results = {mask: r for mask, r in rectified.items() if r in kept}
    made: dict[Node, Node] = {}

    def operand(node: Node, x: Node) -> Node:
        r = results.get(x)
        if r is None or r is node:
            return made[x]
        if r not in made:
            made[r] = rebuilt(r, [made[y] for y in r.inputs])
        return elementwise.gt(made[r], made[x.inputs[1]])

    for node in graph.nodes:
        if node not in made:
            with scope_of(node):
                made[node] = rebuilt(node, [operand(node, x) for x in node.inputs])
    return Graph(graph.inputs, tuple(made[y] for y in graph.outputs), graph.name)


def _is_rectified(node: Node) -> bool:
    """Whether a node is select(y > 0, y, 0)."""
    if node.op is not elementwise.select:
        return False
    mask, y, otherwise = node.inputs
    positive = mask.op is elementwise.gt and mask.inputs[0] is y and uniform_value(mask.inputs[1]) == 0
    return positive and uniform_value(otherwise) == 0
