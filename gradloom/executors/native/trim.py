"""Leave out what nobody asks for: results of loops, branches and regions, and the operands that only they need.

Derivatives of derivatives are full of them: a loop that was differentiated still stacks what its first derivative
wanted, and carries what only that read.  Before → after, where nobody reads z:

    x, y, z = scan(a, b, c)        →   x, y = scan(a, b)

Calls of functions with rules of their own are opened, and regions that compute something for the first time, so that
what is around can be fused with what is inside.  Regions that compute it again stay closed (ops/control/regions.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradloom.ir.graph import Graph, Node, inline, project, scope_of, topological
from gradloom.ir.tensortype import TupleType
from gradloom.ops import control
from gradloom.ops.custom import inlined
from gradloom.records import dataclass


@dataclass(frozen=True)
class _Rest:
    """What is left of a node with several results.

    Attributes:
        operands: places of the operands that stay.
        attrs: the attributes, with graphs that take and give no more than what stays.
        results: places of the results that stay.
    """

    operands: list[int]
    attrs: dict[str, Any]
    results: list[int]


def trim(graph: Graph) -> Graph:
    """The graph without results that nobody asks for; graphs inside its nodes end up with fewer inputs and outputs."""
    if all(node.op.nested is None for node in graph.nodes):
        return graph
    graph = inlined(graph)
    wanted, rests = _wanted(graph)
    made: dict[Node, Node] = {}
    parts: dict[Node, dict[int, Node]] = {}
    for node in graph.nodes:
        inputs = [made.get(x, x) for x in node.inputs]
        with scope_of(node):
            if node in rests:
                parts[node] = _results(node, inputs, rests[node])
            elif node.op is project and node in wanted and node.inputs[0] in rests:
                made[node] = parts[node.inputs[0]][node.attrs["index"]]
            elif node in wanted and any(x in made for x in node.inputs):
                made[node] = node.op(*inputs, **node.attrs)
    return Graph(graph.inputs, tuple(made.get(y, y) for y in graph.outputs), graph.name)


def _wanted(graph: Graph) -> tuple[set[Node], dict[Node, _Rest]]:
    """The values that are needed, and what is left of each node with several; a walk from users to operands."""
    asked: dict[Node, set[int]] = {}
    wanted, rests = set(graph.outputs), {}
    for node in reversed(graph.nodes):
        if node.op is project and node in wanted:
            asked.setdefault(node.inputs[0], set()).add(node.attrs["index"])
        elif node.op.nested is not None and node.value is None and node in asked:
            rest = _rest_of_loop(node, asked[node]) if "carries" in node.attrs else _rest_of_sides(node, asked[node])
            rests[node] = rest
            wanted.update(node.inputs[i] for i in rest.operands)
        elif node in wanted:
            wanted.update(node.inputs)
    return wanted, rests


def _rest_of_loop(node: Node, asked: set[int]) -> _Rest:
    """A carry stays where it is asked for, or where another value of the turn that stays reads it."""
    consts, carries, body = (node.attrs[name] for name in ("consts", "carries", "body"))
    condition: Graph | None = node.attrs.get("condition")
    asking = _used([condition]) if condition else set()
    results = {*asked, *([carries] if condition else [])}
    while True:
        turn = Graph(body.inputs, tuple(body.outputs[i] for i in sorted(results) if i < len(body.outputs)))
        used = asking | _used([turn])
        grown = results | {i - consts for i in used if consts <= i < consts + carries}
        if grown == results:
            break
        results = grown
    used |= {consts + i for i in results if i < carries} | ({0} if node.attrs.get("bounded") else set())
    operands, kept = sorted(used), sorted(results)
    attrs = node.attrs | {
        "body": _part(body, operands, [i for i in kept if i < len(body.outputs)]),
        "consts": sum(i < consts for i in operands),
        "carries": sum(i < carries for i in kept),
    }
    if condition:
        attrs["condition"] = _part(condition, operands, [0])
    return _Rest(operands, attrs, kept)


def _rest_of_sides(node: Node, asked: set[int]) -> _Rest:
    """Branches and regions give what is asked for, and take what that needs."""
    first, results = int(node.op is control.cond), sorted(asked)
    sides = {name: g for name, g in node.attrs.items() if isinstance(g, Graph)}
    used = sorted(_used([Graph(g.inputs, tuple(g.outputs[i] for i in results)) for g in sides.values()]))
    attrs = node.attrs | {name: _part(g, used, results) for name, g in sides.items()}
    return _Rest([*range(first), *(i + first for i in used)], attrs, results)


def _used(graphs: Sequence[Graph]) -> set[int]:
    """Places of the inputs that the outputs of at least one graph depend on."""
    nodes = set(topological(y for g in graphs for y in g.outputs))
    return {i for g in graphs for i, x in enumerate(g.inputs) if x in nodes}


def _part(graph: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> Graph:
    return Graph(tuple(graph.inputs[i] for i in inputs), tuple(graph.outputs[i] for i in outputs), graph.name)


def _results(node: Node, inputs: Sequence[Node], rest: _Rest) -> dict[int, Node]:
    """The results that stay, by their old places."""
    assert isinstance(node.type, TupleType)
    operands = [inputs[i] for i in rest.operands]
    if node.op is control.checkpoint and not rest.attrs.get("again"):
        return dict(zip(rest.results, inline(trim(rest.attrs["body"]), operands)))
    left = Node(node.op, tuple(operands), rest.attrs, TupleType(tuple(node.type.parts[i] for i in rest.results)))
    return dict(zip(rest.results, control.results(left)))
