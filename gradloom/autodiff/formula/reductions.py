"""Indices: renaming them, and sums, maxima and log-sum-exps over them.

Bound indices get names by the depth of their sum and by the order in which the body's text is least, so that
Σ_k X_ik Y_kj is one expression, whatever its index was called on the way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from gradloom.autodiff.formula.algebra import add, exp, factors_of, mul, neg, number, power, split, sum_of, terms_of
from gradloom.autodiff.formula.expression import (
    EULER,
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
from gradloom.autodiff.formula.functions import apply

Bound = tuple[Index, Expression]
"""An index and the size of its axis."""

_MANY_INDICES = 5
"""From so many on, the names of bound indices are not tried in all orders."""

_fresh = itertools.count(10**6)


def fresh() -> Index:
    """An index that occurs nowhere yet."""
    return -next(_fresh)


def rebuilt(x: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """``x`` with its parts changed, in canonical form again."""
    if isinstance(x, Product):
        return mul(Number(x.coefficient), *(power(change(base), change(exponent)) for base, exponent in x.factors))
    if isinstance(x, Sum):
        return add(*(mul(Number(c), change(monomial)) for monomial, c in x.terms))
    if isinstance(x, Function):
        args = [change(a) for a in x.args]
        return apply(x.name, *args) if x.along is None else Function(x.name, tuple(args), x.along)
    if isinstance(x, Reduction):
        return reduction(x.name, x.bound, change(x.body))
    return x


def rename(x: Expression, names: Mapping[Index, Index]) -> Expression:
    """``x`` with other free indices."""
    moved = {old: new for old, new in names.items() if old in x.free and old != new}
    if not moved:
        return x
    if isinstance(x, Symbol):
        return Symbol(x.name, tuple(moved.get(i, i) for i in x.indices), x.distribution, x.positive)
    if isinstance(x, Function) and x.along is not None:
        return Function(x.name, tuple(rename(a, moved) for a in x.args), moved.get(x.along, x.along))
    return rebuilt(x, lambda part: rename(part, moved))


def replace(x: Expression, old: Expression, new: Expression) -> Expression:
    """``x`` with ``new`` wherever ``old`` stands, under any names of the indices; those of ``old`` are 0, 1, ..."""
    if type(x) is type(old) and len(x.free) == len(old.free):
        for axes in itertools.permutations(sorted(x.free)):
            names = dict(enumerate(axes))
            if rename(old, names) == x:
                return rename(new, names)
    return rebuilt(x, lambda part: replace(part, old, new))


def reduction(name: str, bound: Sequence[Bound], body: Expression) -> Expression:
    """A sum, a maximum or log-sum-exp over indices."""
    return {"sum": total, "logsumexp": log_sum_exp}.get(name, lambda b, x: extreme(name, b, x))(bound, body)


# Sums -------------------------------------------------------------------------------------------------------------


def total(bound: Sequence[Bound], body: Expression) -> Expression:
    """Σ body over indices.

    Terms that become simpler alone leave the sum; what stays is kept together, as in Σ_k (A_k - Y_k).
    """
    alone = [(c, _total_of_monomial(bound, monomial)) for monomial, c in terms_of(body)]
    stays = {monomial: c for (monomial, c), (_, found) in zip(terms_of(body), alone) if _is_plain(found, len(bound))}
    left = [mul(Number(c), found) for c, found in alone if not _is_plain(found, len(bound))]
    if len(stays) > 1:
        return add(*left, _canonical("sum", bound, sum_of(stays)))
    return add(*(mul(Number(c), found) for c, found in alone))


def _is_plain(found: Expression, count: int) -> bool:
    return isinstance(found, Reduction) and found.name == "sum" and len(found.bound) == count


def distributed(x: Reduction) -> Expression:
    """A sum over indices of a sum, as the sum of the sums over indices."""
    return add(*(mul(Number(c), _total_of_monomial(x.bound, monomial)) for monomial, c in terms_of(x.body)))


def _total_of_monomial(bound: Sequence[Bound], monomial: Expression) -> Expression:
    """Σ of a product: what lacks the indices stands in front, sums inside are joined, separate ones are parted."""
    sizes = dict(bound)
    if isinstance(monomial, Sum):
        return total(bound, monomial)
    inside, outside = _unnested(factors_of(monomial), sizes)
    inside = _without_distributions(inside, sizes)
    found = [power(b, e) for b, e in outside]
    found += [size for i, size in sizes.items() if not any(i in _free(f) for f in inside)]
    for part in _connected(inside, sizes):
        indices = [(i, size) for i, size in sizes.items() if any(i in _free(f) for f in part)]
        body = mul(*(power(b, e) for b, e in part))
        found.append(_canonical("sum", indices, body) if indices else body)
    return mul(*found)


Factor = tuple[Expression, Expression]


def _free(factor: Factor) -> frozenset[Index]:
    return factor[0].free | factor[1].free


def _unnested(factors: Sequence[Factor], sizes: dict[Index, Expression]) -> tuple[list[Factor], list[Factor]]:
    """The factors with and without the indices; sums over indices among the former are taken apart."""
    inside: list[Factor] = []
    outside: list[Factor] = []
    for base, exponent in factors:
        if not _free((base, exponent)) & set(sizes):
            outside.append((base, exponent))
        elif isinstance(base, Reduction) and base.name == "sum" and exponent == ONE:
            names = {i: fresh() for i in base.indices}
            sizes.update({names[i]: size for i, size in base.bound})
            within, before = _unnested(factors_of(rename(base.body, names)), sizes)
            inside, outside = inside + within, outside + before
        else:
            inside.append((base, exponent))
    return inside, outside


def _without_distributions(factors: list[Factor], sizes: dict[Index, Expression]) -> list[Factor]:
    """Σ_j p_j = 1 for what adds up to 1; drops the index from ``sizes``."""
    for factor in factors:
        index = _distribution_index(*factor)
        others = [f for f in factors if f is not factor]
        if index in sizes and not any(index in _free(f) for f in others):
            del sizes[index]
            return _without_distributions(others, sizes)
    return factors


def _distribution_index(base: Expression, exponent: Expression) -> Index | None:
    """The index along which a factor adds up to 1."""
    if exponent != ONE:
        return None
    if isinstance(base, Symbol) and base.distribution:
        return base.indices[-1] if base.indices else None
    return base.along if isinstance(base, Function) else None


def _connected(factors: list[Factor], sizes: Mapping[Index, Expression]) -> list[list[Factor]]:
    """Factors parted into groups that share no bound index."""
    groups: list[tuple[set[Index], list[Factor]]] = []
    for factor in factors:
        indices = set(_free(factor)) & set(sizes)
        touching = [g for g in groups if g[0] & indices]
        groups = [g for g in groups if not g[0] & indices]
        groups.append((indices.union(*(g[0] for g in touching)), [f for g in touching for f in g[1]] + [factor]))
    return [group for _, group in groups]


def _canonical(name: str, bound: Sequence[Bound], body: Expression) -> Expression:
    """The reduction with its bound indices under their canonical names; a coefficient stands in front."""
    coefficient: Value = Fraction(1)
    if name == "sum":
        coefficient, body = split(body)
    base = -(body.depth + 1) * 64
    temporary = {i: fresh() for i, _ in bound}
    pairs = [(temporary[i], size) for i, size in bound]
    body = rename(body, temporary)
    orders = list(itertools.permutations(pairs)) if len(pairs) < _MANY_INDICES else [tuple(pairs)]
    found = min((_named(name, o, body, base) for o in orders), key=lambda r: r.text)
    return mul(Number(coefficient), found)


def _named(name: str, pairs: Sequence[Bound], body: Expression, base: int) -> Reduction:
    names = {i: base - n for n, (i, _) in enumerate(pairs)}
    return Reduction(name, tuple((names[i], size) for i, size in pairs), rename(body, names))


# Log-sum-exp, softmax, extremes -----------------------------------------------------------------------------------


def log_sum_exp(bound: Sequence[Bound], body: Expression) -> Expression:
    """log Σ e^body; terms that lack the indices come out: log Σ e^(x - c) = log Σ e^x - c."""
    outside, inside, sizes = _parted(bound, body)
    found = [mul(Number(c), monomial) for monomial, c in outside]
    found += [apply("log", size) for _, size in sizes]
    kept = [b for b in bound if b not in sizes]
    return add(*found, _canonical("logsumexp", kept, inside)) if kept else add(*found, inside)


def extreme(name: str, bound: Sequence[Bound], body: Expression) -> Expression:
    """The largest or smallest value of ``body``."""
    outside, inside, sizes = _parted(bound, body)
    kept = [b for b in bound if b not in sizes]
    found = [mul(Number(c), monomial) for monomial, c in outside]
    return add(*found, _canonical(name, kept, inside)) if kept else add(*found, inside)


def _parted(bound: Sequence[Bound], body: Expression) -> tuple[list[tuple[Expression, Value]], Expression, list[Bound]]:
    """The terms that lack the bound indices, the sum of the others, and the indices that occur nowhere."""
    indices = {i for i, _ in bound}
    outside = [term for term in terms_of(body) if not term[0].free & indices]
    inside = sum_of({m: c for m, c in terms_of(body) if m.free & indices})
    return outside, inside, [(i, size) for i, size in bound if i not in inside.free]


def exponential(x: Expression) -> Expression:
    """e^x, and softmax(u) where x is u - log Σ e^u."""
    for term, c in terms_of(x):
        if c == -1 and isinstance(term, Reduction) and term.name == "logsumexp" and len(term.bound) == 1:
            for index in x.free - term.free:
                scores = rename(term.body, {term.indices[0]: index})
                if add(x, term, neg(scores)) == number(0):
                    return Function("softmax", (scores,), index)
    return exp(x)


def with_softmax(x: Expression) -> Expression:
    """``x`` with softmax(u) in place of e^u / Σ e^u."""
    if isinstance(x, Sum):
        return add(*(mul(Number(c), with_softmax(monomial)) for monomial, c in x.terms))
    factors = dict(factors_of(x))
    scores = factors.get(EULER)
    for base, exponent in factors.items():
        if scores is None or not (isinstance(base, Reduction) and base.name == "sum" and exponent == number(-1)):
            continue
        for index in scores.free - base.free:
            if len(base.bound) == 1 and rename(base.body, {base.indices[0]: index}) == exp(scores):
                return mul(x, base, exp(neg(scores)), Function("softmax", (scores,), index))
    return x
