"""Functions of functions: trace, jit, grad, jvp, vjp, jacobian, hessian, vmap, scan, cond.

Each traces the user's function into a graph once and gives that graph to a transformation of graphs.  Arguments and
results may be nested values (see gradloom/tree.py): the leaves that are tensors, arrays or numbers are traced, all
others are passed through.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import numpy as np

from gradloom import executors, tree
from gradloom.autodiff.batching import batch
from gradloom.autodiff.forward import pushforward
from gradloom.autodiff.reverse import pullback
from gradloom.errors import DTypeError, OptionError, ShapeError
from gradloom.executors.base import Program
from gradloom.ir.graph import (
    PLACEHOLDER,
    Graph,
    Node,
    constant,
    dependents,
    fill,
    next_serial,
    placeholder,
    substitute,
    topological,
)
from gradloom.ir.tensortype import TensorType
from gradloom.ops import control
from gradloom.semantics import cast, normal_axis, to_node
from gradloom.tensor import Tensor

Function = Callable[..., Any]
Axes = Any  # an axis, None, or a tree of these


# Tracing --------------------------------------------------------------------------------------------------------


def is_array_like(leaf: Any) -> bool:
    """Whether a leaf is traced: a tensor, an array or a number."""
    return isinstance(leaf, (Tensor, np.ndarray, np.generic, bool, int, float))


def leaf_node(leaf: Any, who: str) -> Node:
    """The node of a leaf that is traced."""
    return leaf.node if isinstance(leaf, Tensor) else to_node(leaf, who)


@dataclass
class Arguments:
    """Arguments taken apart: traced leaves as nodes, other leaves kept as they are."""

    who: str
    args: tuple[Any, ...]
    leaves: list[Any] = field(init=False)
    definition: tree.TreeDef = field(init=False)
    nodes: list[Node] = field(init=False)

    def __post_init__(self) -> None:
        self.leaves, self.definition = tree.flatten(self.args)
        self.traced = [is_array_like(leaf) for leaf in self.leaves]
        self.nodes = [leaf_node(leaf, self.who) for leaf, t in zip(self.leaves, self.traced) if t]

    @property
    def signature(self) -> Hashable:
        """What a compiled program depends on: structure, types, and the leaves that are not traced."""
        rest = tuple(leaf for leaf, t in zip(self.leaves, self.traced) if not t)
        return self.definition, tuple(x.type for x in self.nodes), rest

    def placeholders(self) -> list[Node]:
        """One stand-in for each traced leaf, named by its path."""
        names = [".".join(p) for p, t in zip(tree.paths(self.definition), self.traced) if t]
        return [placeholder(x.tensor_type, name) for x, name in zip(self.nodes, names)]

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
        return Results([leaf_node(leaf, who) for leaf in leaves if is_array_like(leaf)], definition, static)

    def rebuilt(self, nodes: Sequence[Any]) -> Any:
        """The result with these tensors (or nodes) in place."""
        leaves: list[Any] = [Tensor(n) if isinstance(n, Node) else n for n in nodes]
        for i, leaf in self.static:
            leaves.insert(i, leaf)
        return tree.unflatten(self.definition, leaves)


def _traced(f: Function, arguments: Arguments) -> tuple[Graph, Results]:
    """The graph of ``f`` at arguments of these types."""
    inputs = arguments.placeholders()
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
    return _traced(f, Arguments("trace", args))[0]


# Compiling ------------------------------------------------------------------------------------------------------


def jit(f: Function, executor: str = executors.DEFAULT) -> Function:
    """``f`` compiled: traced once for each combination of argument types, then run as one program.

    Values that ``f`` takes from outside are compiled in as constants.  Inside another traced function ``f`` simply
    becomes part of that function's graph.

    Args:
        f: a function of tensors (or nested values of them).
        executor: the executor's name.
    """
    chosen = executors.get(executor)
    programs: dict[Hashable, tuple[Program, Results]] = {}

    @wraps(f)
    def compiled(*args: Any) -> Any:
        arguments = Arguments("jit", args)
        if any(x.value is None for x in arguments.nodes):
            return f(*args)
        signature = _hashable(arguments)
        if signature not in programs:
            graph, found = _traced(f, arguments)
            if graph.free:  # closes over a value that is being traced: no program of its own
                return f(*args)
            programs[signature] = chosen.compile(graph), found
        program, found = programs[signature]
        outputs = program([x.value for x in arguments.nodes])
        return found.rebuilt([constant(y) for y in outputs])

    compiled.programs = programs  # type: ignore[attr-defined]
    return compiled


def _hashable(arguments: Arguments) -> Hashable:
    try:
        hash(arguments.signature)
    except TypeError as problem:
        raise OptionError(
            "jit", rule="arguments that are not tensors must be hashable", got=str(problem), fix="Pass them by closure."
        ) from None
    return arguments.signature


# Derivatives ----------------------------------------------------------------------------------------------------


def _chosen(who: str, args: tuple[Any, ...], argnums: int | Sequence[int]) -> tuple[int, ...]:
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise OptionError(who, rule=f"argnums counts the {len(args)} arguments from 0", got=str(n))
    return tuple(n % len(args) for n in numbers)


def _check_float(who: str, nodes: Sequence[Node]) -> None:
    for x in nodes:
        if not x.tensor_type.is_float:
            raise DTypeError(
                who,
                rule="a derivative exists with respect to floats alone",
                got=str(x.type),
                fix="Convert the argument with gl.cast(x, 'float32'), or leave it out of argnums.",
            )


@dataclass
class _Differentiable:
    """A function traced at its arguments, with those to differentiate by replaced by placeholders.

    Only these are replaced, so that everything that depends on the others alone is computed at once.
    """

    who: str
    f: Function
    args: tuple[Any, ...]
    numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        self.chosen = Arguments(self.who, tuple(self.args[n] for n in self.numbers))
        _check_float(self.who, self.chosen.nodes)
        self.inputs = self.chosen.placeholders()
        args = list(self.args)
        for n, value in zip(self.numbers, self.chosen.rebuilt(self.inputs)):
            args[n] = value
        self.result = self.f(*args)

    def settle(self, nodes: Sequence[Node]) -> list[Node]:
        """Put the true arguments back in place of the placeholders."""
        return substitute(nodes, dict(zip(self.inputs, self.chosen.nodes)))

    def gradients(self, nodes: Sequence[Node], single: bool) -> Any:
        """Nodes for each chosen argument, nested as the arguments are."""
        nested = self.chosen.rebuilt(nodes)
        return nested[0] if single else nested


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """The function that returns ``f(*args)`` and its gradient, by reverse mode.

    Args:
        f: a function whose result is one float; with ``has_aux`` a pair (that float, anything else).
        argnums: which arguments to differentiate by (nested values allowed).
        has_aux: whether ``f`` returns a pair.

    Returns:
        A function that returns ``(value, gradient)``; the gradient is nested as the argument is, and a tuple where
        ``argnums`` is one.

    Raises:
        ShapeError: the result is not a scalar.
        DTypeError: the result or an argument is not of floats.
    """

    @wraps(f)
    def differentiated(*args: Any) -> Any:
        traced = _Differentiable("grad", f, args, _chosen("grad", args, argnums))
        value, aux = traced.result if has_aux else (traced.result, None)
        output = leaf_node(value, "grad")
        _check_scalar(output)
        aux_found = Results.of(aux, "grad")
        values, found = pullback(
            [output, *aux_found.nodes], traced.inputs, [fill(output.tensor_type, 1)] + [None] * len(aux_found.nodes)
        )
        settled = traced.settle([*values, *found])
        gradient = traced.gradients(settled[len(values) :], isinstance(argnums, int))
        result = Tensor(settled[0])
        return ((result, aux_found.rebuilt(settled[1 : len(values)])) if has_aux else result), gradient

    return differentiated


def _check_scalar(output: Node) -> None:
    if output.shape != ():
        raise ShapeError(
            "grad",
            rule="the function must return a scalar",
            got=str(output.type),
            fix="Reduce it with gl.sum or gl.mean, or use gl.jacobian.",
        )
    _check_float("grad", [output])


def grad(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """The gradient function of ``f``; see :func:`value_and_grad`.  With ``has_aux`` it returns (gradient, aux)."""
    both = value_and_grad(f, argnums, has_aux=has_aux)

    @wraps(f)
    def differentiated(*args: Any) -> Any:
        value, gradient = both(*args)
        return (gradient, value[1]) if has_aux else gradient

    return differentiated


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of ``f`` and its directional derivative J·t, by forward mode.

    Args:
        f: a function.
        primals: its arguments, a tuple or list.
        tangents: the direction t, nested and shaped as the arguments.
    """
    traced = _Differentiable("jvp", f, tuple(primals), tuple(range(len(primals))))
    direction = Arguments("jvp", tuple(tangents))
    _check_alike("jvp", "each tangent must have the shape of its argument", traced.chosen, direction)
    seeds = {x: cast(t, x.dtype) for x, t in zip(traced.inputs, direction.nodes)}
    found = Results.of(traced.result, "jvp")
    values, changes = pushforward(found.nodes, seeds)
    moved = [fill(y.tensor_type, 0) if t is None else t for t, y in zip(changes, found.nodes)]
    settled = traced.settle([*values, *moved])
    return found.rebuilt(settled[: len(values)]), found.rebuilt(settled[len(values) :])


def _check_alike(who: str, rule: str, first: Arguments, second: Arguments) -> None:
    a, b = ([x.shape for x in arguments.nodes] for arguments in (first, second))
    if a != b:
        raise ShapeError(who, rule=rule, got=f"shapes {a} and {b}")


def vjp(f: Function, *primals: Any) -> tuple[Any, Function]:
    """The value of ``f`` and a function from cotangents of the result to cotangents of the arguments (vᵀJ).

    Args:
        f: a function.
        primals: its arguments.

    Returns:
        ``(value, pull)``; ``pull(v)``, for v nested as the value, gives a tuple with one entry an argument.
    """
    traced = _Differentiable("vjp", f, primals, tuple(range(len(primals))))
    found = Results.of(traced.result, "vjp")

    def pull(cotangent: Any) -> tuple[Any, ...]:
        given = Results.of(cotangent, "vjp")
        if [x.shape for x in given.nodes] != [y.shape for y in found.nodes]:
            raise ShapeError(
                "vjp",
                rule="the cotangent must have the shape of the result",
                got=f"{[str(x.type) for x in given.nodes]} for {[str(y.type) for y in found.nodes]}",
            )
        cotangents = [cast(ct, y.dtype) for ct, y in zip(given.nodes, found.nodes)]
        _, back = pullback(found.nodes, traced.inputs, cotangents)
        return traced.gradients(traced.settle(back), single=False)

    return found.rebuilt(traced.settle(found.nodes)), pull


def jacobian(f: Function, argnums: int = 0) -> Function:
    """The Jacobian function of ``f``: for a result of shape S and an argument of shape T an array of shape S + T.

    The cheaper mode is chosen: reverse where the result has fewer elements than the argument, forward otherwise.
    ``f`` takes and returns single tensors at ``argnums`` and as its result.
    """

    @wraps(f)
    def differentiated(*args: Any) -> Tensor:
        (number,) = _chosen("jacobian", args, argnums)
        argument = leaf_node(args[number], "jacobian")
        _check_float("jacobian", [argument])

        def of_one(x: Tensor) -> Tensor:
            return f(*args[:number], x, *args[number + 1 :])

        result = _traced(of_one, Arguments("jacobian", (Tensor(argument),)))[0].outputs[0]
        _check_float("jacobian", [result])
        build = _reverse_jacobian if result.tensor_type.size < argument.tensor_type.size else _forward_jacobian
        return build(of_one, Tensor(argument), result.tensor_type)

    return differentiated


def _basis(type: TensorType) -> Tensor:
    """The unit directions of a tensor, one along the first axis for each element."""
    return Tensor(constant(np.eye(type.size, dtype=type.dtype).reshape(type.size, *type.shape)))


def _forward_jacobian(f: Function, x: Tensor, result: TensorType) -> Tensor:
    columns = vmap(lambda t: jvp(f, (x,), (t,))[1])(_basis(x.type))
    order = (*range(1, 1 + result.rank), 0)
    return columns.transpose(*order).reshape(*result.shape, *x.shape)


def _reverse_jacobian(f: Function, x: Tensor, result: TensorType) -> Tensor:
    rows = vmap(lambda ct: vjp(f, x)[1](ct)[0])(_basis(result))
    return rows.reshape(*result.shape, *x.shape)


def hessian(f: Function, argnums: int = 0) -> Function:
    """The matrix of second derivatives of a scalar function, shape T + T, by forward over reverse mode."""
    return jacobian(grad(f, argnums), argnums)


# Vectorising ----------------------------------------------------------------------------------------------------


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
                "vmap", rule="in_axes needs one entry an argument", got=f"{in_axes} for {len(args)} arguments"
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
        return found.rebuilt([_placed(y if has else control.repeat_front(y, size), out_axes) for y, has in outputs])

    return mapped


def _axis_per_leaf(args: Sequence[Any], axes: Sequence[int | None]) -> list[int | None]:
    return [axis for arg, axis in zip(args, axes) for leaf in tree.leaves(arg) if is_array_like(leaf)]


def _to_front(x: Node, axis: int | None) -> Node:
    if axis is None:
        return x
    at = normal_axis("vmap", x, axis)
    return x if at == 0 else control.permute(x, axes=(at, *(i for i in range(len(x.shape)) if i != at)))


def _common_size(nodes: Sequence[Node], axes: Sequence[int | None]) -> int:
    sizes = {x.shape[0] for x, a in zip(nodes, axes) if a is not None}
    if len(sizes) != 1:
        raise ShapeError(
            "vmap",
            rule="all mapped arguments must vary over one number of examples",
            got=f"sizes {sorted(sizes)}" if sizes else "no mapped argument",
        )
    return sizes.pop()


def _placed(y: Node, axis: int) -> Node:
    at = normal_axis("vmap", y, axis)
    rest = list(range(1, len(y.shape)))
    return y if at == 0 else control.permute(y, axes=(*rest[:at], 0, *rest[at:]))


# Loops and branches ---------------------------------------------------------------------------------------------


def _outside(outputs: Sequence[Node], inside: set[Node]) -> list[Node]:
    """The outermost values that a body uses of what was being traced around it; they become operands."""
    order = topological(outputs)
    unknown = dependents(order, [n for n in order if n.op is PLACEHOLDER])
    found: dict[Node, None] = {}
    for node in order:
        if node in inside:
            found.update({x: None for x in node.inputs if x not in inside and x in unknown})
    found.update({y: None for y in outputs if y not in inside and y in unknown})
    return list(found)


def _closed(outputs: Sequence[Node], outside: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """Placeholders for the outside values, and the outputs in terms of them."""
    stand_ins = {x: placeholder(x.tensor_type, "outside") for x in outside}
    return list(stand_ins.values()), substitute(outputs, stand_ins)


def scan(
    f: Function, init: Any, xs: Any = None, length: int | None = None, *, reverse: bool = False
) -> tuple[Any, Any]:
    """A loop that carries a value: ``carry, y = f(carry, x)`` for each x, as one node of the graph.

    Args:
        f: the body; must return a carry of the types it was given, and any y.
        init: the first carry (a nested value).
        xs: sequences along their first axes (a nested value), or None.
        length: the number of steps; needed where ``xs`` is None.
        reverse: start at the end of ``xs``; the ys are stacked at their x's places.

    Returns:
        ``(last carry, ys)`` with the ys of all steps stacked along a new first axis.

    Raises:
        ShapeError: the carry changes its type, or sequences differ in length.
    """
    start, sequences = Arguments("scan", (init,)), Arguments("scan", (xs,))
    steps = _scan_length(sequences.nodes, length)
    carry = [placeholder(x.tensor_type, "carry") for x in start.nodes]
    elements = [placeholder(x.tensor_type.with_shape(x.shape[1:]), "x") for x in sequences.nodes]
    result = f(*start.rebuilt(carry), *sequences.rebuilt(elements))
    if not isinstance(result, tuple) or len(result) != 2:
        raise OptionError("scan", rule="the body must return a pair (carry, y)", got=type(result).__name__)
    next_carry, ys = Results.of(result[0], "scan"), Results.of(result[1], "scan")
    if next_carry.definition != start.definition.children[0]:
        raise OptionError("scan", rule="the body must return a carry nested as the first one", got=repr(result[0]))
    outputs = [*next_carry.nodes, *ys.nodes]
    # What does not vary from step to step is computed once, before the loop.
    outside = _outside(outputs, dependents(topological(outputs), [*carry, *elements]))
    stand_ins, closed = _closed(outputs, outside)
    name = getattr(f, "__name__", "body")
    node = control.scan(
        *outside,
        *start.nodes,
        *sequences.nodes,
        body=Graph((*stand_ins, *carry, *elements), tuple(closed), name),
        consts=len(outside),
        carries=len(carry),
        length=steps,
        reverse=reverse,
    )
    found = control.results(node)
    return next_carry.rebuilt(found[: len(carry)]), ys.rebuilt(found[len(carry) :])


def _scan_length(nodes: Sequence[Node], length: int | None) -> int:
    if any(not x.shape for x in nodes):
        raise ShapeError("scan", rule="sequences need a first axis to step along", got="a scalar in xs")
    if length is not None and length < 0:
        raise ShapeError("scan", rule="the number of steps must not be negative", got=str(length))
    sizes = {x.shape[0] for x in nodes} | (set() if length is None else {length})
    if len(sizes) != 1:
        raise ShapeError(
            "scan",
            rule="all sequences must have one length",
            got=f"lengths {sorted(sizes)}" if sizes else "neither xs nor length",
        )
    return sizes.pop()


def cond(condition: Any, on_true: Function, on_false: Function, *args: Any) -> Any:
    """``on_true(*args)`` where the condition holds, else ``on_false(*args)``; only one of them is computed.

    Args:
        condition: one boolean.
        on_true: a function of ``args``.
        on_false: a function of ``args`` with results of the same types.
        args: tensors or nested values of them.

    Raises:
        DTypeError: the condition is not one boolean.
        ShapeError: the branches return different types.
    """
    arguments = Arguments("cond", args)
    start = next_serial()
    branches = [_traced(f, arguments) for f in (on_true, on_false)]
    (_, found), (_, other) = branches
    if found.definition != other.definition:
        raise OptionError("cond", rule="both branches must return values nested alike", got="two different structures")
    # What a branch made is computed in it alone, even if it depends on no argument.
    made = [{n for n in graph.nodes if n.serial > start} for graph, _ in branches]
    outside = list(dict.fromkeys(x for (graph, _), own in zip(branches, made) for x in _outside(graph.outputs, own)))
    closed = []
    for graph, _ in branches:
        stand_ins, outputs = _closed(graph.outputs, outside)
        closed.append(Graph((*stand_ins, *graph.inputs), tuple(outputs), graph.name))
    node = control.cond(leaf_node(condition, "cond"), *outside, *arguments.nodes, on_true=closed[0], on_false=closed[1])
    return found.rebuilt(control.results(node))
