"""Lanczos' method beside NumPy's and SciPy's eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from gradloom.optim.lanczos import lanczos


def symmetric(n: int, seed: int, rank: int | None = None) -> np.ndarray:
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n, n if rank is None else rank))
    return half @ np.diag(rng.normal(size=half.shape[1])) @ half.T


@given(n=st.integers(1, 12), seed=st.integers(0, 1000), steps=st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_what_holds_of_ritz_values(n: int, seed: int, steps: int) -> None:
    matrix = symmetric(n, seed)
    start = np.random.default_rng(seed).normal(size=n)
    eigenvalues = np.linalg.eigvalsh(matrix)
    size = np.abs(eigenvalues).max()
    found = lanczos(lambda v: matrix @ v, start, steps)
    slack = 1e-10 * size
    assert len(found.values) <= min(n, steps)
    assert found.weights.sum() == pytest.approx(1)
    assert eigenvalues[0] - slack <= found.values[0]
    assert found.values[-1] <= eigenvalues[-1] + slack
    for bound in (-0.5 * size, 0.0, 0.5 * size):
        assert (found.values < bound - slack).sum() <= (eigenvalues < bound).sum()
    for value, residual in zip(found.values, found.residuals):
        assert np.abs(eigenvalues - value).min() <= residual + slack
    # The weights are a quadrature: their moments are those of the start.
    unit = start / np.linalg.norm(start)
    assert found.weights @ found.values == pytest.approx(unit @ matrix @ unit, abs=slack)
    vector = found.vector(0)
    assert np.linalg.norm(matrix @ vector - found.values[0] * vector) <= found.residuals[0] + slack


def test_all_steps_find_all_eigenvalues() -> None:
    matrix = symmetric(40, 3)
    found = lanczos(lambda v: matrix @ v, np.random.default_rng(0).normal(size=40), 40)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(matrix), atol=1e-10)


def test_ends_of_a_large_spectrum() -> None:
    matrix = symmetric(600, 5)
    found = lanczos(lambda v: matrix @ v, np.random.default_rng(0).normal(size=600), 120)
    ends = scipy.sparse.linalg.eigsh(matrix, k=2, which="BE", return_eigenvectors=False)
    np.testing.assert_allclose(found.values[[0, -1]], ends, rtol=1e-9)
    assert max(found.residuals[0], found.residuals[-1]) < 1e-4 * np.abs(ends).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_where_nothing_new_comes(dtype: type) -> None:
    start = np.random.default_rng(0).normal(size=30).astype(dtype)
    identity = lanczos(lambda v: v, start, 20)
    np.testing.assert_allclose(identity.values, [1], rtol=1e-6)
    low = symmetric(30, 1, rank=3).astype(dtype)
    found = lanczos(lambda v: low @ v, start, 20)
    assert len(found.values) == 4  # three directions, and what of the start lies in none of them
    top = np.linalg.eigvalsh(low.astype(np.float64))
    np.testing.assert_allclose(found.values[[0, -1]], top[[0, -1]], atol=1e-5 * np.abs(top).max())
