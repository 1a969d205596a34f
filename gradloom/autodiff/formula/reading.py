"""From nodes to formulas: what each primitive means, element by element.

A node of rank r becomes an expression whose free indices are the places 0 to r - 1 of its axes; an axis of size 1 has
no index.  The derivative of a function is read in the same way from the nodes that the derivative rules made.

Formulas speak of general points: where a choice asks whether two values are equal, they are taken to differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import count

import numpy as np

from gradloom.autodiff.formula.algebra import CONDITIONS, add, divide, factors_of, mul, neg, number, power, square_root
from gradloom.autodiff.formula.expression import HALF, ONE, PI, ZERO, Expression, Function, Number, Symbol
from gradloom.autodiff.formula.functions import apply, logistic, opposite
from gradloom.autodiff.formula.reductions import exponential, fresh, reduction, rename, replace, with_softmax
from gradloom.autodiff.formula.simplify import simplify
from gradloom.errors import UnsupportedError
from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node, Op, topological
from gradloom.ops import contraction, core, movement, reduce
from gradloom.ops import elementwise as ew
from gradloom.ops.custom import inlined

Rule = Callable[["Reader", Node, Sequence[Expression]], Expression]


_LARGEST_HEIGHT = 150
"""No person reads more, and the algorithms on trees recur."""


class Reader:
    """Reads nodes of one traced function.

    Args:
        symbols: the symbols of the function's arguments, by placeholder.
        sizes: the symbols of sizes, by the number that stood for each while the function was traced.
    """

    def __init__(self, symbols: Mapping[Node, Symbol], sizes: Mapping[int, Symbol]) -> None:
        self.sizes = sizes
        self.arrays: dict[str, np.ndarray] = {}
        self._known: dict[Node, Expression] = dict(symbols)
        self._taken = {s.name for s in (*symbols.values(), *sizes.values())}
        self._names = (name for name in (f"c{i}" for i in count(1)) if name not in self._taken)

    def read(self, node: Node) -> Expression:
        """The formula of a node.

        Raises:
            UnsupportedError: a primitive on the way has none.
        """
        (node,) = inlined(Graph((), (node,))).outputs
        for inner in topological([node]):
            if inner not in self._known:
                found = simplify(with_softmax(self._read(inner, [self._known[x] for x in inner.inputs])))
                if found.height > _LARGEST_HEIGHT:
                    raise UnsupportedError(
                        "symbolic",
                        rule=f"a formula has at most {_LARGEST_HEIGHT} levels of brackets",
                        got=f"more than that at {inner}",
                        fix="Take the formula of one step of the function; gl.trace shows the whole.",
                    )
                self._known[inner] = found
        return self._known[node]

    def know(self, node: Node, meaning: Expression) -> None:
        """Read a node as a given formula."""
        self._known[node] = meaning

    def size(self, n: int) -> Expression:
        """A size as a symbol where it stands for one."""
        return self.sizes.get(n) or number(n)

    def _read(self, node: Node, operands: Sequence[Expression]) -> Expression:
        if node.op is CONSTANT:
            return self._constant(node)
        rule = RULES.get(node.op)
        if rule is None or node.op is PLACEHOLDER:
            fix = "Formulas know elementwise functions, sums, matrix products, softmax and extremes; gl.grad knows all."
            raise _no_formula(node, fix)
        return rule(self, node, operands)

    def _constant(self, node: Node) -> Expression:
        value = node.value
        if value.size and (not any(value.strides) or (value == value.flat[0]).all()):
            return self._number(value.flat[0].item())
        array = value.squeeze().astype(np.float64)
        earlier = (name for name, other in self.arrays.items() if np.array_equal(array, other))
        name = next(earlier, None) or next(self._names)
        self.arrays[name] = array
        return Symbol(name, indices_of(value.shape))

    def _number(self, value: float) -> Expression:
        """The number that a person would have meant: a rational one, with sizes, π or √π beside it."""
        if not math.isfinite(value) or not value:
            return number(value)
        for unit, meaning in self._units():
            found = _rational(value / unit)
            if found is not None and not any(found.numerator % n == 0 for n in self.sizes):
                return mul(Number(found), meaning)
        return Number(value)

    def _units(self) -> Iterator[tuple[float, Expression]]:
        """What a number may be a fraction of."""
        yield 1.0, ONE
        sizes = [(float(n), s) for n, s in self.sizes.items()]
        pairs = [(a * b, mul(s, t)) for i, (a, s) in enumerate(sizes) for b, t in sizes[: i + 1]]
        for n, symbol in [*sizes, *pairs]:
            yield n, symbol
            yield 1 / n, power(symbol, number(-1))
        yield from _UNITS


def _no_formula(node: Node, fix: str) -> UnsupportedError:
    operands = ", ".join(str(x.type) for x in node.inputs)
    return UnsupportedError(
        "symbolic", rule=f"the primitive {node.op.name} has no formula", got=f"{node.op.name} of {operands}", fix=fix
    )


def indices_of(shape: Sequence[int]) -> tuple[int, ...]:
    """The indices of an array: the places of its axes, but for those of size 1."""
    return tuple(i for i, n in enumerate(shape) if n != 1)


_UNITS: list[tuple[float, Expression]] = [
    (math.sqrt(math.pi), square_root(PI)),
    (1 / math.sqrt(math.pi), power(PI, Number(Fraction(-1, 2)))),
    (math.pi, PI),
    (1 / math.pi, power(PI, number(-1))),
    (math.sqrt(2), square_root(number(2))),
    (1 / math.sqrt(2 * math.pi), power(mul(number(2), PI), Number(Fraction(-1, 2)))),
]

_LARGEST_DENOMINATOR = 1000
_ROUNDING = 4e-16


def _rational(value: float) -> Fraction | None:
    """The fraction with a small denominator that a float stands for, or that it is a rounding away from."""
    exact = Fraction(value).limit_denominator(_LARGEST_DENOMINATOR)
    small = abs(exact.numerator) < 10**6 or exact.denominator == 1
    return exact if small and abs(float(exact) - value) <= _ROUNDING * abs(value) else None


# Rules ------------------------------------------------------------------------------------------------------------


def _elementwise(function: Callable[..., Expression]) -> Rule:
    return lambda reader, node, operands: function(*operands)


def _named(name: str) -> Rule:
    return lambda reader, node, operands: apply(name, *operands)


def _division(x: Expression, y: Expression) -> Expression:
    u = logistic(y)
    return divide(x, y) if u is None else mul(x, apply("σ", u))


def _choice(condition: Expression, x: Expression, y: Expression) -> Expression:
    """[c] x + [not c] y; each branch is simplified by what it may assume."""
    names = {base.name for base, _ in factors_of(condition) if isinstance(base, Function)}
    if condition == ZERO or "=" in names:
        return y
    if condition == ONE or "≠" in names:
        return x
    other = opposite(condition)
    taken = _where(_where(x, condition, ONE), other, ZERO)
    otherwise = _where(_where(y, condition, ZERO), other, ONE)
    return add(mul(condition, taken), mul(other, otherwise))


def _where(x: Expression, condition: Expression, value: Expression) -> Expression:
    return replace(x, condition, value) if isinstance(condition, Function) and condition.name in CONDITIONS else x


def _unchanged(reader: Reader, node: Node, operands: Sequence[Expression]) -> Expression:
    """Joining one part and taking all elements; the rules of gl.stack and indexing make such."""
    if node.shape != node.inputs[0].shape:
        raise _no_formula(node, "Write the function with the parts apart.")
    return operands[0]


def _floor_divide(x: Expression, y: Expression) -> Expression:
    return apply("floor", divide(x, y))


def _cast(reader: Reader, node: Node, operands: Sequence[Expression]) -> Expression:
    if node.tensor_type.is_float or node.inputs[0].dtype.kind == "b":
        return operands[0]
    return apply("trunc", operands[0])


def _broadcast(reader: Reader, node: Node, operands: Sequence[Expression]) -> Expression:
    return rename(operands[0], dict(enumerate(node.attrs["axes"])))


def _permute(reader: Reader, node: Node, operands: Sequence[Expression]) -> Expression:
    return rename(operands[0], {old: new for new, old in enumerate(node.attrs["axes"])})


def _reshape(reader: Reader, node: Node, operands: Sequence[Expression]) -> Expression:
    before, after = node.inputs[0].shape, node.shape
    old, new = indices_of(before), indices_of(after)
    if [before[i] for i in old] != [after[i] for i in new]:
        raise UnsupportedError(
            "symbolic",
            rule="in a formula reshape may only add and remove axes of size 1",
            got=f"{node.inputs[0].type} to {node.type}",
            fix="Write the function with axes that stay apart.",
        )
    return rename(operands[0], dict(zip(old, new)))


def _reduction(name: str) -> Rule:
    def rule(reader: Reader, node: Node, operands: Sequence[Expression]) -> Expression:
        shape, axes = node.inputs[0].shape, node.attrs["axes"]
        bound = {a: fresh() for a in axes if shape[a] != 1}
        kept = [a for a in range(len(shape)) if a not in axes]
        body = rename(operands[0], {**bound, **{old: new for new, old in enumerate(kept)}})
        return reduction(name, [(i, reader.size(shape[a])) for a, i in bound.items()], body) if bound else body

    return rule


def _contract(reader: Reader, node: Node, operands: Sequence[Expression]) -> Expression:
    summed, shared = node.attrs["contract"], node.attrs["batch"]
    x, y = node.inputs
    bound = [(fresh(), a, b) for a, b in zip(*summed) if x.shape[a] != 1]
    free = [[i for i in range(len(v.shape)) if i not in s and i not in c] for v, s, c in zip((x, y), summed, shared)]
    result = [(a, b) for a, b in zip(*shared)]
    left = {a: i for i, (a, _) in enumerate(result)} | {a: i for i, a, _ in bound}
    right = {b: i for i, (_, b) in enumerate(result)} | {b: i for i, _, b in bound}
    left |= {a: len(result) + n for n, a in enumerate(free[0])}
    right |= {b: len(result) + len(free[0]) + n for n, b in enumerate(free[1])}
    body = mul(rename(operands[0], left), rename(operands[1], right))
    return reduction("sum", [(i, reader.size(x.shape[a])) for i, a, _ in bound], body) if bound else body


RULES: dict[Op, Rule] = {
    core.add: _elementwise(add),
    core.broadcast: _broadcast,
    core.permute: _permute,
    core.reshape: _reshape,
    core.reduce_sum: _reduction("sum"),
    reduce.reduce_max: _reduction("max"),
    reduce.reduce_min: _reduction("min"),
    reduce.logsumexp: _reduction("logsumexp"),
    contraction.contract: _contract,
    movement.concatenate: _unchanged,
    movement.slice: _unchanged,
    ew.neg: _elementwise(neg),
    ew.sub: _elementwise(lambda x, y: add(x, neg(y))),
    ew.mul: _elementwise(mul),
    ew.div: _elementwise(_division),
    ew.power: _elementwise(power),
    ew.floor_divide: _elementwise(_floor_divide),
    ew.remainder: _elementwise(lambda x, y: add(x, neg(mul(y, _floor_divide(x, y))))),
    ew.exp: _elementwise(exponential),
    ew.expm1: _elementwise(lambda x: add(exponential(x), number(-1))),
    ew.log1p: _elementwise(lambda x: apply("log", add(ONE, x))),
    ew.sqrt: _elementwise(square_root),
    ew.rsqrt: _elementwise(lambda x: power(x, Number(-HALF.value))),
    ew.sigmoid: _named("σ"),
    ew.maximum: _named("max"),
    ew.minimum: _named("min"),
    **{op: _named(op.name) for op in (ew.abs, ew.sign, ew.floor, ew.ceil, ew.round, ew.log, ew.softplus, ew.erf)},
    **{op: _named(op.name) for op in (ew.sin, ew.cos, ew.tan, ew.asin, ew.acos, ew.atan, ew.atan2)},
    **{op: _named(op.name) for op in (ew.sinh, ew.cosh, ew.tanh, ew.asinh, ew.acosh, ew.atanh)},
    ew.eq: _named("="),
    ew.ne: _named("≠"),
    ew.lt: _named("<"),
    ew.le: _named("≤"),
    ew.gt: _named(">"),
    ew.ge: _named("≥"),
    ew.logical_and: _elementwise(mul),
    ew.logical_or: _elementwise(lambda x, y: add(x, y, neg(mul(x, y)))),
    ew.logical_not: _elementwise(opposite),
    ew.select: _elementwise(_choice),
    ew.cast: _cast,
    ew.stop_gradient: _elementwise(lambda x: x),
}
"""What each primitive means.  Those that pick elements by position, hold graphs or draw numbers have no formula."""
