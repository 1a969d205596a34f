"""A random order that is computed place by place, without a list: what a program needs to shuffle for itself.

The order is a permutation of 0 to n - 1 made of rounds that anyone can undo.  A number x is written as a pair
(l, r) with x = l · b + r; a round adds to one half what a random table says of the other,

    l ← (l + f(r)) mod a,    then    r ← (r + g(l)) mod b,

and so on with new tables.  Each round is a bijection, so all of them are, whatever the tables hold.  Few numbers have
two factors near their root: a · b is the least such product that is not below n, and a number that leaves the range
goes through the rounds again until it comes back, which it does after at most a · b - n times, for so many numbers
lie outside.

The tables have about √n entries, so an order of a million examples costs a few thousand random numbers, and every
place six look-ups.  Few numbers are sorted by random words instead: rounds on a small rectangle mix little, and so
every order is equally likely.  All of it is a graph, so every executor has the same order.

Sources: Luby and Rackoff, "How to construct pseudorandom permutations from pseudorandom functions" (1988); Black and
Rogaway, "Ciphers with arbitrary finite domains" (2002): factors other than powers of two, and walking back.
"""

from __future__ import annotations

import math
from typing import Any

from gradloom import functional as gl
from gradloom import random
from gradloom.tensor import Tensor
from gradloom.transforms import scan

SORTED = 1024
"""Orders of so many numbers or fewer are sorted."""

_PAIRS = 3
"""Of rounds.  Four rounds cannot be told from a random permutation by a look at few places (Luby and Rackoff), and
six need more than all places of one."""


def shuffled(key: Tensor, count: int, places: Any) -> Tensor:
    """The numbers at some places of a random order of 0 to ``count`` - 1.

    Args:
        key: determines the order.
        count: how many numbers are in the order.
        places: whole numbers from 0 to ``count`` - 1, any shape.

    Returns:
        int64, shaped as ``places``.
    """
    wanted = gl.cast(places, "int64")
    if count <= SORTED:
        return gl.take(random.permutation(key, count), wanted)
    a, b = factors(count)
    keys = random.split(key, 2 * _PAIRS)
    tables = [random.randint(keys[i], (b, a)[i % 2], 0, (a, b)[i % 2]) for i in range(2 * _PAIRS)]

    def rounds(x: Tensor) -> Tensor:
        left = _divided(x, b)
        right = x - left * b
        for f, g in zip(tables[::2], tables[1::2]):
            left = _within(left + gl.take(f, right), a)
            right = _within(right + gl.take(g, left), b)
        return left * b + right

    def back(x: Tensor, _: Any) -> tuple[Tensor, tuple[()]]:
        return gl.where(x < count, x, rounds(x)), ()

    found = rounds(wanted)
    outside = a * b - count
    if not outside:
        return found
    turns = gl.where(gl.any(found >= count), outside, 0)
    return scan(back, found, length=outside, turns=turns)[0]


def factors(count: int) -> tuple[int, int]:
    """Two numbers near the root of ``count``, one of them even, with the least product that is not below it.

    If both were odd, every round would be an even permutation, and half of all orders would never occur.
    """
    root = math.isqrt(count)
    pairs = [(a, -(-count // a)) for a in range(root // 2, root + 1)]
    return min((p for p in pairs if p[0] * p[1] % 2 == 0), key=lambda p: (p[0] * p[1], p[1] - p[0]))


def _divided(x: Tensor, by: int) -> Tensor:
    """⌊x / by⌋ for whole numbers below 2^50, by floats, which are divided many at once.

    (x + 1/2) / by is at least 1/(2 by) away from whole numbers, more than its rounding errors.
    """
    return gl.cast((gl.cast(x, "float64") + 0.5) * (1 / by), "int64")


def _within(sum_of_two: Tensor, size: int) -> Tensor:
    """A sum of two numbers below ``size``, modulo ``size``."""
    return gl.where(sum_of_two < size, sum_of_two, sum_of_two - size)
