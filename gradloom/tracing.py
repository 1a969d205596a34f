"""Tracing: running a function on stand-ins for its arguments, so that what it does to them becomes a graph.

Arguments and results may be nested values (see gradloom/tree.py): the leaves that are tensors, arrays or numbers are
traced, all others are passed through.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Sequence
from dataclasses import field
from itertools import compress
from typing import Any

import numpy as np

from gradloom import collection, tree
from gradloom.ir.graph import Graph, Node, placeholder
from gradloom.records import dataclass
from gradloom.semantics import to_node
from gradloom.tensor import Tensor, node_of

Function = Callable[..., Any]


def is_array_like(leaf: Any) -> bool:
    """Whether a leaf is traced: a tensor, an array or a number."""
    return isinstance(leaf, (Tensor, np.ndarray, np.generic, bool, int, float))


@dataclass
class Arguments:
    """Arguments taken apart: traced leaves as nodes, other leaves kept as they are.

    A Python float takes the type of the floats beside it if these are of one type, as it would in arithmetic; so a
    compiled ``f(x, 0.1)`` computes in float64 or float16 where ``x`` is of that.
    """

    who: str
    args: tuple[Any, ...]
    leaves: list[Any] = field(init=False)
    definition: tree.TreeDef = field(init=False)
    nodes: list[Node] = field(init=False)

    def __post_init__(self) -> None:
        self.leaves, self.definition = tree.flatten(self.args)
        self.traced = [is_array_like(leaf) for leaf in self.leaves]
        self.nodes = [node_of(leaf, self.who) for leaf, t in zip(self.leaves, self.traced) if t]
        if float in map(type, self.leaves):
            self._adapt_numbers()

    def _adapt_numbers(self) -> None:
        given = list(zip(compress(self.leaves, self.traced), self.nodes))
        types = {node.dtype for leaf, node in given if type(leaf) is not float and node.tensor_type.is_float}
        if len(types) == 1:
            (dtype,) = types
            self.nodes = [to_node(x, self.who, dtype) if type(x) is float else node for x, node in given]

    @property
    def signature(self) -> Hashable:
        """What a compiled program depends on: structure, types, and the leaves that are not traced."""
        rest = tuple(leaf for leaf, t in zip(self.leaves, self.traced) if not t)
        return self.definition, tuple([x.type for x in self.nodes]), rest

    def placeholders(self, names: Sequence[str]) -> list[Node]:
        """One stand-in for each traced leaf, named by its argument's name and its path inside it."""
        paths = [p for p, t in zip(tree.paths(self.definition), self.traced) if t]
        full_names = [".".join((names[int(argument)], *inside)) for argument, *inside in paths]
        return [placeholder(x.tensor_type, name) for x, name in zip(self.nodes, full_names)]

    def rebuilt(self, nodes: Sequence[Node | None]) -> tuple[Any, ...]:
        """The arguments with tensors of these nodes in place of the traced leaves; None keeps a leaf as it is."""
        supply = iter(nodes)
        chosen = [next(supply) if t else None for t in self.traced]
        merged = [leaf if node is None else Tensor(node) for leaf, node in zip(self.leaves, chosen)]
        return tree.unflatten(self.definition, merged)


@dataclass(frozen=True)
class Results:
    """A result taken apart, likewise; ``static`` holds the leaves that are not tensors."""

    nodes: list[Node]
    definition: tree.TreeDef
    static: tuple[tuple[int, Any], ...]

    @staticmethod
    def of(result: Any, who: str) -> Results:
        """Take a result apart."""
        leaves, definition = tree.flatten(result)
        static = tuple((i, leaf) for i, leaf in enumerate(leaves) if not is_array_like(leaf))
        return Results([node_of(leaf, who) for leaf in leaves if is_array_like(leaf)], definition, static)

    def rebuilt(self, nodes: Sequence[Any]) -> Any:
        """The result with these tensors (or nodes) in place."""
        leaves: list[Any] = [Tensor(n) if isinstance(n, Node) else n for n in nodes]
        for i, leaf in self.static:
            leaves.insert(i, leaf)
        return tree.unflatten(self.definition, leaves)


def parameter_names(f: Function, count: int) -> list[str]:
    """What ``f`` calls its first ``count`` arguments; those it has no names for are numbered."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # some built-in functions cannot be inspected
        parameters = ()
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    return named + [str(i) for i in range(len(named), count)]


def graph_and_results(f: Function, arguments: Arguments) -> tuple[Graph, Results]:
    """The graph of ``f`` at arguments of these types, and its result taken apart."""
    inputs = arguments.placeholders(parameter_names(f, len(arguments.args)))
    with collection.paused():
        found = Results.of(f(*arguments.rebuilt(inputs)), arguments.who)
    return Graph(tuple(inputs), tuple(found.nodes), getattr(f, "__name__", "function")), found


def trace(f: Function, *args: Any) -> Graph:
    """The computational graph of ``f`` at arguments of the types of ``args``.

    Args:
        f: a function of tensors (or nested values of them).
        args: example arguments; only their shapes and data types count.

    Returns:
        The graph; ``print(graph)`` shows it as text, ``graph.to_dot()`` as a drawing.
    """
    return graph_and_results(f, Arguments("trace", args))[0]
