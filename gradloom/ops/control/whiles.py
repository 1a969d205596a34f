"""Loops that go on while a condition holds.

How many turns there will be is not known, so reverse mode, which must keep something of every turn, has no place to
keep it in.  With a limit there is: the loop is then a ``scan`` of so many turns, the last of which change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradloom.errors import DTypeError, ShapeError, UnsupportedError
from gradloom.ir.graph import Graph, Node, Op, inline, placeholder
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import TensorType, TupleType
from gradloom.ops.control.branching import cond
from gradloom.ops.control.nested import (
    Batching,
    Forward,
    MaybeNodes,
    Nested,
    Results,
    Transposition,
    batch_loop,
    derivative_of_graph,
    listed,
    mapped_stand_ins,
    or_zero,
    push_loop,
    results,
    spread,
)
from gradloom.ops.control.scanning import scan
from gradloom.ops.core import broadcast, repeat_front
from gradloom.ops.elementwise import select
from gradloom.ops.reduce import reduce_any


def _type(
    *types: TensorType, condition: Graph, body: Graph, consts: int, carries: int, limit: int | None = None
) -> TupleType:
    assert condition.input_types == body.input_types == list(types)
    (asked,) = condition.output_types
    if asked.dtype.kind != "b" or asked.shape != ():
        raise DTypeError(
            "while_loop",
            rule="the condition must be one boolean",
            got=str(asked),
            fix="Combine conditions on elements with gl.any or gl.all.",
        )
    given = list(types[consts:])
    if body.output_types != given:
        raise ShapeError(
            "while_loop",
            rule="the body must return the carry with the types it came in with",
            got=f"({listed(given)}) in and ({listed(body.output_types)}) out",
            fix="Give the initial carry the shape and dtype that the body returns.",
        )
    return TupleType((*given, asked))


def _compute(
    *arrays: np.ndarray, condition: Graph, body: Graph, consts: int, carries: int, limit: int | None = None
) -> tuple[np.ndarray, ...]:
    fixed, carry, turns = arrays[:consts], list(arrays[consts:]), 0
    while (holds := evaluate(condition, [*fixed, *carry])[0]) and turns != limit:
        carry = evaluate(body, [*fixed, *carry])
        turns += 1
    return (*carry, holds)


def _derivative(out: Node, tangents: MaybeNodes, split: bool, pushforward: Forward) -> Results:
    condition, body, consts = (out.attrs[name] for name in ("condition", "body", "consts"))
    active = [t is not None for t in tangents]
    seeds, values, changes = push_loop(body, active, range(consts, len(active)), split, pushforward)
    flags = [*active[consts:], False]
    if not any(flags):
        return results(out), [None] * len(flags)
    if split:
        return _derivative_of_scan(out, tangents, pushforward)
    fixed = sum(active[:consts])

    def beside(own: Sequence[Node], others: Sequence[Node]) -> list[Node]:
        """Constants and their tangents, then carries and theirs."""
        return [*own[:consts], *others[:fixed], *own[consts:], *others[fixed:]]

    given = [or_zero(t, x) for t, x, is_active in zip(tangents, out.inputs, active) if is_active]
    moving = [or_zero(t, y) for t, y, flag in zip(changes, values, flags) if flag]
    unseen = [placeholder(seed.tensor_type, "tangent") for seed in seeds.values()]  # the condition asks for no tangent
    asked = Graph(tuple(beside(condition.inputs, unseen)), condition.outputs, condition.name)
    turn = Graph(tuple(beside(body.inputs, list(seeds.values()))), (*values, *moving), body.name)
    *found, holds = _loop(out, beside(out.inputs, given), asked, turn, consts + fixed)
    return [*found[: len(values)], holds], spread(found[len(values) :], flags)


def _loop(node: Node, operands: Sequence[Node], condition: Graph, body: Graph, consts: int) -> list[Node]:
    """The results of a loop with the limit of another."""
    attrs = {"condition": condition, "body": body, "consts": consts, "carries": len(operands) - consts}
    return results(while_loop(*operands, **attrs, limit=node.attrs.get("limit")))


def _derivative_of_scan(out: Node, tangents: MaybeNodes, pushforward: Forward) -> Results:
    """The values and tangents, apart from each other, of the loop of so many turns as the limit allows."""
    limit = out.attrs.get("limit")
    if limit is None:
        raise UnsupportedError(
            "while_loop",
            rule="reverse mode needs to know how many turns there are at most",
            got="a loop without a limit",
            fix="Give max_turns=, loop with gl.scan(..., length=n), or use forward mode (gl.jvp).",
        )
    return derivative_of_graph(_as_scan(out, limit), out.inputs, tangents, pushforward)


def _as_scan(loop: Node, limit: int) -> Graph:
    """The same loop as a graph of its operands: turns in which the condition holds no more change nothing."""
    condition, body, consts, carries = (loop.attrs[name] for name in ("condition", "body", "consts", "carries"))
    inputs = [placeholder(x.tensor_type, "operand") for x in loop.inputs]
    turn = [placeholder(x.tensor_type, "operand") for x in loop.inputs]
    rest = [placeholder(x.tensor_type, "operand") for x in loop.inputs]
    stay = Graph(tuple(rest), tuple(rest[consts:]), "stay")
    taken = results(cond(inline(condition, turn)[0], *turn, on_true=body, on_false=stay))
    once = Graph(tuple(turn), tuple(taken), body.name)
    found = results(scan(*inputs, body=once, consts=consts, carries=carries, length=limit, reverse=False))
    return Graph(tuple(inputs), (*found, *inline(condition, [*inputs[:consts], *found])), body.name)


def _transpose(cotangents: MaybeNodes, node: Node, linear: Sequence[bool], transpose: Transposition) -> MaybeNodes:
    raise AssertionError("what is split has scans in place of such loops")


def _batch(
    size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool], batch: Batching
) -> list[tuple[Node, bool]]:
    """The loop goes on until all examples are done; those that are keep what they have."""
    body: Graph = node.attrs["body"]
    consts = node.attrs["consts"]
    active = list(batched)
    carries = range(consts, len(active))
    mapped, found = batch_loop(body, active, carries, size, batch)
    asked, differs = _batched_condition(node, active, size, batch)
    if differs:  # then every carry does, for examples end at different turns
        active[consts:] = [True] * len(carries)
        mapped, found = batch_loop(body, active, carries, size, batch)
        asked, _ = _batched_condition(node, active, size, batch)
    turn = [mapped.get(x, x) for x in body.inputs]
    outputs = [repeat_front(y, size) if flag and not has else y for (y, has), flag in zip(found, active[consts:])]
    if differs:
        (goes_on,) = inline(asked, turn)
        masks = [broadcast(goes_on, shape=y.shape, axes=(0,)) for y in outputs]
        outputs = [select(mask, y, old) for mask, y, old in zip(masks, outputs, turn[consts:])]
        asked = Graph(asked.inputs, (reduce_any(asked.outputs[0], axes=(0,)),), asked.name)
    operands = [repeat_front(x, size) if flag and not has else x for x, flag, has in zip(inputs, active, batched)]
    made = _loop(node, operands, asked, Graph(tuple(turn), tuple(outputs), body.name), consts)
    return [*zip(made, active[consts:]), (made[-1], False)]


def _batched_condition(node: Node, active: Sequence[bool], size: int, batch: Batching) -> tuple[Graph, bool]:
    """The condition of mapped constants and carries, and whether it differs between examples."""
    condition: Graph = node.attrs["condition"]
    mapped = mapped_stand_ins(condition.inputs, active, size)
    ((asked, differs),) = batch(condition.outputs, mapped, size)
    return Graph(tuple(mapped.get(x, x) for x in condition.inputs), (asked,), condition.name), differs


while_loop = Op("while_loop", _type, _compute, nested=Nested(_derivative, _transpose, _batch))
"""A loop: operands are constants and initial carries; while ``condition`` of them holds ``body`` of them gives the next
carries, but in no more turns than ``limit``, where there is one.  Results are the last carries, and whether the
condition still holds."""
