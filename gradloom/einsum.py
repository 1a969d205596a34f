"""Einstein's summation: a sum of products written with one letter for each axis.

``"bij,bjk->bik"``: letters that are missing on the right are summed over, a letter in two operands is matched.
``...`` stands for all axes without a letter; they are kept, and broadcast against each other as everywhere.
Operands are joined two at a time from the left; each joining is one ``contract``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradloom.errors import OptionError, ShapeError
from gradloom.ir.graph import Node, constant
from gradloom.ops import core, elementwise
from gradloom.ops.contraction import contract

_REST = "..."
_FIRST_LETTER = 0x4E00
"""Axes of ``...`` are named from here on, by letters that nobody types."""


def contract_by_letters(spec: str, nodes: Sequence[Node]) -> Node:
    """The tensor that ``spec`` describes.

    Raises:
        OptionError: the spec is malformed.
        ShapeError: a letter stands for two sizes, or an operand has another number of axes than letters.
    """
    inputs, output = _parse(spec, nodes)
    nodes, inputs, output = _with_letters_for_the_rest(spec, nodes, inputs, output)
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
    letters = "".join(group.replace(_REST, "", 1) for group in inputs)
    if not arrow:  # NumPy's rule: the rest, then letters that occur once, in alphabetical order
        right = _REST * (_REST in left) + "".join(sorted(a for a in set(letters) if letters.count(a) == 1))
    kept = right.replace(_REST, "", 1)
    ok = len(inputs) == len(nodes) and (letters + kept).isalpha() if letters + kept else len(inputs) == len(nodes)
    if not ok or len(set(kept)) < len(kept) or not set(kept) <= set(letters):
        raise OptionError(
            "einsum",
            rule="the spec needs one group of letters an operand, and every letter after -> once and from the left",
            got=f"{spec!r} for {len(nodes)} operands",
            fix='Write it like "ij,jk->ik".',
        )
    if _REST in left and _REST not in right:
        fix = "Name the axes with letters to sum over them."
        raise OptionError("einsum", rule="axes of ... are kept, not summed over", got=repr(spec), fix=fix)
    return inputs, right


def _with_letters_for_the_rest(
    spec: str, nodes: Sequence[Node], inputs: Sequence[str], output: str
) -> tuple[list[Node], list[str], str]:
    """Operands and groups with a letter for each axis that ``...`` stands for, the last one everywhere the same.

    Where an operand has size 1 and another has more, that axis and its letter are left out.
    """
    counts = [len(x.shape) - len(g.replace(_REST, "")) if _REST in g else 0 for x, g in zip(nodes, inputs)]
    starts = [g.find(_REST) for g in inputs]
    for x, group, count in zip(nodes, inputs, counts):
        if count < 0:
            rule = f"{group!r} names {len(group) - len(_REST)} axes or more"
            raise ShapeError("einsum", rule=rule, got=f"{x.type} in {spec!r}")
    try:
        common = np.broadcast_shapes(*(x.shape[s : s + n] for x, s, n in zip(nodes, starts, counts) if n))
    except ValueError:
        shapes = " and ".join(str(x.shape[s : s + n]) for x, s, n in zip(nodes, starts, counts) if n)
        raise ShapeError("einsum", rule="the axes of ... must broadcast", got=f"{shapes} in {spec!r}") from None
    letters = "".join(map(chr, range(_FIRST_LETTER, _FIRST_LETTER + len(common))))
    operands, groups = [], []
    for x, group, start, count in zip(nodes, inputs, starts, counts):
        first = len(common) - count
        single = [i for i in range(count) if x.shape[start + i] == 1 != common[first + i]]
        shape = tuple(n for axis, n in enumerate(x.shape) if axis - start not in single)
        operands.append(core.reshape(x, shape=shape) if single else x)
        own = "".join(a for i, a in enumerate(letters[first:]) if i not in single)
        groups.append(group.replace(_REST, own))
    return operands, groups, output.replace(_REST, letters)


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
