"""Whole matrices of derivatives: each element of a result by each element of an argument.

Forward mode gives a column of the Jacobian at a time, reverse mode a row; all columns or rows are one graph, for the
directions are mapped over.  So the cost is the number of directions, and the mode with fewer is the cheaper.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import update_wrapper
from typing import Any, Literal

import numpy as np

from gradloom import options
from gradloom.autodiff.batching import batch
from gradloom.autodiff.forward import pushforward
from gradloom.autodiff.reverse import pullback
from gradloom.derivatives import Differentiable, check_result, grad
from gradloom.ir.graph import Node, constant, placeholder
from gradloom.ir.tensortype import TensorType
from gradloom.ops import core
from gradloom.tracing import Function, Results

Mode = Literal["auto", "forward", "reverse"]


class Jacobian:
    """What :func:`jacobian` gives: a function of the same arguments, which also says in which mode it works."""

    def __init__(self, f: Function, argnums: int | Sequence[int], mode: Mode) -> None:
        self._function, self._argnums = f, argnums
        self._mode = options.choice("jacobian", "mode", mode, ("auto", "forward", "reverse"))
        update_wrapper(self, f, updated=())  # attributes of f are not ours

    def __call__(self, *args: Any) -> Any:
        """The Jacobian at these arguments."""
        traced, found = self._traced(args)
        by_result = (_columns if self._chosen(traced, found) == "forward" else _rows)(found.nodes, traced.inputs)
        flat = traced.settle([block for blocks in by_result for block in blocks])
        count, single = len(traced.inputs), isinstance(self._argnums, int)
        rows = [flat[i * count : (i + 1) * count] for i in range(len(found.nodes))]
        return found.rebuilt([traced.gradients(row, single) for row in rows])

    def mode(self, *args: Any) -> str:
        """``"forward"`` or ``"reverse"``: the mode that is used at arguments of these types."""
        return self._chosen(*self._traced(args))

    def explain(self, *args: Any) -> str:
        """The mode in a sentence, with the number of directions in each."""
        traced, found = self._traced(args)
        columns, rows = _size(traced.inputs), _size(found.nodes)
        chosen = self._chosen(traced, found)
        taken, other = (columns, rows) if chosen == "forward" else (rows, columns)
        rest = "reverse" if chosen == "forward" else "forward"
        return f"{chosen} mode: {taken} directions, where {rest} mode would take {other}"

    def _traced(self, args: tuple[Any, ...]) -> tuple[Differentiable, Results]:
        numbers = options.argument_numbers("jacobian", len(args), self._argnums)
        traced = Differentiable("jacobian", self._function, args, numbers)
        found = Results.of(traced.result, "jacobian")
        for y in found.nodes:
            check_result("jacobian", y)
        return traced, found

    def _chosen(self, traced: Differentiable, found: Results) -> str:
        if self._mode != "auto":
            return self._mode
        return "reverse" if _size(found.nodes) < _size(traced.inputs) else "forward"


def jacobian(f: Function, argnums: int | Sequence[int] = 0, *, mode: Mode = "auto") -> Jacobian:
    """The Jacobian function of ``f``: for a result of shape S and an argument of shape T an array of shape S + T.

    A matrix by a matrix has four axes: J[p, q, m, n] = ∂F[p, q] / ∂X[m, n].

    Args:
        f: a function of tensors (or nested values of them) that returns floats, nested or not.
        argnums: which arguments to differentiate by.
        mode: "forward", "reverse", or "auto", the one with fewer directions: the elements of the arguments in forward
            mode, those of the results in reverse mode; forward mode where they are equal.

    Returns:
        A function of the same arguments.  What it returns is nested as the result of ``f``, and in place of each tensor
        of it as the argument (a tuple where ``argnums`` is one).  Its method ``mode(*args)`` says which mode is taken,
        ``explain(*args)`` says why.

    Raises:
        DTypeError: a result or an argument is not of floats.
        OptionError: an unknown mode, or a number of an argument that is not there.
    """
    return Jacobian(f, argnums, mode)


def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The matrix of second derivatives of a scalar function, shape T + T, by forward over reverse mode.

    Nested arguments give blocks: nested as the argument, and each part nested as the argument again.
    """
    return jacobian(grad(f, argnums), argnums, mode="forward")


def _size(nodes: Sequence[Node]) -> int:
    return sum(x.tensor_type.size for x in nodes)


def _basis(type: TensorType) -> Node:
    """The unit directions of a tensor, one along the first axis for each element."""
    return constant(np.eye(type.size, dtype=type.dtype).reshape(type.size, *type.shape))


def _columns(results: Sequence[Node], inputs: Sequence[Node]) -> list[list[Node]]:
    """Blocks by result and input, by forward mode in the direction of each element of the inputs."""
    by_input = []
    for x in inputs:
        seed = placeholder(x.tensor_type, "tangent")
        _, tangents = pushforward(results, {x: seed})
        by_input.append([_block(column, y, x) for column, y in zip(_mapped(tangents, seed), results)])
    return [list(blocks) for blocks in zip(*by_input)]


def _block(columns: Node | None, result: Node, x: Node) -> Node:
    """Columns, which lie along the first axis, as an array of shape S + T."""
    shape = (*result.shape, *x.shape)
    if columns is None:
        return core.zeros(result.tensor_type.with_shape(shape))
    return core.reshape(core.permute(columns, axes=(*range(1, len(result.shape) + 1), 0)), shape=shape)


def _rows(results: Sequence[Node], inputs: Sequence[Node]) -> list[list[Node]]:
    """The same by reverse mode, for each element of the results."""
    by_result = []
    for y in results:
        seed = placeholder(y.tensor_type, "cotangent")
        _, cotangents = pullback([y], inputs, [seed])
        rows = _mapped(cotangents, seed)
        by_result.append([core.reshape(row, shape=(*y.shape, *x.shape)) for row, x in zip(rows, inputs)])
    return by_result


def _mapped(values: Sequence[Node | None], seed: Node) -> list[Any]:
    """Values for every unit direction in place of the seed; None stays None."""
    directions = _basis(seed.tensor_type)
    found = batch([v for v in values if v is not None], {seed: directions}, directions.shape[0])
    every = iter(v if has else core.repeat_front(v, directions.shape[0]) for v, has in found)
    return [None if v is None else next(every) for v in values]
