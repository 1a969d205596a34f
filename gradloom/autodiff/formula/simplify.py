"""The form of a formula that a person would write: expanded, factored, or as it came, whichever is shortest.

Expanding distributes products over sums, in which terms cancel: -Y(1 - A) + (1 - Y)A = A - Y.  Factoring takes out what
all terms share: σ - σ² = σ(1 - σ), XᵀA - XᵀY = Xᵀ(A - Y).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from gradloom.autodiff.formula.algebra import (
    add,
    content_of,
    factors_of,
    mul,
    number,
    power,
    split,
    sum_of,
    terms_of,
)
from gradloom.autodiff.formula.expression import (
    EULER,
    ONE,
    Expression,
    Number,
    Product,
    Reduction,
    Sum,
    Symbol,
    Value,
)
from gradloom.autodiff.formula.reductions import distributed, total

_MANY_TERMS = 100
"""Products that would have more terms are not expanded."""

_REMEMBERED = 4096


@lru_cache(_REMEMBERED)
def simplify(x: Expression) -> Expression:
    """The shortest of the forms that are tried; of equally short ones the factored."""
    x = _with_simple_factors(x)
    expanded = expand(x)
    forms = [factored(expanded), factored(x), x, expanded]
    if _is_polynomial(expanded):
        # One form, however it came about, but for a product of sums, which stays one.
        forms = [f for f in forms if f is expanded or _is_product_of_sums(f) or (f == forms[0] and _is_far_factored(f))]
    return min(forms, key=cost)


def _is_product_of_sums(x: Expression) -> bool:
    """Whether it has several sums for factors, none of which has products of sums in it."""
    sums = [(base, _count(e)) for base, e in factors_of(x) if isinstance(base, Sum)]
    return sum(n for _, n in sums) > 1 and not any(_has_products_of_sums(base) for base, _ in sums)


def _has_products_of_sums(x: Sum) -> bool:
    return any(isinstance(base, Sum) for monomial, _ in x.terms for base, _ in factors_of(monomial))


def _is_far_factored(x: Expression) -> bool:
    """Whether more than one symbol stands before a sum: one writes xy(x + y), but 5x + xy for x(5 + y)."""
    return [e for base, e in factors_of(x) if _is_plain_symbol(base)] != [ONE]


def _is_polynomial(x: Expression) -> bool:
    factors = [f for monomial, _ in terms_of(x) for f in factors_of(monomial)]
    return all(_is_plain_symbol(base) and _count(e) > 0 for base, e in factors)


def _with_simple_factors(x: Expression) -> Expression:
    """A product with its sums simplified, such as 1 + (1 - x²)/x² = 1/x²."""
    if not isinstance(x, Product):
        return x
    powers = (power(simplify(base) if isinstance(base, Sum) else base, exponent) for base, exponent in x.factors)
    return mul(Number(x.coefficient), *powers)


@lru_cache(_REMEMBERED)
def cost(x: Expression) -> int:
    """How much there is to read."""
    if isinstance(x, Number):
        digits = len(str(x.value.numerator)) if isinstance(x.value, Fraction) else 0
        return 1 + digits // 4 + (not isinstance(x.value, Fraction) or x.value.denominator > 1)
    if isinstance(x, Product):
        coefficient = 0 if abs(x.coefficient) == 1 else cost(Number(x.coefficient))
        return coefficient + sum(cost(base) + _exponent_cost(exponent) for base, exponent in x.factors)
    if isinstance(x, Sum):
        return len(x.terms) - 1 + sum(cost(mul(Number(c), monomial)) for monomial, c in x.terms)
    return 1 + sum(cost(p) for p in x.parts)


def _exponent_cost(exponent: Expression) -> int:
    return 0 if exponent == ONE else 1 if isinstance(exponent, Number) else cost(exponent)


# Expanding --------------------------------------------------------------------------------------------------------


def expand(x: Expression) -> Expression:
    """Products distributed over sums, and sums over indices split into terms; not inside functions."""
    if isinstance(x, Sum):
        return add(*(mul(Number(c), expand(monomial)) for monomial, c in x.terms))
    if isinstance(x, Reduction) and x.name == "sum":
        expanded = expand(x.body)
        whole = total(x.bound, expanded)
        return distributed(whole) if isinstance(whole, Reduction) and isinstance(whole.body, Sum) else whole
    return _expanded_product(x) if isinstance(x, Product) else x


def _expanded_product(x: Product) -> Expression:
    opened = [(expand(base), exponent) for base, exponent in x.factors if isinstance(base, Reduction)]
    rest = [f for f in x.factors if not isinstance(f[0], Reduction)]
    product = mul(Number(x.coefficient), *(power(b, e) for b, e in [*opened, *rest]))
    sums = [(base, _count(e)) for base, e in factors_of(product) if isinstance(base, Sum) and _count(e)]
    if not any(_has_quotient(base) for base, _ in sums):
        rest = mul(product, *(power(base, number(-n)) for base, n in sums))
        return _multiplied_out([rest, *(base for base, n in sums for _ in range(n))]) or product
    # Quotients first, while their denominators still stand beside what cancels them.
    base = next(base for base, _ in sums if _has_quotient(base))
    others = mul(product, power(base, number(-1)))
    return add(*(expand(mul(Number(c), monomial, others)) for monomial, c in base.terms))


def _multiplied_out(factors: Sequence[Expression]) -> Expression | None:
    """A product of sums, term by term and one factor after another; None if it has too many terms."""
    found: Expression = ONE
    for factor in factors:
        pairs = [(mul(a, b), c * d) for a, c in terms_of(found) for b, d in terms_of(factor)]
        found = add(*(mul(Number(c), monomial) for monomial, c in pairs))
        if len(terms_of(found)) > _MANY_TERMS:
            return None
    return found


def _count(exponent: Expression) -> int:
    """A whole positive exponent; 0 for any other."""
    whole = exponent.whole if isinstance(exponent, Number) else None
    return whole if whole is not None and whole > 0 else 0


def _has_quotient(x: Sum) -> bool:
    return any(_is_below_0(e) for monomial, _ in x.terms for _, e in factors_of(monomial))


def _is_below_0(exponent: Expression) -> bool:
    return isinstance(exponent, Number) and exponent.value < 0


# Factoring --------------------------------------------------------------------------------------------------------


def factored(x: Expression) -> Expression:
    """A sum with what all its terms share taken out, if that is how one would write it."""
    if isinstance(x, Reduction) and x.name == "sum":
        return total(x.bound, factored(x.body))
    if isinstance(x, Product):
        return mul(Number(x.coefficient), *(power(factored(base), exponent) for base, exponent in x.factors))
    if not isinstance(x, Sum):
        return x
    common = _common_factors([monomial for monomial, _ in x.terms])
    content = _common_number(x)
    shared = mul(Number(content), *(power(base, exponent) for base, exponent in common))
    inverse = power(shared, number(-1))
    rest = add(*(mul(Number(c), monomial, inverse) for monomial, c in x.terms))
    found = mul(shared, _joined(min((expand(rest), rest), key=cost)))
    if all(_is_plain_symbol(base) and not _is_below_0(e) for base, e in common):
        # One writes 5x + x² + 2x²y, but xy(x + y).
        plain = _joined(x)
        degree = sum(e.value for _, e in common if isinstance(e, Number))
        return found if (content != 1 and not common) or (degree > 1 and cost(found) < cost(plain)) else plain
    return found


def _is_plain_symbol(x: Expression) -> bool:
    return isinstance(x, Symbol) and not x.indices and x != EULER


def _common_factors(monomials: Sequence[Expression]) -> list[tuple[Expression, Expression]]:
    """The powers that divide all monomials."""
    tables = [dict(factors_of(m)) for m in monomials]
    found = []
    for base, exponent in tables[0].items():
        exponents = [t.get(base) for t in tables]
        if all(isinstance(e, Number) for e in exponents):
            found.append((base, min(exponents, key=lambda e: e.value)))  # type: ignore[union-attr]
        elif all(e == exponent for e in exponents):
            found.append((base, exponent))
    return found


def _common_number(x: Sum) -> Value:
    """The number to take out: where it leaves no number behind, or no fraction."""
    content = content_of(x)
    alike = len({abs(c) for _, c in x.terms}) == 1
    fractions = isinstance(content, Fraction) and content.denominator > 1
    return abs(content) if alike or fractions else Fraction(1)


def _joined(x: Expression) -> Expression:
    """Sums over the same indices that share a factor, as one: Σ_k X_ki A_kj - Σ_k X_ki Y_kj = Σ_k X_ki (A - Y)_kj."""
    while True:
        parts = [(c, monomial, _reduction_in(monomial)) for monomial, c in terms_of(x)]
        counts = Counter(key for _, _, r in parts if r is not None for key in _keys(r))
        if not counts or max(counts.values()) < 2:
            return x
        key = max(counts, key=lambda k: (counts[k], k))
        chosen = [(c, m, r) for c, m, r in parts if r is not None and key in _keys(r)]
        outer = {mul(m, power(r, number(-1))) for _, m, r in chosen}
        if len(outer) > 1:
            return x
        body = add(*(mul(Number(c), r.body) for c, _, r in chosen))
        merged = mul(*outer, total(chosen[0][2].bound, factored(body)))
        rest = sum_of({m: c for c, m, r in parts if not (r is not None and key in _keys(r))})
        if len(terms_of(add(merged, rest))) >= len(parts):
            return x
        x = add(merged, rest)


def _reduction_in(monomial: Expression) -> Reduction | None:
    """The one sum over indices among the factors."""
    found = [b for b, e in factors_of(monomial) if isinstance(b, Reduction) and b.name == "sum" and e == ONE]
    return found[0] if len(found) == 1 else None


def _keys(x: Reduction) -> set[str]:
    """What two sums must have in common to be joined: their indices, and a factor, or that nothing is contracted."""
    sizes = ",".join(f"{i}<{size.text}" for i, size in x.bound)
    factors = factors_of(split(x.body)[1])
    elementwise = all(base.free == x.body.free for base, _ in factors)
    shared = {f"{base.text}^{e.text}" for base, e in factors if base.free & set(x.indices)}
    whole = {f"sum over {sorted(x.body.free)}"} if elementwise or isinstance(x.body, Sum) else set()
    return {f"{sizes}: {key}" for key in shared | whole}
