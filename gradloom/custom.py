"""Functions with derivative rules of the user's own.

A rule is ordinary code of tensors.  It is traced once for each mode that asks for it, and its graph takes the place
of what differentiating the function would give; so it is compiled, mapped and differentiated again like anything else.
Either rule gives the other as long as it is linear, as derivatives are: it only has to be transposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import update_wrapper
from itertools import islice
from typing import Any

from gradloom import tree
from gradloom.autodiff.dual import Dual
from gradloom.autodiff.reverse import pullback
from gradloom.errors import OptionError, ShapeError, UnsupportedError
from gradloom.ir.graph import Graph, Node, inline, placeholder, topological
from gradloom.ops import control
from gradloom.ops.control import MaybeNodes
from gradloom.ops.core import zeros
from gradloom.ops.custom import Rule, Rules, custom
from gradloom.records import dataclass
from gradloom.semantics import cast
from gradloom.tensor import Tensor, node_of
from gradloom.tracing import Arguments, Function, Results, parameter_names

_OTHER = {"forward": "backward", "backward": "forward"}
_MODE = {"forward": "forward mode", "backward": "reverse mode"}
_CHANGE = {"forward": "tangents", "backward": "cotangent"}
"""Of a rule: the other one, the mode that it serves, and what it takes."""


def custom_derivative(
    f: Function | None = None, *, forward: Function | None = None, backward: Function | None = None
) -> Any:
    """A function with derivative rules of its own, in place of what differentiating it would give.

    For y = f(x₁, x₂, ...) with the Jacobians Jᵢ, ``t`` for tangents and ``ct`` for cotangents:

        forward(tangents, y, x₁, x₂, ...)   →  the tangent of y, Σ Jᵢ tᵢ
        backward(cotangent, y, x₁, x₂, ...) →  the cotangents (J₁ᵀ ct, J₂ᵀ ct, ...)

    One rule is enough where it is linear in the tangents or the cotangent: the other mode transposes it.  A rule that
    is not (a clipped gradient) serves its own mode alone.  What a rule computes again of what the function
    computed costs nothing in a compiled program, for equal nodes are one; so nothing needs to be saved for it.

    Args:
        f: a function of tensors and nested values of them.  Keyword arguments are options: they are handed to the
            function and to the rules as they are.
        forward: the rule of forward mode.  ``tangents`` is a tuple with one entry an argument, nested as the argument
            is, with None for what is not floats.  Also set by ``@f.forward``.
        backward: the rule of reverse mode; returns a tuple with one entry an argument, None for an argument that gets
            no gradient.  Also set by ``@f.backward``.

    Returns:
        The function; without ``f`` a decorator for one.

    Raises:
        ShapeError: (when differentiated) a rule returns what does not fit.
        UnsupportedError: (when differentiated) the mode has no rule, or function or rule use a traced value that is
            not among the arguments.

    Source: the idea of two functions is that of jax.custom_jvp and jax.custom_vjp; here one may stand for the other.

    Example:
        >>> cube = custom_derivative(lambda x: x**3, forward=lambda t, y, x: 3 * x**2 * t[0])
        >>> gl.grad(cube)(2.0).item()
        12.0
    """
    if f is None:
        return lambda g: CustomDerivative(g, forward, backward)
    return CustomDerivative(f, forward, backward)


class CustomDerivative:
    """A function whose derivatives are given by rules; see :func:`custom_derivative`."""

    def __init__(self, f: Function, forward: Function | None, backward: Function | None) -> None:
        update_wrapper(self, f)  # first, for it copies attributes too
        self._function = f
        self._rules = {"forward": forward, "backward": backward}
        self._name = getattr(f, "__name__", "custom_derivative")

    def forward(self, rule: Function) -> Function:
        """Set the rule of forward mode; a decorator."""
        self._rules["forward"] = rule
        return rule

    def backward(self, rule: Function) -> Function:
        """Set the rule of reverse mode; a decorator."""
        self._rules["backward"] = rule
        return rule

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The function's result."""
        arguments = Arguments(self._name, args)
        self._refuse_duals(arguments.leaves)
        if all(x.value is not None for x in arguments.nodes):
            result = self._function(*arguments.rebuilt(arguments.nodes), **options)
            refuse_outside(self._name, "function", (y for y in Results.of(result, self._name).nodes if y.value is None))
            return result
        inputs = arguments.placeholders(parameter_names(self._function, len(args)))
        found = Results.of(self._function(*arguments.rebuilt(inputs), **options), self._name)
        body = Graph(tuple(inputs), tuple(found.nodes), self._name)
        refuse_outside(self._name, "function", body.free)
        call = _Call(self._name, arguments, found, body, options, dict(self._rules))
        made = custom(*arguments.nodes, body=body, rules=Rules(call.rule("forward"), call.rule("backward")))
        return found.rebuilt(control.results(made))

    def _refuse_duals(self, leaves: Iterable[Any]) -> None:
        if any(isinstance(leaf, Dual) for leaf in leaves):
            raise UnsupportedError(
                self._name,
                rule="a function with rules of its own takes no dual numbers",
                fix="Use gl.jvp(f, primals, tangents), which asks for its forward rule.",
            )


def refuse_outside(who: str, what: str, nodes: Iterable[Node]) -> None:
    """Refuse a function or a rule that depends on values being traced which are not its arguments."""
    for node in nodes:
        name = node.attrs.get("name") or str(node.type)
        raise UnsupportedError(
            who,
            rule=f"the {what} may use no traced value but its arguments, for its rules know no others",
            got=name,
            fix="Pass the value as an argument.",
        )


@dataclass(frozen=True)
class _Side:
    """An argument or the result of a call, whose floats have changes: tangents or cotangents.

    Attributes:
        definition: how it is nested.
        leaves: for each leaf the node of a float, None for anything else.
    """

    definition: tree.TreeDef
    leaves: list[Node | None]

    @property
    def floats(self) -> list[Node]:
        """The nodes that have changes."""
        return [x for x in self.leaves if x is not None]

    def nested(self, changes: Iterator[Node]) -> Any:
        """The next changes as tensors, nested; None for all other leaves."""
        return tree.unflatten(self.definition, [None if x is None else Tensor(next(changes)) for x in self.leaves])

    def flat(self, who: str, nested: Any) -> list[Node]:
        """What a rule returned, for each float; None for zero, of a leaf or as a whole."""
        leaves, definition = tree.flatten(nested)
        if nested is None:
            leaves = [None] * len(self.leaves)
        elif definition != self.definition:
            raise ShapeError(
                who,
                rule="a rule must return tangents nested as the result, or cotangents nested as the arguments",
                got=repr(nested),
                fix="None stands for an argument without gradient as a whole.",
            )
        return [_fitting(who, leaf, x) for leaf, x in zip(leaves, self.leaves) if x is not None]


def _fitting(who: str, leaf: Any, like: Node) -> Node:
    """A change as a node of the type that it must have."""
    if leaf is None:
        return zeros(like.tensor_type)
    node = cast(node_of(leaf, who), like.dtype)
    if node.shape != like.shape:
        raise ShapeError(
            who,
            rule=f"what a rule gives for {like.attrs['name']} must have its shape",
            got=f"{node.shape} for {like.shape}",
            fix="Sum over axes that were broadcast, and repeat along axes that were summed.",
        )
    return node


def _sides(definitions: Sequence[tree.TreeDef], traced: Sequence[bool], nodes: Sequence[Node]) -> list[_Side]:
    """Nodes shared out among values nested so; ``traced`` says which leaves have one."""
    supply = iter(nodes)
    found = (next(supply) if is_traced else None for is_traced in traced)
    leaves = (x if x is not None and x.tensor_type.is_float else None for x in found)
    return [_Side(d, list(islice(leaves, d.leaves))) for d in definitions]


@dataclass
class _Call:
    """One call of a function, at arguments of some types: its rules as graphs.

    Attributes:
        who: the function's name.
        arguments: how its arguments are nested.
        results: how its result is.
        body: the function.
        options: its keyword arguments.
        given: the user's rules, by mode.
        graphs: the rules traced so far: changes of the floats of one side, all results and all operands in; changes
            of the floats of the other side out.
    """

    who: str
    arguments: Arguments
    results: Results
    body: Graph
    options: Mapping[str, Any]
    given: Mapping[str, Function | None]
    graphs: dict[str, Graph] = field(default_factory=dict)

    def rule(self, mode: str) -> Rule:
        """The rule of a mode as the primitive takes it."""
        is_forward = mode == "forward"
        ins, outs = (self.body.inputs, self.body.outputs)[:: 1 if is_forward else -1]

        def changed(changes: MaybeNodes, values: Sequence[Node], operands: Sequence[Node]) -> MaybeNodes:
            moving = [zeros(x.tensor_type) if c is None else c for c, x in zip(changes, ins) if x.tensor_type.is_float]
            found = iter(inline(self._graph(mode), [*moving, *values, *operands]))
            return [next(found) if y.tensor_type.is_float else None for y in outs]

        return changed

    def _graph(self, mode: str) -> Graph:
        if mode not in self.graphs:
            own, other = self.given[mode], _OTHER[mode]
            if own is None and self.given[other] is None:
                raise UnsupportedError(
                    self.who,
                    rule="a function with a derivative of its own needs a rule",
                    got="neither a forward nor a backward rule",
                    fix="Give one: @f.forward for the tangent of the result, or @f.backward for the cotangents.",
                )
            self.graphs[mode] = self._transposed(other) if own is None else self._traced(mode, own)
        return self.graphs[mode]

    def _traced(self, mode: str, rule: Function) -> Graph:
        """The graph of a rule that the user gave."""
        operands = [placeholder(x.tensor_type, x.attrs["name"]) for x in self.body.inputs]
        values = [placeholder(y.tensor_type, "the result") for y in self.body.outputs]
        static = {i for i, _ in self.results.static}
        arguments = _sides(self.arguments.definition.children, self.arguments.traced, operands)
        (result,) = _sides(
            [self.results.definition], [i not in static for i in range(self.results.definition.leaves)], values
        )
        moving = arguments if mode == "forward" else [result]
        changes = [placeholder(x.tensor_type, _CHANGE[mode]) for side in moving for x in side.floats]
        supply = iter(changes)
        nested = tuple(side.nested(supply) for side in moving)
        found = rule(
            nested if mode == "forward" else nested[0],
            self.results.rebuilt(values),
            *self.arguments.rebuilt(operands),
            **self.options,
        )
        moved = result.flat(self.who, found) if mode == "forward" else self._cotangents(arguments, found)
        graph = Graph((*changes, *values, *operands), tuple(moved), self.who)
        refuse_outside(self.who, f"{mode} rule", graph.free)
        return graph

    def _cotangents(self, arguments: Sequence[_Side], found: Any) -> list[Node]:
        if not isinstance(found, tuple) or len(found) != len(arguments):
            raise OptionError(
                self.who,
                rule="a backward rule must return a tuple with one entry an argument",
                got=f"{len(found)} for {len(arguments)}" if isinstance(found, tuple) else f"a {type(found).__name__}",
                fix="For a single argument write (ct,); None stands for an argument without gradient.",
            )
        return [node for side, part in zip(arguments, found) for node in side.flat(self.who, part)]

    def _transposed(self, mode: str) -> Graph:
        """The rule of the other mode, by turning the graph of this one around."""
        graph = self._graph(mode)
        changes = graph.inputs[: len(graph.inputs) - len(self.body.inputs) - len(self.body.outputs)]
        arriving = [placeholder(y.tensor_type, _CHANGE[_OTHER[mode]]) for y in graph.outputs]
        _, found = pullback(graph.outputs, changes, arriving)
        if set(changes) & set(topological(found)):
            problem = f"the {mode} rule is not linear in the {_CHANGE[mode]}"
            raise UnsupportedError(
                self.who,
                rule=f"{_MODE[_OTHER[mode]]} needs a rule of its own, for {problem}",
                got=f"only @f.{mode}",
                fix=f"Give the other rule too, with @f.{_OTHER[mode]}.",
            )
        return Graph((*arriving, *graph.inputs[len(changes) :]), tuple(found), self.who)
