"""Dual numbers: forward mode as arithmetic.

    (a + εb) + (c + εd) = (a + c) + ε(b + d)
    (a + εb) · (c + εd) = ac + ε(bc + ad)
    f(a + εb) = f(a) + εb f'(a)

for ε² = 0 but ε ≠ 0.  A function applied to a + ε gives its value and its derivative at a.  Sum, difference, product
and quotient are written out below; f' of every other function is the derivative rule of its primitive, run on the
numbers at hand, so that nothing is differentiated twice in this house.

Source: Clifford, "Preliminary sketch of biquaternions" (1873); Griewank and Walther, "Evaluating derivatives", ch. 3.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import cache
from numbers import Real
from typing import Any

import numpy as np

from gradloom.autodiff.forward import pushforward
from gradloom.errors import DomainError, DTypeError, UnsupportedError
from gradloom.ir.graph import CONSTANT, PRIMITIVES, Graph, Op, placeholder
from gradloom.ir.tensortype import TensorType, is_float
from gradloom.ops import elementwise
from gradloom.ops.core import add, batch_all

Number = Any
"""A Python or NumPy number, a NumPy array, a tensor, or another dual number."""

_SCALAR = TensorType((), np.dtype("float64"))


def is_number(value: Any) -> bool:
    """Whether a value can be a part of a dual number; tensors are known by their rule for primitives."""
    return isinstance(value, (Real, np.generic, np.ndarray, Dual)) or hasattr(type(value), "__primitive__")


class Dual:
    """The dual number a + εb, with ε² = 0.

    Applied to ``Dual(a, 1.0)``, a function of one variable gives ``Dual(f(a), f'(a))``; with ``Dual(a, b)`` for each
    of several arguments it gives the derivative along the direction b.  Arithmetic, the methods below, NumPy's
    functions and gradloom's elementwise ones (``gl.exp``, ``gl.where``, ...) take dual numbers; ``gl.jvp`` is the same
    idea for functions with any primitive.

    Comparisons, ``==`` among them, look at the real parts alone, so that a program takes the branches that it takes
    for a plain number.  Therefore dual numbers are not hashable: equal ones may differ in ε, and a cache keyed by them
    would give back the wrong derivative.

    For second derivatives nest them, both parts of ``Dual(Dual(a, 1.0), Dual(1.0, 0.0))`` being dual: the ε of the ε
    is f''(a).  An operation on numbers of unlike depth takes the outermost ε of each to be the same one.

    Args:
        a: the real part: a number, an array, a tensor, or a dual number.
        b: the dual part, the factor of ε, of the same kind and of a shape that fits.

    Raises:
        DTypeError: a part is no number.
        ZeroDivisionError: a part is a Python number and its divisor is 0, as for floats (arrays and tensors give
            infinities as ever).
        DomainError: a Python number lies outside the domain of a function, as log 0.

    Example:
        >>> x = Dual(3.0, 1.0)
        >>> x * x + 1 / x
        9.333333333333334 + 5.888888888888889ε
    """

    __slots__ = ("dual", "real")
    __hash__ = None  # type: ignore[assignment]
    __array_priority__ = 2000  # arrays and tensors leave ``x * dual`` to us

    def __init__(self, a: Number, b: Number = 0.0) -> None:
        for part in (a, b):
            if not is_number(part):
                raise DTypeError(
                    "Dual",
                    rule="the parts of a dual number are numbers, arrays, tensors or dual numbers",
                    got=f"a value of type {type(part).__name__}",
                )
        self.real, self.dual = a, b

    # How it looks, and what it is beside other numbers -------------------------------------------------------------

    @property
    def depth(self) -> int:
        """How many dual numbers are nested in it: 1 for one with plain parts."""
        return 1 + max(part.depth if isinstance(part, Dual) else 0 for part in (self.real, self.dual))

    def __repr__(self) -> str:
        epsilon = "ε" if self.depth == 1 else "ε" + str(self.depth).translate(_SUBSCRIPTS)
        dual = self.dual
        minus = isinstance(dual, (int, float)) and dual < 0
        return f"{_part(self.real)} {'-' if minus else '+'} {_part(-dual if minus else dual)}{epsilon}"

    def __bool__(self) -> bool:
        return bool(self.real)

    def __float__(self) -> float:
        raise DTypeError(
            "float",
            rule="a dual number does not fit into a float, for its derivative would be lost",
            got=repr(self),
            fix="Use np.exp or gl.exp in place of math.exp, or take the parts .real and .dual.",
        )

    def __eq__(self, other: Any) -> Any:
        return self.real == real_part(other) if is_number(other) else NotImplemented

    def __ne__(self, other: Any) -> Any:
        return self.real != real_part(other) if is_number(other) else NotImplemented

    def __lt__(self, other: Any) -> Any:
        return self.real < real_part(other) if is_number(other) else NotImplemented

    def __le__(self, other: Any) -> Any:
        return self.real <= real_part(other) if is_number(other) else NotImplemented

    def __gt__(self, other: Any) -> Any:
        return self.real > real_part(other) if is_number(other) else NotImplemented

    def __ge__(self, other: Any) -> Any:
        return self.real >= real_part(other) if is_number(other) else NotImplemented

    # Arithmetic -----------------------------------------------------------------------------------------------------

    def __pos__(self) -> Dual:
        return self

    def __neg__(self) -> Dual:
        return Dual(-self.real, -self.dual)

    def __abs__(self) -> Dual:
        return apply(elementwise.abs, self)

    def __add__(self, other: Any) -> Any:
        return _plus(self, other) if is_number(other) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return _plus(other, self) if is_number(other) else NotImplemented

    def __sub__(self, other: Any) -> Any:
        return _minus(self, other) if is_number(other) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return _minus(other, self) if is_number(other) else NotImplemented

    def __mul__(self, other: Any) -> Any:
        return _times(self, other) if is_number(other) else NotImplemented

    def __rmul__(self, other: Any) -> Any:
        return _times(other, self) if is_number(other) else NotImplemented

    def __truediv__(self, other: Any) -> Any:
        return _over(self, other) if is_number(other) else NotImplemented

    def __rtruediv__(self, other: Any) -> Any:
        return _over(other, self) if is_number(other) else NotImplemented

    def __floordiv__(self, other: Any) -> Any:
        return apply(elementwise.floor_divide, self, other) if is_number(other) else NotImplemented

    def __rfloordiv__(self, other: Any) -> Any:
        return apply(elementwise.floor_divide, other, self) if is_number(other) else NotImplemented

    def __mod__(self, other: Any) -> Any:
        return apply(elementwise.remainder, self, other) if is_number(other) else NotImplemented

    def __rmod__(self, other: Any) -> Any:
        return apply(elementwise.remainder, other, self) if is_number(other) else NotImplemented

    def __pow__(self, other: Any) -> Any:
        return _to_the(self, other) if is_number(other) else NotImplemented

    def __rpow__(self, other: Any) -> Any:
        return _to_the(other, self) if is_number(other) else NotImplemented

    # Elementary functions -------------------------------------------------------------------------------------------

    def exp(self) -> Dual:
        """e^x."""
        return apply(elementwise.exp, self)

    def expm1(self) -> Dual:
        """e^x - 1, exact near 0."""
        return apply(elementwise.expm1, self)

    def log(self) -> Dual:
        """The natural logarithm."""
        return apply(elementwise.log, self)

    def log1p(self) -> Dual:
        """log(1 + x), exact near 0."""
        return apply(elementwise.log1p, self)

    def sqrt(self) -> Dual:
        """√x; at 0 it has no derivative."""
        return apply(elementwise.sqrt, self)

    def sin(self) -> Dual:
        """The sine of radians."""
        return apply(elementwise.sin, self)

    def cos(self) -> Dual:
        """The cosine of radians."""
        return apply(elementwise.cos, self)

    def tan(self) -> Dual:
        """The tangent of radians."""
        return apply(elementwise.tan, self)

    def asin(self) -> Dual:
        """The inverse sine."""
        return apply(elementwise.asin, self)

    def acos(self) -> Dual:
        """The inverse cosine."""
        return apply(elementwise.acos, self)

    def atan(self) -> Dual:
        """The inverse tangent."""
        return apply(elementwise.atan, self)

    def sinh(self) -> Dual:
        """(e^x - e^-x)/2."""
        return apply(elementwise.sinh, self)

    def cosh(self) -> Dual:
        """(e^x + e^-x)/2."""
        return apply(elementwise.cosh, self)

    def tanh(self) -> Dual:
        """The hyperbolic tangent."""
        return apply(elementwise.tanh, self)

    def asinh(self) -> Dual:
        """The inverse of sinh."""
        return apply(elementwise.asinh, self)

    def acosh(self) -> Dual:
        """The inverse of cosh."""
        return apply(elementwise.acosh, self)

    def atanh(self) -> Dual:
        """The inverse of tanh."""
        return apply(elementwise.atanh, self)

    def sigmoid(self) -> Dual:
        """1/(1 + e^-x)."""
        return apply(elementwise.sigmoid, self)

    def softplus(self) -> Dual:
        """log(1 + e^x)."""
        return apply(elementwise.softplus, self)

    def erf(self) -> Dual:
        """The error function."""
        return apply(elementwise.erf, self)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's function as ours: by the primitive that has it for its meaning."""
        if method != "__call__" or options:
            return NotImplemented
        if ufunc in _COMPOSED:
            return _COMPOSED[ufunc](*inputs)
        return apply(_PRIMITIVE_OF[ufunc], *inputs) if ufunc in _PRIMITIVE_OF else NotImplemented


_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def _part(value: Number) -> str:
    """A part in writing; NumPy's scalars look like Python's, compound parts get brackets."""
    if isinstance(value, Dual):
        return f"({value!r})"
    return repr(value.item()) if isinstance(value, np.generic) else str(value)


def real_part(value: Number) -> Number:
    """a of a + εb; a plain number is its own real part."""
    return value.real if isinstance(value, Dual) else value


# The four rules ---------------------------------------------------------------------------------------------------


def _parts(x: Number, y: Number) -> tuple[Number, Number | None, Number, Number | None]:
    """a, b, c, d of a + εb and c + εd; the dual part of a plain number is None."""
    a, b = (x.real, x.dual) if isinstance(x, Dual) else (x, None)
    c, d = (y.real, y.dual) if isinstance(y, Dual) else (y, None)
    return a, b, c, d


def _sum_of(*terms: Number | None) -> Number:
    """The sum of those terms that are not None."""
    found = [t for t in terms if t is not None]
    return found[0] if len(found) == 1 else found[0] + found[1]


def _plus(x: Number, y: Number) -> Dual:
    a, b, c, d = _parts(x, y)
    return Dual(a + c, _sum_of(b, d))


def _minus(x: Number, y: Number) -> Dual:
    a, b, c, d = _parts(x, y)
    return Dual(a - c, _sum_of(b, None if d is None else -d))


def _times(x: Number, y: Number) -> Dual:
    a, b, c, d = _parts(x, y)
    return Dual(a * c, _sum_of(None if b is None else b * c, None if d is None else a * d))


def _over(x: Number, y: Number) -> Dual:
    """q = a/c and (b - qd)/c."""
    a, b, c, d = _parts(x, y)
    q = a / c
    return Dual(q, _sum_of(None if b is None else b / c, None if d is None else -(q * d) / c))


def _to_the(x: Number, y: Number) -> Dual:
    """x^y.  A whole exponent n takes n a^(n-1), which is exact for every base; others take the primitive's rule."""
    if isinstance(x, Dual) and isinstance(y, int):
        return Dual(x.real**y, (y * x.real ** (y - 1) if y else 0) * x.dual)
    return apply(elementwise.power, x, y)


_ARITHMETIC: dict[Op, tuple[Callable[..., Number], Callable[..., Number]]] = {
    add: (operator.add, _plus),
    elementwise.sub: (operator.sub, _minus),
    elementwise.mul: (operator.mul, _times),
    elementwise.div: (operator.truediv, _over),
    elementwise.neg: (operator.neg, operator.neg),
}
"""Primitives that Python has operators for: on plain numbers, and on dual ones."""

# All other primitives ---------------------------------------------------------------------------------------------


def apply(op: Op, *values: Number) -> Number:
    """An elementwise primitive applied to numbers of any kind; of mixed kinds the outermost decides.

    Raises:
        UnsupportedError: the primitive is not elementwise.
        DomainError: all values are Python numbers, and the result would not be finite.
    """
    if op.batch is not batch_all:
        raise UnsupportedError(
            "Dual",
            rule="only elementwise functions take dual numbers",
            got=f"the primitive {op.name}",
            fix="Use gl.jvp(f, primals, tangents), which differentiates every primitive.",
        )
    if any(isinstance(v, Dual) for v in values):
        return _ARITHMETIC[op][1](*values) if op in _ARITHMETIC else _by_rule(op, values)
    if op in _ARITHMETIC:
        return _ARITHMETIC[op][0](*values)
    for value in values:
        if hasattr(type(value), "__primitive__"):
            return type(value).__primitive__(op, values)
    return _compute(op, values)


def _by_rule(op: Op, values: Sequence[Number]) -> Number:
    """f(a + εb) = f(a) + εb f'(a), by the derivative rule of the primitive; truth values have no dual part."""
    graph = _linearised(op, tuple(isinstance(v, Dual) for v in values))
    given = [real_part(v) for v in values] + [v.dual for v in values if isinstance(v, Dual)]
    results = [_narrowed(r, given) for r in _run(graph, given)]
    if graph.output_types[0].dtype.kind == "b":
        return results[0]
    return Dual(results[0], results[1] if len(results) > 1 else 0.0)


@cache
def _linearised(op: Op, dual: tuple[bool, ...]) -> Graph:
    """The graph of a primitive's value, and of its tangent where it has one, for operands some of which are dual."""
    # The condition of a choice is the one operand that is not of floats.
    types = [_SCALAR.with_dtype("bool") if op is elementwise.select and i == 0 else _SCALAR for i in range(len(dual))]
    operands = [placeholder(t) for t in types]
    seeds = {x: placeholder(_SCALAR) for x, is_dual in zip(operands, dual) if is_dual}
    values, tangents = pushforward([op(*operands)], seeds)
    return Graph((*operands, *seeds.values()), (*values, *(t for t in tangents if t is not None)), op.name)


def _run(graph: Graph, values: Sequence[Number]) -> list[Number]:
    """Evaluate a graph of scalars for numbers of any kind."""
    known: dict[Any, Number] = dict(zip(graph.inputs, values))
    for node in graph.nodes:
        if node not in known:
            # Python's numbers take on the type of what they meet.
            known[node] = node.value.item() if node.op is CONSTANT else apply(node.op, *(known[x] for x in node.inputs))
    return [known[y] for y in graph.outputs]


def _float_type(values: Sequence[Number]) -> np.dtype:
    """The data type in which numbers are computed with; Python's take on that of the others."""
    return np.result_type(1.0, *(v for v in values if np.result_type(v).kind != "b"))


def _narrowed(found: Number, given: Sequence[Number]) -> Number:
    """A result in the type of what was given: a choice between two of Python's numbers by an array is in float64."""
    if isinstance(found, (np.ndarray, np.generic)) and is_float(found.dtype):
        return found.astype(_float_type(given), copy=False)
    return found


def _compute(op: Op, values: Sequence[Number]) -> Number:
    """A primitive on plain numbers by its NumPy meaning, in floats."""
    is_python = all(type(v) in (bool, int, float) for v in values)
    dtype = _float_type(values)
    arrays = [np.asarray(v, None if np.result_type(v).kind == "b" else dtype) for v in values]
    if not is_python:
        return op.compute(*arrays)[()]
    try:
        with np.errstate(all="raise", under="ignore"):
            return op.compute(*arrays).item()
    except FloatingPointError as error:
        raise DomainError(
            op.name,
            rule="the function has no finite value or derivative here",
            got=f"{', '.join(map(str, values))} ({error})",
            fix="NumPy numbers, arrays and tensors give infinities and NaN instead.",
        ) from None


_PRIMITIVE_OF: dict[Any, Op] = {
    **{op.meaning: op for op in PRIMITIVES.values() if isinstance(op.meaning, np.ufunc)},
    np.floor_divide: elementwise.floor_divide,
    np.remainder: elementwise.remainder,
    np.rint: elementwise.round,
}

_COMPOSED: dict[Any, Callable[..., Number]] = {
    np.positive: lambda x: x,
    np.square: lambda x: x * x,
    np.reciprocal: lambda x: 1 / x,
    np.power: _to_the,
    np.float_power: _to_the,
    np.exp2: lambda x: _to_the(2.0, x),
    np.log2: lambda x: apply(elementwise.log, x) / float(np.log(2.0)),
    np.log10: lambda x: apply(elementwise.log, x) / float(np.log(10.0)),
}
"""NumPy's functions that are made of primitives."""
