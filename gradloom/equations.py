"""Formulas that classes give of themselves: ``optim.Adam().describe()``.

A formula is written once, in Python's own syntax ("theta <- theta - eta * m_hat / (sqrt(v_hat) + epsilon)"); from that
come the text, the LaTeX, and the check, for a test evaluates the right side and compares it with what the class
computes.  Names are spelt as in LaTeX: ``beta_1``, ``m_hat``, ``x[i]``.  Beside operators a formula may have
functions, ``sum(x[i], i)``, ``a if x > 0 else b``, and comparisons, which are 1 or 0.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import field
from functools import singledispatch
from importlib import import_module
from types import MappingProxyType
from typing import Any

from gradloom.errors import UnsupportedError
from gradloom.records import dataclass


@dataclass(frozen=True, repr=False)
class Equations:
    """A formula that can be read: ``print`` shows text, Jupyter typesets it.

    Attributes:
        lines: equations "left = right" and assignments "left <- right", in order.
        values: numbers chosen for names in them.
        remarks: what no formula says, a sentence each.
    """

    lines: tuple[str, ...]
    values: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As plain text: a line each, then the values and the remarks."""
        lines = [_TEXT.line(line) for line in self.lines]
        if self.values:
            lines.append("with " + ", ".join(f"{_TEXT.name(n)} = {_shown(v)}" for n, v in self.values.items()))
        return "\n".join([*lines, *self.remarks])

    @property
    def latex(self) -> str:
        """In LaTeX, without dollar signs."""
        lines = [_LATEX.line(line) for line in self.lines]
        if self.values:
            shown = (f"{_LATEX.name(n)} = {_scientific(_shown(v))}" for n, v in self.values.items())
            lines.append(r"&\quad " + r",\; ".join(shown))
        lines += [rf"&\quad \text{{{remark}}}" for remark in self.remarks]
        return r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$${self.latex}$$"

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


@singledispatch
def equations(value: Any) -> Equations:
    """The formula of an object; rooms register those of their classes.

    Raises:
        UnsupportedError: its class has none.
    """
    fix = "Register one with gradloom.equations.equations.register."
    raise UnsupportedError("describe", rule="the class has a formula", got=type(value).__name__, fix=fix)


_WRITTEN_IN: list[str] = []


def written_in(module: str) -> None:
    """Say which module registers the formulas of a room; it is loaded when a formula is first asked for."""
    _WRITTEN_IN.append(module)


class Described:
    """Base of what can say its formula."""

    def describe(self) -> Equations:
        """The formula with the chosen options: ``.text``, ``.latex``; typeset in Jupyter.

        Raises:
            UnsupportedError: a class of your own has none.
        """
        for module in _WRITTEN_IN:
            import_module(module)
        return equations(self)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _scientific(number: str) -> str:
    """1e-08 as a power of ten."""
    mantissa, e, exponent = number.partition("e")
    if not (e and mantissa.replace(".", "").replace("-", "").isdigit()):
        return number
    factor = "" if mantissa == "1" else rf"{mantissa} \cdot "
    return f"{factor}10^{{{int(exponent)}}}"


def sides(line: str) -> tuple[str, str, str]:
    """Left side, "=" or "←", and right side of a line."""
    relation = "<-" if "<-" in line else "="
    left, _, right = line.partition(f" {relation} ")
    return left, {"<-": "←", "=": "="}[relation], right


# Writing ----------------------------------------------------------------------------------------------------------


_CONDITION, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(6)

_LEVELS: dict[type[ast.AST], int] = {
    ast.IfExp: _CONDITION,
    ast.Add: _SUM,
    ast.Sub: _SUM,
    ast.USub: _SUM,
    ast.Mult: _PRODUCT,
    ast.Div: _PRODUCT,
    ast.MatMult: _PRODUCT,
    ast.Pow: _POWER,
}

_GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ε",
    "eta": "η",
    "theta": "θ",
    "lamda": "λ",
    "Delta": "Δ",
    "mu": "μ",
    "pi": "π",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
    "phi": "φ",
    "Phi": "Φ",
    "Lambda": "Λ",
    "infinity": "∞",
    "nabla": "∇",
}
_SUBSCRIPTS = str.maketrans("0123456789aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_SUPERSCRIPTS = str.maketrans("0123456789-tnkpγ", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵗⁿᵏᵖᵞ")
_MARKS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
_RELATIONS = {ast.Gt: ">", ast.GtE: "≥", ast.Lt: "<", ast.LtE: "≤", ast.Eq: "=", ast.NotEq: "≠"}
_ARROW = r"\leftarrow"
_UPRIGHT = {"exp", "log", "max", "min", "tanh", "sin", "cos"}


class _Style:
    """One way to write; the walk over the expression is the same for text and LaTeX."""

    def line(self, line: str) -> str:
        left, relation, right = sides(line)
        return self.joined(self.of(left), relation, self.of(right))

    def of(self, text: str) -> str:
        return self.node(ast.parse(text, mode="eval").body)

    def node(self, node: ast.AST, level: int = _CONDITION) -> str:
        operator = getattr(node, "op", node)
        found = self.name(node.id) if isinstance(node, ast.Name) else getattr(self, type(node).__name__.lower())(node)
        held = self.levels.get(type(operator), _ATOM)
        return self.brackets(found) if held < level else found

    def constant(self, node: ast.Constant) -> str:
        return _shown(node.value)

    def unaryop(self, node: ast.UnaryOp) -> str:
        return f"-{self.node(node.operand, _PRODUCT)}"

    def binop(self, node: ast.BinOp) -> str:
        kind, left, right = type(node.op), node.left, node.right
        if kind is ast.Pow:
            return self.power(left, right)
        if kind is ast.Div:
            return self.quotient(left, right)
        level = _LEVELS[kind]
        word = {ast.Add: " + ", ast.Sub: " - ", ast.Mult: self.times, ast.MatMult: " "}[kind]
        return f"{self.node(left, level)}{word}{self.node(right, level + (kind is not ast.Add))}"

    def tuple(self, node: ast.Tuple) -> str:
        return ", ".join(self.node(part) for part in node.elts)

    def slice(self, node: ast.Slice) -> str:
        return "·"

    def compare(self, node: ast.Compare) -> str:
        return f"[{self.comparison(node)}]"

    def comparison(self, node: ast.AST) -> str:
        if not isinstance(node, ast.Compare):
            return self.node(node)
        return f"{self.node(node.left)} {_RELATIONS[type(node.ops[0])]} {self.node(node.comparators[0])}"

    def call(self, node: ast.Call) -> str:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        found = getattr(self, f"call_{name}", None)
        if found is not None:
            return found(*node.args)
        inside = ", ".join(self.node(part) for part in node.args)
        return f"{self.function(name) if name else self.node(node.func)}{self.brackets(inside)}"

    def call_sum(self, body: ast.AST, index: ast.AST) -> str:
        return self.total(self.node(index).replace(", ", ""), self.node(body, _PRODUCT))

    def brackets(self, text: str) -> str:
        return f"({text})"

    levels: Mapping[type[ast.AST], int] = _LEVELS
    times: str

    def name(self, name: str) -> str:
        raise NotImplementedError

    function = name

    def joined(self, left: str, relation: str, right: str) -> str:
        raise NotImplementedError

    def power(self, base: ast.AST, exponent: ast.AST) -> str:
        raise NotImplementedError

    def quotient(self, above: ast.AST, below: ast.AST) -> str:
        raise NotImplementedError

    def total(self, index: str, body: str) -> str:
        raise NotImplementedError


class _Text(_Style):
    times = "·"

    def joined(self, left: str, relation: str, right: str) -> str:
        return f"{left} {relation} {right}"

    def name(self, name: str) -> str:
        base, *more = name.split("_")
        found = _GREEK.get(base, base)
        for part in more:
            below = part.translate(_SUBSCRIPTS)
            found += _MARKS.get(part) or (f"_{part}" if any(c in part for c in below) else below)
        return found

    function = name

    def subscript(self, node: ast.Subscript) -> str:
        inside = self.node(node.slice)
        below = inside.replace(", ", "").translate(_SUBSCRIPTS)
        is_short = inside.replace(", ", "").isalnum() and not any(c in inside for c in below)
        return self.node(node.value) + (below if is_short else f"[{inside}]")

    def power(self, base: ast.AST, exponent: ast.AST) -> str:
        above = self.node(exponent, _ATOM)
        raised = above.translate(_SUPERSCRIPTS)
        return self.node(base, _ATOM) + (f"^{above}" if any(c in raised for c in above) else raised)

    def quotient(self, above: ast.AST, below: ast.AST) -> str:
        return f"{self.node(above, _PRODUCT)} / {self.node(below, _SIGN)}"

    def total(self, index: str, body: str) -> str:
        return f"Σ{index.translate(_SUBSCRIPTS)} {body}"

    def ifexp(self, node: ast.IfExp) -> str:
        return f"{self.node(node.body)} where {self.comparison(node.test)}, else {self.node(node.orelse)}"

    def call_gradient(self, x: ast.AST) -> str:
        return f"∇L({self.node(x)})"

    def call_sqrt(self, x: ast.AST) -> str:
        return f"√{self.node(x, _ATOM)}"

    def call_exp(self, x: ast.AST) -> str:
        return f"e^{self.node(x, _ATOM)}"

    def call_abs(self, x: ast.AST) -> str:
        return f"|{self.node(x)}|"

    def call_norm(self, x: ast.AST) -> str:
        return f"‖{self.node(x)}‖"

    def call_floor(self, x: ast.AST) -> str:
        return f"⌊{self.node(x)}⌋"

    def call_transpose(self, x: ast.AST) -> str:
        return f"{self.node(x, _ATOM)}ᵀ"

    def call_inverse(self, x: ast.AST) -> str:
        return f"{self.node(x, _ATOM)}⁻¹"


class _Latex(_Style):
    levels: Mapping[type[ast.AST], int] = MappingProxyType({**_LEVELS, ast.Div: _POWER, ast.IfExp: _ATOM})
    times = r" \, "

    def joined(self, left: str, relation: str, right: str) -> str:
        return f"{left} &{'=' if relation == '=' else _ARROW} {right}"

    def brackets(self, text: str) -> str:
        return rf"\left({text}\right)"

    def name(self, name: str) -> str:
        base, *more = name.split("_")
        found = rf"\{base}".replace("lamda", "lambda").replace("infinity", "infty") if base in _GREEK else base
        found = found if len(base) == 1 or base in _GREEK else rf"\mathrm{{{base}}}"
        for part in more:
            found = rf"\{part}{{{found}}}" if part in _MARKS else f"{found}_{{{part}}}"
        return found

    def function(self, name: str) -> str:
        return rf"\{name}" if name in _UPRIGHT else self.name(name)

    def constant(self, node: ast.Constant) -> str:
        return _scientific(_shown(node.value))

    def subscript(self, node: ast.Subscript) -> str:
        return f"{{{self.node(node.value)}}}_{{{self.node(node.slice)}}}"

    def power(self, base: ast.AST, exponent: ast.AST) -> str:
        return f"{{{self.node(base, _ATOM)}}}^{{{self.node(exponent)}}}"

    def quotient(self, above: ast.AST, below: ast.AST) -> str:
        return rf"\frac{{{self.node(above)}}}{{{self.node(below)}}}"

    def total(self, index: str, body: str) -> str:
        return rf"\sum_{{{index}}} {body}"

    def comparison(self, node: ast.AST) -> str:
        found = super().comparison(node)
        return found.replace("≥", r"\ge").replace("≤", r"\le").replace("≠", r"\ne")

    def ifexp(self, node: ast.IfExp) -> str:
        first = rf"{self.node(node.body)} & {self.comparison(node.test)}"
        return rf"\begin{{cases}}{first} \\ {self.node(node.orelse)} & \text{{else}}\end{{cases}}"

    def call_gradient(self, x: ast.AST) -> str:
        return rf"\nabla L{self.brackets(self.node(x))}"

    def call_sqrt(self, x: ast.AST) -> str:
        return rf"\sqrt{{{self.node(x)}}}"

    def call_exp(self, x: ast.AST) -> str:
        return f"e^{{{self.node(x)}}}"

    def call_abs(self, x: ast.AST) -> str:
        return rf"\left|{self.node(x)}\right|"

    def call_norm(self, x: ast.AST) -> str:
        return rf"\left\|{self.node(x)}\right\|"

    def call_floor(self, x: ast.AST) -> str:
        return rf"\left\lfloor {self.node(x)}\right\rfloor"

    def call_transpose(self, x: ast.AST) -> str:
        return rf"{{{self.node(x, _ATOM)}}}^\top"

    def call_inverse(self, x: ast.AST) -> str:
        return f"{{{self.node(x, _ATOM)}}}^{{-1}}"


_TEXT, _LATEX = _Text(), _Latex()
