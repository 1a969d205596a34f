"""Compute in float32 what is kept in bfloat16.

Before → after, where x, y and w are bfloat16:

    x * y             →   cast(cast(x, float32) * cast(y, float32), bfloat16)
    contract(x, w)    →   cast(contract(cast(x, float32), cast(w, float32)), bfloat16)
    cast(x, int64)    →   cast(cast(x, float32), int64)

So sums are formed in float32, every result is rounded once, and bfloat16 is only loaded, moved, cast and stored.  Each
use of a value casts it anew: in the loop of its user that is a shift, while a shared float32 copy would live on from
the first user to the last.
"""

from __future__ import annotations

from gradloom.executors.native.loops import uniform_value
from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node, fill, rebuilt, scope_of
from gradloom.ir.tensortype import DEFAULT_FLOAT, TensorType, is_bfloat16
from gradloom.ops import core, elementwise


def widen(graph: Graph) -> Graph:
    """The graph with bfloat16 only where values are kept; graphs inside its nodes stay as they are."""
    if not any(map(_is_narrow, graph.nodes)):
        return graph
    made: dict[Node, Node] = {}
    for node in graph.nodes:
        inputs = [made[x] for x in node.inputs]
        computes = not (node.op.moves or node.op.nested or node.op in (CONSTANT, PLACEHOLDER))
        with scope_of(node):
            wide = computes and any(map(_is_narrow, (node, *node.inputs)))
            made[node] = _computed(node, inputs) if wide else rebuilt(node, inputs)
    return Graph(graph.inputs, tuple(made[y] for y in graph.outputs), graph.name)


def _is_narrow(node: Node) -> bool:
    return isinstance(node.type, TensorType) and is_bfloat16(node.type.dtype)


def _computed(node: Node, inputs: list[Node]) -> Node:
    """A node on operands in float32, its result in the type that it has."""
    wide = [_wide(x) if _is_narrow(x) else x for x in inputs]
    if node.op is elementwise.cast:
        return _cast(_cast(wide[0], DEFAULT_FLOAT), node.dtype)
    return _cast(node.op(*wide, **node.attrs), node.dtype)


def _cast(x: Node, dtype: object) -> Node:
    return x if x.dtype == dtype else elementwise.cast(x, dtype=dtype)


def _wide(x: Node) -> Node:
    """A value in float32; a view of one is a view of that, so that a product reads it in any order."""
    if x.op in (core.broadcast, core.permute, core.reshape):
        with scope_of(x):
            return x.op(_wide(x.inputs[0]), **x.attrs)
    value = uniform_value(x)
    return _cast(x, DEFAULT_FLOAT) if value is None else fill(x.tensor_type.with_dtype(DEFAULT_FLOAT), value)
