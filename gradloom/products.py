"""Products of matrices and tensors, and linear algebra."""

from __future__ import annotations

import numpy as np

from gradloom import semantics
from gradloom.einsum import contract_by_letters
from gradloom.errors import ShapeError
from gradloom.ir.graph import constant
from gradloom.ops import core, elementwise, linalg
from gradloom.pointwise import where
from gradloom.semantics import to_float
from gradloom.tensor import Tensor, TensorLike, node_of, unwrap

# Products -------------------------------------------------------------------------------------------------------


def matmul(x: TensorLike, y: TensorLike) -> Tensor:
    """The matrix product; leading axes broadcast."""
    return Tensor(semantics.matmul(unwrap(x), unwrap(y)))


def dot(x: TensorLike, y: TensorLike) -> Tensor:
    """The product of scalars, the inner product of vectors, the matrix product otherwise (two axes at most).

    Raises:
        ShapeError: an operand has more than two axes.
    """
    a, b = node_of(x, "dot"), node_of(y, "dot")
    if max(len(a.shape), len(b.shape)) > 2:
        raise ShapeError(
            "dot",
            rule="operands have at most two axes",
            got=f"{a.type} and {b.type}",
            fix="Use gl.matmul or gl.einsum.",
        )
    return Tensor(semantics.apply(elementwise.mul, a, b) if not (a.shape and b.shape) else semantics.matmul(a, b))


def outer(x: TensorLike, y: TensorLike) -> Tensor:
    """x_i · y_j for two vectors."""
    return einsum("i,j->ij", x, y)


def einsum(spec: str, *tensors: TensorLike) -> Tensor:
    """Einstein's sum: ``einsum("ij,jk->ik", a, b)``, or ``"...i,i->..."`` for any axes in front.

    See gradloom/einsum.py.
    """
    nodes = semantics.promoted("einsum", [unwrap(t) for t in tensors])
    return Tensor(contract_by_letters(spec, nodes))


# Linear algebra -------------------------------------------------------------------------------------------------


def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """X in A X = B, for matrices (..., n, n) and right-hand sides (..., n, k) or a vector (n,)."""
    matrix, right = semantics.promoted("solve", (unwrap(a), unwrap(b)))
    if len(right.shape) == 1:
        column = core.reshape(right, shape=(*right.shape, 1))
        return Tensor(
            core.reshape(linalg.solve(to_float(matrix), to_float(column), transposed=False), shape=right.shape)
        )
    return Tensor(linalg.solve(to_float(matrix), to_float(right), transposed=False))


def cholesky(a: TensorLike) -> Tensor:
    """The lower triangular L with L Lᵀ = A; NaN where A is not positive definite."""
    return Tensor(linalg.cholesky(to_float(node_of(a, "cholesky"))))


def triangular_solve(a: TensorLike, b: TensorLike, *, lower: bool = True, transposed: bool = False) -> Tensor:
    """X in A X = B (or Aᵀ X = B) for a triangular A (..., n, n) and B (..., n, k)."""
    matrix, right = semantics.promoted("triangular_solve", (unwrap(a), unwrap(b)))
    return Tensor(linalg.triangular_solve(to_float(matrix), to_float(right), lower=lower, transposed=transposed))


def tril(x: TensorLike) -> Tensor:
    """The last two axes with zeros above the diagonal."""
    node = node_of(x, "tril")
    mask = constant(np.tril(np.ones(node.shape[-2:], bool)))
    return where(Tensor(mask), Tensor(node), 0)
