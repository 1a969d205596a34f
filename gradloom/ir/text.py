"""A graph for reading: as text, one line a node, and as a drawing in Graphviz' dot language.

Graphs and nodes are known here by their attributes alone (``GraphLike``), so that ``Graph`` can offer these
functions as methods.
"""

from __future__ import annotations

from typing import Any

import numpy as np

GraphLike = Any
"""It has ``name``, ``inputs``, ``outputs``, ``nodes``; each node ``op``, ``inputs``, ``attrs``, ``type``, ``value``."""


def inner_graphs(node: Any) -> list[GraphLike]:
    """The graphs among a node's attributes: bodies of loops, branches."""
    return [value for value in node.attrs.values() if hasattr(value, "outputs")]


def short(value: Any) -> str:
    """An attribute or a constant in a few characters."""
    if hasattr(value, "outputs"):
        return value.name
    if isinstance(value, np.ndarray):
        uniform = value.size and (value.size == 1 or not any(value.strides))
        if not uniform:
            return f"<{value.size} values>"
        number = value.flat[0].item()
        return f"{number:g}" if isinstance(number, float) else str(number)
    if isinstance(value, np.dtype):
        return value.name
    return repr(value).replace(" ", "")


class Names:
    """Names for nodes: those of the placeholders, %0, %1, ... for the rest."""

    def __init__(self, graph: GraphLike) -> None:
        self.names: dict[Any, str] = {}
        taken: set[str] = set()
        for node in graph.nodes:
            if node.op.name == "constant":
                continue
            wanted = node.attrs["name"] if node.op.name == "placeholder" else ""
            self.names[node] = wanted if wanted and wanted not in taken else f"%{len(self.names)}"
            taken.add(self.names[node])

    def of(self, node: Any) -> str:
        """The node's name, or a constant's value."""
        return short(node.value) if node.op.name == "constant" else self.names[node]


def to_text(graph: GraphLike, indent: str = "") -> str:
    """One line a node: name, type, operation, operands, attributes, and the layer it belongs to.

    Graphs inside loops and branches follow the node that holds them, further in.
    """
    names = Names(graph)
    inputs = ", ".join(f"{names.of(x)}: {x.type}" for x in graph.inputs)
    lines = [f"{indent}{graph.name}({inputs})"]
    for node in graph.nodes:
        if node.op.name in ("constant", "placeholder"):
            continue
        place = f"  # {node.scope}" if node.scope else ""
        said = operands_and_options(node, names)
        lines.append(f"{indent}  {names.of(node)}: {node.type} = {node.op.name} {said}{place}")
        lines += [to_text(inner, indent + "    ") for inner in inner_graphs(node)]
    lines.append(f"{indent}  return {', '.join(names.of(y) for y in graph.outputs)}")
    return "\n".join(lines)


def operands_and_options(node: Any, names: Names) -> str:
    """What a node is applied to, and its options."""
    options = (f"{key}={short(value)}" for key, value in node.attrs.items())
    return " ".join((*map(names.of, node.inputs), *options))


def _label(node: Any) -> str:
    if node.op.name == "placeholder":
        return node.attrs["name"] or "input"
    return short(node.value) if node.op.name == "constant" else node.op.name


def to_dot(graph: GraphLike) -> str:
    """The graph in Graphviz' dot language: a box a node, an arrow from each operand labelled with its type."""
    ids = {node: f"n{i}" for i, node in enumerate(graph.nodes)}
    results = set(graph.outputs)
    lines = [f"digraph {_quoted(graph.name)} {{", "  node [shape=box, fontname=Helvetica];"]
    for node, name in ids.items():
        look = "style=filled, fillcolor=lightblue" if node.op.name == "placeholder" else "style=solid"
        look = "style=filled, fillcolor=lightyellow" if node in results else look
        lines.append(f"  {name} [label={_quoted(_label(node), str(node.type))}, {look}];")
        lines += [f"  {ids[x]} -> {name} [label={_quoted(str(x.type))}, fontsize=8];" for x in node.inputs]
    return "\n".join([*lines, "}"])


def _quoted(*lines: str) -> str:
    """A string of the dot language."""
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for line in lines)
    return '"' + "\\n".join(escaped) + '"'
