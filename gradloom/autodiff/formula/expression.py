"""What a formula is: a tree of numbers, symbols, functions, sums and products, over indices.

An array is written by its element: the symbol X with indices i, j is X_ij.  A matrix product is then a sum over an
index, Σ_k X_ik W_kj, and a value that is repeated along an axis is one that lacks that axis' index, so broadcasting
needs no notation at all.  A formula of scalars has no indices.

An index is a whole number.  From 0 on it is the place of an axis of the formula as a whole; a negative one is bound by
a sum inside it, and is named by how deep that sum lies (gradloom/autodiff/formula/reductions.py).

The classes here only hold parts.  Make expressions with the functions of ``algebra``, ``functions`` and
``reductions``, which bring them into canonical form, so that equal ones have equal text.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property

from gradloom.records import dataclass

Index = int
Value = Fraction | float
"""Rational numbers are exact; a float stands for a number that is none."""


class Expression:
    """Base of all kinds.  Two are equal when they are written alike."""

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The expressions it is made of."""
        return ()

    @cached_property
    def text(self) -> str:
        """The structure in writing."""
        raise NotImplementedError

    @cached_property
    def free(self) -> frozenset[Index]:
        """The indices on which the value depends."""
        return frozenset().union(*(p.free for p in self.parts))

    @cached_property
    def depth(self) -> int:
        """How many sums over indices are nested in it."""
        return max((p.depth for p in self.parts), default=0)

    @cached_property
    def height(self) -> int:
        """How many levels of brackets there are at most."""
        return 1 + max((p.height for p in self.parts), default=0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True, eq=False, repr=False)
class Number(Expression):
    """A number."""

    value: Value

    @cached_property
    def text(self) -> str:
        return str(self.value)

    @property
    def whole(self) -> int | None:
        """The number if it is a whole one."""
        exact = isinstance(self.value, Fraction) and self.value.denominator == 1
        return int(self.value) if exact else None


@dataclass(frozen=True, eq=False, repr=False)
class Symbol(Expression):
    """A name: of an argument (with an index for each axis), of a size, or of a constant such as π.

    Attributes:
        distribution: whether the elements along the last axis add up to 1.
        positive: whether it stands for positive numbers.
    """

    name: str
    indices: tuple[Index, ...] = ()
    distribution: bool = False
    positive: bool = False

    @cached_property
    def text(self) -> str:
        marks = "~" * self.distribution + "+" * self.positive
        return f"{self.name}{marks}{list(self.indices) if self.indices else ''}"

    @cached_property
    def free(self) -> frozenset[Index]:
        return frozenset(self.indices)


@dataclass(frozen=True, eq=False, repr=False)
class Function(Expression):
    """An elementwise function of one or two arguments, or softmax along an index."""

    name: str
    args: tuple[Expression, ...]
    along: Index | None = None

    @property
    def parts(self) -> tuple[Expression, ...]:
        return self.args

    @cached_property
    def text(self) -> str:
        along = "" if self.along is None else f":{self.along}"
        return f"{self.name}{along}({','.join(a.text for a in self.args)})"


@dataclass(frozen=True, eq=False, repr=False)
class Reduction(Expression):
    """A sum, a maximum or log Σ exp of ``body`` over bound indices, each with the size of its axis."""

    name: str
    bound: tuple[tuple[Index, Expression], ...]
    body: Expression

    @property
    def indices(self) -> tuple[Index, ...]:
        """The bound indices."""
        return tuple(i for i, _ in self.bound)

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.body,)

    @cached_property
    def text(self) -> str:
        return f"{self.name}{{{','.join(f'{i}<{size.text}' for i, size in self.bound)}}}({self.body.text})"

    @cached_property
    def free(self) -> frozenset[Index]:
        return self.body.free - set(self.indices)

    @cached_property
    def depth(self) -> int:
        return self.body.depth + 1


@dataclass(frozen=True, eq=False, repr=False)
class Product(Expression):
    """coefficient · Π base^exponent, the factors in order."""

    coefficient: Value
    factors: tuple[tuple[Expression, Expression], ...]

    @property
    def parts(self) -> tuple[Expression, ...]:
        return tuple(x for factor in self.factors for x in factor)

    @cached_property
    def text(self) -> str:
        factors = "*".join(f"{base.text}^{exponent.text}" for base, exponent in self.factors)
        return f"({self.coefficient}*{factors})"


@dataclass(frozen=True, eq=False, repr=False)
class Sum(Expression):
    """Σ coefficient · monomial, the terms in order; the monomials have the coefficient 1, that of the constant is 1."""

    terms: tuple[tuple[Expression, Value], ...]

    @property
    def parts(self) -> tuple[Expression, ...]:
        return tuple(monomial for monomial, _ in self.terms)

    @cached_property
    def text(self) -> str:
        return f"({'+'.join(f'{coefficient}*{monomial.text}' for monomial, coefficient in self.terms)})"


ZERO, ONE, HALF = Number(Fraction(0)), Number(Fraction(1)), Number(Fraction(1, 2))
EULER = Symbol("e", positive=True)
PI = Symbol("π", positive=True)


def order(x: Expression) -> tuple:
    """The key by which terms and factors are sorted: numbers, polynomials by degree, then all else."""
    factors = x.factors if isinstance(x, Product) else ((x, ONE),)
    plain = [isinstance(b, Symbol) and isinstance(e, Number) and b is not EULER and e.value > 0 for b, e in factors]
    if isinstance(x, Number):
        return (0, 0.0, (), "")
    degree = sum(float(e.value) if isinstance(e, Number) else 1.0 for _, e in factors)
    if not all(plain):
        return (2, degree, (), x.text)
    names = tuple((b.text, -float(e.value)) for b, e in factors if isinstance(e, Number))
    return (1, degree, names, "")
