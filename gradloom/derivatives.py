"""Derivatives: gradients, and products with the Jacobian from either side.

Each traces the function and gives its graph to forward or reverse mode (gradloom/autodiff).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from typing import Any

from gradloom import options
from gradloom.autodiff.forward import pushforward
from gradloom.autodiff.reverse import pullback
from gradloom.errors import DTypeError, ShapeError
from gradloom.ir.graph import Node, fill, substitute
from gradloom.records import dataclass
from gradloom.semantics import cast
from gradloom.tensor import Tensor, node_of
from gradloom.tracing import Arguments, Function, Results, parameter_names


def _check_arguments(who: str, nodes: Sequence[Node]) -> None:
    for x in nodes:
        if not x.tensor_type.is_float:
            raise DTypeError(
                who,
                rule="a derivative exists with respect to floats alone",
                got=str(x.type),
                fix="Convert the argument with gl.cast(x, 'float32'), or leave it out of argnums.",
            )


def check_result(who: str, result: Node) -> None:
    """Refuse a result that has no derivative."""
    if not result.tensor_type.is_float:
        raise DTypeError(
            who,
            rule="the function must return floats, for nothing else has a derivative",
            got=str(result.type),
            fix="Return floats computed from the arguments; comparing, counting and argmax give none.",
        )


@dataclass
class Differentiable:
    """A function traced at its arguments, with those to differentiate by replaced by placeholders.

    Only these are replaced, so that everything that depends on the others alone is computed at once.
    """

    who: str
    f: Function
    args: tuple[Any, ...]
    numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        self.chosen = Arguments(self.who, tuple(self.args[n] for n in self.numbers))
        _check_arguments(self.who, self.chosen.nodes)
        names = parameter_names(self.f, len(self.args))
        self.inputs = self.chosen.placeholders([names[n] for n in self.numbers])
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
        traced = Differentiable("grad", f, args, options.argument_numbers("grad", len(args), argnums))
        value, aux = traced.result if has_aux else (traced.result, None)
        output = node_of(value, "grad")
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
    check_result("grad", output)


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
    traced = Differentiable("jvp", f, tuple(primals), tuple(range(len(primals))))
    direction = Arguments("jvp", tuple(tangents))
    _check_direction(traced.chosen, direction)
    seeds = {x: cast(t, x.dtype) for x, t in zip(traced.inputs, direction.nodes)}
    found = Results.of(traced.result, "jvp")
    values, changes = pushforward(found.nodes, seeds)
    moved = [fill(y.tensor_type, 0) if t is None else t for t, y in zip(changes, found.nodes)]
    settled = traced.settle([*values, *moved])
    return found.rebuilt(settled[: len(values)]), found.rebuilt(settled[len(values) :])


def _check_direction(primals: Arguments, tangents: Arguments) -> None:
    a, b = ([x.shape for x in arguments.nodes] for arguments in (primals, tangents))
    if a != b:
        raise ShapeError(
            "jvp",
            rule="each tangent must have the shape of its argument",
            got=f"shapes {a} and {b}",
            fix="Pass one tangent for each argument, such as gl.ones_like(x).",
        )


def vjp(f: Function, *primals: Any) -> tuple[Any, Function]:
    """The value of ``f`` and a function from cotangents of the result to cotangents of the arguments (vᵀJ).

    Args:
        f: a function.
        primals: its arguments.

    Returns:
        ``(value, pull)``; ``pull(v)``, for v nested as the value, gives a tuple with one entry an argument.
    """
    traced = Differentiable("vjp", f, primals, tuple(range(len(primals))))
    found = Results.of(traced.result, "vjp")

    def pull(cotangent: Any) -> tuple[Any, ...]:
        given = Results.of(cotangent, "vjp")
        if [x.shape for x in given.nodes] != [y.shape for y in found.nodes]:
            raise ShapeError(
                "vjp",
                rule="the cotangent must have the shape of the result",
                got=f"{[str(x.type) for x in given.nodes]} for {[str(y.type) for y in found.nodes]}",
                fix="Pass one nested as the value, such as gl.ones_like(value).",
            )
        cotangents = [cast(ct, y.dtype) for ct, y in zip(given.nodes, found.nodes)]
        _, back = pullback(found.nodes, traced.inputs, cotangents)
        return traced.gradients(traced.settle(back), single=False)

    return found.rebuilt(traced.settle(found.nodes)), pull


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, ...]:
    """The product H·t of the matrix of second derivatives of a scalar function with a direction, without the matrix.

    It is the derivative of the gradient along t, by forward over reverse mode, and takes about twice as long as the
    gradient, however many numbers t has.

    Args:
        f: a function whose result is one float.
        primals: its arguments, a tuple or list.
        tangents: the direction t, nested and shaped as the arguments.

    Returns:
        A tuple with one entry an argument, nested as it is.

    Source: Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6 (1994).
    """
    return jvp(grad(f, tuple(range(len(primals)))), primals, tangents)[1]
