"""The computational graph: operations, nodes, graphs.

An :class:`Op` is a primitive operation, declared once.  A :class:`Node` is one use of it: operands, attributes
and the type of its result, known the moment the node is made.  A :class:`Graph` is a function: placeholders in,
nodes out.  Nodes never change; a transformation makes new ones.

Eager execution is constant folding: :meth:`Op.__call__` computes at once when every operand is a constant, so at
the prompt the library behaves like NumPy, and while a function is traced the graph grows.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import is_
from typing import Any

import numpy as np

from gradloom import limits
from gradloom.errors import OutOfMemoryError
from gradloom.ir.tensortype import TensorType, TupleType, is_bfloat16
from gradloom.ir.text import to_dot, to_text
from gradloom.ir.verify import verify
from gradloom.records import dataclass

Type = TensorType | TupleType


@dataclass(frozen=True)
class Domain:
    """Where a test may sample an operand: the interval [low, high], at a distance from ``away`` (kinks, poles)."""

    low: float = -2.0
    high: float = 2.0
    away: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Op:
    """A primitive operation: all that is known of it, in one record.

    Attributes:
        name: unique name.
        type_rule: ``(*operand types, **attributes) -> type``; raises the shape and dtype errors.
        meaning: what it computes, in NumPy, ``(*arrays, **attributes) -> array`` (a tuple for several results).
        derivative: forward rule ``(out, tangents) -> tangent of out``.  ``out`` is the node itself, ``tangents``
            has one entry an operand, None for zero.  None in place of the rule: the derivative is zero.
        transpose: ``(cotangent, node, linear) -> cotangent of each operand`` (None where ``linear`` is False);
            only operations that are linear in some operands have it.
        batch: ``(size, node, inputs, batched) -> node`` with the mapped axis first.
        nested: for operations that hold graphs, their rules for every transformation (see ops/control/).
        domains: for the tests, where each operand may be sampled; the last serves all further operands.
        fold: whether a node whose operands are all constants is computed at once.
        moves: whether every element of the result is one of an operand, or padding; then nothing is rounded.
    """

    name: str
    type_rule: Callable[..., Type]
    meaning: Callable[..., Any]
    derivative: Callable[[Node, Sequence[Node | None]], Node | None] | None = None
    transpose: Callable[[Node, Node, Sequence[bool]], Sequence[Node | None]] | None = None
    batch: Callable[[int, Node, Sequence[Node], Sequence[bool]], Node] | None = None
    nested: Any = None
    domains: tuple[Domain, ...] = (Domain(),)
    fold: bool = True
    moves: bool = False

    def __post_init__(self) -> None:
        assert self.name not in PRIMITIVES, f"the primitive {self.name} is declared twice"
        PRIMITIVES[self.name] = self

    def __call__(self, *inputs: Node, **attrs: Any) -> Node:
        """A node that applies this operation; a constant when all operands are constants."""
        return self.typed(inputs, attrs, self.type_rule(*[x.type for x in inputs], **attrs))

    def typed(self, inputs: tuple[Node, ...], attrs: dict[str, Any], result_type: Type) -> Node:
        """The same where the type of the result is known, as it is when a node is made anew."""
        if not self.fold or not all(map(_is_known, inputs)):
            return Node(self, inputs, attrs, result_type)
        if not self.moves and result_type.nbytes >= _LARGE:  # what moves is often a view, which takes no memory
            _check_room(self.name, result_type)
        with np.errstate(all="ignore"):
            value = self.compute(*[x.value for x in inputs], **attrs)
        if isinstance(result_type, TensorType):
            return constant(value, result_type.dtype)
        return Node(self, inputs, attrs, result_type, value)

    def compute(self, *values: Any, **attrs: Any) -> Any:
        """The meaning for these arrays.  With bfloat16 it is computed in float32 and rounded once, at the end."""
        if self.moves or self.nested is not None or not any(is_bfloat16(v.dtype) for v in values):
            return self.meaning(*values, **attrs)
        result = self.type_rule(*(TensorType(v.shape, v.dtype) for v in values), **attrs)
        assert isinstance(result, TensorType)
        wide = [v.astype(np.float32) if is_bfloat16(v.dtype) else v for v in values]
        return np.asarray(self.meaning(*wide, **attrs)).astype(result.dtype, copy=False)

    def __repr__(self) -> str:
        return f"Op({self.name})"


def _check_room(who: str, type: Type) -> None:
    """Refuse a value that cannot fit before anything is computed: a system that promised the memory ends the process.

    Raises:
        OutOfMemoryError: it is larger than the memory that this process may still take.
    """
    free = limits.memory()
    if type.nbytes > free:
        raise OutOfMemoryError(
            who,
            rule="a value must fit into memory",
            got=f"{type} of {type.nbytes / 2**30:,.1f} GiB, where {free / 2**30:,.1f} GiB are free",
            fix="Use fewer or smaller values.",
        )


_LARGE = 2**28
"""Bytes from which a value is held against the free memory: to ask how much there is takes long."""

PRIMITIVES: dict[str, Op] = {}
"""Every primitive by name, in the order of declaration."""

_scope: contextvars.ContextVar[str] = contextvars.ContextVar("scope", default="")


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """Mark the nodes made inside with the layer or function they belong to: ``outer/inner``."""
    outer = _scope.get()
    token = _scope.set(f"{outer}/{name}" if outer else name)
    try:
        yield
    finally:
        _scope.reset(token)


_serials = itertools.count()


def next_serial() -> int:
    """A number above those of all nodes made so far and below those of all nodes made later."""
    return next(_serials)


class Node:
    """One use of an operation.

    Attributes:
        op: the operation.
        inputs: the operands.
        attrs: static options of the operation (axes, shapes, inner graphs).
        type: type of the result.
        value: the array of a constant (the arrays of several folded results), None for every other node.
        scope: the layer or function in which the node was made, for error messages and profiles.
        serial: nodes are numbered in the order in which they are made.
    """

    __slots__ = ("attrs", "inputs", "op", "scope", "serial", "type", "value")

    def __init__(self, op: Op, inputs: tuple[Node, ...], attrs: dict[str, Any], type: Type, value: Any = None) -> None:
        self.op, self.inputs, self.attrs, self.type, self.value = op, inputs, attrs, type, value
        self.scope = _scope.get()
        self.serial = next(_serials)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the (single) result."""
        assert isinstance(self.type, TensorType)
        return self.type.shape

    @property
    def dtype(self) -> np.dtype:
        """Data type of the (single) result."""
        assert isinstance(self.type, TensorType)
        return self.type.dtype

    @property
    def tensor_type(self) -> TensorType:
        """Type of the (single) result."""
        assert isinstance(self.type, TensorType)
        return self.type

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.type}>"


def _no_rule(*_: Any, **__: Any) -> Any:
    raise AssertionError("placeholders and constants are not computed")


PLACEHOLDER = Op("placeholder", _no_rule, _no_rule)
CONSTANT = Op("constant", _no_rule, _no_rule)


def _is_known(node: Node) -> bool:
    return node.value is not None


def placeholder(type: TensorType, name: str = "") -> Node:
    """A value that is given when the graph runs."""
    return Node(PLACEHOLDER, (), {"name": name}, type)


def constant(value: Any, dtype: Any = None) -> Node:
    """A known value; the array is kept read-only."""
    array = np.asarray(value, dtype=dtype)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return Node(CONSTANT, (), {}, TensorType(array.shape, array.dtype), array)


def result(array: np.ndarray, type: TensorType) -> Node:
    """A known value of a type that is known too, for arrays which nobody else writes to: they become read-only."""
    array.setflags(write=False)
    return Node(CONSTANT, (), {}, type, array)


def fill(type: TensorType, value: bool | int | float) -> Node:
    """A constant with one value everywhere; takes no memory, whatever its shape."""
    return constant(repeated(np.asarray(value, type.dtype), type.shape))


def repeated(number: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A single number as an array of any shape: ``np.broadcast_to`` at a tenth of its time."""
    return np.ndarray(shape, number.dtype, number, 0, (0,) * len(shape))


def _project_type(type: TupleType, *, index: int) -> TensorType:
    return type.parts[index]


project = Op("project", _project_type, lambda values, index: values[index], moves=True)
"""One result of an operation with several; every transformation handles it beside the operation it belongs to."""


def topological(outputs: Iterable[Node]) -> list[Node]:
    """All nodes that ``outputs`` depend on, operands before users, in a fixed order.

    A stack instead of recursion: a chain of a million nodes is no deeper than one of ten.
    """
    done: dict[Node, None] = {}
    stack = list(outputs)[::-1]
    while stack:
        node = stack[-1]
        if node not in done and (missing := [x for x in node.inputs if x not in done]):
            stack += missing[::-1]
        else:
            done[stack.pop()] = None
    return list(done)


def rebuilt(node: Node, inputs: Sequence[Node]) -> Node:
    """A node on other operands of the same types; the node itself where they are no others."""
    if all(map(is_, inputs, node.inputs)):
        return node
    with scope_of(node):
        return node.op.typed(tuple(inputs), node.attrs, node.type)


def dependents(order: Iterable[Node], sources: Iterable[Node]) -> set[Node]:
    """Those nodes of a topological order that depend on ``sources``, the sources included."""
    reached = set(sources)
    for node in order:
        if any(x in reached for x in node.inputs):
            reached.add(node)
    return reached


@dataclass(frozen=True, eq=False)
class Graph:
    """A function as a graph.

    Attributes:
        inputs: placeholders.
        outputs: the nodes whose values are the results.
        name: for printing.
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    name: str = "graph"

    @cached_property
    def nodes(self) -> list[Node]:
        """All nodes, operands before users."""
        return topological((*self.inputs, *self.outputs))

    @cached_property
    def free(self) -> list[Node]:
        """Placeholders that the graph uses but does not take as inputs (from an enclosing trace)."""
        own = set(self.inputs)
        return [n for n in self.nodes if n.op is PLACEHOLDER and n not in own]

    def __str__(self) -> str:
        """The graph as text, one line a node (ir/text.py)."""
        return to_text(self)

    def to_dot(self) -> str:
        """The graph as a drawing in Graphviz' dot language."""
        return to_dot(self)

    def to_svg(self) -> str:
        """The graph as a drawing in SVG; a large one is folded by layer."""
        from gradloom.ir.picture import graph_to_svg  # noqa: PLC0415

        return graph_to_svg(self)

    def to_html(self, beside: Graph | None = None) -> str:
        """The graph as one page that needs no network: types stand on the arrows, a click opens a layer or a loop.

        Args:
            beside: another graph to show beside it, such as that of the derivative.
        """
        from gradloom.ir.picture import graph_to_html  # noqa: PLC0415

        return graph_to_html(self, beside)

    def verify(self) -> None:
        """Raise IllegalGraphError unless the graph obeys the rules of ir/verify.py."""
        verify(self)

    @property
    def input_types(self) -> list[TensorType]:
        """Types of the inputs."""
        return [x.tensor_type for x in self.inputs]

    @property
    def output_types(self) -> list[TensorType]:
        """Types of the outputs."""
        return [x.tensor_type for x in self.outputs]


def substitute(outputs: Sequence[Node], replacements: Mapping[Node, Node]) -> list[Node]:
    """``outputs`` with some nodes replaced; what depends on none of them is kept as it is.

    Rebuilding folds constants, so putting constants in place of placeholders evaluates the graph.
    """
    if not replacements:
        return list(outputs)
    assert all(new.type == old.type for old, new in replacements.items()), "what replaces a node is of its type"
    made: dict[Node, Node] = dict(replacements)
    for node in topological(outputs):
        if node not in made:
            made[node] = rebuilt(node, [made[x] for x in node.inputs])
    return [made[x] for x in outputs]


class scope_of:
    """Give nodes made inside the scope of ``node``, or one inside that: ``with scope_of(node): ...``."""

    __slots__ = ("_name", "_token")

    def __init__(self, node: Node, inner: str = "") -> None:
        self._name = f"{node.scope}/{inner}" if node.scope and inner else node.scope or inner

    def __enter__(self) -> None:
        self._token = _scope.set(self._name)

    def __exit__(self, *_: object) -> None:
        _scope.reset(self._token)


def inline(graph: Graph, inputs: Sequence[Node]) -> list[Node]:
    """The outputs of ``graph`` applied to ``inputs``."""
    return substitute(graph.outputs, dict(zip(graph.inputs, inputs)))
