"""Factorisations of matrices and linear systems.  Leading axes are batch axes; the last two are rows and columns.

A matrix that has no answer (not positive definite, singular) gives NaN or infinity in its own result and leaves the
other matrices of the batch alone, so that a training step on many of them can go on and look for NaN afterwards.

Source of the derivatives: Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008); for Cholesky: Murray, "Differentiation of the Cholesky decomposition" (2016).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gradloom.errors import DTypeError, ShapeError
from gradloom.ir.graph import Node, Op, constant
from gradloom.ir.tensortype import TensorType
from gradloom.ops.contraction import contract
from gradloom.ops.core import add, aligned, broadcast, permute, reshape
from gradloom.ops.elementwise import constant_like, mul, neg, scale, select

# Checks and helpers -------------------------------------------------------------------------------------------


def _check_square(who: str, a: TensorType) -> None:
    if a.dtype.name not in ("float32", "float64"):
        raise DTypeError(
            who,
            rule="matrices must be of float32 or float64",
            got=str(a),
            fix='Convert with gl.cast(x, "float32").',
        )
    if a.rank < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(who, rule="the last two axes must form a square matrix", got=str(a))


def _check_system(who: str, a: TensorType, b: TensorType) -> None:
    _check_square(who, a)
    if a.dtype != b.dtype:
        raise DTypeError(who, rule="matrix and right-hand side must have one data type", got=f"{a} and {b}")
    if a.shape[:-2] != b.shape[:-2] or a.rank != b.rank:
        raise ShapeError(
            who,
            rule="matrix (..., n, n) and right-hand side (..., n, k) must have the same batch axes",
            got=f"{a} and {b}",
            fix="Repeat the smaller one with gl.broadcast_to; a vector is a matrix of one column.",
        )
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            who,
            rule="the right-hand side must have as many rows as the matrix",
            got=f"{b.shape[-2]} rows ({b}) for {a}",
        )


def matrix_product(a: Node, b: Node) -> Node:
    """a b for the last two axes; the axes before them are equal."""
    rank = len(a.shape)
    shared = tuple(range(rank - 2))
    return contract(a, b, contract=((rank - 1,), (rank - 2,)), batch=(shared, shared))


def matrix_transpose(a: Node) -> Node:
    """The last two axes exchanged."""
    rank = len(a.shape)
    return permute(a, axes=(*range(rank - 2), rank - 1, rank - 2))


def _repeated(matrix: np.ndarray, like: Node) -> Node:
    """A constant matrix, once for every matrix of ``like``."""
    rank = len(like.shape)
    return broadcast(constant(matrix), shape=like.shape, axes=(rank - 2, rank - 1))


def _triangle(a: Node, lower: bool) -> Node:
    """The matrices with zeros in the other triangle."""
    ones = np.ones(a.shape[-2:], bool)
    kept = _repeated(np.tril(ones) if lower else np.triu(ones), a)
    return select(kept, a, constant_like(a, 0))


def _or_nan(function: Callable[..., np.ndarray], *matrices: np.ndarray) -> np.ndarray:
    """``function`` of every matrix of the batch, NaN for those that it refuses."""
    try:
        return function(*matrices)
    except np.linalg.LinAlgError:  # some matrix has no answer: NumPy does not say which
        out = np.full_like(matrices[-1], np.nan)
        for index in np.ndindex(out.shape[:-2]):
            try:
                out[index] = function(*(m[index] for m in matrices))
            except np.linalg.LinAlgError:
                continue
        return out


# Cholesky -----------------------------------------------------------------------------------------------------


def _cholesky_type(a: TensorType) -> TensorType:
    _check_square("cholesky", a)
    return a


def _cholesky(a: np.ndarray) -> np.ndarray:
    return _or_nan(np.linalg.cholesky, (a + a.swapaxes(-1, -2)) / 2)


def _cholesky_derivative(out: Node, tangents: Sequence[Node | None]) -> Node | None:
    """L Φ(L⁻¹ dA L⁻ᵀ), where Φ keeps the lower triangle and halves the diagonal."""
    (t,) = tangents
    if t is None:
        return None
    symmetric = scale(add(t, matrix_transpose(t)), 0.5)
    half = triangular_solve(out, symmetric, lower=True, transposed=False)
    inner = triangular_solve(out, matrix_transpose(half), lower=True, transposed=False)  # L⁻¹ dA L⁻ᵀ is symmetric
    n = t.shape[-1]
    phi = (np.tril(np.ones((n, n))) - 0.5 * np.eye(n)).astype(t.dtype)
    return matrix_product(out, mul(inner, _repeated(phi, t)))


cholesky = Op(
    "cholesky",
    _cholesky_type,
    _cholesky,
    derivative=_cholesky_derivative,
    batch=lambda size, node, inputs, batched: cholesky(inputs[0]),
)
"""The lower triangular L with L Lᵀ = A, for the symmetric part A = (a + aᵀ) / 2; NaN if A is not positive definite."""

# Linear systems -----------------------------------------------------------------------------------------------


def _system(
    name: str, type_rule: Callable[..., TensorType], compute: Callable[..., np.ndarray], part: Callable[..., Node]
) -> Op:
    """Declare the solution X of op(A) X = B, where A is the ``part`` of the first operand that is read.

    op(A) is Aᵀ where the attribute ``transposed`` is set, else A.
    """

    def derivative(out: Node, tangents: Sequence[Node | None]) -> Node | None:
        """op(A) dX = dB - op(dA) X."""
        change, right = tangents
        if change is not None:
            read = part(change, **out.attrs)
            drift = neg(matrix_product(matrix_transpose(read) if out.attrs["transposed"] else read, out))
            right = drift if right is None else add(right, drift)
        return None if right is None else out.op(out.inputs[0], right, **out.attrs)

    def transpose(ct: Node, node: Node, linear: Sequence[bool]) -> Sequence[Node | None]:
        return None, node.op(node.inputs[0], ct, **{**node.attrs, "transposed": not node.attrs["transposed"]})

    return Op(name, type_rule, compute, derivative=derivative, transpose=transpose, batch=_system_batch)


def _system_batch(size: int, node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    if batched[0]:
        return node.op(*aligned(size, inputs, batched), **node.attrs)
    # One matrix for all right-hand sides: they become further columns, and the matrix is factored once.
    a, b = inputs
    *lead, rows, columns = b.shape[1:]
    last = len(b.shape) - 1
    wide = reshape(permute(b, axes=(*range(1, last), 0, last)), shape=(*lead, rows, size * columns))
    found = reshape(node.op(a, wide, **node.attrs), shape=(*lead, rows, size, columns))
    return permute(found, axes=(last - 1, *range(last - 1), last))


def _solve_type(a: TensorType, b: TensorType, *, transposed: bool) -> TensorType:
    _check_system("solve", a, b)
    return b


def _solve(a: np.ndarray, b: np.ndarray, transposed: bool) -> np.ndarray:
    return _or_nan(np.linalg.solve, a.swapaxes(-1, -2) if transposed else a, b)


def _whole(a: Node, transposed: bool) -> Node:
    return a


solve = _system("solve", _solve_type, _solve, _whole)
"""X with a X = b, or aᵀ X = b where ``transposed``, by LU with pivoting; NaN where a is singular."""


def _triangular_type(a: TensorType, b: TensorType, *, lower: bool, transposed: bool) -> TensorType:
    _check_system("triangular_solve", a, b)
    return b


def _triangular_solve(a: np.ndarray, b: np.ndarray, lower: bool, transposed: bool) -> np.ndarray:
    """Substitution row by row; a zero on the diagonal divides by zero."""
    if transposed:
        a, lower = a.swapaxes(-1, -2), not lower
    n, x = a.shape[-1], np.zeros_like(b)
    for i in range(n) if lower else reversed(range(n)):
        solved = slice(0, i) if lower else slice(i + 1, n)
        known = a[..., i : i + 1, solved] @ x[..., solved, :]
        x[..., i, :] = (b[..., i, :] - known[..., 0, :]) / a[..., i, i, None]
    return x


def _read_triangle(a: Node, lower: bool, transposed: bool) -> Node:
    return _triangle(a, lower)


triangular_solve = _system("triangular_solve", _triangular_type, _triangular_solve, _read_triangle)
"""X with A X = b, or Aᵀ X = b where ``transposed``; A is the ``lower`` or upper triangle of a, the rest is not read.

A zero on the diagonal gives infinities or NaN.
"""
