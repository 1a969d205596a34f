"""What all primitives that hold graphs share: the record of their rules, and operands chosen by flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradloom.ir.graph import Graph, Node, placeholder, project, substitute
from gradloom.ir.tensortype import TensorType, TupleType
from gradloom.ops.core import zeros
from gradloom.records import dataclass

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


def stand_ins(nodes: Sequence[Node], active: Sequence[bool], name: str) -> dict[Node, Node]:
    """A placeholder beside each active node, for its tangent or its cotangent."""
    return {x: placeholder(x.tensor_type, name) for x, is_active in zip(nodes, active) if is_active}


def mapped_stand_ins(nodes: Sequence[Node], active: Sequence[bool], size: int) -> dict[Node, Node]:
    """A placeholder beside each active node, for its values over the mapped axis."""
    return {
        x: placeholder(x.tensor_type.with_shape((size, *x.shape)), "mapped")
        for x, is_active in zip(nodes, active)
        if is_active
    }


def chosen(items: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """The items whose flags hold."""
    return [item for item, flag in zip(items, flags) if flag]


def spread(items: Sequence[Node], flags: Sequence[bool]) -> list[Node | None]:
    """The items at the places of the flags that hold, None elsewhere."""
    supply = iter(items)
    return [next(supply) if flag else None for flag in flags]


def or_zero(node: Node | None, like: Node) -> Node:
    """A node, or the zero that None stands for."""
    return zeros(like.tensor_type) if node is None else node


def derivative_of_graph(graph: Graph, operands: Sequence[Node], tangents: MaybeNodes, pushforward: Forward) -> Results:
    """The values and tangents, apart from each other, of a graph that computes the same as a node."""
    seeds = stand_ins(graph.inputs, [t is not None for t in tangents], "tangent")
    values, changes = pushforward(graph.outputs, seeds, split=True)
    given = dict(zip(graph.inputs, operands))
    given |= zip(seeds.values(), (t for t in tangents if t is not None))
    found = substitute([*values, *(t for t in changes if t is not None)], given)
    return found[: len(values)], spread(found[len(values) :], [t is not None for t in changes])


def push_loop(
    body: Graph, active: list[bool], carries: range, split: bool, pushforward: Forward
) -> tuple[dict[Node, Node], list[Node], list[Node | None]]:
    """A loop's body with tangents: stand-ins for those of its inputs, its values, their tangents.

    A carry that comes out with a tangent has one in the next turn, and may move others: at most one round a carry.

    Args:
        body: one turn.
        active: which inputs have tangents; carries that come to have one are marked in it.
        carries: the places of the carries among the inputs; among the outputs they come first.
        split: see pushforward.
        pushforward: forward mode.
    """
    while True:
        seeds = stand_ins(body.inputs, active, "tangent")
        values, changes = pushforward(body.outputs, seeds, split=split)
        if not _grown(active, carries, [t is not None for t in changes]):
            return seeds, values, changes


def batch_loop(
    body: Graph, active: list[bool], carries: range, size: int, batch: Batching
) -> tuple[dict[Node, Node], list[tuple[Node, bool]]]:
    """A loop's body with a mapped axis, likewise: stand-ins for the inputs that have it, and the outputs."""
    while True:
        mapped = mapped_stand_ins(body.inputs, active, size)
        found = batch(body.outputs, mapped, size)
        if not _grown(active, carries, [has for _, has in found]):
            return mapped, found


def _grown(active: list[bool], carries: range, moved: Sequence[bool]) -> bool:
    """Mark the carries that have become active; whether there were any."""
    more = [i for i, has_moved in zip(carries, moved) if has_moved and not active[i]]
    for i in more:
        active[i] = True
    return bool(more)


def listed(types: Sequence[TensorType]) -> str:
    """Types in a message."""
    return ", ".join(map(str, types))
