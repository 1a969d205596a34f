"""Say the same with fewer nodes: equal nodes are one, algebra is applied, loops are handed no more than they use.

Before → after:

    a = x * s;  b = x * s;  c = a + b        →   a = x * s;  c = a + a
    reshape(reshape(x, (6,)), (2, 3))        →   x
    scan(w, w, carry)                        →   scan(w, carry), its body's two inputs made one
    custom(x), a call of x * x               →   x * x

Nodes are met operands first, so each is simplified once, with operands that are as simple as they get.  Constants are
folded on the way, for a node whose operands are constants is one (ir/graph.py); what nobody uses is not met at all.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from operator import is_
from typing import Any

import numpy as np

from gradloom.executors.native.algebra import simpler
from gradloom.executors.native.trim import trim
from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node, constant, rebuilt, scope_of
from gradloom.ops import control, core, elementwise, index

SMALL_CONSTANT = 1024
"""Bytes up to which constants are compared by value."""


def simplify(graph: Graph, given: Mapping[Node, Node] | None = None) -> Graph:
    """The graph with equal nodes shared and the rules of algebra.py applied, in graphs inside it as well.

    Args:
        graph: what is computed.
        given: what is known of some inputs: the constant, or the other input, that each is.
    """
    return Graph(graph.inputs, _Simplifier(trim(graph), given or {}).outputs(), graph.name)


class _Simplifier:
    """One walk over a graph.

    Attributes:
        graph: what is simplified.
        given: what some of its inputs are.
        made: the simplest form of each node met.
        known: the nodes of the new graph, by what they compute.
        settled: the same nodes as a set.
        looked_up: (positions, axis, size) of each place where elements are taken, which checks the positions.
    """

    def __init__(self, graph: Graph, given: Mapping[Node, Node]) -> None:
        self.graph, self.given = graph, given
        self.made: dict[Node, Node] = {}
        self.known: dict[Hashable, Node] = {}
        self.settled: set[Node] = set()
        self.looked_up = {self._position(n) for n in graph.nodes if n.op is index.take_along}

    def outputs(self) -> tuple[Node, ...]:
        """The simplest forms of the graph's outputs."""
        for node in self.graph.nodes:
            with scope_of(node):
                self.made[node] = self._shared(self._simpler(self.given.get(node, node)))
        return tuple(self.made[y] for y in self.graph.outputs)

    def _simpler(self, node: Node) -> Node:
        inputs = [self.made[x] for x in node.inputs]
        if node.op.nested is not None:
            return _control(node, inputs)
        one_hot = self._one_hot(node) if node.op is index.scatter_add_along else None
        return simpler(one_hot or rebuilt(node, inputs))

    def _shared(self, node: Node) -> Node:
        """The first node that computes the same; of a node that a rule made, the operands too."""
        if node in self.settled:
            return node
        inputs = [x if x in self.settled else self._shared(x) for x in node.inputs]
        if not all(map(is_, inputs, node.inputs)):
            node = Node(node.op, tuple(inputs), node.attrs, node.type)
        key = _key(node)
        found = node if key is None else self.known.setdefault(key, node)
        self.settled.add(found)
        return found

    def _position(self, node: Node) -> Hashable:
        """Where a node takes from, or adds to, its first operand."""
        x, positions, axis = *node.inputs[:2], node.attrs["axis"]
        return self.given.get(positions, positions), axis, x.shape[axis]

    def _one_hot(self, node: Node) -> Node | None:
        """One element added in each line of zeros: a choice by position, which any loop can compute in passing.

        It is what the derivative of a cross-entropy by its logits adds.  A position outside the axis would go
        unnoticed, so another node must look the same positions up.
        """
        base, positions, updates = (self.made[x] for x in node.inputs)
        axis, size = node.attrs["axis"], base.shape[node.attrs["axis"]]
        zero = base.op is CONSTANT and not base.value.any() and base.tensor_type.is_float
        if not zero or updates.shape[axis] != 1 or self._position(node) not in self.looked_up:
            return None
        every = tuple(range(len(node.shape)))
        places = core.broadcast(constant(np.arange(size), positions.dtype), shape=node.shape, axes=(axis,))
        chosen = elementwise.eq(places, core.broadcast(positions, shape=node.shape, axes=every))
        return elementwise.select(chosen, core.broadcast(updates, shape=node.shape, axes=every), base)


def _key(node: Node) -> Hashable | None:
    """Equal for nodes that compute the same; None for one that equals no other."""
    if node.op is PLACEHOLDER:
        return None
    if node.op is not CONSTANT:
        attrs = tuple((name, repr(v) if isinstance(v, float) else v) for name, v in sorted(node.attrs.items()))
        try:
            hash(attrs)
        except TypeError:
            return None
        return node.op, node.inputs, attrs
    value = node.value
    if isinstance(value, tuple):
        return None
    if value.size and not any(value.strides):
        return CONSTANT, node.type, value.flat[0].tobytes()
    return (CONSTANT, node.type, value.tobytes()) if value.nbytes <= SMALL_CONSTANT else None


# Loops and branches -------------------------------------------------------------------------------------------------


def _control(node: Node, operands: list[Node]) -> Node:
    """A loop, branch or region with simple graphs that take each operand once, and none that is constant or unused."""
    first = int(node.op is control.cond)
    count = node.attrs.get("consts", len(operands) - first)
    fixed = operands[first : first + count]
    graphs = {name: _informed(graph, fixed) for name, graph in node.attrs.items() if isinstance(graph, Graph)}
    turns = {0} if node.attrs.get("bounded") else set()  # which no body need use
    used = sorted(turns | {i for graph in graphs.values() for i in _used(graph) if i < count})
    attrs: dict[str, Any] = dict(node.attrs)
    for name, graph in graphs.items():
        attrs[name] = Graph((*(graph.inputs[i] for i in used), *graph.inputs[count:]), graph.outputs, graph.name)
    if "consts" in attrs:
        attrs["consts"] = len(used)
    kept = (*operands[:first], *(fixed[i] for i in used), *operands[first + count :])
    return Node(node.op, kept, attrs, node.type)


def _informed(graph: Graph, operands: Sequence[Node]) -> Graph:
    """A graph inside a node, simplified with what is known outside: which operands are constant, which are one."""
    first: dict[Node, Node] = {}
    known = {}
    for x, operand in zip(graph.inputs, operands):
        one = first.setdefault(operand, operand if operand.op is CONSTANT else x)
        if one is not x:
            known[x] = one
    return simplify(graph, known)


def _used(graph: Graph) -> list[int]:
    """Which inputs the outputs depend on."""
    used = {x for node in graph.nodes for x in node.inputs}.union(graph.outputs)
    return [i for i, x in enumerate(graph.inputs) if x in used]
