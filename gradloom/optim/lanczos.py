"""Eigenvalues of a symmetric matrix that is known by its products alone: Lanczos' method (1950).

From a start q₁ it makes an orthonormal basis Q of q₁, A q₁, A² q₁, ... in which A is tridiagonal.  The eigenvalues of
that small matrix, the Ritz values, find the ends of the spectrum of A first.  Rounding would soon bring directions
back that were found already, so each new one is made orthogonal to all others, twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

import numpy as np

from gradloom.records import dataclass

Product = Callable[[np.ndarray], np.ndarray]
"""From a vector v to A v."""


@dataclass(frozen=True)
class Ritz:
    """What a run found.

    Attributes:
        values: Ritz values θ from small to large.  Each lies between the ends of the spectrum, and no more of them are
            below a number than eigenvalues are (Cauchy).
        residuals: ‖A u - θ u‖ for the Ritz vector u of each: some eigenvalue is no farther than this from θ.
        weights: squared components of the start along the Ritz vectors; they add up to 1.
    """

    values: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray
    _basis: np.ndarray = field(repr=False)
    _coordinates: np.ndarray = field(repr=False)

    def vector(self, index: int) -> np.ndarray:
        """The Ritz vector of a value, of length 1."""
        return self._basis.T @ self._coordinates[:, index].astype(self._basis.dtype)


def lanczos(product: Product, start: np.ndarray, steps: int) -> Ritz:
    """Ritz values of A after so many products, or fewer where the products of the start span no more directions.

    Args:
        product: with A, which is symmetric.
        start: any vector but 0, shape (n,); a random one has a part along every eigenvector.
        steps: at most.
    """
    steps = min(steps, len(start))
    basis = np.zeros((steps, len(start)), start.dtype)
    basis[0] = start / np.linalg.norm(start)
    diagonal, beside, count = np.zeros(steps), np.zeros(steps), 0
    for k in range(steps):
        direction = product(basis[k])
        diagonal[k], count = basis[k] @ direction, k + 1
        known = basis[:count]
        for _ in range(2):
            direction = direction - known.T @ (known @ direction)
        beside[k] = np.linalg.norm(direction)
        # What is left is rounding: the basis already holds all that the products reach.
        scale = np.abs(diagonal[:count]).max() + beside[:count].max()
        if beside[k] <= len(start) * np.finfo(start.dtype).eps * scale:
            beside[k] = 0
            break
        if count < steps:
            basis[count] = direction / beside[k]
    off = np.diag(beside[: count - 1], 1)
    values, coordinates = np.linalg.eigh(np.diag(diagonal[:count]) + off + off.T)
    residuals = beside[count - 1] * np.abs(coordinates[-1])
    return Ritz(values, residuals, coordinates[0] ** 2, basis[:count], coordinates)
