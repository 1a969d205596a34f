"""Graphs as bytes, so that a process can compile what another one has traced.

A worker so needs neither the user's classes nor the module that defines them, and a script need not guard its first
lines against being run once more.  The bytes are a pickle that goes through a pipe to a process of our own making; it
is never written to a file, and none is ever read from one.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, NoReturn

import numpy as np

from gradloom.ir.graph import PRIMITIVES, Graph, Node, Op, constant, repeated
from gradloom.ops.custom import Rules


def to_bytes(value: Any) -> bytes:
    """Any value with graphs in it, as bytes."""
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()


def from_bytes(data: bytes) -> Any:
    """What :func:`to_bytes` was given."""
    return pickle.loads(data)


class _Pickler(pickle.Pickler):
    """Takes graphs for lists of records, so that a long chain of nodes needs no deep recursion."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Graph):
            return _graph, (*_records(value), value.name)
        if isinstance(value, Op):
            return PRIMITIVES.__getitem__, (value.name,)
        if isinstance(value, Rules):  # a graph that is ready to run is not differentiated again
            return Rules, (_stayed_behind, _stayed_behind)
        return NotImplemented


def _records(graph: Graph) -> tuple[list[tuple[Any, ...]], list[int], list[int]]:
    """The nodes in the order in which they were made, operands by their places; the places of inputs and outputs."""
    nodes = sorted(graph.nodes, key=lambda node: node.serial)
    places = {node: place for place, node in enumerate(nodes)}
    records = [(n.op.name, [places[x] for x in n.inputs], n.attrs, n.type, _kept(n.value), n.scope) for n in nodes]
    return records, [places[x] for x in graph.inputs], [places[y] for y in graph.outputs]


def _graph(records: list[tuple[Any, ...]], inputs: list[int], outputs: list[int], name: str) -> Graph:
    nodes: list[Node] = []
    for op, operands, attrs, type, value, scope in records:
        node = Node(PRIMITIVES[op], tuple(nodes[i] for i in operands), attrs, type, _found(value))
        node.scope = scope
        nodes.append(node)
    return Graph(tuple(nodes[i] for i in inputs), tuple(nodes[i] for i in outputs), name)


def _kept(value: Any) -> Any:
    """The value of a constant; of one number everywhere that number, so that it takes as little memory there."""
    if isinstance(value, tuple):
        return tuple(map(_kept, value))
    if isinstance(value, np.ndarray) and value.size > 1 and not any(value.strides):
        return value.reshape(-1)[:1].copy(), value.shape
    return value if value is None else [value]


def _found(kept: Any) -> Any:
    if isinstance(kept, tuple) and len(kept) == 2 and isinstance(kept[0], np.ndarray):
        return constant(repeated(kept[0].reshape(()), kept[1])).value
    if isinstance(kept, tuple):
        return tuple(map(_found, kept))
    return kept if kept is None else constant(kept[0]).value


def _stayed_behind(*_: Any) -> NoReturn:
    raise AssertionError("rules of differentiation stay in the process that differentiates")
