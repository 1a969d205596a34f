"""Notation in characters: plain text for a terminal, LaTeX for a page."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

from gradloom.autodiff.formula.layout import Notation, is_decimal

_SUM, _PRODUCT, _POWER, _ATOM = range(4)
"""How tightly a piece holds together; brackets go around one that holds less tightly than its place asks for."""

_LEVELS = {
    "sum": _SUM,
    "negative": _SUM,
    "over": _SUM,
    "fraction": _PRODUCT,
    "times": _PRODUCT,
    "matmul": _PRODUCT,
    "hadamard": _PRODUCT,
    "power": _POWER,
    "exponential": _POWER,
    "root": _POWER,
    "transposed": _POWER,
}


class _Style(Protocol):
    """One way to write: a method for every kind of notation, and brackets."""

    def brackets(self, text: str) -> str: ...


def write_text(x: Notation) -> str:
    """As text: ``2fg²``, ``σ(z)(1 - σ(z))``, ``Xᵀ(A - Y)/m``."""
    return _written(x, _Text())


def write_latex(x: Notation) -> str:
    """In LaTeX, without dollar signs."""
    return _written(x, _Latex())


def _written(x: Notation, style: _Style, level: int = _SUM) -> str:
    """``x`` in a style, in brackets where its place asks for a tighter hold."""
    found = getattr(style, x.kind)(x)
    return style.brackets(found) if _level(x) < level else found


def _level(x: Notation) -> int:
    if x.kind == "number":
        fraction = not is_decimal(x.value) and not _is_whole(x)
        return _SUM if x.value < 0 else _PRODUCT if fraction else _ATOM
    return _LEVELS.get(x.kind, _ATOM)


def _number(value: Fraction | float, fraction: str) -> str:
    """A whole number, a decimal one to the digits that tell it apart, or a fraction in the given form."""
    if isinstance(value, float) or is_decimal(value):
        return repr(float(value))
    return str(value) if value.denominator == 1 else fraction.format(value.numerator, value.denominator)


_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


class _Signed:
    """Sums and signs, which text and LaTeX write alike."""

    def brackets(self, text: str) -> str:
        return f"({text})"

    def sum(self, x: Notation) -> str:
        pieces = [_written(p, self, _PRODUCT) for p in x.parts]
        first = pieces[0] if x.signs[0] > 0 else f"-{pieces[0]}"
        return first + "".join(f" {'+' if s > 0 else '-'} {p}" for s, p in zip(x.signs[1:], pieces[1:]))

    def negative(self, x: Notation) -> str:
        return f"-{_written(x.parts[0], self, _PRODUCT)}"


class _Text(_Signed):
    """Characters of a terminal."""

    def number(self, x: Notation) -> str:
        return _number(x.value, "{}/{}")

    def symbol(self, x: Notation) -> str:
        return x.word

    def call(self, x: Notation) -> str:
        if x.word == "abs":
            return f"|{_written(x.parts[0], self)}|"
        return f"{x.word}({', '.join(_written(p, self) for p in x.parts)})"

    def condition(self, x: Notation) -> str:
        return f"[{_written(x.parts[0], self)} {x.word} {_written(x.parts[1], self)}]"

    def power(self, x: Notation) -> str:
        base, exponent = x.parts
        if _is_whole(exponent) and isinstance(exponent.value, Fraction):
            return _written(base, self, _ATOM) + str(exponent.value.numerator).translate(_SUPERSCRIPTS)
        return f"{_written(base, self, _ATOM)}^{_written(exponent, self, _ATOM)}"

    def root(self, x: Notation) -> str:
        return f"√{_written(x.parts[0], self, _ATOM)}"

    def exponential(self, x: Notation) -> str:
        return f"e^{_written(x.parts[0], self, _ATOM)}"

    def fraction(self, x: Notation) -> str:
        below = x.parts[1]
        top = _written(x.parts[0], self, _PRODUCT)
        return f"{top}/{_written(below, self, _POWER)}"

    def times(self, x: Notation) -> str:
        return self.side_by_side(x)

    def matmul(self, x: Notation) -> str:
        return self.side_by_side(x)

    def side_by_side(self, x: Notation) -> str:
        """Factors next to each other, with a dot where they could be misread."""
        found = ""
        for before, part in zip((None, *x.parts), x.parts):
            piece = _written(part, self, _PRODUCT if _stands_open(part, x) else _POWER)
            found += ("" if before is None or _may_touch(before, part, piece, x.kind) else "·") + piece
        return found

    def hadamard(self, x: Notation) -> str:
        return "∘".join(_written(p, self, _POWER) for p in x.parts)

    def transposed(self, x: Notation) -> str:
        return f"{_written(x.parts[0], self, _ATOM)}ᵀ"

    def diagonal(self, x: Notation) -> str:
        return f"diag({_written(x.parts[0], self)})"

    def over(self, x: Notation) -> str:
        return f"{x.word}({_written(x.parts[0], self)})"


def _stands_open(part: Notation, product: Notation) -> bool:
    """Whether a product of arrays needs no brackets behind scalars: 2XᵀY, 2A∘B."""
    return product.kind == "times" and part.kind in ("matmul", "hadamard") and part is product.parts[-1]


def _may_touch(left: Notation, right: Notation, text: str, kind: str) -> bool:
    """Whether two factors can be read without a dot between them."""
    if left.kind == "number":
        return not text[0].isdigit()
    if _is_letter(left):
        opens = kind == "matmul" and (text[0] == "(" or left.kind == "transposed")
        return _is_letter(right) or opens or (right.kind == "matmul" and _is_letter(right.parts[0]))
    return _is_closed(left) and not (right.kind == "call" and len(right.word) > 1)


def _is_letter(x: Notation) -> bool:
    """Whether it is one letter, perhaps with a whole exponent or transposed."""
    if x.kind in ("power", "transposed"):
        return _is_letter(x.parts[0]) and (x.kind == "transposed" or _is_whole(x.parts[1]))
    return x.kind == "symbol" and len(x.word) == 1


def _is_closed(x: Notation) -> bool:
    """Whether it ends in a bracket of its own."""
    if x.kind in ("power", "transposed"):
        return _is_closed(x.parts[0]) and (x.kind == "transposed" or _is_whole(x.parts[1]))
    return x.kind in ("call", "condition", "diagonal", "sum", "hadamard")


def _is_whole(x: Notation) -> bool:
    return x.kind == "number" and isinstance(x.value, Fraction) and x.value.denominator == 1


_GREEK = {
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
    *("xi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
}
_LATEX_WORDS = {"σ": r"\sigma", "π": r"\pi", "𝟏": r"\mathbf{1}", "Σ": r"\sum"}
_LATEX_FUNCTIONS = {"sin", "cos", "tan", "sinh", "cosh", "tanh", "log", "max", "min"}
_RELATIONS = {"≤": r"\le", "≥": r"\ge", "≠": r"\ne"}


class _Latex(_Signed):
    """Commands of LaTeX's mathematics; fractions and roots show their extent, so they need no brackets."""

    def brackets(self, text: str) -> str:
        return rf"\left({text}\right)"

    def number(self, x: Notation) -> str:
        return _number(x.value, r"\frac{{{}}}{{{}}}")

    def symbol(self, x: Notation) -> str:
        name, _, below = x.word.partition("_")
        found = _LATEX_WORDS.get(name) or (rf"\{name}" if name in _GREEK else name)
        found = found if len(name) == 1 or found != name else rf"\mathrm{{{name}}}"
        return f"{found}_{{{below}}}" if below else found

    def call(self, x: Notation) -> str:
        inside = ", ".join(_written(p, self) for p in x.parts)
        if x.word == "abs":
            return rf"\left|{inside}\right|"
        return _operator(x.word) + self.brackets(inside)

    def condition(self, x: Notation) -> str:
        left, right = (_written(p, self) for p in x.parts)
        return rf"\left[{left} {_RELATIONS.get(x.word, x.word)} {right}\right]"

    def power(self, x: Notation) -> str:
        return f"{_written(x.parts[0], self, _ATOM)}^{{{_written(x.parts[1], self)}}}"

    def root(self, x: Notation) -> str:
        return rf"\sqrt{{{_written(x.parts[0], self)}}}"

    def exponential(self, x: Notation) -> str:
        return f"e^{{{_written(x.parts[0], self)}}}"

    def fraction(self, x: Notation) -> str:
        above, below = (_written(p, self) for p in x.parts)
        return rf"\frac{{{above}}}{{{below}}}"

    def times(self, x: Notation) -> str:
        pieces = [_written(p, self, _PRODUCT if _stands_open(p, x) else _POWER) for p in x.parts]
        # Digits that meet would read as one number.
        return "".join((r" \cdot " if i and p[0].isdigit() else " " if i else "") + p for i, p in enumerate(pieces))

    def matmul(self, x: Notation) -> str:
        return " ".join(_written(p, self, _POWER) for p in x.parts)

    def hadamard(self, x: Notation) -> str:
        return r" \odot ".join(_written(p, self, _POWER) for p in x.parts)

    def transposed(self, x: Notation) -> str:
        return rf"{_written(x.parts[0], self, _ATOM)}^\top"

    def diagonal(self, x: Notation) -> str:
        return rf"\operatorname{{diag}}{self.brackets(_written(x.parts[0], self))}"

    def over(self, x: Notation) -> str:
        name, _, indices = x.word.partition("_")
        return f"{_operator(name)}_{{{indices}}} {_written(x.parts[0], self, _PRODUCT)}"


def _operator(word: str) -> str:
    """The name of a function: a command of LaTeX's own, or upright."""
    name, _, below = word.partition("_")
    upright = rf"\operatorname{{{name}}}"
    found = rf"\{name}" if name in _LATEX_FUNCTIONS else _LATEX_WORDS.get(name, upright)
    return f"{found}_{{{below}}}" if below else found
