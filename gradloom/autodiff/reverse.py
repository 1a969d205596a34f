"""Reverse mode: forward mode, then transposition of its linear part.

The tangent of a graph is a linear function of the tangents of its inputs.  :func:`transpose` turns that linear
graph around: it walks from users to operands and adds up, for every node, the cotangents that flow back to it.
One derivative rule a primitive therefore serves both modes; only linear primitives need a transpose rule.

Cost: each node is visited once, however many paths lead through it.
Source: Frostig, Johnson, Maclaurin, Paszke, Radul, "Decomposing reverse-mode automatic differentiation" (2021).
"""

from __future__ import annotations

from collections.abc import Sequence

from gradloom.autodiff.forward import pushforward
from gradloom.ir.graph import Node, dependents, placeholder, project, scope_of, topological
from gradloom.ir.tensortype import TupleType
from gradloom.ops.core import add, zeros


def pullback(
    outputs: Sequence[Node], wrt: Sequence[Node], cotangents: Sequence[Node | None]
) -> tuple[list[Node], list[Node]]:
    """The values of ``outputs`` and the cotangents of ``wrt``: vᵀJ for the Jacobian J.

    Args:
        outputs: nodes to differentiate.
        wrt: the nodes to differentiate by.
        cotangents: v, one entry an output, None for zero.

    Returns:
        ``(values, cotangents of wrt)``; zeros where the outputs do not depend on a node.
    """
    seeds = {x: placeholder(x.tensor_type, "tangent") for x in wrt}
    values, tangents = pushforward(outputs, seeds, split=True)
    found = transpose(tangents, list(seeds.values()), cotangents)
    return values, [zeros(x.tensor_type) if ct is None else ct for x, ct in zip(wrt, found)]


def transpose(
    outputs: Sequence[Node | None], inputs: Sequence[Node], cotangents: Sequence[Node | None]
) -> list[Node | None]:
    """Turn a linear graph around.

    Args:
        outputs: nodes linear in ``inputs`` (None for an output that is zero).
        inputs: the nodes they are linear in.
        cotangents: one for each output, None for zero.

    Returns:
        The cotangent of each input, None for zero.
    """
    order = topological([y for y in outputs if y is not None])
    linear = dependents(order, inputs)
    back = _Backward()
    for y, ct in zip(outputs, cotangents):
        if y is not None and ct is not None:
            back.give(y, ct)
    stop = set(inputs)
    for node in reversed(order):
        if node in linear and node not in stop:
            with scope_of(node):
                back.visit(node, [x in linear for x in node.inputs])
    return [back.cotangents.get(x) for x in inputs]


class _Backward:
    """Cotangents gathered so far; nodes with several results keep a list."""

    def __init__(self) -> None:
        self.cotangents: dict[Node, Node] = {}
        self.many: dict[Node, list[Node | None]] = {}

    def give(self, node: Node, ct: Node) -> None:
        """Add a cotangent to what has reached ``node``."""
        earlier = self.cotangents.get(node)
        self.cotangents[node] = ct if earlier is None else add(earlier, ct)

    def visit(self, node: Node, linear: list[bool]) -> None:
        if node in self.many:
            gathered = self.many.pop(node)
            found = node.op.nested.transpose(gathered, node, linear, transpose)
        else:
            ct = self.cotangents.pop(node, None)
            if ct is None:
                return
            if node.op is project:
                source = node.inputs[0]
                assert isinstance(source.type, TupleType)
                parts = self.many.setdefault(source, [None] * len(source.type.parts))
                parts[node.attrs["index"]] = ct
                return
            assert node.op.transpose is not None, f"{node.op.name} is not linear and cannot be transposed"
            found = node.op.transpose(ct, node, linear)
        for x, ct in zip(node.inputs, found):
            if ct is not None:
                assert ct.type == x.type, f"cotangent {ct} of {x} from {node.op.name}"
                self.give(x, ct)
