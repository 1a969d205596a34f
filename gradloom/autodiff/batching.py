"""Vectorising: from a graph of one example to the graph of many.

Walk the nodes from operands to users; a node with a mapped operand is replaced by its primitive's batch rule, which
puts the mapped axis first.  What does not depend on a mapped input stays as it is and is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradloom.ir.graph import Node, project, scope_of, topological


def batch(outputs: Sequence[Node], mapped: Mapping[Node, Node], size: int) -> list[tuple[Node, bool]]:
    """``outputs`` for many values of some nodes at once.

    Args:
        outputs: nodes of the graph of one example.
        mapped: for the nodes that vary, the node that holds all their values along its first axis.
        size: how many values there are.

    Returns:
        For each output its node and whether that has the mapped axis (in front).
    """
    made: dict[Node, Node] = dict(mapped)
    varying: set[Node] = set(mapped)
    many: dict[Node, Sequence[tuple[Node, bool]]] = {}
    for node in topological(outputs):
        if node in made:
            continue
        if node.op is project and node.inputs[0] in many:
            made[node], varies = many[node.inputs[0]][node.attrs["index"]]
            if varies:
                varying.add(node)
            continue
        inputs = [made.get(x, x) for x in node.inputs]
        flags = [x in varying for x in node.inputs]
        with scope_of(node):
            if not any(flags):
                # A result that a mapped loop computes only once may stand among the operands.
                if any(new is not old for new, old in zip(inputs, node.inputs)):
                    made[node] = node.op(*inputs, **node.attrs)
            elif node.op.nested is not None:
                many[node] = node.op.nested.batch(size, node, inputs, flags, batch)
            else:
                assert node.op.batch is not None, f"{node.op.name} has no batch rule"
                made[node] = node.op.batch(size, node, inputs, flags)
                varying.add(node)
    return [(made.get(x, x), x in varying) for x in outputs]
