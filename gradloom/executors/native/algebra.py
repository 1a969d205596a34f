"""Algebra of single nodes: what a node can be replaced by without changing a bit of its value.

A rule takes a node and gives a simpler one that computes the same, or None.  Every rule here is exact for all values,
NaN, infinities and the signs of zeros included, and so x · 0 stays as it is, and x + 0 too (-0 + 0 is 0).  The
exceptions, :func:`rows_alone`, :func:`softmax` and the rules of sums.py, say so: the same formula with its operations
in another order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradloom.executors.native.loops import uniform_value
from gradloom.executors.native.sums import sum_of_blocks, sum_of_placed, sum_of_squares, sum_of_terms
from gradloom.ir.graph import Node, Op, fill
from gradloom.ops import core, elementwise, index, movement, reduce, window

Rule = Callable[[Node], Node | None]


# Movements ----------------------------------------------------------------------------------------------------------


def _permute(node: Node) -> Node | None:
    (x,), axes = node.inputs, node.attrs["axes"]
    if list(axes) == sorted(axes):
        return x
    if x.op is core.permute:  # permuting twice is permuting once
        return core.permute(x.inputs[0], axes=tuple(x.attrs["axes"][a] for a in axes))
    return None


def _reshape(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.shape == node.shape:
        return x
    return core.reshape(x.inputs[0], shape=node.shape) if x.op is core.reshape else None


def _broadcast(node: Node) -> Node | None:
    (x,), axes = node.inputs, node.attrs["axes"]
    if x.shape == node.shape:
        return x
    value = uniform_value(x)
    if value is not None:
        return fill(node.tensor_type, value)
    if x.op is core.broadcast:
        return core.broadcast(x.inputs[0], shape=node.shape, axes=tuple(axes[a] for a in x.attrs["axes"]))
    if x.op is core.reshape:  # that put in axes of size 1, which are repeated like new ones
        kept = [a for a, size in zip(axes, x.shape) if size > 1]
        small = x.inputs[0]
        if small.shape == tuple(size for size in x.shape if size > 1):
            return core.broadcast(small, shape=node.shape, axes=tuple(kept))
    return None


def _nothing_moves(node: Node) -> Node | None:
    """A slice of all, a padding by nothing, a flip of no axis, one part joined: the operand."""
    x = node.inputs[0]
    if node.op is movement.slice:
        untouched = x.shape == node.shape and set(node.attrs["step"]) <= {1}
    elif node.op is movement.pad:
        untouched = x.shape == node.shape and not any((*node.attrs["low"], *node.attrs["high"]))
    elif node.op is movement.flip:
        untouched = all(x.shape[a] == 1 for a in node.attrs["axes"])
    else:
        untouched = len(node.inputs) == 1
    return x if untouched else None


def _nothing_is_reduced(node: Node) -> Node | None:
    """The sum, product, extreme... over axes of size 1 is the element (though NumPy's sum of one -0 is 0)."""
    (x,) = node.inputs
    return core.reshape(x, shape=node.shape) if all(x.shape[a] == 1 for a in node.attrs["axes"]) else None


# Arithmetic ---------------------------------------------------------------------------------------------------------


def _add(node: Node) -> Node | None:
    x, y = node.inputs
    for a, b in ((x, y), (y, x)):
        if _adds_nothing(b):
            return a
        if b.op is elementwise.neg:
            return elementwise.sub(a, b.inputs[0])
    return None


def _adds_nothing(x: Node) -> bool:
    value = uniform_value(x)
    return value is not None and value == 0 and (not x.tensor_type.is_float or math.copysign(1, value) < 0)


def _sub(node: Node) -> Node | None:
    x, y = node.inputs
    value = uniform_value(y)
    if value is not None and value == 0 and (not y.tensor_type.is_float or math.copysign(1, value) > 0):
        return x
    return core.add(x, y.inputs[0]) if y.op is elementwise.neg else None


def _mul(node: Node) -> Node | None:
    x, y = node.inputs
    for a, b in ((x, y), (y, x)):
        value = uniform_value(b)
        if value is not None and value == 1:
            return a
        if value is not None and value == -1:
            return elementwise.neg(a)
    return None


def _div(node: Node) -> Node | None:
    """Dividing by a power of two is multiplying by its inverse, at a tenth of the time."""
    x, y = node.inputs
    value = uniform_value(y)
    if value is None or not math.isfinite(value) or abs(math.frexp(value)[0]) != 0.5:
        return None
    if value == 1:
        return x
    is_normal = abs(math.frexp(value)[1]) < {2: 14, 4: 125, 8: 1021}[y.dtype.itemsize]
    return elementwise.mul(x, elementwise.constant_like(x, 1 / value)) if is_normal else None


def _neg(node: Node) -> Node | None:
    (x,) = node.inputs
    return x.inputs[0] if x.op is elementwise.neg else None


def _power(node: Node) -> Node | None:
    x, y = node.inputs
    exponent = uniform_value(y) if x.tensor_type.is_float else None
    if exponent == 1:
        return x
    if exponent == 2:
        return elementwise.mul(x, x)
    return elementwise.div(elementwise.constant_like(x, 1), x) if exponent == -1 else None


def _cast(node: Node) -> Node | None:
    (x,) = node.inputs
    return x if x.dtype == node.dtype else None


def _select(node: Node) -> Node | None:
    condition, x, y = node.inputs
    value = uniform_value(condition)
    if x is y or value is True:
        return x
    return y if value is False else None


def _rectified_pool(node: Node) -> Node | None:
    """What is placed in a rectified image and masked by it: the mask is that of the windows, which are fewer.

    With r = relu(z) the first largest element of a window of r has z > 0 if and only if the window's maximum is > 0.
    """
    condition, placed, otherwise = node.inputs
    if placed.op is not window.window_place or not _is_zero(otherwise):
        return None
    y, rectified = placed.inputs
    if condition.op is not elementwise.gt or not _is_zero(condition.inputs[1]):
        return None
    if rectified.op is not elementwise.select or not _is_zero(rectified.inputs[2]):
        return None
    if rectified.inputs[0] is not condition or rectified.inputs[1] is not condition.inputs[0]:
        return None
    zero = elementwise.constant_like(y, 0)
    positive = elementwise.gt(window.window_max(rectified, **placed.attrs), zero)
    return window.window_place(elementwise.select(positive, y, zero), rectified, **placed.attrs)


def _is_zero(x: Node) -> bool:
    return uniform_value(x) == 0


# Softmax ------------------------------------------------------------------------------------------------------------


def _logsumexp_below_peak(node: Node) -> Node | None:
    """log Σ e^s of s = x - max x is the logarithm of that sum: its terms need no other peak taken off."""
    (s,), axes = node.inputs, node.attrs["axes"]
    if s.op is not elementwise.sub:
        return None
    x, peak = s.inputs[0], _along(s.inputs[1], s, axes)
    if peak is None or peak.op is not reduce.reduce_max or peak.inputs[0] is not x or peak.attrs["axes"] != axes:
        return None
    return elementwise.log(core.reduce_sum(elementwise.exp(s), axes=axes))


def softmax(node: Node) -> Node | None:
    """e^(s - log Σ e^s) → e^s · (1 / Σ e^s): one exponential an element, for that of the sum is there already.

    A product of rounded factors instead of an exponential of a rounded difference may differ in the last bits.
    """
    (x,) = node.inputs
    s, repeated = x.inputs if x.op is elementwise.sub else (x, x)
    if repeated.op is not core.broadcast or repeated.inputs[0].op is not elementwise.log:
        return None
    (total,) = repeated.inputs[0].inputs
    if total.op is not core.reduce_sum or _along(repeated, s, total.attrs["axes"]) is None:
        return None
    (e,) = total.inputs
    if e.op is not elementwise.exp or e.inputs[0] is not s:
        return None
    share = elementwise.div(elementwise.constant_like(total, 1), total)
    return elementwise.mul(e, core.broadcast(share, **repeated.attrs))


def _along(repeated: Node, like: Node, axes: tuple[int, ...]) -> Node | None:
    """What is repeated along just these axes, to the shape of ``like``."""
    others = tuple(a for a in range(len(like.shape)) if a not in axes)
    found = repeated.op is core.broadcast and repeated.attrs["axes"] == others
    return repeated.inputs[0] if found and repeated.inputs[0].shape == tuple(like.shape[a] for a in others) else None


# Additions at positions ---------------------------------------------------------------------------------------------


def rows_alone(node: Node) -> Node | None:
    """x + a · (u added to zeros at i) → (a · u) added to x at i: the update of a table touches only rows that occur.

    The gradient of an embedding is zero in all other rows, and writing the table anew would cost as much as the rest
    of a step.  Where a row occurs more than once its terms are added one after the other and not first to each
    other, which may change the last bit.
    """
    x, y = node.inputs
    sign = elementwise.neg if node.op is elementwise.sub else (lambda u: u)
    for base, change in ((x, y), (y, x)) if node.op is core.add else ((x, y),):
        factor, added = _scaled(change)
        if added is not None and base.op is not index.scatter_add:
            _, positions, updates = added.inputs
            if factor is not None:
                updates = elementwise.mul(core.broadcast(factor, shape=updates.shape, axes=()), updates)
            return index.scatter_add(base, positions, sign(updates), **added.attrs)
    return None


def _scaled(node: Node) -> tuple[Node | None, Node | None]:
    """(a, s) where a node is a · s with a number a and s an addition to zeros; a is None for s alone."""
    if node.op is elementwise.neg:
        factor, added = _scaled(node.inputs[0])
        return (None if factor is None else elementwise.neg(factor)), (added if factor is not None else None)
    if node.op is elementwise.mul:
        for a, s in (node.inputs, node.inputs[::-1]):
            if a.op is core.broadcast and not a.inputs[0].shape and _adds_to_zeros(s):
                return a.inputs[0], s
    return None, (node if _adds_to_zeros(node) else None)


def _adds_to_zeros(node: Node) -> bool:
    return node.op is index.scatter_add and uniform_value(node.inputs[0]) == 0


REDUCTIONS = (core.reduce_sum, reduce.reduce_prod, reduce.reduce_max, reduce.reduce_min)

RULES: dict[Op, tuple[Rule, ...]] = {
    core.permute: (_permute,),
    core.reshape: (_reshape,),
    core.broadcast: (_broadcast,),
    **dict.fromkeys((movement.slice, movement.pad, movement.flip, movement.concatenate), (_nothing_moves,)),
    **dict.fromkeys((*REDUCTIONS, reduce.reduce_any, reduce.reduce_all), (_nothing_is_reduced,)),
    core.reduce_sum: (_nothing_is_reduced, sum_of_placed, sum_of_squares, sum_of_blocks, sum_of_terms),
    core.add: (_add, rows_alone),
    elementwise.sub: (_sub, rows_alone),
    elementwise.mul: (_mul,),
    elementwise.div: (_div,),
    elementwise.neg: (_neg,),
    elementwise.power: (_power,),
    elementwise.exp: (softmax,),
    reduce.logsumexp: (_logsumexp_below_peak,),
    elementwise.cast: (_cast,),
    elementwise.select: (_select, _rectified_pool),
    elementwise.stop_gradient: (lambda node: node.inputs[0],),  # what it stops is over when a graph is compiled
}
"""The rules of each primitive, tried in order."""


def simpler(node: Node) -> Node:
    """The simplest node that the rules make of one (its operands are as simple as they get)."""
    found: Any = node
    while found is not None:
        node = found
        found = next((new for rule in RULES.get(node.op, ()) if (new := rule(node)) is not None), None)
    return node
