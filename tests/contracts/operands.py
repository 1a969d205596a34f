"""Operands for the table of primitives: how each is drawn from a seeded generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gradloom.ir.graph import Domain
from gradloom.ir.tensortype import as_dtype

CLEARANCE = 0.05
"""How far samples stay from kinks and from each other, wider than any step of the difference quotients."""


@dataclass(frozen=True)
class Operand:
    """One operand of a case.

    Attributes:
        draw: from a generator and the primitive's domain to an array.
        generic: whether the operand takes the data type that the case is run in.
    """

    draw: Callable[[np.random.Generator, Domain], np.ndarray]
    generic: bool = False


def reals(*shape: int) -> Operand:
    """Numbers uniform in the primitive's domain, clear of its kinks."""

    def draw(rng: np.random.Generator, domain: Domain) -> np.ndarray:
        found = rng.uniform(domain.low, domain.high, shape)
        for kink in domain.away:
            side = np.where(found < kink, -CLEARANCE, CLEARANCE)
            found = np.where(np.abs(found - kink) < CLEARANCE, kink + side, found)
        return np.asarray(found)

    return Operand(draw, generic=True)


def distinct(*shape: int) -> Operand:
    """Numbers in random order, no two nearer to each other than the clearance."""

    def draw(rng: np.random.Generator, _: Domain) -> np.ndarray:
        count = int(np.prod(shape))
        jitter = rng.uniform(0, 0.2 - CLEARANCE, count)
        return (rng.permutation(count) * 0.2 + jitter - 0.1 * count).reshape(shape)

    return Operand(draw, generic=True)


def whole(*shape: int, below: int, dtype: str = "int64") -> Operand:
    """Whole numbers from 0."""
    return Operand(lambda rng, _: np.asarray(rng.integers(0, below, shape)).astype(dtype))


def truths(*shape: int) -> Operand:
    """Booleans, both kinds where there are two or more."""

    def draw(rng: np.random.Generator, _: Domain) -> np.ndarray:
        count = int(np.prod(shape))
        return (rng.permutation(count) + rng.integers(2)).reshape(shape) % 2 == 0

    return Operand(draw)


def matrices(*shape: int) -> Operand:
    """Square matrices far from singular: the diagonal outweighs the rest."""

    def draw(rng: np.random.Generator, _: Domain) -> np.ndarray:
        return rng.uniform(-1, 1, shape) + 3 * np.eye(shape[-1])

    return Operand(draw, generic=True)


def positive_definite(*shape: int) -> Operand:
    """Symmetric matrices with eigenvalues of at least 1."""

    def draw(rng: np.random.Generator, _: Domain) -> np.ndarray:
        root = rng.uniform(-1, 1, shape)
        return root @ root.swapaxes(-1, -2) + np.eye(shape[-1])

    return Operand(draw, generic=True)


def keys(*shape: int) -> Operand:
    """Random keys."""
    return Operand(lambda rng, _: rng.integers(0, 2**32, (*shape, 2), dtype=np.uint32))


def converted(array: np.ndarray, dtype: str) -> np.ndarray:
    """A drawn array in another data type; signs and whole parts go where the type has none."""
    if dtype == "bool":
        return array > 0
    return (np.abs(array) if dtype.startswith("u") else array).astype(as_dtype(dtype))
