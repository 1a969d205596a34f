"""Loops and branches: primitives whose attributes are graphs.

A transformation must be applied to the graphs inside as well, so these primitives carry a :class:`Nested` record,
whose rules are handed the transformation itself.  A graph inside never refers to values outside it: what it uses
of them is passed as an operand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradloom.errors import DTypeError, OptionError, ShapeError
from gradloom.ir.graph import (
    CONSTANT,
    Graph,
    Node,
    Op,
    dependents,
    placeholder,
    project,
    substitute,
    topological,
)
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import TensorType, TupleType
from gradloom.ops.core import add, broadcast, permute, repeat_front, zeros
from gradloom.ops.elementwise import select

MaybeNodes = Sequence[Node | None]
Results = tuple[Sequence[Node], MaybeNodes]
Forward = Callable[..., tuple[list[Node], list[Node | None]]]
Transposition = Callable[[MaybeNodes, Sequence[Node], MaybeNodes], list[Node | None]]
Batching = Callable[[Sequence[Node], Mapping[Node, Node], int], list[tuple[Node, bool]]]


@dataclass(frozen=True)
class Nested:
    """The rules of a primitive that holds graphs.

    Attributes:
        derivative: ``(out, tangents, split, pushforward) -> (values, tangents)`` of all results.
        transpose: ``(cotangents of the results, node, linear, transpose) -> cotangents of the operands``.
        batch: ``(size, node, inputs, batched, batch) -> [(node, whether mapped)]`` of all results.
    """

    derivative: Callable[[Node, MaybeNodes, bool, Forward], Results]
    transpose: Callable[[MaybeNodes, Node, Sequence[bool], Transposition], MaybeNodes]
    batch: Callable[[int, Node, Sequence[Node], Sequence[bool], Batching], Sequence[tuple[Node, bool]]]


def results(node: Node) -> list[Node]:
    """All results of a node with several."""
    assert isinstance(node.type, TupleType)
    return [project(node, index=i) for i in range(len(node.type.parts))]


def _stand_ins(nodes: Sequence[Node], active: Sequence[bool], name: str) -> dict[Node, Node]:
    """A placeholder beside each active node, for its tangent or its mapped values."""
    return {x: placeholder(x.tensor_type, name) for x, is_active in zip(nodes, active) if is_active}


def _chosen(items: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    return [item for item, flag in zip(items, flags) if flag]


def _spread(items: Sequence[Node], flags: Sequence[bool]) -> list[Node | None]:
    """The items at the places of the flags that hold, None elsewhere."""
    supply = iter(items)
    return [next(supply) if flag else None for flag in flags]


def _or_zero(node: Node | None, like: Node) -> Node:
    return zeros(like.tensor_type) if node is None else node


# scan ---------------------------------------------------------------------------------------------------------


def _scan_type(
    *types: TensorType, body: Graph, consts: int, carries: int, length: int, reverse: bool, bounded: bool = False
) -> TupleType:
    fixed = consts + carries
    wanted = body.input_types
    given = [*types[:fixed], *(t.with_shape(t.shape[1:]) for t in types[fixed:])]
    if given != wanted or any(t.shape[0] != length for t in types[fixed:]):
        raise ShapeError("scan", rule=f"the body takes ({_listed(wanted)})", got=_listed(given))
    if body.output_types[:carries] != wanted[consts:fixed]:
        raise ShapeError(
            "scan",
            rule="the body must return the carry with the types it came in with",
            got=f"({_listed(wanted[consts:fixed])}) in and ({_listed(body.output_types[:carries])}) out",
            fix="Give the initial carry the shape and dtype that the body returns.",
        )
    stacked = (t.with_shape((length, *t.shape)) for t in body.output_types[carries:])
    return TupleType((*body.output_types[:carries], *stacked))


def _listed(types: Sequence[TensorType]) -> str:
    return ", ".join(map(str, types))


def _scan(
    *arrays: np.ndarray, body: Graph, consts: int, carries: int, length: int, reverse: bool, bounded: bool = False
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

    def split(self, items: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Items for all operands as (constants, carries, sequences)."""
        consts, carries = self.node.attrs["consts"], self.node.attrs["carries"]
        return list(items[:consts]), list(items[consts : consts + carries]), list(items[consts + carries :])

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


def _scan_derivative(out: Node, tangents: MaybeNodes, split: bool, pushforward: Forward) -> Results:
    loop = _Loop(out)
    if split and out.attrs.get("bounded"):
        raise OptionError(
            "scan",
            rule="reverse mode needs the number of turns while tracing",
            got="a loop with turns=",
            fix="Loop over all of the sequence, or use forward mode (gl.jvp).",
        )
    active = [t is not None for t in tangents]
    first, last = out.attrs["consts"], out.attrs["consts"] + out.attrs["carries"]
    while True:  # a carry that becomes active makes others active; at most one round a carry
        seeds = _stand_ins(loop.body.inputs, active, "tangent")
        values, changes = pushforward(loop.body.outputs, seeds, split=split)
        grown = [a or t is not None for a, t in zip(active[first:last], changes)]
        if grown == active[first:last]:
            break
        active[first:last] = grown
    flags = [*active[first:last], *(t is not None for t in changes[out.attrs["carries"] :])]
    moving = [_or_zero(t, y) for t, y, flag in zip(changes, loop.body.outputs, flags) if flag]
    given = [_or_zero(t, x) for t, x in zip(tangents, out.inputs)]
    primal = list(zip(out.inputs, loop.body.inputs))
    linear = [(t, seeds[x]) if a else None for t, x, a in zip(given, loop.body.inputs, active)]
    combine = _split_loops if split else _fused_loop
    found, found_tangents = combine(loop, primal, linear, values, moving)
    return found, _spread(found_tangents, flags)


Pairs = Sequence[tuple[Node, Node]]


def _fused_loop(
    loop: _Loop,
    primal: Pairs,
    linear: Sequence[tuple[Node, Node] | None],
    values: Sequence[Node],
    moving: list[Node],
) -> tuple[list[Node], list[Node]]:
    """One loop that carries values and tangents side by side."""
    parts = [
        (own, [pair for pair in extra if pair is not None])
        for own, extra in zip(loop.split(primal), loop.split(linear))
    ]
    carries, kept = len(parts[1][0]), len(parts[1][1])
    outputs = [*values[:carries], *moving[:kept], *values[carries:], *moving[kept:]]
    found = loop.again(*([*own, *extra] for own, extra in parts), outputs=outputs)
    stacked = len(values) - carries
    ys = found[carries + kept :]
    return [*found[:carries], *ys[:stacked]], [*found[carries : carries + kept], *ys[stacked:]]


def _split_loops(
    loop: _Loop,
    primal: Pairs,
    linear: Sequence[tuple[Node, Node] | None],
    values: Sequence[Node],
    moving: list[Node],
) -> tuple[list[Node], list[Node]]:
    """A loop over values that saves what the tangents need, and a loop over tangents that reads it."""
    seeds = [pair[1] for pair in linear if pair is not None]
    consts, carries, xs = loop.split(primal)
    needed = _needed_by(moving, seeds)
    fixed = [pair for pair in consts if pair[1] in needed]
    invariant = {inner for _, inner in consts}
    saved = [x for x in needed if x not in invariant]
    found = loop.again(consts, carries, xs, [*values, *saved])
    stand_ins = {x: placeholder(x.tensor_type, "saved") for x in saved}
    read = list(zip(found[len(values) :], stand_ins.values()))
    extra = [[pair for pair in part if pair is not None] for part in loop.split(linear)]
    tangents = loop.again([*fixed, *extra[0]], extra[1], [*read, *extra[2]], substitute(moving, stand_ins))
    return found[: len(values)], tangents


def _needed_by(linear: Sequence[Node], seeds: Sequence[Node]) -> list[Node]:
    """The values that a linear graph uses: what its nodes take that does not depend on the seeds."""
    order = topological(linear)
    moving = dependents(order, seeds)
    needed: dict[Node, None] = {}
    for node in order:
        if node in moving and node not in seeds:
            for x in node.inputs:
                source = x
                while source.op is broadcast:  # repeating is cheaper than saving the repeated
                    source = source.inputs[0]
                if x not in moving and source.op is not CONSTANT:
                    needed[source] = None
    return list(needed)


def _scan_transpose(cotangents: MaybeNodes, node: Node, linear: Sequence[bool], transpose: Transposition) -> MaybeNodes:
    """Run the loop backwards; the cotangents of constants add up in the carry."""
    loop, carries = _Loop(node), node.attrs["carries"]
    flags = loop.split(linear)
    inner, outer = loop.split(loop.body.inputs), loop.split(node.inputs)
    fixed = [p for p, flag in zip(zip(outer[0], inner[0]), flags[0]) if not flag]
    read = [p for p, flag in zip(zip(outer[2], inner[2]), flags[2]) if not flag]
    moving_consts, moving_xs = _chosen(inner[0], flags[0]), _chosen(inner[2], flags[2])

    back_carry = [placeholder(x.tensor_type, "cotangent") for x in inner[1]]
    sums = [placeholder(x.tensor_type, "sum") for x in moving_consts]
    ys = loop.body.outputs[carries:]
    back_ys = [
        None if ct is None else placeholder(y.tensor_type, "cotangent") for ct, y in zip(cotangents[carries:], ys)
    ]
    wrt = [*moving_consts, *inner[1], *moving_xs]
    back = transpose(loop.body.outputs, wrt, [*back_carry, *back_ys])
    found = [_or_zero(ct, x) for ct, x in zip(back, wrt)]
    split = len(moving_consts)
    to_consts, to_carry, to_xs = found[:split], found[split : split + carries], found[split + carries :]

    starts = [_or_zero(ct, x) for ct, x in zip(cotangents[:carries], inner[1])]
    carried = [*zip(starts, back_carry), *((zeros(s.tensor_type), s) for s in sums)]
    arriving = [(ct, y) for ct, y in zip(cotangents[carries:], back_ys) if ct is not None and y is not None]
    outputs = [*to_carry, *(add(s, ct) for s, ct in zip(sums, to_consts)), *to_xs]
    final = loop.again(fixed, carried, [*read, *arriving], outputs, flip=True)
    carry_cts, const_cts, x_cts = final[:carries], final[carries : carries + split], final[carries + split :]
    carry_out = [ct if flag else None for ct, flag in zip(carry_cts, flags[1])]
    return [*_spread(const_cts, flags[0]), *carry_out, *_spread(x_cts, flags[2])]


def _scan_batch(
    size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool], batch: Batching
) -> list[tuple[Node, bool]]:
    loop, carries = _Loop(node), node.attrs["carries"]
    active = list(batched)
    first, last = node.attrs["consts"], node.attrs["consts"] + carries
    while True:  # as for tangents: a mapped carry may make others mapped
        mapped = {
            x: placeholder(x.tensor_type.with_shape((size, *x.shape)), "mapped")
            for x, flag in zip(loop.body.inputs, active)
            if flag
        }
        found = batch(loop.body.outputs, mapped, size)
        grown = [a or varies for a, (_, varies) in zip(active[first:last], found)]
        if grown == active[first:last]:
            break
        active[first:last] = grown
    flags = [*active[first:last], *(varies for _, varies in found[carries:])]
    outputs = [repeat_front(y, size) if flag and not varies else y for (y, varies), flag in zip(found, flags)]
    consts, starts, xs = loop.split(list(zip(inputs, batched)))
    outer = [
        *(x for x, _ in consts),
        *(repeat_front(x, size) if a and not has else x for (x, has), a in zip(starts, active[first:last])),
        *(_swap_front(x) if has else x for x, has in xs),
    ]
    inner = [mapped.get(x, x) for x in loop.body.inputs]
    made = loop.again(*loop.split(list(zip(outer, inner))), outputs=outputs)
    swapped = [_swap_front(y) if i >= carries and flag else y for i, (y, flag) in enumerate(zip(made, flags))]
    return list(zip(swapped, flags))


def _swap_front(x: Node) -> Node:
    """The first two axes exchanged: examples and steps."""
    return permute(x, axes=(1, 0, *range(2, len(x.shape))))


scan = Op("scan", _scan_type, _scan, nested=Nested(_scan_derivative, _scan_transpose, _scan_batch))
"""A loop: operands are constants, initial carries and sequences; ``body`` maps (constants, carries, elements) to
(carries, ys); results are the last carries and the ys of all steps, stacked.  Where it is ``bounded`` the first
constant says how many turns are taken; the ys of those that are not are 0."""

# cond ---------------------------------------------------------------------------------------------------------


def _cond_type(condition: TensorType, *types: TensorType, on_true: Graph, on_false: Graph) -> TupleType:
    if condition.dtype.kind != "b" or condition.shape != ():
        raise DTypeError(
            "cond",
            rule="the condition must be one boolean",
            got=str(condition),
            fix="Use gl.where to choose element by element.",
        )
    if on_true.output_types != on_false.output_types:
        raise ShapeError(
            "cond",
            rule="both branches must return the same types",
            got=f"({_listed(on_true.output_types)}) and ({_listed(on_false.output_types)})",
        )
    assert on_true.input_types == on_false.input_types == list(types)
    return TupleType(tuple(on_true.output_types))


def _cond(condition: np.ndarray, *arrays: np.ndarray, on_true: Graph, on_false: Graph) -> tuple[np.ndarray, ...]:
    return tuple(evaluate(on_true if condition else on_false, arrays))


def _branches(node: Node) -> tuple[Graph, Graph]:
    return node.attrs["on_true"], node.attrs["on_false"]


def _choose(condition: Node, operands: Sequence[Node], graphs: Sequence[Graph]) -> list[Node]:
    return results(cond(condition, *operands, on_true=graphs[0], on_false=graphs[1]))


def _cond_derivative(out: Node, tangents: MaybeNodes, split: bool, pushforward: Forward) -> Results:
    condition, *operands = out.inputs
    active = [t is not None for t in tangents[1:]]
    given = [t for t in tangents[1:] if t is not None]
    pushed = []
    for graph in _branches(out):
        seeds = _stand_ins(graph.inputs, active, "tangent")
        pushed.append((graph, seeds, *pushforward(graph.outputs, seeds, split=split)))
    flags = [any(changes[i] is not None for *_, changes in pushed) for i in range(len(pushed[0][2]))]
    graphs = []
    for graph, seeds, values, changes in pushed:
        moving = [_or_zero(t, y) for t, y, flag in zip(changes, graph.outputs, flags) if flag]
        # The linear branch computes the values it needs again rather than saving them.
        outputs = moving if split else [*values, *moving]
        graphs.append(Graph((*graph.inputs, *seeds.values()), tuple(outputs), graph.name))
    found = _choose(condition, [*operands, *given], graphs)
    if split:
        return results(out), _spread(found, flags)
    count = len(flags)
    return found[:count], _spread(found[count:], flags)


def _cond_transpose(cotangents: MaybeNodes, node: Node, linear: Sequence[bool], transpose: Transposition) -> MaybeNodes:
    condition, *operands = node.inputs
    flags = linear[1:]
    fixed = [x for x, flag in zip(operands, flags) if not flag]
    arriving = [ct for ct in cotangents if ct is not None]
    graphs = []
    for graph in _branches(node):
        back = [None if ct is None else placeholder(ct.tensor_type, "cotangent") for ct in cotangents]
        wrt = _chosen(graph.inputs, flags)
        found = transpose(graph.outputs, wrt, back)
        inputs = [x for x, flag in zip(graph.inputs, flags) if not flag] + [b for b in back if b is not None]
        graphs.append(Graph(tuple(inputs), tuple(_or_zero(ct, x) for ct, x in zip(found, wrt)), graph.name))
    return [None, *_spread(_choose(condition, [*fixed, *arriving], graphs), flags)]


def _cond_batch(
    size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool], batch: Batching
) -> list[tuple[Node, bool]]:
    condition, *operands = inputs
    if batched[0]:
        return _select_batch(size, node, inputs, batched, batch)
    mapped_branches = []
    for graph in _branches(node):
        mapped = {
            x: placeholder(x.tensor_type.with_shape((size, *x.shape)), "mapped")
            for x, flag in zip(graph.inputs, batched[1:])
            if flag
        }
        mapped_branches.append((graph, mapped, batch(graph.outputs, mapped, size)))
    flags = [a or b for (_, a), (_, b) in zip(mapped_branches[0][2], mapped_branches[1][2])]
    graphs = [
        Graph(
            tuple(mapped.get(x, x) for x in graph.inputs),
            tuple(y if varies or not flag else repeat_front(y, size) for (y, varies), flag in zip(found, flags)),
            graph.name,
        )
        for graph, mapped, found in mapped_branches
    ]
    return list(zip(_choose(condition, operands, graphs), flags))


def _select_batch(
    size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool], batch: Batching
) -> list[tuple[Node, bool]]:
    """Where the condition itself varies both branches are computed, and each example takes its own."""
    condition, *operands = inputs
    sides = []
    for graph in _branches(node):
        plain = {x: v for x, v, flag in zip(graph.inputs, operands, batched[1:]) if not flag}
        outputs = substitute(graph.outputs, plain)
        mapped = {x: v for x, v, flag in zip(graph.inputs, operands, batched[1:]) if flag}
        found = batch(outputs, mapped, size)
        sides.append([y if varies else repeat_front(y, size) for y, varies in found])
    chosen = [select(broadcast(condition, shape=y.shape, axes=(0,)), y, z) for y, z in zip(*sides)]
    return [(y, True) for y in chosen]


cond = Op("cond", _cond_type, _cond, nested=Nested(_cond_derivative, _cond_transpose, _cond_batch))
"""A branch: the results of ``on_true`` or of ``on_false`` applied to the operands after the condition."""
