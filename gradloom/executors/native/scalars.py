"""Code for each elementwise primitive, for one element or a vector of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from gradloom.executors.native import bfloat
from gradloom.executors.native.builder import Function, Value, vector
from gradloom.executors.native.vectormath import FUNCTIONS

REGISTER = {
    "bool": "i1",
    "uint8": "i8",
    "uint32": "i32",
    "int32": "i32",
    "int64": "i64",
    "float16": "half",
    "bfloat16": "float",
    "float32": "float",
    "float64": "double",
}
"""The LLVM type in which an element of each data type is computed with."""

MEMORY = {**REGISTER, "bool": "i8", "bfloat16": "i16"}
"""The LLVM type in which an element lies in memory."""

_COMPARISONS = {
    "eq": ("oeq", "eq", "eq"),
    "ne": ("une", "ne", "ne"),
    "lt": ("olt", "slt", "ult"),
    "le": ("ole", "sle", "ule"),
    "gt": ("ogt", "sgt", "ugt"),
    "ge": ("oge", "sge", "uge"),
}

Operands = Sequence[Value]


def apply(b: Function, name: str, args: Operands, operand: np.dtype, result: np.dtype) -> Value:
    """The value of primitive ``name`` on values of data type ``operand``.

    Raises:
        KeyError: the primitive has no code; the plan is refused before that (see fuse.py).
    """
    if operand.name == "float16" and name not in ("cast", "select", "stop_gradient"):
        wide = [b.convert(a, "float") if a.element == "half" else a for a in args]
        found = apply(b, name, wide, np.dtype("float32"), result)
        return b.convert(found, "half") if result.name == "float16" else found
    if name == "cast":
        return cast(b, args[0], operand, result)
    if name in _COMPARISONS:
        word = _COMPARISONS[name][{"f": 0, "i": 1}.get(operand.kind, 2)]
        return b.compare(word, args[0], args[1])
    if name in FUNCTIONS:
        return FUNCTIONS[name](b, *args)
    return CODE[name](b, args, operand)


def cast(b: Function, x: Value, source: np.dtype, target: np.dtype) -> Value:
    """``x`` in another data type.  Only float32 meets bfloat16, whose elements are floats too (see widen.py)."""
    if target.name == "bool":
        zero = b.const(x.type, 0)
        return b.compare("une" if x.is_float else "ne", x, zero) if x.element != "i1" else x
    if source.kind == "f" and target.kind == "u":  # through a wider signed type, as NumPy wraps
        return b.convert(b.convert(x, "i64"), REGISTER[target.name])
    if target.name == "bfloat16":
        return bfloat.rounded(b, x)
    return b.convert(x, REGISTER[target.name], signed=source.kind in "fi")


def _word(floating: str, signed: str, unsigned: str | None = None) -> Callable[..., Value]:
    def code(b: Function, args: Operands, dtype: np.dtype) -> Value:
        word = {"f": floating, "i": signed}.get(dtype.kind, unsigned or signed)
        return b.binary(word, args[0], args[1])

    return code


def _intrinsic(name: str) -> Callable[..., Value]:
    return lambda b, args, dtype: b.intrinsic(name, *args)


def _neg(b: Function, args: Operands, dtype: np.dtype) -> Value:
    (x,) = args
    return b.emit(x.type, f"fneg {x.type} {x.text}") if x.is_float else b.sub(b.const(x.type, 0), x)


def _not(b: Function, args: Operands, dtype: np.dtype) -> Value:
    (x,) = args
    return b.binary("xor", x, b.const(x.type, 1 if x.element == "i1" else -1))


def _extreme(name: str) -> Callable[..., Value]:
    """maximum or minimum; NaN if either is NaN."""

    def code(b: Function, args: Operands, dtype: np.dtype) -> Value:
        x, y = args
        if x.is_float:
            return b.intrinsic(name, x, y)  # maximum and minimum of IEEE 754-2019 propagate NaN
        below = {"i": "s", "u": "u", "b": "u"}[dtype.kind] + ("gt" if name == "maximum" else "lt")
        return b.select(b.compare(below, x, y), x, y)

    return code


def _abs(b: Function, args: Operands, dtype: np.dtype) -> Value:
    (x,) = args
    if x.is_float:
        return b.intrinsic("fabs", x)
    return x if dtype.kind == "u" else b.select(b.compare("slt", x, b.const(x.type, 0)), _neg(b, args, dtype), x)


def _sign(b: Function, args: Operands, dtype: np.dtype) -> Value:
    (x,) = args
    zero, one = b.const(x.type, 0), b.const(x.type, 1)
    above, below = ("ogt", "olt") if x.is_float else ("ugt" if dtype.kind == "u" else "sgt", "slt")
    found = b.select(b.compare(above, x, zero), one, zero)
    if dtype.kind != "u":
        found = b.select(b.compare(below, x, zero), b.const(x.type, -1), found)
    return b.select(b.compare("uno", x, x), x, found) if x.is_float else found


def _rsqrt(b: Function, args: Operands, dtype: np.dtype) -> Value:
    (x,) = args
    return b.binary("fdiv", b.const(x.type, 1), b.intrinsic("sqrt", x))


def _floor_divide(b: Function, args: Operands, dtype: np.dtype) -> Value:
    return _division(b, args, dtype)[0]


def _remainder(b: Function, args: Operands, dtype: np.dtype) -> Value:
    return _division(b, args, dtype)[1]


def _division(b: Function, args: Operands, dtype: np.dtype) -> tuple[Value, Value]:
    """⌊x / y⌋ and x - y ⌊x / y⌋ with the sign of y; both 0 for integers divided by 0."""
    x, y = args
    zero = b.const(x.type, 0)
    if x.is_float:
        return _float_division(b, x, y)
    none = b.compare("eq", y, zero)
    safe = b.select(none, b.const(x.type, 1), y)
    quotient, remainder = (_signed_division if dtype.kind == "i" else _unsigned_division)(b, x, safe)
    return b.select(none, zero, quotient), b.select(none, zero, remainder)


def _float_division(b: Function, x: Value, y: Value) -> tuple[Value, Value]:
    """As NumPy has it: x / 0 is the quotient by 0, and x and ∞ of other signs give the quotient -1."""
    zero = b.const(x.type, 0)
    cut = b.binary("frem", x, y)  # has the sign of x
    differs = b.binary("xor", b.compare("olt", cut, zero), b.compare("olt", y, zero))
    fix = b.binary("and", b.compare("one", cut, zero), differs)
    nearly, one = b.binary("fdiv", b.sub(x, cut), y), b.const(x.type, 1)
    nearly = b.select(fix, b.sub(nearly, one), nearly)
    below = b.intrinsic("floor", nearly)
    above = b.compare("ogt", b.sub(nearly, below), b.const(x.type, 0.5))
    quotient = b.select(above, b.add(below, one), below)
    remainder = b.select(fix, b.add(cut, y), cut)
    ratio = b.binary("fdiv", x, y)
    quotient = b.select(b.compare("oeq", quotient, zero), b.intrinsic("copysign", zero, ratio), quotient)
    remainder = b.select(b.compare("oeq", remainder, zero), b.intrinsic("copysign", zero, y), remainder)
    return b.select(b.compare("oeq", y, zero), ratio, quotient), remainder


def _unsigned_division(b: Function, x: Value, y: Value) -> tuple[Value, Value]:
    return b.binary("udiv", x, y), b.binary("urem", x, y)


def _signed_division(b: Function, x: Value, y: Value) -> tuple[Value, Value]:
    """Rounded down; the only overflow, the smallest number by -1, wraps."""
    zero, one = b.const(x.type, 0), b.const(x.type, 1)
    minus = b.compare("eq", y, b.const(x.type, -1))
    safe = b.select(minus, one, y)
    quotient, remainder = b.binary("sdiv", x, safe), b.binary("srem", x, safe)
    differs = b.binary("xor", b.compare("slt", remainder, zero), b.compare("slt", y, zero))
    fix = b.binary("and", b.compare("ne", remainder, zero), differs)
    quotient = b.select(fix, b.sub(quotient, one), quotient)
    remainder = b.select(fix, b.add(remainder, y), remainder)
    return b.select(minus, b.sub(zero, x), quotient), b.select(minus, zero, remainder)


def _shift(word: str) -> Callable[..., Value]:
    def code(b: Function, args: Operands, dtype: np.dtype) -> Value:
        x, y = args
        chosen = "ashr" if word == "lshr" and dtype.kind == "i" else word
        return b.binary(chosen, x, y)

    return code


def _is_finite(b: Function, args: Operands, dtype: np.dtype) -> Value:
    (x,) = args
    return b.compare("one", b.intrinsic("fabs", x), b.const(x.type, math.inf))


CODE: dict[str, Callable[..., Value]] = {
    "add": _word("fadd", "add"),
    "sub": _word("fsub", "sub"),
    "mul": _word("fmul", "mul"),
    "div": _word("fdiv", "sdiv"),
    "neg": _neg,
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "maximum": _extreme("maximum"),
    "minimum": _extreme("minimum"),
    "abs": _abs,
    "sign": _sign,
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "round": _intrinsic("rint"),
    "sqrt": _intrinsic("sqrt"),
    "rsqrt": _rsqrt,
    "is_finite": _is_finite,
    "logical_and": _word("and", "and"),
    "logical_or": _word("or", "or"),
    "logical_xor": _word("xor", "xor"),
    "logical_not": _not,
    "shift_right": _shift("lshr"),
    "shift_left": _shift("shl"),
    "select": lambda b, args, dtype: b.select(*args),
    "stop_gradient": lambda b, args, dtype: args[0],
    "bfloat16_pair": lambda b, args, dtype: bfloat.pair(b, *args),
}
"""Code for the primitives that are an instruction or a few."""

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def threefry(b: Function, key: tuple[Value, Value], place: Value) -> Value:
    """Word number ``place`` (i64) of the random stream of a key; see ops/sampling.py.  Both may be one or a vector."""
    lanes = max(place.lanes, key[0].lanes)
    kind, place = vector("i32", lanes), b.splat(place, lanes)
    counter = b.convert(b.binary("lshr", place, b.const(place.type, 1)), "i32")
    mark = b.const(key[0].type, _PARITY - 2**32 * (_PARITY >= 2**31))
    parity = b.binary("xor", b.binary("xor", key[0], key[1]), mark)
    keys = [b.splat(k, lanes) for k in (key[0], key[1], parity)]
    x0, x1 = b.add(counter, keys[0]), keys[1]
    for block in range(5):
        for places in _ROTATIONS[block % 2]:
            x0 = b.add(x0, x1)
            x1 = b.binary("xor", b.intrinsic("fshl", x1, x1, b.const(kind, places)), x0)
        x0 = b.add(x0, keys[(block + 1) % 3])
        x1 = b.add(b.add(x1, keys[(block + 2) % 3]), b.const(kind, block + 1))
    odd = b.compare("ne", b.binary("and", place, b.const(place.type, 1)), b.const(place.type, 0))
    return b.select(odd, x1, x0)
