"""Check that a graph is legal: run after every pass in the tests, so that a pass that breaks a graph is named."""

from __future__ import annotations

from typing import Any

from gradloom.ir.tensortype import TensorType
from gradloom.ir.text import GraphLike, inner_graphs


class IllegalGraphError(AssertionError):
    """A graph breaks a rule: a mistake of ours, never of the user."""


def verify(graph: GraphLike) -> None:
    """Raise unless the graph is legal.

    The rules: nothing goes round in a circle; inputs are placeholders, each once; no other placeholder occurs; every
    primitive is registered; every node's type is what its type rule says; a constant's array has its type; graphs
    inside nodes are legal.

    Raises:
        IllegalGraphError: with the node, its operands and the rule.
    """
    _refuse_circles(graph)
    own = set(graph.inputs)
    if len(own) < len(graph.inputs) or any(x.op.name != "placeholder" for x in graph.inputs):
        raise IllegalGraphError(f"{graph.name}: the inputs must be distinct placeholders, got {graph.inputs}")
    for node in graph.nodes:
        problem = _problem(node, own)
        if problem:
            operands = "\n".join(f"  operand {i}: {x}" for i, x in enumerate(node.inputs))
            place = f" in {node.scope}" if node.scope else ""
            raise IllegalGraphError(f"{graph.name}: {problem}\n  node: {node} {node.attrs}{place}\n{operands}")
        for inner in inner_graphs(node):
            verify(inner)


def _refuse_circles(graph: GraphLike) -> None:
    """Raise if a node uses one made after it; nodes are numbered as they are made, so in every circle one does."""
    seen, stack = set(graph.outputs), list(graph.outputs)
    while stack:
        node = stack.pop()
        for x in node.inputs:
            if x.serial >= node.serial:
                raise IllegalGraphError(
                    f"{graph.name}: data flows one way, but {node} uses {x}, which was made after it"
                )
            if x not in seen:
                seen.add(x)
                stack.append(x)


def _problem(node: Any, inputs: set[Any]) -> str:
    """What is wrong with a node, or an empty string."""
    if node.op.name == "placeholder":
        return "" if node in inputs else "a placeholder that is not among the inputs"
    if node.op.name == "constant":
        found = TensorType(node.value.shape, node.value.dtype)
        return "" if found == node.type else f"the constant's array is {found}, its type {node.type}"
    found = node.op.type_rule(*(x.type for x in node.inputs), **node.attrs)
    return "" if found == node.type else f"the type rule gives {found}, the node says {node.type}"
