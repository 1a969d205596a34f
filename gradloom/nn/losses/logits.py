"""Softmax twice: a loss that takes logits looks at the graph that made its outputs.

A network that ends in softmax and a loss that applies softmax still train, only badly, so nobody notices.  Values
without a graph, as at the prompt, pass.
"""

from __future__ import annotations

from gradloom.errors import OptionError
from gradloom.ir.graph import Node
from gradloom.ops import core, elementwise, movement, reduce
from gradloom.tensor import Tensor

_SAME_VALUES = (core.reshape, core.permute, core.broadcast, elementwise.cast)


def refuse_probabilities(who: str, outputs: Tensor, *, applies: str, instead: str = "") -> None:
    """Raise if ``outputs`` come out of a sigmoid or a softmax.

    Args:
        who: the loss.
        outputs: what it was given.
        applies: the function that it applies itself, "sigmoid" or "softmax".
        instead: a loss that takes probabilities, if there is one.

    Raises:
        OptionError: they do.
    """
    node = _source(outputs.node)
    name = (
        "sigmoid"
        if node.op is elementwise.sigmoid
        else "softmax"
        if _is_softmax(node) or _are_softmaxes(node)
        else None
    )
    if name is None:
        return
    place = f" made in {node.scope}" if node.scope else ""
    raise OptionError(
        who,
        rule=f"the loss takes logits and applies the {applies} itself",
        got=f"the output of a {name}{place}",
        fix=f"Remove the {name} after the last layer{f', or use {instead}' if instead else ''}.",
    )


def _source(node: Node) -> Node:
    """The node whose values these are, before they were only rearranged."""
    while node.op in _SAME_VALUES:
        node = node.inputs[0]
    return node


def _are_softmaxes(node: Node) -> bool:
    """Whether a node puts softmaxes side by side, as nn.Softmax does for groups."""
    return node.op is movement.concatenate and all(_is_softmax(_source(part)) for part in node.inputs)


def _is_softmax(node: Node) -> bool:
    """Whether a node is e^(x - log Σ e^x), as gl.softmax writes it."""
    if node.op is not elementwise.exp or node.inputs[0].op is not elementwise.sub:
        return False
    x, subtracted = node.inputs[0].inputs
    total = _source(subtracted)
    return total.op is reduce.logsumexp and total.inputs[0] is x
