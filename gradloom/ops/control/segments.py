"""Long loops in reverse mode: the memory for √T turns instead of T.

A loop of T turns that is differentiated in reverse keeps what its linear half needs of every turn.  Cut into segments
of k turns it keeps the carry at the beginning of each of T/k segments, and goes through a segment once more when the
way back reaches it; so T/k carries and the values of k turns are kept at any time.  That is least, but for a constant,
at k = √T, and costs one more walk forwards.

    scan(body, T turns)   →   scan(checkpoint(scan(body, k turns)), T/k turns), and a scan of the turns left over

Source: Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost" (2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradloom.ir.graph import Graph, Node, placeholder
from gradloom.ops.control.nested import Forward, MaybeNodes, Results, derivative_of_graph, results
from gradloom.ops.control.regions import checkpoint
from gradloom.ops.core import reshape
from gradloom.ops.movement import concatenate, part

AUTOMATIC_FROM = 32 * 2**20
"""Bytes that a loop would save from which on it is cut into segments unless told otherwise."""


def near_root(length: int) -> int:
    """A length of segments near √T: a divisor of T up to twice as long or short, for then no turns are left over."""
    root = max(1, round(math.sqrt(length)))
    near = [k for k in range(-(-root // 2), 2 * root + 1) if k and length % k == 0]
    return min(near, key=lambda k: (abs(math.log(k / root)), k), default=root)


def segment_of(loop: Node, saved: Sequence[Node]) -> int:
    """Turns of each segment of a loop that would save these values in each turn; 0 where it stays whole."""
    wanted, length = loop.attrs.get("segment"), loop.attrs["length"]
    if wanted is None:
        bytes_a_turn = sum(x.tensor_type.nbytes for x in saved)
        wanted = near_root(length) if bytes_a_turn * length > AUTOMATIC_FROM else 0
    return wanted if wanted < length else 0


def segmented_derivative(loop: Node, turns: int, tangents: MaybeNodes, pushforward: Forward) -> Results:
    """The values and tangents of a loop, apart from each other, by way of its segments."""
    return derivative_of_graph(in_segments(loop, turns), loop.inputs, tangents, pushforward)


def in_segments(loop: Node, turns: int) -> Graph:
    """The same loop as a graph of its operands: one over segments of so many turns, one over what is left."""
    inputs = [placeholder(x.tensor_type, "operand") for x in loop.inputs]
    attrs = loop.attrs
    fixed, carried = attrs["consts"], attrs["consts"] + attrs["carries"]
    segments, left = divmod(attrs["length"], turns)
    first = left if attrs["reverse"] else 0  # what is left over is walked last
    xs = [part(x, 0, first, first + segments * turns) for x in inputs[carried:]]
    cut = [reshape(x, shape=(segments, turns, *x.shape[1:])) for x in xs]
    body = _segment(loop, turns)
    found = results(loop.op(*inputs[:carried], *cut, **{**attrs, "body": body, "length": segments, "segment": 0}))
    carry, stacked = found[: attrs["carries"]], found[attrs["carries"] :]
    ys = [reshape(y, shape=(segments * turns, *y.shape[2:])) for y in stacked]
    if left:
        start = 0 if attrs["reverse"] else segments * turns
        rest = [part(x, 0, start, start + left) for x in inputs[carried:]]
        last = results(loop.op(*inputs[:fixed], *carry, *rest, **{**attrs, "length": left, "segment": 0}))
        carry = last[: attrs["carries"]]
        pairs = zip(ys, last[attrs["carries"] :])
        ys = [concatenate(*((b, a) if attrs["reverse"] else (a, b)), axis=0) for a, b in pairs]
    return Graph(tuple(inputs), (*carry, *ys), attrs["body"].name)


def _segment(loop: Node, turns: int) -> Graph:
    """The body of the loop over segments: a region, which reverse mode computes again, around a loop of some turns."""
    carried = loop.attrs["consts"] + loop.attrs["carries"]
    types = [x.tensor_type for x in loop.inputs]
    types[carried:] = [t.with_shape((turns, *t.shape[1:])) for t in types[carried:]]
    inside, outside = (
        [placeholder(t, x.attrs["name"]) for t, x in zip(types, loop.attrs["body"].inputs)] for _ in "io"
    )
    walk = results(loop.op(*inside, **{**loop.attrs, "length": turns, "segment": 0}))
    region = results(checkpoint(*outside, body=Graph(tuple(inside), tuple(walk), "segment")))
    return Graph(tuple(outside), tuple(region), "segment")
