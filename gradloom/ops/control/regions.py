"""Regions that reverse mode computes again instead of keeping what they computed.

The values come from the region itself; the tangents from a second region, which takes the same operands and computes
inside whatever values it needs.  An executor may therefore not merge what the two compute: the second is marked
``again``, and stays a graph of its own.

Source: Griewank and Walther, "Algorithm 799: revolve", ACM TOMS 26 (2000); Chen, Xu, Zhang, Guestrin, "Training deep
nets with sublinear memory cost" (2016).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradloom.ir.graph import Graph, Node, Op
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import TensorType, TupleType
from gradloom.ops.control.branching import batches_of, derivatives_of, transposes_of
from gradloom.ops.control.nested import (
    Batching,
    Forward,
    MaybeNodes,
    Nested,
    Results,
    Transposition,
    results,
    spread,
)


def _checkpoint_type(*types: TensorType, body: Graph, again: bool = False) -> TupleType:
    assert body.input_types == list(types)
    return TupleType(tuple(body.output_types))


def _checkpoint(*arrays: np.ndarray, body: Graph, again: bool = False) -> tuple[np.ndarray, ...]:
    return tuple(evaluate(body, arrays))


def _derivative(out: Node, tangents: MaybeNodes, split: bool, pushforward: Forward) -> Results:
    given = [t for t in tangents if t is not None]
    (body,), flags = derivatives_of([out.attrs["body"]], [t is not None for t in tangents], split, pushforward)
    again = split or out.attrs.get("again", False)
    found = results(checkpoint(*out.inputs, *given, body=body, again=again))
    if split:
        return results(out), spread(found, flags)
    return found[: len(flags)], spread(found[len(flags) :], flags)


def _transpose(cotangents: MaybeNodes, node: Node, linear: Sequence[bool], transpose: Transposition) -> MaybeNodes:
    fixed = [x for x, flag in zip(node.inputs, linear) if not flag]
    arriving = [ct for ct in cotangents if ct is not None]
    (body,) = transposes_of([node.attrs["body"]], cotangents, linear, transpose)
    return spread(results(checkpoint(*fixed, *arriving, body=body, again=True)), linear)


def _batch(
    size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool], batch: Batching
) -> list[tuple[Node, bool]]:
    (body,), flags = batches_of(size, [node.attrs["body"]], batched, batch)
    return list(zip(results(checkpoint(*inputs, **{**node.attrs, "body": body})), flags))


checkpoint = Op("checkpoint", _checkpoint_type, _checkpoint, nested=Nested(_derivative, _transpose, _batch))
"""The results of ``body`` applied to the operands.  Where it is ``again`` it computes anew what was computed before."""
