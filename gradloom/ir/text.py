"""A graph for reading: as text, one line a node, and as a drawing in Graphviz' dot language."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node


def _short(value: Any) -> str:
    """An attribute or a constant in a few characters."""
    if isinstance(value, Graph):
        return value.name
    if isinstance(value, np.ndarray):
        uniform = value.size and (value.size == 1 or not any(value.strides))
        return f"{value.flat[0]:g}" if uniform else f"<{value.size} values>"
    if isinstance(value, np.dtype):
        return value.name
    return repr(value).replace(" ", "")


class _Names:
    """Names for nodes: those of the placeholders, %0, %1, ... for the rest."""

    def __init__(self, graph: Graph) -> None:
        self.names: dict[Node, str] = {}
        for node in graph.nodes:
            if node.op is CONSTANT:
                continue
            wanted = node.attrs["name"] if node.op is PLACEHOLDER else ""
            taken = wanted in self.names.values()
            self.names[node] = wanted if wanted and not taken else f"%{len(self.names)}"

    def of(self, node: Node) -> str:
        """The node's name, or a constant's value."""
        return _short(node.value) if node.op is CONSTANT else self.names[node]


def to_text(graph: Graph, indent: str = "") -> str:
    """One line a node: name, type, operation, operands, attributes, and the layer it belongs to.

    Graphs inside loops and branches follow the node that holds them, further in.
    """
    names = _Names(graph)
    inputs = ", ".join(f"{names.of(x)}: {x.type}" for x in graph.inputs)
    lines = [f"{indent}{graph.name}({inputs})"]
    for node in graph.nodes:
        if node.op in (CONSTANT, PLACEHOLDER):
            continue
        attrs = "".join(f" {key}={_short(value)}" for key, value in node.attrs.items())
        place = f"  # {node.scope}" if node.scope else ""
        operands = " ".join(names.of(x) for x in node.inputs)
        lines.append(f"{indent}  {names.of(node)}: {node.type} = {node.op.name} {operands}{attrs}{place}")
        lines += [to_text(v, indent + "    ") for v in node.attrs.values() if isinstance(v, Graph)]
    lines.append(f"{indent}  return {', '.join(names.of(y) for y in graph.outputs)}")
    return "\n".join(lines)


def to_dot(graph: Graph) -> str:
    """The graph in Graphviz' dot language: a box a node, an arrow from each operand labelled with its type."""
    ids = {node: f"n{i}" for i, node in enumerate(graph.nodes)}
    results = set(graph.outputs)
    lines = [f'digraph "{graph.name}" {{', "  node [shape=box, fontname=Helvetica];"]
    for node, name in ids.items():
        label = {PLACEHOLDER: node.attrs.get("name") or "input", CONSTANT: _short(node.value)}.get(
            node.op, node.op.name
        )
        look = "style=filled, fillcolor=lightblue" if node.op is PLACEHOLDER else "style=solid"
        look = "style=filled, fillcolor=lightyellow" if node in results else look
        lines.append(f'  {name} [label="{label}\\n{node.type}", {look}];')
        lines += [f'  {ids[x]} -> {name} [label="{x.type}", fontsize=8];' for x in node.inputs]
    return "\n".join([*lines, "}"])
