"""Read the mask of a rectifier from its result, where what it was computed from need not be kept for anything else.

The derivative of r = relu(y) asks where y > 0.  That is where r > 0, and r often lies in memory because the next
layer reads it.  Before → after:

    r = select(y > 0, y, 0);   dy = select(y > 0, dr, 0)   →   r = select(y > 0, y, 0);   dy = select(r > 0, dr, 0)

so that y never leaves the registers.  Where y is computed from one tensor that the derivative reads anyway (that of a
normalisation does) the mask is computed from that tensor again, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from gradloom.executors.native.fuse import in_memory, large_sources
from gradloom.executors.native.loops import uniform_value
from gradloom.ir.graph import Graph, Node, rebuilt, scope_of
from gradloom.ops import elementwise


def read_masks(graph: Graph) -> Graph:
    """The graph with masks read from rectified values."""
    users = _users(graph)
    rectified = {n.inputs[0]: n for n in graph.nodes if _is_rectified(n) and len(users[n.inputs[0]]) > 1}
    if not rectified:
        return graph
    buffers = in_memory(graph)
    results = {mask: r for mask, r in rectified.items() if r in buffers and not _comes_free(r, buffers, users)}
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


def _users(graph: Graph) -> dict[Node, set[Node]]:
    users: dict[Node, set[Node]] = {n: set() for n in graph.nodes}
    for node in graph.nodes:
        for x in node.inputs:
            users[x].add(node)
    return users


def _is_rectified(node: Node) -> bool:
    """Whether a node is select(y > 0, y, 0)."""
    if node.op is not elementwise.select:
        return False
    mask, y, otherwise = node.inputs
    positive = mask.op is elementwise.gt and mask.inputs[0] is y and uniform_value(mask.inputs[1]) == 0
    return positive and uniform_value(otherwise) == 0


def _comes_free(r: Node, buffers: set[Node], users: Mapping[Node, set[Node]]) -> bool:
    """Whether what r is made of is one tensor, and something else than r and its mask needs it."""
    mask, y, _ = r.inputs
    sources = large_sources(y, buffers)
    if len(sources) != 1:
        return False
    inside, stack = {mask, r}, [y]
    while stack:
        x = stack.pop()
        if x not in inside and x.tensor_type.size == y.tensor_type.size:
            inside.add(x)
            stack += () if x in sources else x.inputs
    between = inside - {mask, r, y}
    return any(users[x] - inside for x in between) or sources[0] not in inside
