"""Loops and branches as single nodes of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradloom.errors import OptionError, ShapeError
from gradloom.ir.graph import (
    PLACEHOLDER,
    Graph,
    Node,
    constant,
    dependents,
    next_serial,
    placeholder,
    substitute,
    topological,
)
from gradloom.ops import control, core, elementwise
from gradloom.semantics import cast
from gradloom.tensor import node_of
from gradloom.tracing import Arguments, Function, Results, graph_and_results


def _outside(outputs: Sequence[Node], inside: set[Node]) -> list[Node]:
    """The outermost values that a body uses of what was being traced around it; they become operands.

    Of a repeated value it is the value before it was repeated: repeating costs nothing inside the body, while the
    repeated would be read from memory at every step.
    """
    order = topological(outputs)
    unknown = dependents(order, [n for n in order if n.op is PLACEHOLDER])
    used = [x for node in order if node in inside for x in node.inputs] + list(outputs)
    return list(dict.fromkeys(_unrepeated(x) for x in used if x not in inside and x in unknown))


def _unrepeated(node: Node) -> Node:
    while node.op is core.broadcast:
        node = node.inputs[0]
    return node


def _closed(outputs: Sequence[Node], outside: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """Placeholders for the outside values, and the outputs in terms of them."""
    stand_ins = {x: placeholder(x.tensor_type, "outside") for x in outside}
    return list(stand_ins.values()), substitute(outputs, stand_ins)


def scan(
    f: Function, init: Any, xs: Any = None, length: int | None = None, *, reverse: bool = False, turns: Any = None
) -> tuple[Any, Any]:
    """A loop that carries a value: ``carry, y = f(carry, x)`` for each x, as one node of the graph.

    Args:
        f: the body; must return a carry of the types it was given, and any y.
        init: the first carry (a nested value).
        xs: sequences along their first axes (a nested value), or None.
        length: the number of steps; needed where ``xs`` is None.
        reverse: start at the end of ``xs``; the ys are stacked at their x's places.
        turns: an integer, which may be traced: the loop ends after so many steps, and the ys of the others are 0.
            Such a loop has no reverse mode.

    Returns:
        ``(last carry, ys)`` with the ys of all steps stacked along a new first axis.

    Raises:
        ShapeError: the carry changes its type, sequences differ in length, or ``turns`` is not one number.
    """
    start, sequences = Arguments("scan", (init,)), Arguments("scan", (xs,))
    steps = _scan_length(sequences.nodes, length)
    carry = [placeholder(x.tensor_type, "carry") for x in start.nodes]
    elements = [placeholder(x.tensor_type.with_shape(x.shape[1:]), "x") for x in sequences.nodes]
    result = f(*start.rebuilt(carry), *sequences.rebuilt(elements))
    if not isinstance(result, tuple) or len(result) != 2:
        raise OptionError("scan", rule="the body must return a pair (carry, y)", got=type(result).__name__)
    next_carry, ys = Results.of(result[0], "scan"), Results.of(result[1], "scan")
    if next_carry.definition != start.definition.children[0]:
        raise OptionError("scan", rule="the body must return a carry nested as the first one", got=repr(result[0]))
    outputs = [*next_carry.nodes, *ys.nodes]
    # What does not vary from step to step is computed once, before the loop.
    outside = _outside(outputs, dependents(topological(outputs), [*carry, *elements]))
    bound = [] if turns is None else [_number_of_turns(turns, steps)]
    stand_ins, closed = _closed(outputs, outside)
    name = getattr(f, "__name__", "body")
    ignored = [placeholder(x.tensor_type, "turns") for x in bound]
    node = control.scan(
        *bound,
        *outside,
        *start.nodes,
        *sequences.nodes,
        body=Graph((*ignored, *stand_ins, *carry, *elements), tuple(closed), name),
        consts=len(bound) + len(outside),
        carries=len(carry),
        length=steps,
        reverse=reverse,
        bounded=bool(bound),
    )
    found = control.results(node)
    return next_carry.rebuilt(found[: len(carry)]), ys.rebuilt(found[len(carry) :])


def _number_of_turns(turns: Any, most: int) -> Node:
    """One integer as int64, brought into the range from 0 to ``most``."""
    node = node_of(turns, "scan")
    if node.shape or node.dtype.kind not in "iu":
        raise ShapeError("scan", rule="turns is one integer", got=str(node.type))
    least, limit = (constant(np.int64(bound)) for bound in (0, most))
    return elementwise.maximum(least, elementwise.minimum(cast(node, np.dtype("int64")), limit))


def _scan_length(nodes: Sequence[Node], length: int | None) -> int:
    if any(not x.shape for x in nodes):
        raise ShapeError("scan", rule="sequences need a first axis to step along", got="a scalar in xs")
    if length is not None and length < 0:
        raise ShapeError("scan", rule="the number of steps must not be negative", got=str(length))
    sizes = {x.shape[0] for x in nodes} | (set() if length is None else {length})
    if len(sizes) != 1:
        raise ShapeError(
            "scan",
            rule="all sequences must have one length",
            got=f"lengths {sorted(sizes)}" if sizes else "neither xs nor length",
        )
    return sizes.pop()


def cond(condition: Any, on_true: Function, on_false: Function, *args: Any) -> Any:
    """``on_true(*args)`` where the condition holds, else ``on_false(*args)``; only one of them is computed.

    Args:
        condition: one boolean.
        on_true: a function of ``args``.
        on_false: a function of ``args`` with results of the same types.
        args: tensors or nested values of them.

    Raises:
        DTypeError: the condition is not one boolean.
        ShapeError: the branches return different types.
    """
    arguments = Arguments("cond", args)
    start = next_serial()
    branches = [graph_and_results(f, arguments) for f in (on_true, on_false)]
    (_, found), (_, other) = branches
    if found.definition != other.definition:
        raise OptionError("cond", rule="both branches must return values nested alike", got="two different structures")
    # What a branch made is computed in it alone, even if it depends on no argument.
    made = [{n for n in graph.nodes if n.serial > start} for graph, _ in branches]
    outside = list(dict.fromkeys(x for (graph, _), own in zip(branches, made) for x in _outside(graph.outputs, own)))
    closed = []
    for graph, _ in branches:
        stand_ins, outputs = _closed(graph.outputs, outside)
        closed.append(Graph((*stand_ins, *graph.inputs), tuple(outputs), graph.name))
    node = control.cond(node_of(condition, "cond"), *outside, *arguments.nodes, on_true=closed[0], on_false=closed[1])
    return found.rebuilt(control.results(node))
