"""Give a mean's gradient back where it is read: every element of a window reads the value of its window.

Where windows lie side by side, elements apart by window and by place in it are elements of the grid under another
shape, along which the windows' values are repeated; and repeating costs nothing in a loop.  Before → after:

    s = window_share(z);  d = s · f(y)     →     d' = repeated(z) · f(y');   d = d' under the grid's shape

where y' is y as [n, rows, 2, columns, 2, c], say, which is the same memory.  So s never lies in memory.
"""

from __future__ import annotations

import math

from gradloom.executors.native.fuse import in_memory
from gradloom.executors.native.kernel import FUSED
from gradloom.executors.native.kernels.window import covers, windows_of
from gradloom.executors.native.loops import ELEMENTWISE, uniform_value
from gradloom.ir.graph import Graph, Node, fill, rebuilt, scope_of
from gradloom.ir.tensortype import TensorType
from gradloom.ops import core, window
from gradloom.ops.geometry import Sizes

FEWEST_CHANNELS = 16
"""Whose values fill vectors: elements apart by window have neighbours along the channels alone."""


def share_where_read(graph: Graph) -> Graph:
    """The graph with values of windows repeated by what is computed from them element by element."""
    if not any(_is_share(n) for n in graph.nodes):
        return graph
    apart = _Apart(graph)
    for node in graph.nodes:
        with scope_of(node):
            apart.visit(node)
    return Graph(graph.inputs, tuple(apart.whole(y) for y in graph.outputs), graph.name)


def _is_share(node: Node) -> bool:
    """Whether a node gives every element of a grid the value of the one window that holds it, and had better not."""
    if node.op is not window.window_share:
        return False
    windows = windows_of(node)
    return covers(windows) and math.prod(windows.size) > 1 and node.shape[-1] >= FEWEST_CHANNELS


class _Apart:
    """New nodes, and those whose elements lie apart by window and by place in it."""

    def __init__(self, graph: Graph) -> None:
        self.kept = in_memory(graph)
        self.made: dict[Node, Node] = {}
        self.apart: dict[Node, Node] = {}

    def visit(self, node: Node) -> None:
        """Make a node anew."""
        if _is_share(node):
            (values,) = (self.whole(x) for x in node.inputs)
            shape = tuple(n for pair in zip(values.shape[1:-1], windows_of(node).size) for n in pair)
            axes = (0, *range(1, len(shape) + 1, 2), len(shape) + 1)
            found = core.broadcast(values, shape=(node.shape[0], *shape, node.shape[-1]), axes=axes)
            self.apart[node] = found
        elif found := self._computed_apart(node):
            self.apart[node] = found
        else:
            self.made[node] = rebuilt(node, [self.whole(x) for x in node.inputs])

    def whole(self, node: Node) -> Node:
        """The new node, under the grid's shape."""
        if node not in self.made:
            self.made[node] = core.reshape(self.apart[node], shape=node.shape)
        return self.made[node]

    def _computed_apart(self, node: Node) -> Node | None:
        """A node that is computed element by element from one that lies apart, if all it is computed from can."""
        if node.op not in ELEMENTWISE:
            return None
        shapes = {self.apart[x].shape for x in node.inputs if x in self.apart}
        return self._taken_apart(node, *shapes, root=True) if len(shapes) == 1 else None

    def _taken_apart(self, node: Node, shape: Sizes, *, root: bool = False) -> Node | None:
        """A node of the grid's shape with its elements apart; None for what is dear to have so."""
        if node in self.apart:
            return self.apart[node] if self.apart[node].shape == shape else None
        value = uniform_value(node)
        if value is not None:
            return fill(TensorType(shape, node.dtype), value)
        if node.op is core.broadcast and set(node.attrs["axes"]) <= {0, len(node.shape) - 1}:
            axes = tuple(a and len(shape) - 1 for a in node.attrs["axes"])
            return core.broadcast(self.whole(node.inputs[0]), shape=shape, axes=axes)
        if node in self.kept and not root:  # what follows from a product or a convolution is its epilogue
            return None if node.op in FUSED else core.reshape(self.whole(node), shape=shape)
        if node.op not in ELEMENTWISE:
            return None
        found = [self._taken_apart(x, shape) for x in node.inputs]
        inputs = tuple(x for x in found if x is not None)
        return node.op.typed(inputs, node.attrs, TensorType(shape, node.dtype)) if len(inputs) == len(found) else None
