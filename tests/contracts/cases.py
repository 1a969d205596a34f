"""The table of primitives: for each one the operands and attributes under which every contract must hold.

A new primitive needs a row here; a test names those that have none.
"""

from __future__ import annotations

import importlib
import pkgutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from operands import (
    Operand,
    converted,
    distinct,
    keys,
    matrices,
    positive_definite,
    reals,
    truths,
    whole,
)

from gradloom import ops
from gradloom.ir.graph import PRIMITIVES, Domain, Graph, Node, Op, constant, fill, placeholder
from gradloom.ir.tensortype import ORDER, TensorType, TupleType
from gradloom.ops import elementwise as ew
from gradloom.ops import reduce
from gradloom.ops.control import results
from gradloom.ops.core import add, zeros
from gradloom.ops.custom import Rules

for _module in pkgutil.iter_modules(ops.__path__):  # importing a file of primitives declares them
    importlib.import_module(f"gradloom.ops.{_module.name}")

FLOATS = ("float16", "bfloat16", "float32", "float64")
WIDE_FLOATS = ("float32", "float64")
INTEGERS = ("uint8", "uint32", "int32", "int64")
NUMBERS = (*INTEGERS, *FLOATS)
LOGICAL = ("bool", *INTEGERS)
ANY = ORDER

NOT_OPERATIONS = {"placeholder", "constant", "project", "custom_tangents"}
"""Parts of graphs that compute nothing by themselves: they have no row."""


@dataclass(frozen=True)
class Case:
    """One use of a primitive.

    Attributes:
        name: the primitive.
        operands: how each operand is drawn.
        attrs: the attributes.
        dtypes: the data types that the generic operands may have; the type rule refuses all others.
        wrt: the operands to differentiate by.
        label: tells the cases of one primitive apart.
    """

    name: str
    operands: tuple[Operand, ...]
    attrs: dict[str, Any]
    dtypes: tuple[str, ...]
    wrt: tuple[int, ...]
    label: str = field(default="")

    @property
    def op(self) -> Op:
        return PRIMITIVES[self.name]

    @property
    def dtype(self) -> str:
        """The data type in which everything but the type rule is tested."""
        return "float64" if "float64" in self.dtypes else self.dtypes[-1]

    def arrays(self, dtype: str | None = None, sample: int = 0) -> list[np.ndarray]:
        """Operands, the same for the same sample number."""
        rng = np.random.default_rng([zlib.crc32(repr(self).encode()), sample])
        domains: Sequence[Domain] = self.op.domains
        drawn = [x.draw(rng, domains[min(i, len(domains) - 1)]) for i, x in enumerate(self.operands)]
        wanted = dtype or self.dtype
        return [converted(a, wanted) if x.generic else a for a, x in zip(drawn, self.operands)]

    def results(self, inputs: Sequence[Node]) -> list[Node]:
        """The results at these operands."""
        out = self.op(*inputs, **self.attrs)
        return results(out) if isinstance(out.type, TupleType) else [out]

    def __repr__(self) -> str:
        return f"{self.name}-{self.label}"


ROWS: dict[str, list[Case]] = {}


def row(
    name: str,
    *uses: tuple[tuple[Operand, ...], dict[str, Any]],
    dtypes: tuple[str, ...] = FLOATS,
    smooth: bool = True,
) -> None:
    """Enter the uses ``(operands, attributes)`` of a primitive; ``smooth``: differences measure its derivative."""
    assert name not in ROWS, f"two rows for {name}"
    ROWS[name] = []
    for number, (operands, attrs) in enumerate(uses):
        floating = "float64" in dtypes and smooth
        wrt = tuple(i for i, x in enumerate(operands) if x.generic) if floating else ()
        ROWS[name].append(Case(name, operands, attrs, dtypes, wrt, str(number)))


def elementwise(*names: str, operands: int, dtypes: tuple[str, ...] = FLOATS, smooth: bool = True) -> None:
    """Rows of elementwise primitives: a matrix, a scalar, sizes of 1, no elements."""
    for name in names:
        shapes = ((2, 3), (), (1, 2, 1), (0, 2))
        row(name, *(((reals(*shape),) * operands, {}) for shape in shapes), dtypes=dtypes, smooth=smooth)


# Elementwise ----------------------------------------------------------------------------------------------------

elementwise("neg", "abs", "sign", operands=1, dtypes=NUMBERS)
elementwise("add", "sub", "mul", "floor_divide", "remainder", "maximum", "minimum", operands=2, dtypes=NUMBERS)
elementwise("div", "power", "atan2", operands=2)
elementwise("floor", "ceil", "round", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", operands=1)
elementwise("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", operands=1)
elementwise("sigmoid", "softplus", "erf", operands=1)
elementwise("eq", "ne", operands=2, dtypes=ANY, smooth=False)
elementwise("lt", "le", "gt", "ge", operands=2, dtypes=NUMBERS, smooth=False)
elementwise("is_finite", operands=1, smooth=False)
elementwise("logical_and", "logical_or", "logical_xor", operands=2, dtypes=LOGICAL)
elementwise("logical_not", operands=1, dtypes=LOGICAL)
elementwise("shift_left", "shift_right", operands=2, dtypes=INTEGERS)
elementwise("stop_gradient", operands=1, dtypes=ANY, smooth=False)  # its derivative is not its slope: that is its use
row(
    "select",
    ((truths(2, 3), reals(2, 3), reals(2, 3)), {}),
    ((truths(), reals(), reals()), {}),
    ((truths(0, 2), reals(0, 2), reals(0, 2)), {}),
    dtypes=ANY,
)
row("cast", *(((reals(2, 3),), {"dtype": np.dtype(name)}) for name in ("float64", "int32", "bool")), dtypes=ANY)

# Shapes ---------------------------------------------------------------------------------------------------------

row(
    "broadcast",
    ((reals(3),), {"shape": (2, 3), "axes": (1,)}),
    ((reals(2, 1),), {"shape": (2, 3), "axes": (0, 1)}),
    ((reals(1, 2),), {"shape": (3, 1, 2), "axes": (0, 2)}),
    ((reals(),), {"shape": (2, 2), "axes": ()}),
    ((reals(1),), {"shape": (0,), "axes": (0,)}),
    dtypes=ANY,
)
row(
    "reshape",
    ((reals(2, 3),), {"shape": (3, 2)}),
    ((reals(),), {"shape": (1, 1)}),
    ((reals(2, 0),), {"shape": (0, 5)}),
    dtypes=ANY,
)
row(
    "permute",
    ((reals(2, 3, 2),), {"axes": (2, 0, 1)}),
    ((reals(),), {"axes": ()}),
    ((reals(0, 2),), {"axes": (1, 0)}),
    dtypes=ANY,
)
row(
    "pad",
    ((reals(2, 3),), {"value": 1.0, "low": (1, 0), "high": (0, 2), "interior": (2, 1)}),
    ((reals(),), {"value": 0.0, "low": (), "high": (), "interior": ()}),
    ((reals(0, 2),), {"value": 0.0, "low": (1, 0), "high": (1, 1), "interior": (3, 0)}),
    dtypes=ANY,
)
row(
    "slice",
    ((reals(5, 4),), {"start": (1, 0), "stop": (5, 3), "step": (3, 2)}),
    ((reals(3, 2),), {"start": (1, 2), "stop": (1, 2), "step": (1, 1)}),
    ((reals(),), {"start": (), "stop": (), "step": ()}),
    dtypes=ANY,
)
row(
    "flip", ((reals(2, 3),), {"axes": (1,)}), ((reals(2, 3),), {"axes": (0, 1)}), ((reals(),), {"axes": ()}), dtypes=ANY
)
row(
    "concatenate",
    ((reals(2, 3), reals(2, 1), reals(2, 2)), {"axis": 1}),
    ((reals(0, 2), reals(2, 2)), {"axis": 0}),
    ((reals(3),), {"axis": 0}),
    dtypes=ANY,
)

# Sums of products -------------------------------------------------------------------------------------------------

row(
    "contract",
    ((reals(2, 3), reals(3, 2)), {"contract": ((1,), (0,)), "batch": ((), ())}),
    ((reals(2, 2, 3), reals(3, 2, 2)), {"contract": ((2,), (0,)), "batch": ((0,), (1,))}),
    ((reals(2, 3, 2), reals(2, 3, 2)), {"contract": ((0, 1), (2, 1)), "batch": ((), ())}),
    ((reals(2, 1, 2), reals(2, 2)), {"contract": ((), ()), "batch": ((0, 2), (1, 0))}),
    ((reals(3), reals(3)), {"contract": ((0,), (0,)), "batch": ((), ())}),
    ((reals(2), reals()), {"contract": ((), ()), "batch": ((), ())}),
    ((reals(2, 0), reals(0, 2)), {"contract": ((1,), (0,)), "batch": ((), ())}),
    dtypes=NUMBERS,
)

# Reductions -------------------------------------------------------------------------------------------------------

_FULL_AXES = [((2, 3, 2), (0, 2)), ((2, 3), (0, 1)), ((2, 3), ()), ((), ()), ((1, 4), (0,)), ((5,), (0,))]
_EMPTY_AXES = [((0, 3), (0,)), ((2, 0), ())]

for _name in ("reduce_sum", "reduce_prod"):
    row(_name, *(((reals(*s),), {"axes": a}) for s, a in _FULL_AXES + _EMPTY_AXES), dtypes=NUMBERS)
for _name in ("reduce_max", "reduce_min"):
    row(_name, *(((distinct(*s),), {"axes": a}) for s, a in [*_FULL_AXES, ((0, 2), (1,))]), dtypes=ANY)
row("logsumexp", *(((reals(*s),), {"axes": a}) for s, a in [*_FULL_AXES, ((0, 2), (1,))]))
for _name in ("reduce_any", "reduce_all"):
    row(_name, *(((reals(*s),), {"axes": a}) for s, a in _FULL_AXES + _EMPTY_AXES), dtypes=("bool",))
for _name in ("argmax", "argmin"):
    row(_name, *(((distinct(2, 3, 2),), {"axis": a}) for a in (0, 1, 2)), dtypes=ANY, smooth=False)
row(
    "cumsum",
    ((reals(2, 3),), {"axis": 1, "reverse": False}),
    ((reals(3, 2),), {"axis": 0, "reverse": True}),
    ((reals(1, 0),), {"axis": 1, "reverse": False}),
    dtypes=NUMBERS,
)

# Positions --------------------------------------------------------------------------------------------------------

_PLACES = [((3, 2), (4,), 0), ((2, 3), (2, 2), 1), ((2, 3, 2), (), 1), ((3,), (0,), 0), ((2, 1, 2), (3,), 1)]


def _moved(shape: Sequence[int], places: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *places, *shape[axis + 1 :])


row(
    "take",
    *(((reals(*s), whole(*p, below=s[a])), {"axis": a}) for s, p, a in _PLACES),
    ((reals(2, 3), whole(2, below=3, dtype="uint8")), {"axis": 1}),
    dtypes=ANY,
)
row(
    "scatter_add",
    *(((reals(*s), whole(*p, below=s[a]), reals(*_moved(s, p, a))), {"axis": a}) for s, p, a in _PLACES),
    ((reals(2, 3), whole(2, below=3, dtype="uint32"), reals(2, 2)), {"axis": 1}),
    dtypes=NUMBERS,
)
_ALONG = [((3, 2), (4, 2), 0), ((2, 3), (2, 2), 1), ((2, 3), (2, 0), 1)]
row("take_along", *(((reals(*s), whole(*p, below=s[a])), {"axis": a}) for s, p, a in _ALONG), dtypes=ANY)
row(
    "scatter_add_along",
    *(((reals(*s), whole(*p, below=s[a]), reals(*p)), {"axis": a}) for s, p, a in _ALONG),
    dtypes=NUMBERS,
)
_SORTED = [((distinct(3, 2),), {"axis": 0}), ((distinct(2, 4),), {"axis": 1}), ((distinct(2, 0),), {"axis": 1})]
row("sort", *_SORTED, dtypes=ANY)
row("argsort", *_SORTED, dtypes=ANY, smooth=False)
row(
    "arg_top_k",
    *(((distinct(3, 4),), {"k": k, "axis": axis}) for k, axis in ((2, 1), (3, 0), (0, 1))),
    dtypes=NUMBERS,
    smooth=False,
)

# Linear algebra ---------------------------------------------------------------------------------------------------

row("cholesky", ((positive_definite(3, 3),), {}), ((positive_definite(2, 2, 2),), {}), dtypes=WIDE_FLOATS)
row(
    "solve",
    *(((matrices(3, 3), reals(3, 2)), {"transposed": t}) for t in (False, True)),
    ((matrices(2, 2, 2), reals(2, 2, 1)), {"transposed": False}),
    dtypes=WIDE_FLOATS,
)
row(
    "triangular_solve",
    *(((matrices(3, 3), reals(3, 1)), {"lower": lo, "transposed": t}) for lo in (True, False) for t in (True, False)),
    ((matrices(2, 2, 2), reals(2, 2, 2)), {"lower": True, "transposed": False}),
    dtypes=WIDE_FLOATS,
)

# Windows ----------------------------------------------------------------------------------------------------------

_LINE = {"strides": (2,), "padding": ((1, 1),), "dilation": (1,)}
_PLANE = {"strides": (1, 2), "padding": ((0, 1), (1, 0)), "dilation": (1, 1)}
row(
    "conv",
    ((reals(2, 5, 2), reals(3, 1, 4)), {**_LINE, "groups": 2}),
    ((reals(1, 3, 4, 2), reals(2, 2, 2, 1)), {**_PLANE, "groups": 1}),
)
row(
    "conv_input_gradient",
    ((reals(2, 3, 4), reals(3, 1, 4)), {**_LINE, "groups": 2, "spatial": (5,)}),
    ((reals(1, 3, 2, 1), reals(2, 2, 2, 1)), {**_PLANE, "groups": 1, "spatial": (3, 4)}),
)
row(
    "conv_kernel_gradient",
    ((reals(2, 5, 2), reals(2, 3, 4)), {**_LINE, "groups": 2, "kernel": (3,)}),
    ((reals(1, 3, 4, 2), reals(1, 3, 2, 1)), {**_PLANE, "groups": 1, "kernel": (2, 2)}),
)
row(
    "patches",
    ((reals(2, 5, 1),), {**_LINE, "window": (3,)}),
    ((reals(1, 3, 4, 1),), {**_PLANE, "window": (2, 2)}),
    dtypes=NUMBERS,
)
row("fold_patches", ((reals(2, 3, 3, 1),), {**_LINE, "window": (3,), "spatial": (5,)}), dtypes=NUMBERS)
row(
    "window_sum",
    ((reals(2, 5, 2),), {**_LINE, "window": (3,)}),
    ((reals(1, 3, 4, 1),), {**_PLANE, "window": (2, 2)}),
    dtypes=NUMBERS,
)
row(
    "window_max",
    ((distinct(2, 5, 2),), {**_LINE, "window": (3,)}),
    ((distinct(1, 3, 4, 1),), {**_PLANE, "window": (2, 2)}),
    dtypes=NUMBERS,
)
row(
    "window_share",
    ((reals(2, 3, 2),), {**_LINE, "window": (3,), "spatial": (5,)}),
    ((reals(1, 3, 2, 1),), {**_PLANE, "window": (2, 2), "spatial": (3, 4)}),
    dtypes=NUMBERS,
)
for _name, _windows in (("window_pick", ((2, 5, 2), (1, 3, 4, 1))), ("window_place", ((2, 3, 2), (1, 3, 2, 1)))):
    row(
        _name,
        ((reals(*_windows[0]), distinct(2, 5, 2)), {**_LINE, "window": (3,)}),
        ((reals(*_windows[1]), distinct(1, 3, 4, 1)), {**_PLANE, "window": (2, 2)}),
        dtypes=NUMBERS,
    )
row("window_argmax", ((distinct(2, 5, 2),), {**_LINE, "window": (3,)}), dtypes=NUMBERS, smooth=False)

# Random bits ------------------------------------------------------------------------------------------------------

row(
    "random_bits",
    *(((keys(*lead),), {"shape": shape}) for lead, shape in [((), (3,)), ((2,), (2, 2)), ((), ()), ((), (0,))]),
)

# Loops and branches -------------------------------------------------------------------------------------------------


def _scan_body(dtype: str = "float64") -> Graph:
    """c, y = tanh(w c + x), c x over vectors of two."""
    w, c, x = (placeholder(TensorType((2,), np.dtype(dtype)), name) for name in "wcx")
    return Graph((w, c, x), (ew.tanh(add(ew.mul(w, c), x)), ew.mul(c, x)), "body")


def _scan_uses() -> list[tuple[tuple[Operand, ...], dict[str, Any]]]:
    return [
        (
            (reals(2), reals(2), reals(length, 2)),
            {"body": _scan_body(), "consts": 1, "carries": 1, "length": length, "reverse": reverse},
        )
        for length, reverse in ((3, False), (3, True), (1, False), (0, False))
    ]


def _branch(name: str) -> Graph:
    x, y = (placeholder(TensorType((2,), np.dtype("float64")), n) for n in "xy")
    return Graph((x, y), (ew.mul(ew.sin(x), y), y) if name == "on_true" else (ew.exp(x), ew.mul(x, x)), name)


row("scan", *_scan_uses(), dtypes=("float64",))
row(
    "cond",
    ((truths(), reals(2), reals(2)), {name: _branch(name) for name in ("on_true", "on_false")}),
    ((whole(below=1, dtype="bool"), reals(2), reals(2)), {name: _branch(name) for name in ("on_true", "on_false")}),
    dtypes=("float64",),
)


def _custom_body() -> Graph:
    x, y = (placeholder(TensorType((2,), np.dtype("float64")), n) for n in "xy")
    return Graph((x, y), (ew.mul(x, ew.sin(y)), ew.mul(x, x)), "custom")


def _custom_forward(tangents: Sequence[Node | None], values: Sequence[Node], operands: Sequence[Node]) -> list[Node]:
    (x, y), (s, t) = operands, (zeros(x.tensor_type) if t is None else t for t, x in zip(tangents, operands))
    first = add(ew.mul(s, ew.sin(y)), ew.mul(ew.mul(x, ew.cos(y)), t))
    return [first, ew.mul(add(x, x), s)]


def _custom_backward(cotangents: Sequence[Node | None], values: Sequence[Node], operands: Sequence[Node]) -> list[Node]:
    (x, y), (u, v) = operands, (zeros(z.tensor_type) if ct is None else ct for ct, z in zip(cotangents, values))
    return [add(ew.mul(u, ew.sin(y)), ew.mul(add(x, x), v)), ew.mul(ew.mul(x, ew.cos(y)), u)]


row(
    "custom",
    ((reals(2), reals(2)), {"body": _custom_body(), "rules": Rules(_custom_forward, _custom_backward)}),
    dtypes=("float64",),
)

row("checkpoint", ((reals(2), reals(2)), {"body": _branch("on_true")}), dtypes=("float64",))


def _halving() -> dict[str, Any]:
    """c ← w sin c while c is large, over vectors of two: operands are w and c."""
    x, y, w, c = (placeholder(TensorType((2,), np.dtype("float64")), n) for n in "xywc")
    limit = fill(w.tensor_type, 0.2)
    large = reduce.reduce_any(ew.gt(ew.abs(y), limit), axes=(0,))
    return {
        "condition": Graph((x, y), (large,), "condition"),
        "body": Graph((w, c), (ew.mul(ew.mul(w, constant(np.array([0.3, 0.2]))), ew.sin(c)),), "body"),
        "consts": 1,
        "carries": 1,
        "limit": 6,
    }


row("while_loop", ((reals(2), reals(2)), _halving()), dtypes=("float64",))

CASES = [case for cases in ROWS.values() for case in cases]
