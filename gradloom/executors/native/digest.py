"""A name for what a graph computes: graphs of one name have the same program, in every process.

Nodes are spelled in order, operands by their places.  Names, scopes and derivative rules are left out, for no code
depends on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import NoneType
from typing import Any

import numpy as np

from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node, Op
from gradloom.ir.tensortype import TensorType, TupleType
from gradloom.ops.custom import Rules

_PLAIN = frozenset((bool, int, str, float, NoneType))
"""Classes of values that say all of themselves."""


def digest(graph: Graph) -> str | None:
    """The SHA-256 of all that a graph's program depends on; None where something in it cannot be spelled."""
    try:
        return hashlib.sha256(_graph(graph).encode()).hexdigest()
    except _Unspelled:
        return None


class _Unspelled(Exception):
    """A value of a kind whose text might not tell all of it."""


def _graph(graph: Graph) -> str:
    places: dict[Node, int] = {x: -1 - i for i, x in enumerate(graph.inputs)}
    lines = [_type(x.type) for x in graph.inputs]
    for node in graph.nodes:
        if node.op is PLACEHOLDER:
            if node not in places:  # of a trace around this one
                raise _Unspelled
            continue
        places[node] = len(places)
        lines.append(_array(node.value) if node.op is CONSTANT else _node(node, places))
    return "\n".join((*lines, *(str(places[y]) for y in graph.outputs)))


def _node(node: Node, places: Mapping[Node, int]) -> str:
    operands = ",".join([str(places[x]) for x in node.inputs])
    options = ",".join([f"{name}={_spelled(value)}" for name, value in sorted(node.attrs.items())])
    return f"{node.op.name}({operands};{options}){_type(node.type)}"


def _type(type: TensorType | TupleType) -> str:
    if isinstance(type, TupleType):
        return ",".join(map(_type, type.parts))
    return f"{type.dtype.str}{type.shape}"


def _array(value: np.ndarray) -> str:
    """A number that is everywhere is spelled once: such constants may be as large as data."""
    same = value.size > 1 and not any(value.strides)
    data = (value.reshape(-1)[:1] if same else value).tobytes()
    return f"{value.dtype.str}{value.shape}{same}{hashlib.sha256(data).hexdigest()}"


def _spelled(value: Any) -> str:
    kind = type(value)
    if kind in _PLAIN:
        return repr(value)
    if kind is tuple or kind is list:
        return f"({','.join([_spelled(part) for part in value])})"
    if isinstance(value, np.dtype):
        return value.str
    if kind is Graph:
        return f"{{{_graph(value)}}}"
    if kind is Rules:
        return ""
    if kind is np.ndarray:
        return _array(value)
    if kind is Op:
        return value.name
    if kind is TensorType:
        return _type(value)
    raise _Unspelled
