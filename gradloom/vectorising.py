"""Vectorising: a function of one example made a function of many."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from typing import Any

from gradloom import tree
from gradloom.autodiff.batching import batch
from gradloom.errors import OptionError, ShapeError
from gradloom.ir.graph import Node, placeholder
from gradloom.ops import core
from gradloom.semantics import normal_axis
from gradloom.tracing import Arguments, Function, Results, is_array_like

Axes = Any  # an axis, None, or a tree of these


def vmap(f: Function, in_axes: Axes = 0, out_axes: int = 0) -> Function:
    """``f`` for many arguments at once.

    Args:
        f: a function of one example.
        in_axes: the axis along which each argument varies, None for one that does not; one for all arguments or a
            tuple with one an argument.
        out_axes: the axis of the results along which the examples lie.

    Raises:
        ShapeError: arguments vary over different numbers of examples, or none varies.
    """

    @wraps(f)
    def mapped(*args: Any) -> Any:
        axes = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise OptionError(
                "vmap",
                rule="in_axes needs one entry an argument",
                got=f"{in_axes} for {len(args)} arguments",
                fix="Name an axis for each, and None for one that does not vary.",
            )
        stacked = Arguments("vmap", args)
        per_leaf = _axis_per_leaf(args, axes)
        fronted = [_to_front(x, a) for x, a in zip(stacked.nodes, per_leaf)]
        size = _common_size(fronted, per_leaf)
        inputs = [
            None if a is None else placeholder(x.tensor_type.with_shape(x.shape[1:])) for x, a in zip(fronted, per_leaf)
        ]
        found = Results.of(f(*stacked.rebuilt(inputs)), "vmap")
        varying = {p: x for p, x in zip(inputs, fronted) if p is not None}
        outputs = batch(found.nodes, varying, size)
        return found.rebuilt([_placed(y if has else core.repeat_front(y, size), out_axes) for y, has in outputs])

    return mapped


def _axis_per_leaf(args: Sequence[Any], axes: Sequence[int | None]) -> list[int | None]:
    return [axis for arg, axis in zip(args, axes) for leaf in tree.leaves(arg) if is_array_like(leaf)]


def _to_front(x: Node, axis: int | None) -> Node:
    if axis is None:
        return x
    at = normal_axis("vmap", x, axis)
    return x if at == 0 else core.permute(x, axes=(at, *(i for i in range(len(x.shape)) if i != at)))


def _common_size(nodes: Sequence[Node], axes: Sequence[int | None]) -> int:
    sizes = {x.shape[0] for x, a in zip(nodes, axes) if a is not None}
    if len(sizes) != 1:
        raise ShapeError(
            "vmap",
            rule="all mapped arguments must vary over one number of examples",
            got=f"sizes {sorted(sizes)}" if sizes else "no mapped argument",
            fix="Give them one length along their axes of in_axes; None is for arguments that do not vary."
            if sizes
            else "Let in_axes name an axis of at least one argument.",
        )
    return sizes.pop()


def _placed(y: Node, axis: int) -> Node:
    at = normal_axis("vmap", y, axis)
    rest = list(range(1, len(y.shape)))
    return y if at == 0 else core.permute(y, axes=(*rest[:at], 0, *rest[at:]))
