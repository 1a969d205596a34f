"""Let products read bfloat16 as it lies in memory, on processors that multiply it in pairs.

Before → after, where x and w are bfloat16 and the results are float32:

    contract(cast(x, float32), cast(w, float32))   →   contract(x, w)
    conv(cast(x, float32), cast(w, float32))       →   conv(x, w)

The casts were put there by ``widen``.  The kernels of these products take two neighbouring summed elements at a time
(kernels/product_pairs.py, kernels/conv_pairs.py), so there must be two; what else reads the operands keeps its casts.
"""

from __future__ import annotations

import math

from gradloom.executors.native.kernel import base_of, is_vector_product, product_segments
from gradloom.executors.native.kernels.conv_form import sides
from gradloom.executors.native.target import Pairs, Target
from gradloom.ir.graph import Graph, Node, rebuilt, scope_of
from gradloom.ir.tensortype import is_bfloat16
from gradloom.ops import contraction, convolution, core, elementwise

FEWEST = 2
"""Summed elements of a pair."""


def narrow(graph: Graph, target: Target) -> Graph:
    """The graph with products of bfloat16 where the target takes them in pairs."""
    if target.pairs is Pairs.WIDENED or not any(map(_is_widening, graph.nodes)):
        return graph
    made: dict[Node, Node] = {}
    for node in graph.nodes:
        inputs = [made[x] for x in node.inputs]
        made[node] = (_narrowed(node, inputs) if _has_pairs(node) else None) or rebuilt(node, inputs)
    return Graph(graph.inputs, tuple(made[y] for y in graph.outputs), graph.name)


def _has_pairs(node: Node) -> bool:
    """Whether a node is a product whose kernel can take its sum in pairs."""
    if node.op is contraction.contract:
        some = node.tensor_type.size and math.prod(product_segments(node)[3]) >= FEWEST
        return bool(some) and _is_one_sum(node) and not is_vector_product(node)
    if node.op in (convolution.conv, convolution.conv_input_gradient):
        form = sides(node)
        return (form.taken if node.op is convolution.conv else form.made) >= FEWEST
    return False


def _is_one_sum(node: Node) -> bool:
    """Whether a product sums over one axis, or over several that are one axis in memory in both operands."""
    if len(node.attrs["contract"][0]) == 1:
        return True
    neighbours = (axes == tuple(range(axes[0], axes[0] + len(axes))) for axes in node.attrs["contract"])
    return all(neighbours) and all(_is_widening(x) and base_of(x.inputs[0]) is x.inputs[0] for x in node.inputs)


def _narrowed(node: Node, inputs: list[Node]) -> Node | None:
    """A product on operands as they are kept; None if one of them is not kept in bfloat16."""
    with scope_of(node):
        kept = [x for x in map(_kept, inputs) if x is not None]
        return Node(node.op, tuple(kept), node.attrs, node.type) if len(kept) == len(inputs) else None


def _kept(x: Node) -> Node | None:
    """What is cast to float32, seen as the product sees it."""
    if _is_widening(x):
        return x.inputs[0]
    if x.op not in (core.broadcast, core.permute, core.reshape):
        return None
    with scope_of(x):
        kept = _kept(x.inputs[0])
        return None if kept is None else x.op(kept, **x.attrs)


def _is_widening(node: Node) -> bool:
    return node.op is elementwise.cast and is_bfloat16(node.inputs[0].dtype) and node.dtype == "float32"
