"""Branches: one of two graphs is computed.

The rules for the graphs at the sides also serve regions (regions.py), which have one side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradloom.errors import DTypeError, ShapeError
from gradloom.ir.graph import Graph, Node, Op, placeholder, substitute
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import TensorType, TupleType
from gradloom.ops.control.nested import (
    Batching,
    Forward,
    MaybeNodes,
    Nested,
    Results,
    Transposition,
    chosen,
    listed,
    mapped_stand_ins,
    or_zero,
    results,
    spread,
    stand_ins,
)
from gradloom.ops.core import broadcast, repeat_front
from gradloom.ops.elementwise import select

# Sides --------------------------------------------------------------------------------------------------------------


def derivatives_of(
    sides: Sequence[Graph], active: Sequence[bool], split: bool, pushforward: Forward
) -> tuple[list[Graph], list[bool]]:
    """Sides that take tangents of the active operands as well, and which results have tangents.

    They give values and tangents; of what is split the tangents alone.  Those compute the values that they need
    again rather than having them saved.
    """
    pushed = []
    for side in sides:
        seeds = stand_ins(side.inputs, active, "tangent")
        pushed.append((side, seeds, *pushforward(side.outputs, seeds, split=split)))
    flags = [any(changes[i] is not None for *_, changes in pushed) for i in range(len(sides[0].outputs))]
    made = []
    for side, seeds, values, changes in pushed:
        moving = [or_zero(t, y) for t, y, flag in zip(changes, side.outputs, flags) if flag]
        outputs = moving if split else [*values, *moving]
        made.append(Graph((*side.inputs, *seeds.values()), tuple(outputs), side.name))
    return made, flags


def transposes_of(
    sides: Sequence[Graph], cotangents: MaybeNodes, linear: Sequence[bool], transpose: Transposition
) -> list[Graph]:
    """Sides from the operands that are not linear and the cotangents that arrive to cotangents of linear operands."""
    made = []
    for side in sides:
        back = [None if ct is None else placeholder(ct.tensor_type, "cotangent") for ct in cotangents]
        wrt = chosen(side.inputs, linear)
        found = transpose(side.outputs, wrt, back)
        inputs = [x for x, flag in zip(side.inputs, linear) if not flag] + [b for b in back if b is not None]
        made.append(Graph(tuple(inputs), tuple(or_zero(ct, x) for ct, x in zip(found, wrt)), side.name))
    return made


def batches_of(
    size: int, sides: Sequence[Graph], batched: Sequence[bool], batch: Batching
) -> tuple[list[Graph], list[bool]]:
    """Sides that take the batched operands with the mapped axis in front, and which results have it."""
    found = []
    for side in sides:
        mapped = mapped_stand_ins(side.inputs, batched, size)
        found.append((side, mapped, batch(side.outputs, mapped, size)))
    flags = [any(results[i][1] for *_, results in found) for i in range(len(sides[0].outputs))]
    made = []
    for side, mapped, outputs in found:
        whole = [y if has or not flag else repeat_front(y, size) for (y, has), flag in zip(outputs, flags)]
        made.append(Graph(tuple(mapped.get(x, x) for x in side.inputs), tuple(whole), side.name))
    return made, flags


# cond ---------------------------------------------------------------------------------------------------------------


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
            got=f"({listed(on_true.output_types)}) and ({listed(on_false.output_types)})",
        )
    assert on_true.input_types == on_false.input_types == list(types)
    return TupleType(tuple(on_true.output_types))


def _cond(condition: np.ndarray, *arrays: np.ndarray, on_true: Graph, on_false: Graph) -> tuple[np.ndarray, ...]:
    return tuple(evaluate(on_true if condition else on_false, arrays))


def _branches(node: Node) -> tuple[Graph, Graph]:
    return node.attrs["on_true"], node.attrs["on_false"]


def _choose(condition: Node, operands: Sequence[Node], graphs: Sequence[Graph]) -> list[Node]:
    return results(cond(condition, *operands, on_true=graphs[0], on_false=graphs[1]))


def _derivative(out: Node, tangents: MaybeNodes, split: bool, pushforward: Forward) -> Results:
    condition, *operands = out.inputs
    given = [t for t in tangents[1:] if t is not None]
    sides, flags = derivatives_of(_branches(out), [t is not None for t in tangents[1:]], split, pushforward)
    found = _choose(condition, [*operands, *given], sides)
    if split:
        return results(out), spread(found, flags)
    return found[: len(flags)], spread(found[len(flags) :], flags)


def _transpose(cotangents: MaybeNodes, node: Node, linear: Sequence[bool], transpose: Transposition) -> MaybeNodes:
    condition, *operands = node.inputs
    fixed = [x for x, flag in zip(operands, linear[1:]) if not flag]
    arriving = [ct for ct in cotangents if ct is not None]
    sides = transposes_of(_branches(node), cotangents, linear[1:], transpose)
    return [None, *spread(_choose(condition, [*fixed, *arriving], sides), linear[1:])]


def _batch(
    size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool], batch: Batching
) -> list[tuple[Node, bool]]:
    if batched[0]:
        return _select_batch(size, node, inputs, batched, batch)
    sides, flags = batches_of(size, _branches(node), batched[1:], batch)
    return list(zip(_choose(inputs[0], inputs[1:], sides), flags))


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
    taken = [select(broadcast(condition, shape=y.shape, axes=(0,)), y, z) for y, z in zip(*sides)]
    return [(y, True) for y in taken]


cond = Op("cond", _cond_type, _cond, nested=Nested(_derivative, _transpose, _batch))
"""A branch: the results of ``on_true`` or of ``on_false`` applied to the operands after the condition."""
