"""Calls of functions that bring derivative rules of their own.

A call computes what its ``body`` computes, and an executor that compiles puts the body in its place (:func:`inlined`).
Transformations ask its :class:`Rules` instead.  Forward mode takes tangents from ``rules.forward``.  For reverse mode
the tangents stand as one node, ``custom_tangents``, that nothing ever computes: it waits to be transposed, and then
``rules.backward`` gives the cotangents.  So neither mode needs the other's rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from gradloom.ir.graph import Graph, Node, Op, inline, placeholder, project, rebuilt
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import TensorType, TupleType
from gradloom.ops.control import Batching, Forward, MaybeNodes, Nested, Results, Transposition, results
from gradloom.ops.core import reduce_sum, repeat_front
from gradloom.records import dataclass

Rule = Callable[[MaybeNodes, Sequence[Node], Sequence[Node]], MaybeNodes]


@dataclass(frozen=True, eq=False)
class Rules:
    """The derivative of a function, in both modes; None stands for zero.

    Attributes:
        forward: ``(tangents of the operands, results, operands) -> tangents of the results``.
        backward: ``(cotangents of the results, results, operands) -> cotangents of the operands``.
    """

    forward: Rule
    backward: Rule

    def __repr__(self) -> str:
        return "own"


def _never(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("a call is never transposed, and the tangents of one are for nothing else")


# The call ----------------------------------------------------------------------------------------------------------


def _call_type(*types: TensorType, body: Graph, rules: Rules) -> TupleType:
    assert body.input_types == list(types)
    return TupleType(tuple(body.output_types))


def _call(*arrays: np.ndarray, body: Graph, rules: Rules) -> tuple[np.ndarray, ...]:
    return tuple(evaluate(body, arrays))


def _call_derivative(out: Node, tangents: MaybeNodes, split: bool, pushforward: Forward) -> Results:
    rules, values = out.attrs["rules"], results(out)
    if not split:
        return values, rules.forward(tangents, values, out.inputs)
    given = [t for t in tangents if t is not None]
    active = tuple(t is not None for t in tangents)
    return values, results(custom_tangents(*given, *out.inputs, *values, active=active, rules=rules))


def _call_batch(
    size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool], batch: Batching
) -> list[tuple[Node, bool]]:
    """The call for many examples; all its results have the mapped axis."""
    body: Graph = node.attrs["body"]
    mapped = {
        x: placeholder(x.tensor_type.with_shape((size, *x.shape)), x.attrs["name"])
        for x, has in zip(body.inputs, batched)
        if has
    }
    found = batch(body.outputs, mapped, size)
    outputs = tuple(y if varies else repeat_front(y, size) for y, varies in found)
    whole = [mapped.get(x, x) for x in body.inputs]
    many = Graph(tuple(whole), outputs, body.name)
    made = custom(*inputs, body=many, rules=_batched_rules(node.attrs["rules"], size, batched, batch))
    return [(y, True) for y in results(made)]


def _batched_rules(rules: Rules, size: int, batched: Sequence[bool], batch: Batching) -> Rules:
    """The rules for many examples, from those for one."""

    def forward(tangents: MaybeNodes, values: Sequence[Node], operands: Sequence[Node]) -> MaybeNodes:
        one = _Examples(size, batch)
        found = rules.forward(one.of(tangents, batched), one.of_all(values), one.of(operands, batched))
        return [None if t is None else one.many(t) for t in found]

    def backward(cotangents: MaybeNodes, values: Sequence[Node], operands: Sequence[Node]) -> MaybeNodes:
        one = _Examples(size, batch)
        found = rules.backward(one.of_all(cotangents), one.of_all(values), one.of(operands, batched))
        back = [None if ct is None else one.many(ct) for ct in found]
        # An operand that all examples share takes the cotangents of all.
        return [ct if ct is None or has else reduce_sum(ct, axes=(0,)) for ct, has in zip(back, batched)]

    return Rules(forward, backward)


class _Examples:
    """Stand-ins for one example of nodes that hold many, and the way back to many."""

    def __init__(self, size: int, batch: Batching) -> None:
        self.size, self.batch = size, batch
        self.mapped: dict[Node, Node] = {}

    def of(self, nodes: MaybeNodes, batched: Sequence[bool]) -> list[Any]:
        """One example of each node; those without the mapped axis, and None, as they are."""
        found: list[Any] = []
        for x, has in zip(nodes, batched):
            if x is not None and has:
                one = placeholder(x.tensor_type.with_shape(x.shape[1:]), "example")
                self.mapped[one] = x
                found.append(one)
            else:
                found.append(x)
        return found

    def of_all(self, nodes: MaybeNodes) -> list[Any]:
        """One example of each node."""
        return self.of(nodes, [True] * len(nodes))

    def many(self, node: Node) -> Node:
        """The node for all examples."""
        ((found, varies),) = self.batch([node], self.mapped, self.size)
        return found if varies else repeat_front(found, self.size)


custom = Op("custom", _call_type, _call, nested=Nested(_call_derivative, _never, _call_batch))
"""A call of the graph ``body``, whose derivatives are those that ``rules`` give."""

# What waits for transposition -----------------------------------------------------------------------------------------


def _tangents_type(*types: TensorType, active: tuple[bool, ...], rules: Rules) -> TupleType:
    return TupleType(types[sum(active) + len(active) :])


def _tangents_transpose(
    cotangents: MaybeNodes, node: Node, linear: Sequence[bool], transpose: Transposition
) -> MaybeNodes:
    active = node.attrs["active"]
    first, last = sum(active), sum(active) + len(active)
    found = node.attrs["rules"].backward(cotangents, node.inputs[last:], node.inputs[first:last])
    back = [ct for ct, is_active in zip(found, active) if is_active]
    return [*back, *(None for _ in node.inputs[first:])]


custom_tangents = Op(
    "custom_tangents", _tangents_type, _never, nested=Nested(_never, _tangents_transpose, _never), fold=False
)
"""The tangents of a call's results; operands are the tangents of its ``active`` operands, its operands, its results."""

# Executors ------------------------------------------------------------------------------------------------------------


def inlined(graph: Graph) -> Graph:
    """The graph with the body in place of each call, not in graphs inside other nodes."""
    if all(node.op is not custom for node in graph.nodes):
        return graph
    made: dict[Node, Node] = {}
    found: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        if node.op is project and node.inputs[0] in found:
            made[node] = found[node.inputs[0]][node.attrs["index"]]
            continue
        inputs = [made[x] for x in node.inputs]
        if node.op is custom:
            body = node.attrs["body"]
            found[node] = inline(inlined(body), inputs)
        else:
            made[node] = rebuilt(node, inputs)
    return Graph(graph.inputs, tuple(made[y] for y in graph.outputs), graph.name)
