"""How a formula is laid out: fractions, roots, and sums over indices as products of matrices.

Σ_k X_ki D_kj with axes (i, j) is a path from i to j through k, each factor a step; a step against the order of a
factor's axes is a transposition: XᵀD.  A sum that is no such path is written with its indices.

The result is a tree of :class:`Notation`, which ``writing`` turns into text or LaTeX.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import permutations

from gradloom.autodiff.formula.algebra import CONDITIONS, factors_of, mul, neg, power, scaled
from gradloom.autodiff.formula.expression import (
    EULER,
    HALF,
    ONE,
    Expression,
    Function,
    Index,
    Number,
    Product,
    Reduction,
    Sum,
    Symbol,
    Value,
)
from gradloom.records import dataclass

Axes = tuple[Index, ...]


@dataclass(frozen=True)
class Notation:
    """A piece of notation.

    Attributes:
        kind: "number", "symbol" (with indices in ``word`` after a "_"), "call", "condition", "power", "root",
            "exponential", "fraction", "times" (of scalars), "matmul", "hadamard", "sum", "negative", "transposed",
            "diagonal", "over" (a sum over indices).
        parts: what it is made of.
        word: the name of a symbol or a function, the indices of a sum.
        value: of a number.
        signs: of the terms of a sum.
    """

    kind: str
    parts: tuple[Notation, ...] = ()
    word: str = ""
    value: Value = Fraction(0)
    signs: tuple[int, ...] = ()

    @property
    def turns(self) -> int:
        """How many transpositions it is written with."""
        return (self.kind == "transposed") + sum(p.turns for p in self.parts)


ONES = Notation("symbol", word="𝟏")
_ONE = Notation("number", value=Fraction(1))


class NoMatrixForm(Exception):
    """A sum over indices that is no product of matrices."""


def laid_out(x: Expression, rank: int) -> Notation:
    """The notation of a formula of this rank: with matrices, or else with indices."""
    axes = tuple(i for i in range(rank) if i in x.free)
    try:
        return _filled(_matrix(x, axes), axes, rank)
    except NoMatrixForm:
        return _indexed(x, rank)


def _filled(x: Notation, axes: Axes, rank: int) -> Notation:
    """An array that is the same along some axes: scalar and vector times ones."""
    if len(axes) == rank:
        return x
    if rank == 1:
        return ONES if x == _ONE else Notation("times", (x, ONES))
    if rank > 2:
        raise NoMatrixForm
    if not axes:
        ones = Notation("matmul", (ONES, transposed(ONES)))
        return ones if x == _ONE else Notation("times", (x, ones))
    return _outer(x, ONES) if axes == (0,) else _outer(ONES, x)


def _outer(x: Notation, y: Notation) -> Notation:
    """x yᵀ for two vectors."""
    return Notation("matmul", (*_chain_of(_column(x)), *_chain_of(_row(y))))


def _chain_of(x: Notation) -> tuple[Notation, ...]:
    """The factors of a matrix product."""
    return x.parts if x.kind == "matmul" else (x,)


def _column(x: Notation) -> Notation:
    """A vector as a column: what is written as a row, as rᵀXW, is turned around."""
    if x.kind == "matmul":
        return Notation("matmul", tuple(transposed(p) for p in reversed(x.parts))) if x.word == "row" else x
    if x.kind in ("fraction", "times", "negative", "sum", "hadamard"):
        return replace(x, parts=tuple(_column(p) for p in x.parts))
    return x


def _row(x: Notation) -> Notation:
    """A vector as a row."""
    return x if x.kind == "matmul" and x.word == "row" else transposed(_column(x))


# Matrices ---------------------------------------------------------------------------------------------------------


@lru_cache(4096)
def _matrix(x: Expression, axes: Axes) -> Notation:
    """``x`` as an array with these axes; of two layouts the one with fewer transpositions."""
    if len(axes) != 2 or isinstance(x, Symbol):
        return _directly(x, axes)
    direct, turned = _directly(x, axes), transposed(_directly(x, axes[::-1]))
    # Transpositions go outside of functions, where they may meet another.
    either = [turned, direct] if direct.kind in ("power", "call", "root", "exponential") else [direct, turned]
    return min(either, key=lambda n: n.turns)


def _directly(x: Expression, axes: Axes) -> Notation:
    if len(axes) > 2:
        raise NoMatrixForm
    if isinstance(x, Number):
        return Notation("number", value=x.value)
    if isinstance(x, Symbol):
        found = Notation("symbol", word=x.name)
        return transposed(found) if len(axes) == 2 and x.indices == axes[::-1] else found
    if isinstance(x, Sum):
        return _sum(x, axes)
    if isinstance(x, Product):
        return _product(x, axes)
    if isinstance(x, Function):
        return _function(x, axes)
    assert isinstance(x, Reduction)
    return _contraction(x, axes) if x.name == "sum" else _along_last(x.name, x.body, (*axes, *x.indices))


def transposed(x: Notation) -> Notation:
    """xᵀ."""
    if x.kind == "diagonal":
        return x
    return x.parts[0] if x.kind == "transposed" else Notation("transposed", (x,))


def _seen(x: Expression, axes: Axes) -> Axes:
    return tuple(a for a in axes if a in x.free)


def _spread(x: Expression, axes: Axes) -> Notation:
    """A part of an array with these axes.  As in NumPy what lacks the first axis is repeated; a column takes 𝟏ᵀ."""
    own = _seen(x, axes)
    found = _matrix(x, own)
    is_column = len(axes) == 2 and own == axes[:1]
    return _outer(found, ONES) if is_column else found


def _sum(x: Sum, axes: Axes) -> Notation:
    terms = sorted(x.terms, key=lambda term: -len(term[0].free) if _has_matmul(term[0]) else 0)
    first = next((t for t in terms if t[1] > 0), terms[0])
    terms.remove(first)
    terms.insert(0, first)
    parts = [_spread(mul(Number(abs(c)), monomial), axes) for monomial, c in terms]
    return Notation(
        "sum",
        tuple(map(_column, parts) if len(axes) == 1 else parts),
        signs=tuple(1 if c > 0 else -1 for _, c in terms),
    )


def _has_matmul(x: Expression) -> bool:
    return any(isinstance(b, Reduction) and b.name == "sum" and b.free for b, _ in factors_of(x))


def _function(x: Function, axes: Axes) -> Notation:
    if x.along is not None and axes and axes[-1] != x.along:
        return transposed(_function(x, axes[::-1]))
    if x.name in CONDITIONS:
        return Notation("condition", tuple(_spread(a, axes) for a in x.args), word=x.name)
    return Notation("call", tuple(_matrix(a, _seen(a, axes)) for a in x.args), word=x.name)


def _along_last(name: str, body: Expression, axes: Axes) -> Notation:
    return Notation("call", (_matrix(body, _seen(body, axes)),), word=name)


def _product(x: Product, axes: Axes) -> Notation:
    """Scalars in front of the array and below the line; the array's own factors element by element."""
    x = _with_sign_inside(x)
    scalars = [f for f in x.factors if not _free(f)]
    arrays = [f for f in x.factors if _free(f)]
    above, below = _above_and_below(scalars)
    inside, divisors = _above_and_below(arrays)
    body = [_elementwise(inside, axes)] if inside else []
    below_line = [_power(f, ()) for f in below] + ([_elementwise(divisors, axes)] if divisors else [])
    return _fraction(x.coefficient, [_power(f, ()) for f in above] + body, below_line)


def _with_sign_inside(x: Product) -> Product:
    """-(y - p) as p - y: a minus goes into a sum of terms with unlike signs."""
    if x.coefficient > 0:
        return x
    for n, (base, exponent) in enumerate(x.factors):
        turned = _turned(base) if exponent == ONE else None
        if turned is not None:
            return Product(-x.coefficient, (*x.factors[:n], (turned, ONE), *x.factors[n + 1 :]))
    return x


def _turned(x: Expression) -> Expression | None:
    """-x, if it can be had by turning the signs of a sum, some of which are minus."""
    if isinstance(x, Sum):
        return scaled(x, Fraction(-1)) if any(c < 0 for _, c in x.terms) else None
    if isinstance(x, Reduction) and x.name == "sum":
        factors = factors_of(x.body)
        for n, (base, exponent) in enumerate(factors):
            turned = _turned(base) if exponent == ONE else None
            if turned is not None:
                body = Product(Fraction(1), (*factors[:n], (turned, ONE), *factors[n + 1 :]))
                return Reduction(x.name, x.bound, body)
    return None


Factor = tuple[Expression, Expression]


def _free(factor: Factor) -> frozenset[Index]:
    return factor[0].free | factor[1].free


def _above_and_below(factors: Sequence[Factor]) -> tuple[list[Factor], list[Factor]]:
    """Those with positive exponents, and the others turned around."""
    is_below = [isinstance(e, Number) and e.value < 0 for _, e in factors]
    above = [f for f, down in zip(factors, is_below) if not down]
    return above, [(b, neg(e)) for (b, e), down in zip(factors, is_below) if down]


def _power(factor: Factor, axes: Axes) -> Notation:
    base, exponent = factor
    if base == EULER:
        return Notation("exponential", (_matrix(exponent, _seen(exponent, axes)),))
    found = _matrix(base, _seen(base, axes))
    if exponent in (ONE, HALF):
        return found if exponent == ONE else Notation("root", (found,))
    return Notation("power", (found, _matrix(exponent, _seen(exponent, axes))))


def _elementwise(factors: Sequence[Factor], axes: Axes) -> Notation:
    """The product element by element; of a column and a row the outer product, of a column and a matrix diag(u) A."""
    columns = [f for f in factors if len(axes) == 2 and _free(f) == set(axes[:1])]
    rest = [f for f in factors if f not in columns]
    if not columns:
        parts = [_power(f, axes) for f in factors]
        return _joined("hadamard", [*map(_column, parts)] if len(axes) == 1 and len(parts) > 1 else parts)
    column = _joined("hadamard", [_power(f, axes[:1]) for f in columns])
    if not rest:
        return column
    right = _joined("hadamard", [_power(f, axes) for f in rest])
    if all(_free(f) == set(axes[1:]) for f in rest):
        return _outer(column, right)
    return Notation("matmul", (Notation("diagonal", (column,)), *_chain_of(right)))


def _joined(kind: str, parts: Sequence[Notation]) -> Notation:
    return parts[0] if len(parts) == 1 else Notation(kind, tuple(parts))


def _fraction(coefficient: Value, above: list[Notation], below: list[Notation]) -> Notation:
    """coefficient · above / below."""
    size = abs(coefficient)
    top, bottom = size, Fraction(1)
    if isinstance(size, Fraction) and not is_decimal(size):
        top, bottom = Fraction(size.numerator), Fraction(size.denominator)
    above = [*([Notation("number", value=top)] if top != 1 else []), *above]
    below = [*([Notation("number", value=bottom)] if bottom != 1 else []), *below]
    found = _joined("times", above) if above else Notation("number", value=Fraction(1))
    if below:
        found = Notation("fraction", (found, _joined("times", below)))
    return found if coefficient > 0 else Notation("negative", (found,))


def is_decimal(value: Value) -> bool:
    """Whether one writes a number with a decimal point: 0.9 and 0.001, but 1/2 and 3/4."""
    if isinstance(value, float):
        return True
    return value.denominator % 5 == 0 and 10**9 % value.denominator == 0


# Sums over indices as products of matrices ------------------------------------------------------------------------


def _contraction(x: Reduction, axes: Axes) -> Notation:
    groups: dict[frozenset[Index], list[Factor]] = {}
    for factor in factors_of(x.body):
        groups.setdefault(_free(factor), []).append(factor)
    if any(len(indices) > 2 for indices in groups) or len(axes) > 2:
        raise NoMatrixForm
    if not axes and len(groups) == 1:
        return _full_sum(*groups.items())
    hooks = {next(iter(i)): _powers(group) for i, group in groups.items() if len(i) == 1}
    steps = {tuple(sorted(i)): _powers(group) for i, group in groups.items() if len(i) == 2}
    start = axes[0] if axes else _end_of(steps)
    path = _walk(steps, start)
    visited = [start, *(to for _, to in path)]
    if len(path) < len(steps) or set(hooks) - set(visited) or (len(axes) == 2 and visited[-1] != axes[1]):
        raise NoMatrixForm
    chain = [_hook(hooks, start)] if not axes else []
    for (came, went), last in zip(path, [False] * (len(path) - 1) + [True]):
        chain.append(_matrix(steps[min(came, went), max(came, went)], (came, went)))
        if not last and went in hooks:
            chain.append(Notation("diagonal", (_hook(hooks, went),)))
    if len(axes) < 2:
        chain.append(_hook(hooks, visited[-1]))
    return _chained(chain, axes)


def _powers(factors: Sequence[Factor]) -> Expression:
    return mul(*(power(base, exponent) for base, exponent in factors))


def _full_sum(group: tuple[frozenset[Index], list[Factor]]) -> Notation:
    """The sum of all elements of an array, of two vectors uᵀv."""
    indices, factors = group
    if len(indices) == 1 and len(factors) == 2 and all(e == ONE for _, e in factors):
        u, v = (_power(f, tuple(indices)) for f in factors)
        return Notation("matmul", (transposed(u), v))
    both = [_along_last("sum", _powers(factors), axes) for axes in permutations(sorted(indices, reverse=True))]
    return min(both, key=lambda n: n.turns)


def _end_of(steps: dict[tuple[Index, ...], Expression]) -> Index:
    """An index that only one factor has, from which a path can start."""
    met = [i for pair in steps for i in pair]
    ends = [i for i in sorted(set(met), reverse=True) if met.count(i) == 1]
    if not ends:
        raise NoMatrixForm
    return ends[0]


def _walk(steps: dict[tuple[Index, ...], Expression], start: Index) -> list[tuple[Index, Index]]:
    """The path from an index over all factors, as pairs (from, to)."""
    left, path, here = list(steps), [], start
    while left:
        onward = [pair for pair in left if here in pair]
        if len(onward) != 1:
            raise NoMatrixForm
        left.remove(onward[0])
        there = next(i for i in onward[0] if i != here)
        path.append((here, there))
        here = there
    return path


def _hook(hooks: dict[Index, Expression], index: Index) -> Notation:
    """The vector at an index, or ones."""
    return _matrix(hooks[index], (index,)) if index in hooks else ONES


def _chained(chain: list[Notation], axes: Axes) -> Notation:
    """The product of a chain; one that starts from a vector starts with its transpose."""
    backward = [transposed(part) for part in reversed(chain)]
    if not axes:
        both = [[transposed(chain[0]), *chain[1:]], [*backward[:-1], chain[0]]]
    elif len(axes) == 1:
        both = [backward, chain] if chain[-1] is ONES else [chain, backward]
    else:
        both = [chain]
    best = min(both, key=lambda parts: sum(p.turns for p in parts))
    word = "row" if len(axes) == 1 and best is not chain else ""
    return Notation("matmul", tuple(inner for p in best for inner in _chain_of(p)), word=word)


# Indices ----------------------------------------------------------------------------------------------------------

_LETTERS = "ijklpqrstuvw"


def _indexed(x: Expression, rank: int) -> Notation:
    """``x`` with its indices written out; those of the axes are the first letters."""
    names = _names_in(x)
    letters = [c for c in _LETTERS if c not in names] + [f"i{n}" for n in range(1, 100)]
    return _with_indices(x, dict(enumerate(letters[:rank])), iter(letters[rank:]))


def _names_in(x: Expression) -> set[str]:
    own = {x.name} if isinstance(x, Symbol) else set()
    return own.union(*(_names_in(p) for p in x.parts))


def _with_indices(x: Expression, letters: dict[Index, str], supply: Iterator[str]) -> Notation:
    def write(part: Expression) -> Notation:
        return _with_indices(part, letters, supply)

    def written(factor: Factor) -> Notation:
        base, exponent = factor
        if base == EULER:
            return Notation("exponential", (write(exponent),))
        return write(base) if exponent == ONE else Notation("power", (write(base), write(exponent)))

    if isinstance(x, Number):
        return Notation("number", value=x.value)
    if isinstance(x, Symbol):
        indices = "".join(letters[i] for i in x.indices)
        return Notation("symbol", word=f"{x.name}_{indices}" if indices else x.name)
    if isinstance(x, Sum):
        parts = tuple(write(mul(Number(abs(c)), monomial)) for monomial, c in x.terms)
        return Notation("sum", parts, signs=tuple(1 if c > 0 else -1 for _, c in x.terms))
    if isinstance(x, Product):
        above, below = _above_and_below(x.factors)
        return _fraction(x.coefficient, [written(f) for f in above], [written(f) for f in below])
    if isinstance(x, Function):
        along = "" if x.along is None else f"_{letters[x.along]}"
        return Notation("condition" if x.name in CONDITIONS else "call", tuple(map(write, x.args)), word=x.name + along)
    assert isinstance(x, Reduction)
    bound = {i: next(supply) for i in x.indices}
    body = _with_indices(x.body, {**letters, **bound}, supply)
    return Notation("over", (body,), word=f"{'Σ' if x.name == 'sum' else x.name}_{''.join(bound.values())}")
