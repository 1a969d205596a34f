"""A case of the table as a vector function, with the graphs of its derivatives, and oracles for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from cases import Case

from gradloom.autodiff.forward import pushforward
from gradloom.autodiff.reverse import pullback
from gradloom.ir.graph import Graph, Node, placeholder
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import TensorType
from gradloom.ir.verify import verify
from gradloom.ops.core import zeros

STEP = 2e-4
Vector = Callable[[np.ndarray], np.ndarray]


def placeholders(arrays: Sequence[np.ndarray], name: str = "") -> list[Node]:
    """Placeholders of the types of these arrays."""
    return [placeholder(TensorType(a.shape, a.dtype), name) for a in arrays]


def legal(inputs: Sequence[Node], outputs: Sequence[Node], name: str) -> Graph:
    """A graph that has passed verification."""
    graph = Graph(tuple(inputs), tuple(outputs), name)
    verify(graph)
    return graph


def joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """All elements in one vector."""
    return np.concatenate([np.ravel(a) for a in arrays]) if arrays else np.zeros(0)


def slope(f: Vector, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The derivative of ``f`` along a direction by the central difference of fourth order (five points)."""
    near = f(x + STEP * direction) - f(x - STEP * direction)
    far = f(x + 2 * STEP * direction) - f(x - 2 * STEP * direction)
    return (8 * near - far) / (12 * STEP)


class Flat:
    """A case as a function from one vector (the operands to differentiate by) to one vector (its float results)."""

    def __init__(self, case: Case) -> None:
        self.wrt, self.arrays = case.wrt, case.arrays()
        self.inputs = placeholders(self.arrays, "x")
        outputs = [y for y in case.results(self.inputs) if y.tensor_type.is_float]
        tangents = [placeholder(self.inputs[i].tensor_type, "t") for i in self.wrt]
        cotangents = [placeholder(y.tensor_type, "ct") for y in outputs]
        seeds = {self.inputs[i]: t for i, t in zip(self.wrt, tangents)}
        moved = _filled(pushforward(outputs, seeds)[1], outputs)
        _, back = pullback(outputs, list(seeds), cotangents)
        twice = _filled(pushforward(back, seeds)[1], back)
        self.tangents, self.cotangents = tangents, cotangents
        self.value_graph = legal(self.inputs, outputs, "value")
        self.forward_graph = legal([*self.inputs, *tangents], moved, "forward")
        self.reverse_graph = legal([*self.inputs, *cotangents], back, "reverse")
        _, twice_back = pullback(back, list(seeds), tangents)
        self.second_graph = legal([*self.inputs, *cotangents, *tangents], twice, "second")
        self.twice_reverse_graph = legal([*self.inputs, *cotangents, *tangents], twice_back, "twice_reverse")
        self.point = joined([self.arrays[i] for i in self.wrt])
        self.width = sum(y.tensor_type.size for y in outputs)

    def value(self, x: np.ndarray) -> np.ndarray:
        """f(x)."""
        return joined(evaluate(self.value_graph, self._at(x)))

    def forward(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """J t."""
        return joined(evaluate(self.forward_graph, [*self._at(x), *_cut(t, self.tangents)]))

    def reverse(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Jᵀ v."""
        return joined(evaluate(self.reverse_graph, [*self._at(x), *_cut(v, self.cotangents)]))

    def second(self, x: np.ndarray, v: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The derivative of Jᵀ v along t, by forward over reverse mode."""
        return self._second(self.second_graph, x, v, t)

    def twice_reverse(self, x: np.ndarray, v: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The gradient of tᵀ Jᵀ v, by reverse over reverse mode: the same, as second derivatives are symmetric."""
        return self._second(self.twice_reverse_graph, x, v, t)

    def _second(self, graph: Graph, x: np.ndarray, v: np.ndarray, t: np.ndarray) -> np.ndarray:
        return joined(evaluate(graph, [*self._at(x), *_cut(v, self.cotangents), *_cut(t, self.tangents)]))

    def _at(self, x: np.ndarray) -> list[np.ndarray]:
        arrays = list(self.arrays)
        for i, part in zip(self.wrt, _cut(x, [self.inputs[i] for i in self.wrt])):
            arrays[i] = part
        return arrays


def _filled(changes: Sequence[Node | None], like: Sequence[Node]) -> list[Node]:
    return [zeros(y.tensor_type) if t is None else t for t, y in zip(changes, like)]


def _cut(vector: np.ndarray, nodes: Sequence[Node]) -> list[np.ndarray]:
    """A vector cut into arrays of the shapes of these nodes."""
    ends = np.cumsum([x.tensor_type.size for x in nodes], dtype=int)
    return [part.reshape(x.shape) for part, x in zip(np.split(vector, ends[:-1]), nodes)] if nodes else []
