"""The chain rule spelled out: every path from a result to a variable, and what flows back along it.

The derivative of a result by a variable is the sum, over all paths of the graph between them, of the product of the
local derivatives along the path.  There may be exponentially many paths, but their number follows node by node (the
paths from a node are those from its operands), and so does the derivative: the adjoint of a node is the sum over its
users of the user's adjoint times the local derivative.  That second form is reverse mode, and costs one visit a node.

Source: the notes on automatic differentiation by paths and on hierarchical dependency; Bauer, "Computational graphs
and rounding error", SIAM J. Numer. Anal. 11 (1974).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from gradloom.autodiff.forward import pushforward
from gradloom.autodiff.reverse import pullback
from gradloom.ir.graph import Graph, Node, dependents, placeholder, project, topological
from gradloom.ir.interpret import Schedule, evaluate
from gradloom.ir.tensortype import TensorType
from gradloom.records import dataclass


@dataclass(frozen=True, eq=False)
class Step:
    """One edge of the graph: a node, and one of its operands through which the variable acts on it.

    Attributes:
        node: the user.
        operand: what it uses.
        whole: what computes the node: itself, or the loop or branch of whose results it is one.
        inputs: stand-ins for all operands of that.
        place: which of these the operand is.
        output: the node, applied to the stand-ins.
        values: the operands' values.
    """

    node: Node
    operand: Node
    whole: Node
    inputs: tuple[Node, ...]
    place: int
    output: Node
    values: tuple[np.ndarray, ...]

    @cached_property
    def pulled(self) -> tuple[Node, Node]:
        """A stand-in for the adjoint of the node, and what of it reaches the operand, as a node."""
        seed = placeholder(self.output.tensor_type, "adjoint")
        return seed, pullback([self.output], [self.inputs[self.place]], [seed])[1][0]

    @cached_property
    def _schedule(self) -> Schedule:
        seed, found = self.pulled
        return Schedule(Graph((*self.inputs, seed), (found,), "step"))

    def pull(self, adjoint: np.ndarray) -> np.ndarray:
        """The adjoint of the node times the local derivative: what this edge adds to the operand's adjoint."""
        return self._schedule.run([*self.values, adjoint])[0]

    @property
    def is_scalar(self) -> bool:
        """Whether the local derivative is a number."""
        return self.node.shape == self.operand.shape == ()

    @property
    def jacobian_shape(self) -> tuple[int, int]:
        """Elements of the node and of the operand."""
        return self.node.tensor_type.size, self.operand.tensor_type.size

    @cached_property
    def jacobian(self) -> np.ndarray:
        """The local derivative: a row for each element of the node, a column for each of the operand."""
        rows, columns = self.jacobian_shape
        basis = np.eye(rows, dtype=self.node.dtype).reshape(rows, *self.node.shape)
        return np.stack([self.pull(row).reshape(columns) for row in basis])


class Network:
    """The part of a graph that lies between a variable and a result, with values.

    Args:
        graph: a function with a single number as its first output.
        arrays: values of its inputs.
        variable: one of its inputs.

    Attributes:
        result: the output.
        values: of all nodes.
        nodes: those on some path, operands before users.
        steps: for each of them, the edges to its operands on some path.
    """

    def __init__(self, graph: Graph, arrays: Sequence[np.ndarray], variable: Node) -> None:
        self.variable, self.result = variable, graph.outputs[0]
        order = [n for n in topological([self.result]) if isinstance(n.type, TensorType)]
        found = evaluate(Graph(graph.inputs, tuple(order), graph.name), arrays)
        self.values = {**dict(zip(graph.inputs, arrays)), **dict(zip(order, found))}
        reached = dependents(topological([self.result]), [variable])
        self.steps: dict[Node, list[Step]] = {variable: []}
        for node in order:
            if node in reached and node is not variable:
                edges = [s for s in _steps(node, self.values, reached) if s.operand in self.steps]
                if edges:
                    self.steps[node] = edges
        needed = {self.result}
        for node in reversed(order):
            if node in needed:
                needed.update(s.operand for s in self.steps.get(node, ()))
        self.nodes = [n for n in order if n in needed and n in self.steps]

    @cached_property
    def counts(self) -> Mapping[Node, int]:
        """How many paths lead from each node to the variable; exact, for Python's whole numbers have no bound."""
        found = {self.variable: 1}
        for node in self.nodes:
            if node is not self.variable:
                found[node] = sum(found[s.operand] for s in self.steps[node])
        return found

    @property
    def count(self) -> int:
        """How many paths lead from the result to the variable."""
        return self.counts.get(self.result, 0)

    def paths(self) -> Iterator[list[Step]]:
        """Every path, from the result to the variable, operands in their order."""
        stack: list[list[Step]] = [[]] if self.count else []
        while stack:
            path = stack.pop()
            end = path[-1].operand if path else self.result
            if end is self.variable:
                yield path
            else:
                stack += [[*path, step] for step in reversed(self.steps[end])]

    @cached_property
    def adjoints(self) -> Mapping[Node, np.ndarray]:
        """The derivative of the result by each node, with the node's shape, worked out from users to operands."""
        found = {self.result: np.ones((), self.result.dtype)}
        for node in reversed(self.nodes):
            for step in self.steps[node]:
                part = step.pull(found[node])
                earlier = found.get(step.operand)
                found[step.operand] = part if earlier is None else earlier + part
        return found

    @property
    def derivative(self) -> np.ndarray:
        """The derivative of the result by the variable."""
        zero = np.zeros(self.variable.shape, self.variable.dtype)
        return self.adjoints.get(self.variable, zero) if self.count else zero

    def users(self, node: Node) -> list[Step]:
        """The edges that lead from users of a node to it."""
        return [s for n in self.nodes for s in self.steps[n] if s.operand is node]

    def product(self, path: Sequence[Step]) -> np.ndarray:
        """The product of the local derivatives along a path; in the variable's shape."""
        adjoint = np.ones((), self.result.dtype)
        for step in path:
            adjoint = step.pull(adjoint)
        return adjoint


def applied(node: Node) -> tuple[Node, tuple[Node, ...], Node]:
    """A node on its own: the node that computes it, stand-ins for that one's operands, and the node made of these.

    A result of a loop or a branch is computed by the loop or the branch as a whole.
    """
    whole = node.inputs[0] if node.op is project else node
    stand_ins = tuple(placeholder(x.tensor_type, "") for x in whole.inputs)
    output = whole.op(*stand_ins, **whole.attrs)
    return whole, stand_ins, output if whole is node else project(output, **node.attrs)


def _steps(node: Node, values: Mapping[Node, np.ndarray], reached: set[Node]) -> Iterator[Step]:
    """The edges from a node to operands that depend on the variable, but for those whose derivative is always zero."""
    whole, stand_ins, output = applied(node)
    given = tuple(values[x] for x in whole.inputs)
    for place, operand in enumerate(whole.inputs):
        if operand in reached and operand.tensor_type.is_float and node.tensor_type.is_float:
            seed = placeholder(operand.tensor_type, "tangent")
            if pushforward([output], {stand_ins[place]: seed})[1][0] is not None:
                yield Step(node, operand, whole, stand_ins, place, output, given)
