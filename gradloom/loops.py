"""Loops, branches and regions as single nodes of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from typing import Any

import numpy as np

from gradloom import options
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
from gradloom.ops import control, elementwise
from gradloom.ops.control.saving import unrepeated
from gradloom.ops.control.segments import near_root
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
    return list(dict.fromkeys(unrepeated(x) for x in used if x not in inside and x in unknown))


def _closed_graph(graph: Graph, outside: Sequence[Node]) -> Graph:
    """The graph with placeholders for outside values in front of its inputs."""
    stand_ins = {x: placeholder(x.tensor_type, "outside") for x in outside}
    outputs = substitute(graph.outputs, stand_ins)
    return Graph((*stand_ins.values(), *graph.inputs), tuple(outputs), graph.name)


def scan(
    f: Function,
    init: Any,
    xs: Any = None,
    length: int | None = None,
    *,
    reverse: bool = False,
    turns: Any = None,
    checkpoint: bool | int | None = None,
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
        checkpoint: how reverse mode remembers.  False: it keeps what it needs of every step.  A number k: it keeps the
            carry before every k-th step, and walks through each k steps once more on its way back; True: with k near
            the root of the number of steps, which takes least memory.  None: as True where it would otherwise keep more
            than 32 MiB, else as False.

    Returns:
        ``(last carry, ys)`` with the ys of all steps stacked along a new first axis.

    Raises:
        ShapeError: the carry changes its type, sequences differ in length, or ``turns`` is not one number.
        OptionError: the body does not return a pair, or ``checkpoint`` is no such number.
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
    body = Graph((*carry, *elements), tuple(outputs), getattr(f, "__name__", "body"))
    closed = _closed_graph(body, outside)
    ignored = [placeholder(x.tensor_type, "turns") for x in bound]
    node = control.scan(
        *bound,
        *outside,
        *start.nodes,
        *sequences.nodes,
        body=Graph((*ignored, *closed.inputs), closed.outputs, closed.name),
        consts=len(bound) + len(outside),
        carries=len(carry),
        length=steps,
        reverse=reverse,
        bounded=bool(bound),
        segment=_segment(checkpoint, steps),
    )
    found = control.results(node)
    return next_carry.rebuilt(found[: len(carry)]), ys.rebuilt(found[len(carry) :])


def _segment(checkpoint: bool | int | None, steps: int) -> int | None:
    """Steps of a segment, 0 for a loop that is not cut, None where the loop may choose."""
    if checkpoint is None or checkpoint is False:
        return None if checkpoint is None else 0
    if checkpoint is True:
        return near_root(steps)
    return options.whole("scan", "checkpoint", checkpoint)


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


def while_loop(condition: Function, body: Function, init: Any, max_turns: int | None = None) -> Any:
    """``carry = body(carry)`` for as long as ``condition(carry)`` holds, as one node of the graph.

    It has forward mode to any order.  Under ``vmap`` it goes on until the last example is done; the others keep what
    they have.  Reverse mode needs to know how many turns there are at most.  A compiled loop that never ends cannot be
    interrupted.

    Args:
        condition: from the carry to one boolean.
        body: from a carry to the next one, of the same types.
        init: the first carry (a nested value).
        max_turns: the loop ends after so many turns even if the condition still holds.  With it the loop has reverse
            mode, at the cost of so many turns of :func:`scan`.

    Returns:
        The last carry.

    Raises:
        DTypeError: the condition is not one boolean.
        ShapeError: the carry changes its type.
        UnsupportedError: in reverse mode, without ``max_turns``.
    """
    limit = None if max_turns is None else options.whole("while_loop", "max_turns", max_turns, least=0)
    start = Arguments("while_loop", (init,))
    asked_of, carry = ([placeholder(x.tensor_type, "carry") for x in start.nodes] for _ in range(2))
    holds = node_of(condition(*start.rebuilt(asked_of)), "while_loop")
    result = body(*start.rebuilt(carry))
    found = Results.of(result, "while_loop")
    if found.definition != start.definition.children[0]:
        raise OptionError("while_loop", rule="the body must return a carry nested as the first one", got=repr(result))
    graphs = [
        Graph(tuple(inputs), tuple(outputs), getattr(f, "__name__", "while_loop"))
        for f, inputs, outputs in ((condition, asked_of, [holds]), (body, carry, found.nodes))
    ]
    outside = list(dict.fromkeys(x for g in graphs for x in _outside(g.outputs, dependents(g.nodes, g.inputs))))
    asked, turn = (_closed_graph(graph, outside) for graph in graphs)
    node = control.while_loop(
        *outside,
        *start.nodes,
        condition=asked,
        body=turn,
        consts=len(outside),
        carries=len(start.nodes),
        limit=limit,
    )
    return found.rebuilt(control.results(node)[:-1])


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
    outside, sides, (found, other) = _regions(arguments, on_true, on_false)
    if found.definition != other.definition:
        raise OptionError("cond", rule="both branches must return values nested alike", got="two different structures")
    operands = node_of(condition, "cond"), *outside, *arguments.nodes
    return found.rebuilt(control.results(control.cond(*operands, on_true=sides[0], on_false=sides[1])))


def checkpoint(f: Function) -> Function:
    """``f``, of which reverse mode keeps the arguments alone: what else it needs is computed again on its way back.

    Memory for time: values inside ``f`` are not kept from the forward half to the backward half, and computing them
    takes as long as before.  Values and derivatives are those of ``f``, in every mode and to any order.

    Args:
        f: a function of tensors (or nested values of them); what it uses of values that are being traced around it is
            kept like an argument.

    Source: Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost" (2016).
    """

    @wraps(f)
    def recomputed(*args: Any) -> Any:
        arguments = Arguments("checkpoint", args)
        outside, (body,), (found,) = _regions(arguments, f)
        return found.rebuilt(control.results(control.checkpoint(*outside, *arguments.nodes, body=body)))

    return recomputed


def _regions(arguments: Arguments, *functions: Function) -> tuple[list[Node], list[Graph], list[Results]]:
    """Functions as closed graphs of the same operands: what they use from outside, then the arguments."""
    start = next_serial()
    traced = [graph_and_results(f, arguments) for f in functions]
    # What a function made is computed in it alone, even if it depends on no argument.
    made = [{n for n in graph.nodes if n.serial > start} for graph, _ in traced]
    outside = list(dict.fromkeys(x for (graph, _), own in zip(traced, made) for x in _outside(graph.outputs, own)))
    return outside, [_closed_graph(graph, outside) for graph, _ in traced], [found for _, found in traced]
