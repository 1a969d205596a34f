"""Factorisations and linear systems against SciPy, central differences and Python loops."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from derivative_checks import assert_derivatives, assert_maps, run

from gradloom.errors import DTypeError, ShapeError
from gradloom.ir.graph import Node, constant
from gradloom.ops.linalg import cholesky, solve, triangular_solve

BOTH = [False, True]


def matrices(*shape: int, seed: int = 0) -> np.ndarray:
    """Random matrices far from singular, as their diagonal dominates."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, shape) + shape[-1] * np.eye(shape[-1])


def positive_definite(*shape: int, seed: int = 0) -> np.ndarray:
    a = matrices(*shape, seed=seed)
    return a @ a.swapaxes(-1, -2)


def right_hand_sides(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


# Values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_cholesky_is_scipys(dtype, tolerance):
    a = positive_definite(2, 3, 4, 4).astype(dtype)
    found = run(cholesky, a)
    assert found.dtype == dtype
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(found[index], scipy.linalg.cholesky(a[index], lower=True), rtol=0, atol=tolerance)


def test_cholesky_reads_the_symmetric_part():
    a = positive_definite(3, 3)
    skew = np.array([[0.0, 1, -2], [-1, 0, 3], [2, -3, 0]])
    np.testing.assert_allclose(run(cholesky, a + skew), run(cholesky, a), rtol=1e-13)


@pytest.mark.parametrize("transposed", BOTH)
@pytest.mark.parametrize("lower", BOTH)
def test_triangular_solve_is_scipys(lower, transposed):
    a, b = matrices(3, 5, 5), right_hand_sides(3, 5, 2)
    found = run(lambda a, b: triangular_solve(a, b, lower=lower, transposed=transposed), a, b)
    for i in range(3):
        wanted = scipy.linalg.solve_triangular(a[i], b[i], lower=lower, trans=int(transposed))
        np.testing.assert_allclose(found[i], wanted, rtol=1e-12)


@pytest.mark.parametrize("transposed", BOTH)
def test_solve_is_scipys(transposed):
    a, b = matrices(2, 2, 4, 4), right_hand_sides(2, 2, 4, 3)
    found = run(lambda a, b: solve(a, b, transposed=transposed), a, b)
    for index in np.ndindex(2, 2):
        np.testing.assert_allclose(
            found[index], scipy.linalg.solve(a[index], b[index], transposed=transposed), rtol=1e-11
        )


def test_solve_exchanges_rows():
    a, b = np.array([[0.0, 2], [1, 0]]), np.array([[4.0], [3]])
    np.testing.assert_array_equal(run(lambda a, b: solve(a, b, transposed=False), a, b), [[3], [2]])


@pytest.mark.parametrize("rows", [0, 1])
def test_smallest_matrices(rows):
    a, b = np.full((rows, rows), 4.0), np.full((rows, 2), 8.0)
    np.testing.assert_array_equal(run(cholesky, a), np.full((rows, rows), 2.0))
    for function in (
        lambda a, b: solve(a, b, transposed=False),
        lambda a, b: triangular_solve(a, b, lower=True, transposed=True),
    ):
        np.testing.assert_array_equal(run(function, a, b), np.full((rows, 2), 2.0))


# Matrices without an answer -----------------------------------------------------------------------------------------


def test_only_the_matrix_that_is_not_positive_definite_becomes_nan():
    good = positive_definite(3, 3)
    found = run(cholesky, np.stack([good, -good, np.full((3, 3), np.nan), good]))
    assert np.isnan(found[1]).all()
    assert np.isnan(found[2]).any()
    np.testing.assert_array_equal(found[[0, 3]], np.stack([np.linalg.cholesky(good)] * 2))


def test_only_the_singular_system_becomes_nan():
    good, b = matrices(2, 2), right_hand_sides(2, 2, 1)
    found = run(lambda a, b: solve(a, b, transposed=False), np.stack([good, np.ones((2, 2))]), b)
    np.testing.assert_allclose(good @ found[0], b[0], rtol=1e-12)
    assert np.isnan(found[1]).all()


def test_a_zero_on_the_diagonal_divides_by_zero():
    a, b = np.array([[0.0, 0], [1, 2]]), np.array([[1.0], [1]])
    found = run(lambda a, b: triangular_solve(a, b, lower=True, transposed=False), a, b)
    assert not np.isfinite(found).any()


# Derivatives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3)])
def test_derivatives_of_cholesky(shape):
    assert_derivatives(cholesky, positive_definite(*shape), order=2)


@pytest.mark.parametrize("transposed", BOTH)
@pytest.mark.parametrize("shape", [(), (2,)])
def test_derivatives_of_solve(shape, transposed):
    a, b = matrices(*shape, 3, 3), right_hand_sides(*shape, 3, 2)
    assert_derivatives(lambda a, b: solve(a, b, transposed=transposed), a, b, order=2)


@pytest.mark.parametrize("transposed", BOTH)
@pytest.mark.parametrize("lower", BOTH)
def test_derivatives_of_triangular_solve(lower, transposed):
    a, b = matrices(2, 3, 3), right_hand_sides(2, 3, 2)
    assert_derivatives(lambda a, b: triangular_solve(a, b, lower=lower, transposed=transposed), a, b, order=2)


def test_derivative_by_matrix_and_right_hand_side_together():
    def function(x: Node) -> Node:
        return solve(x, x, transposed=True)  # x⁻ᵀ x

    assert_derivatives(function, matrices(3, 3))


# vmap ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapped", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_mapped_systems(mapped, lead):
    shapes = ((*lead, 3, 3), (*lead, 3, 2))
    a = matrices(*((4,) if mapped[0] else ()), *shapes[0])
    b = right_hand_sides(*((4,) if mapped[1] else ()), *shapes[1])
    assert_maps(lambda a, b: solve(a, b, transposed=False), a, b, mapped=mapped)
    assert_maps(lambda a, b: triangular_solve(a, b, lower=False, transposed=True), a, b, mapped=mapped)


def test_mapped_cholesky():
    assert_maps(cholesky, positive_definite(4, 2, 3, 3), mapped=(True,))


# Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 1)), ShapeError, "square"),
        (np.ones(3), np.ones((3, 1)), ShapeError, "square"),
        (np.eye(3), np.ones((2, 1)), ShapeError, "as many rows as the matrix; got 2 rows"),
        (np.eye(3), np.ones(3), ShapeError, "same batch axes"),
        (np.ones((2, 3, 3)), np.ones((4, 3, 1)), ShapeError, "same batch axes"),
        (np.eye(3, dtype="float16"), np.ones((3, 1), "float16"), DTypeError, "float32 or float64"),
        (np.eye(3, dtype="float32"), np.ones((3, 1)), DTypeError, "one data type"),
    ],
)
def test_refused_systems(a, b, error, message):
    with pytest.raises(error, match=message):
        solve(constant(a), constant(b), transposed=False)
    with pytest.raises(error, match=message):
        triangular_solve(constant(a), constant(b), lower=True, transposed=False)


def test_cholesky_refuses_what_is_not_square():
    with pytest.raises(ShapeError, match="square"):
        cholesky(constant(np.ones((3, 2))))
