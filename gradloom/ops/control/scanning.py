"""Loops of a known number of turns that carry values, take elements of sequences and stack results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gradloom.errors import OptionError, ShapeError
from gradloom.ir.graph import CONSTANT, Graph, Node, Op, constant, dependents, placeholder, substitute, topological
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import TensorType, TupleType
from gradloom.ops.control.nested import (
    Batching,
    Forward,
    MaybeNodes,
    Nested,
    Results,
    Transposition,
    batch_loop,
    chosen,
    listed,
    or_zero,
    push_loop,
    results,
    spread,
)
from gradloom.ops.control.saving import to_save
from gradloom.ops.control.segments import segment_of, segmented_derivative
from gradloom.ops.core import add, broadcast, permute, repeat_front, zeros
from gradloom.ops.elementwise import lt, select
from gradloom.ops.reduce import reduce_max
from gradloom.records import dataclass


def _scan_type(
    *types: TensorType,
    body: Graph,
    consts: int,
    carries: int,
    length: int,
    reverse: bool,
    bounded: bool = False,
    segment: int | None = None,
) -> TupleType:
    fixed = consts + carries
    wanted = body.input_types
    given = [*types[:fixed], *(t.with_shape(t.shape[1:]) for t in types[fixed:])]
    if given != wanted or any(t.shape[0] != length for t in types[fixed:]):
        raise ShapeError("scan", rule=f"the body takes ({listed(wanted)})", got=listed(given))
    if body.output_types[:carries] != wanted[consts:fixed]:
        raise ShapeError(
            "scan",
            rule="the body must return the carry with the types it came in with",
            got=f"({listed(wanted[consts:fixed])}) in and ({listed(body.output_types[:carries])}) out",
            fix="Give the initial carry the shape and dtype that the body returns.",
        )
    stacked = (t.with_shape((length, *t.shape)) for t in body.output_types[carries:])
    return TupleType((*body.output_types[:carries], *stacked))


def _scan(
    *arrays: np.ndarray,
    body: Graph,
    consts: int,
    carries: int,
    length: int,
    reverse: bool,
    bounded: bool = False,
    segment: int | None = None,
) -> tuple[np.ndarray, ...]:
    fixed, carry, xs = arrays[:consts], list(arrays[consts : consts + carries]), arrays[consts + carries :]
    stacked = [np.zeros((length, *t.shape), t.dtype) for t in body.output_types[carries:]]
    for i in turns_of(fixed, length, reverse, bounded):
        found = evaluate(body, [*fixed, *carry, *(x[i] for x in xs)])
        carry = found[:carries]
        for y, value in zip(stacked, found[carries:]):
            y[i] = value
    return (*carry, *stacked)


def turns_of(fixed: Sequence[Any], length: int, reverse: bool, bounded: bool = False) -> range:
    """The turns that a loop takes, in order; ``fixed`` are its constants."""
    turns = range(length)[::-1] if reverse else range(length)
    return turns[: int(fixed[0])] if bounded else turns


@dataclass(frozen=True)
class _Loop:
    """A scan node's operands and body inputs, told apart."""

    node: Node

    @property
    def body(self) -> Graph:
        return self.node.attrs["body"]

    @property
    def carries(self) -> range:
        """The places of the carries among operands."""
        return range(self.node.attrs["consts"], self.node.attrs["consts"] + self.node.attrs["carries"])

    def split(self, items: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Items for all operands as (constants, carries, sequences)."""
        consts, carries = self.node.attrs["consts"], self.node.attrs["carries"]
        return list(items[:consts]), list(items[consts : consts + carries]), list(items[consts + carries :])

    @property
    def operands(self) -> tuple[list[Any], list[Any], list[Any]]:
        """Pairs (operand, body input)."""
        return self.split(list(zip(self.node.inputs, self.body.inputs)))

    def at_hand(self, values: Sequence[Node], moving: Sequence[Node], seeds: Iterable[Node]) -> set[Node]:
        """What a loop over the tangents ``moving`` can have without its being saved: elements of sequences, what is
        stacked anyway, and what is the same in every turn."""
        _, carries, xs = self.split(self.body.inputs)
        order = topological(moving)
        varying = dependents(order, [*carries, *xs, *seeds])
        return {*xs, *values[len(carries) :], *(x for x in order if x not in varying)}

    def again(
        self,
        consts: Sequence[Any],
        carries: Sequence[Any],
        xs: Sequence[Any],
        outputs: Sequence[Node],
        flip: bool = False,
    ) -> list[Node]:
        """The results of a loop of the same length over pairs (operand, body input) and these body outputs."""
        pairs = [*consts, *carries, *xs]
        body = Graph(tuple(inner for _, inner in pairs), tuple(outputs), self.body.name)
        attrs = {**self.node.attrs, "reverse": self.node.attrs["reverse"] != flip}
        attrs |= {"body": body, "consts": len(consts), "carries": len(carries)}
        loop = scan(*(outer for outer, _ in pairs), **attrs)
        return results(loop)


def _derivative(out: Node, tangents: MaybeNodes, split: bool, pushforward: Forward) -> Results:
    loop = _Loop(out)
    if split and out.attrs.get("bounded"):
        raise OptionError(
            "scan",
            rule="reverse mode needs the number of turns while tracing",
            got="a loop with turns=",
            fix="Loop over all of the sequence, or use forward mode (gl.jvp).",
        )
    active = [t is not None for t in tangents]
    seeds, values, changes = push_loop(loop.body, active, loop.carries, split, pushforward)
    flags = [*loop.split(active)[1], *(t is not None for t in changes[out.attrs["carries"] :])]
    moving = [or_zero(t, y) for t, y, flag in zip(changes, loop.body.outputs, flags) if flag]
    given = [or_zero(t, x) for t, x in zip(tangents, out.inputs)]
    linear = [(t, seeds[x]) if a else None for t, x, a in zip(given, loop.body.inputs, active)]
    if not split:
        found, found_tangents = _fused_loop(loop, linear, values, moving)
        return found, spread(found_tangents, flags)
    saved = to_save(moving, seeds.values(), loop.at_hand(values, moving, seeds.values()))
    if turns := segment_of(out, saved):
        return segmented_derivative(out, turns, tangents, pushforward)
    found, found_tangents = _split_loops(loop, linear, values, moving, saved)
    return found, spread(found_tangents, flags)


Pairs = Sequence[tuple[Node, Node] | None]


def _fused_loop(
    loop: _Loop, linear: Pairs, values: Sequence[Node], moving: list[Node]
) -> tuple[list[Node], list[Node]]:
    """One loop that carries values and tangents side by side."""
    parts = [(own, _present(extra)) for own, extra in zip(loop.operands, loop.split(linear))]
    carries, kept = len(parts[1][0]), len(parts[1][1])
    outputs = [*values[:carries], *moving[:kept], *values[carries:], *moving[kept:]]
    found = loop.again(*([*own, *extra] for own, extra in parts), outputs=outputs)
    stacked = len(values) - carries
    ys = found[carries + kept :]
    return [*found[:carries], *ys[:stacked]], [*found[carries : carries + kept], *ys[stacked:]]


def _present(pairs: Pairs) -> list[tuple[Node, Node]]:
    return [pair for pair in pairs if pair is not None]


def _split_loops(
    loop: _Loop, linear: Pairs, values: Sequence[Node], moving: list[Node], saved: Sequence[Node]
) -> tuple[list[Node], list[Node]]:
    """A loop over values that saves what the tangents need, and a loop over tangents that reads it."""
    consts, carries, xs = loop.operands
    found = loop.again(consts, carries, xs, [*values, *saved])
    own = {inner for _, inner in (*consts, *xs)}
    stacked = {
        x: (outer, placeholder(x.tensor_type, "saved"))
        for x, outer in zip([*values[len(carries) :], *saved], found[len(carries) :])
        if x not in own and x.op is not CONSTANT
    }
    outputs = substitute(moving, {x: stand_in for x, (_, stand_in) in stacked.items()})
    used = set(topological(outputs))
    fixed = [pair for pair in consts if pair[1] in used]
    read = [pair for pair in (*stacked.values(), *xs) if pair[1] in used]
    extra = [_present(part) for part in loop.split(linear)]
    tangents = loop.again([*fixed, *extra[0]], extra[1], [*read, *extra[2]], outputs)
    return found[: len(values)], tangents


def _transpose(cotangents: MaybeNodes, node: Node, linear: Sequence[bool], transpose: Transposition) -> MaybeNodes:
    """Run the loop backwards; the cotangents of constants add up in the carry."""
    loop, carries = _Loop(node), node.attrs["carries"]
    flags = loop.split(linear)
    inner, outer = loop.split(loop.body.inputs), loop.split(node.inputs)
    fixed = [p for p, flag in zip(zip(outer[0], inner[0]), flags[0]) if not flag]
    read = [p for p, flag in zip(zip(outer[2], inner[2]), flags[2]) if not flag]
    moving_consts, moving_xs = chosen(inner[0], flags[0]), chosen(inner[2], flags[2])

    back_carry = [placeholder(x.tensor_type, "cotangent") for x in inner[1]]
    sums = [placeholder(x.tensor_type, "sum") for x in moving_consts]
    ys = loop.body.outputs[carries:]
    back_ys = [
        None if ct is None else placeholder(y.tensor_type, "cotangent") for ct, y in zip(cotangents[carries:], ys)
    ]
    wrt = [*moving_consts, *inner[1], *moving_xs]
    back = transpose(loop.body.outputs, wrt, [*back_carry, *back_ys])
    found = [or_zero(ct, x) for ct, x in zip(back, wrt)]
    split = len(moving_consts)
    to_consts, to_carry, to_xs = found[:split], found[split : split + carries], found[split + carries :]

    starts = [or_zero(ct, x) for ct, x in zip(cotangents[:carries], inner[1])]
    carried = [*zip(starts, back_carry), *((zeros(s.tensor_type), s) for s in sums)]
    arriving = [(ct, y) for ct, y in zip(cotangents[carries:], back_ys) if ct is not None and y is not None]
    outputs = [*to_carry, *(add(s, ct) for s, ct in zip(sums, to_consts)), *to_xs]
    final = loop.again(fixed, carried, [*read, *arriving], outputs, flip=True)
    carry_cts, const_cts, x_cts = final[:carries], final[carries : carries + split], final[carries + split :]
    carry_out = [ct if flag else None for ct, flag in zip(carry_cts, flags[1])]
    return [*spread(const_cts, flags[0]), *carry_out, *spread(x_cts, flags[2])]


def _batch(
    size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool], batch: Batching
) -> list[tuple[Node, bool]]:
    if node.attrs.get("bounded") and batched[0]:
        return _batch_bounded(size, node, inputs, batched, batch)
    loop, carries = _Loop(node), node.attrs["carries"]
    active = list(batched)
    mapped, found = batch_loop(loop.body, active, loop.carries, size, batch)
    carried = loop.split(active)[1]
    flags = [*carried, *(varies for _, varies in found[carries:])]
    outputs = [repeat_front(y, size) if flag and not varies else y for (y, varies), flag in zip(found, flags)]
    consts, starts, xs = loop.split(list(zip(inputs, batched)))
    outer = [
        *(x for x, _ in consts),
        *(repeat_front(x, size) if a and not has else x for (x, has), a in zip(starts, carried)),
        *(_swap_front(x) if has else x for x, has in xs),
    ]
    inner = [mapped.get(x, x) for x in loop.body.inputs]
    made = loop.again(*loop.split(list(zip(outer, inner))), outputs=outputs)
    swapped = [_swap_front(y) if i >= carries and flag else y for i, (y, flag) in enumerate(zip(made, flags))]
    return list(zip(swapped, flags))


def _batch_bounded(
    size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool], batch: Batching
) -> list[tuple[Node, bool]]:
    """Examples with turns of their own: the loop takes as many as any of them, and counts; an example whose turns are
    taken keeps what it has."""
    loop, carries = _Loop(node), node.attrs["carries"]
    consts, starts, xs = loop.split(loop.body.inputs)
    bound, most, count = consts[0], *(placeholder(consts[0].tensor_type, name) for name in ("turns", "count"))
    goes_on = lt(count, bound)
    old = [*starts, *(zeros(y.tensor_type) for y in loop.body.outputs[carries:])]
    kept = [select(broadcast(goes_on, shape=y.shape, axes=()), y, x) for y, x in zip(loop.body.outputs, old)]
    outputs = (add(count, constant(np.int64(1))), *kept)
    body = Graph((most, *consts, count, *starts, *xs), outputs, loop.body.name)
    attrs = {**node.attrs, "body": body, "consts": len(consts) + 1, "carries": carries + 1}
    own, first, sequences = loop.split(node.inputs)
    counting = scan(node.inputs[0], *own, zeros(bound.tensor_type), *first, *sequences, **attrs)
    own, first, sequences = loop.split(list(zip(inputs, batched)))
    furthest = reduce_max(inputs[0], axes=(0,))
    given = [(furthest, False), *own, (zeros(bound.tensor_type), False), *first, *sequences]
    return _batch(size, counting, [x for x, _ in given], [has for _, has in given], batch)[1:]


def _swap_front(x: Node) -> Node:
    """The first two axes exchanged: examples and steps."""
    return permute(x, axes=(1, 0, *range(2, len(x.shape))))


scan = Op("scan", _scan_type, _scan, nested=Nested(_derivative, _transpose, _batch))
"""A loop: operands are constants, initial carries and sequences; ``body`` maps (constants, carries, elements) to
(carries, ys); results are the last carries and the ys of all steps, stacked.  Where it is ``bounded`` the first
constant says how many turns are taken; the ys of those that are not are 0."""
