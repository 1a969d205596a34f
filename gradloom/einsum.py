"""Einstein's summation: a sum of products written with one letter for each axis.

``"bij,bjk->bik"``: letters that are missing on the right are summed over, a letter in two operands is matched.
Operands are joined two at a time from the left; each joining is one ``contract``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradloom.errors import OptionError, ShapeError
from gradloom.ir.graph import Node, constant
from gradloom.ops import core, elementwise
from gradloom.ops.contraction import contract


def contract_by_letters(spec: str, nodes: Sequence[Node]) -> Node:
    """The tensor that ``spec`` describes.

    Raises:
        OptionError: the spec is malformed.
        ShapeError: a letter stands for two sizes, or an operand has another number of axes than letters.
    """
    inputs, output = _parse(spec, nodes)
    _check_sizes(spec, inputs, nodes)
    terms = [_diagonal(x, letters) for x, letters in zip(nodes, inputs)]
    (found, letters), *rest = terms
    for place, (other, theirs) in enumerate(rest):
        later = output + "".join(later_letters for _, later_letters in rest[place + 1 :])
        found, letters = _join(found, letters, other, theirs, later)
    summed = tuple(i for i, a in enumerate(letters) if a not in output)
    found = core.reduce_sum(found, axes=summed) if summed else found
    letters = "".join(a for a in letters if a in output)
    order = tuple(letters.index(a) for a in output)
    return found if order == tuple(range(len(order))) else core.permute(found, axes=order)


def _parse(spec: str, nodes: Sequence[Node]) -> tuple[list[str], str]:
    left, arrow, right = spec.replace(" ", "").partition("->")
    inputs = left.split(",")
    letters = "".join(inputs)
    if not arrow:  # NumPy's rule: letters that occur once, in alphabetical order
        right = "".join(sorted(a for a in set(letters) if letters.count(a) == 1))
    ok = len(inputs) == len(nodes) and (letters + right).isalpha() if letters + right else len(inputs) == len(nodes)
    if not ok or len(set(right)) < len(right) or not set(right) <= set(letters):
        raise OptionError(
            "einsum",
            rule="the spec needs one group of letters an operand, and every letter after -> once and from the left",
            got=f"{spec!r} for {len(nodes)} operands",
            fix='Write it like "ij,jk->ik".',
        )
    return inputs, right


def _check_sizes(spec: str, inputs: Sequence[str], nodes: Sequence[Node]) -> None:
    sizes: dict[str, int] = {}
    for letters, x in zip(inputs, nodes):
        if len(letters) != len(x.shape):
            raise ShapeError("einsum", rule=f"{letters!r} names {len(letters)} axes", got=f"{x.type} in {spec!r}")
        for a, n in zip(letters, x.shape):
            if sizes.setdefault(a, n) != n:
                raise ShapeError("einsum", rule=f"the letter {a!r} must stand for one size", got=f"{sizes[a]} and {n}")


def _diagonal(x: Node, letters: str) -> tuple[Node, str]:
    """An operand in which every letter occurs once: the diagonal over repeated letters, by a mask and a sum."""
    while len(set(letters)) < len(letters):
        first = next(i for i, a in enumerate(letters) if a in letters[i + 1 :])
        second = letters.index(letters[first], first + 1)
        same = constant(np.eye(x.shape[first]), x.dtype)
        mask = core.broadcast(same, shape=x.shape, axes=(first, second))
        x = core.reduce_sum(elementwise.mul(x, mask), axes=(second,))
        letters = letters[:second] + letters[second + 1 :]
    return x, letters


def _join(x: Node, a: str, y: Node, b: str, later: str) -> tuple[Node, str]:
    """The product of two operands, summed over the shared letters that nothing later needs."""
    shared = [letter for letter in a if letter in b]
    summed = [letter for letter in shared if letter not in later]
    kept = [letter for letter in shared if letter in later]
    found = contract(
        x,
        y,
        contract=(tuple(a.index(s) for s in summed), tuple(b.index(s) for s in summed)),
        batch=(tuple(a.index(s) for s in kept), tuple(b.index(s) for s in kept)),
    )
    rest = [s for s in a if s not in shared] + [s for s in b if s not in shared]
    return found, "".join(kept + rest)
