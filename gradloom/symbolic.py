"""A function and its derivatives as formulas: traced, differentiated as graphs, read (gradloom/autodiff/formula)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import Any

import numpy as np

from gradloom.autodiff.formula.evaluate import evaluate
from gradloom.autodiff.formula.expression import ONE, Expression, Symbol
from gradloom.autodiff.formula.layout import Notation, laid_out
from gradloom.autodiff.formula.reading import Reader, indices_of
from gradloom.autodiff.formula.reductions import replace
from gradloom.autodiff.formula.simplify import simplify
from gradloom.autodiff.formula.writing import write_latex, write_text
from gradloom.autodiff.reverse import pullback
from gradloom.errors import OptionError, ShapeError, unknown_name
from gradloom.ir.graph import Node, placeholder
from gradloom.ir.tensortype import TensorType
from gradloom.records import dataclass
from gradloom.tensor import Tensor, node_of
from gradloom.tracing import parameter_names

_ARGUMENT = re.compile(r"(?P<name>[^\W\d]\w*)(?:\[(?P<sizes>[\w, ]*)\])?")


@dataclass(frozen=True)
class Argument:
    """An argument as declared: ``x``, ``w[n]``, ``X[m, n]``, ``A[3, 3]``."""

    name: str
    sizes: tuple[str, ...] = ()

    @staticmethod
    def of(text: str) -> Argument:
        """Read a declaration."""
        match = _ARGUMENT.fullmatch(text.strip()) if isinstance(text, str) else None
        sizes = [s.strip() for s in match["sizes"].split(",")] if match and match["sizes"] else []
        if match is None or not all(s.isdigit() or s.isidentifier() for s in sizes):
            raise OptionError(
                "symbolic",
                rule="an argument is declared by its name and the sizes of its axes",
                got=repr(text),
                fix="Write 'x' for a scalar, 'w[n]' for a vector, 'X[m,n]' or 'X[3,2]' for a matrix.",
            )
        return Argument(match["name"], tuple(sizes))


@dataclass(frozen=True, repr=False)
class Formula:
    """A formula that can be read and evaluated.

    ``str(formula)`` is text, ``formula.latex()`` LaTeX, and Jupyter shows it typeset.  Called with a value for every
    name in it, it gives its value in float64.  Formulas are equal when they are written alike.

    Attributes:
        expression: the tree (see gradloom/autodiff/formula/expression.py).
        arguments: the arguments of the function.
        shape: size of each axis, as declared.
        definitions: abbreviations and constant arrays that may occur in it.
    """

    expression: Expression
    arguments: tuple[Argument, ...] = field(compare=False)
    shape: tuple[str, ...] = ()
    definitions: Mapping[str, Formula | np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return write_text(self.notation)

    __repr__ = __str__

    def latex(self) -> str:
        """The formula in LaTeX, without dollar signs."""
        return write_latex(self.notation)

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"

    @property
    def notation(self) -> Notation:
        """How it is laid out."""
        return laid_out(self.expression, len(self.shape))

    def __call__(self, **values: Any) -> Any:
        """The value for these values of the names in it, a float or a float64 array.

        Raises:
            UnknownNameError: a name is not among the arguments.
            OptionError: a value is missing.
            ShapeError: a value has another shape than declared.
        """
        known = _bound(self.arguments, values)
        return self.value({name: np.asarray(v, np.float64) for name, v in known.items()})

    def value(self, known: dict[str, np.ndarray]) -> Any:
        """The value for those of all arguments and sizes; definitions are worked out when they occur."""
        names = _names(self.expression)
        for name in names & set(self.definitions):
            meaning = self.definitions[name]
            known[name] = meaning.value(known) if isinstance(meaning, Formula) else meaning
        missing = sorted(n for n in names - set(known) if n not in ("e", "π"))
        if missing:
            raise OptionError("Formula", rule="a value is needed for every name in it", got=f"none for {missing}")
        found = evaluate(self.expression, known, len(self.shape))
        shape = tuple(int(known[s]) if s in known else int(s) for s in self.shape)
        return np.broadcast_to(found, shape).copy() if shape else found.item()


def _names(x: Expression) -> set[str]:
    own = {x.name} if isinstance(x, Symbol) else set()
    return own.union(*(_names(p) for p in x.parts))


def _bound(arguments: Sequence[Argument], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with those of the sizes, read off the arrays' shapes."""
    declared = {a.name: a for a in arguments}
    sizes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in declared:
            raise unknown_name("Formula", "argument", name, declared)
        shape = np.shape(value)
        for size, n in zip(declared[name].sizes, shape):
            expected = int(size) if size.isdigit() else sizes.setdefault(size, n)
            if expected != n:
                raise ShapeError("Formula", rule=f"{size} has one value", got=f"{expected} and, in {name}, {n}")
        if len(shape) != len(declared[name].sizes):
            raise ShapeError(
                "Formula",
                rule=f"{name} was declared with {len(declared[name].sizes)} axes",
                got=f"a value of shape {shape}",
            )
    return {**sizes, **values}


class Symbolic:
    """A function and its derivatives as formulas; made by :func:`symbolic`.

    ``print`` shows the function and, if it is a scalar, its first derivatives, a line each.

    Attributes:
        name: of the function.
        arguments: as declared.
        value: the formula of the function.
        definitions: the formulas of the abbreviations.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        arguments: Sequence[Argument],
        distributions: Sequence[str],
        let: Mapping[str, Callable[..., Any]],
    ) -> None:
        self.arguments = tuple(arguments)
        _check_names(self.arguments, distributions, let)
        self.name = _function_name(f, {a.name for a in self.arguments})
        self._stand_ins = dict(zip(dict.fromkeys(s for a in arguments for s in a.sizes if not s.isdigit()), _PRIMES))
        self._inputs = {a.name: placeholder(self._type(a), a.name) for a in self.arguments}
        symbols = {
            node: Symbol(a.name, indices_of(node.shape), a.name in distributions)
            for a, node in zip(self.arguments, self._inputs.values())
        }
        sizes = {n: Symbol(name, positive=True) for name, n in self._stand_ins.items()}
        self._reader = Reader(symbols, sizes)
        self.definitions: dict[str, Formula] = {}
        self._abbreviations: list[tuple[Expression, Symbol]] = []
        for name, meaning in let.items():
            self._abbreviate(name, meaning)
        self._output = node_of(f(*map(Tensor, self._inputs.values())), "symbolic")
        self.value = self._formula(self._output)

    def _type(self, argument: Argument) -> TensorType:
        """The type under which an argument is traced; a size that is a letter is stood in for by a prime."""
        shape = tuple(int(s) if s.isdigit() else self._stand_ins[s] for s in argument.sizes)
        return TensorType(shape, np.dtype("float64"))

    def _abbreviate(self, name: str, meaning: Callable[..., Any]) -> None:
        """Let a name stand for the value of a function of some of the arguments."""
        wanted = list(inspect.signature(meaning).parameters)
        for parameter in wanted:
            if parameter not in self._inputs:
                raise unknown_name("symbolic", "argument", parameter, self._inputs)
        node = node_of(meaning(*(Tensor(self._inputs[p]) for p in wanted)), "symbolic")
        formula = self._formula(node)
        self.definitions[name] = formula
        self._abbreviations.append((formula.expression, Symbol(name, indices_of(node.shape))))

    def _formula(self, node: Node) -> Formula:
        found = self._reader.read(node)
        for meaning, symbol in self._abbreviations:
            found = simplify(replace(found, meaning, symbol))
        names = {n: name for name, n in self._stand_ins.items()}
        shape = tuple(names.get(n, str(n)) for n in node.shape)
        return Formula(found, self.arguments, shape, {**self.definitions, **self._reader.arrays})

    def derivative(self, *names: str) -> Formula:
        """The formula of the derivative by an argument; of a higher derivative by one argument after another.

        For an array the derivative has the array's shape.  A derivative that is an array is not differentiated further.

        Raises:
            UnknownNameError: there is no such argument.
            ShapeError: what is to be differentiated is an array.
            UnsupportedError: a primitive has no formula.
        """
        node = self._output
        for name in names:
            if name not in self._inputs:
                raise unknown_name("symbolic", "argument", name, self._inputs)
            (node,) = self._pulled(node, [self._inputs[name]])
        return self._formula(node)

    @cached_property
    def gradient(self) -> dict[str, Formula]:
        """The formulas of the derivatives by all arguments."""
        found = self._pulled(self._output, list(self._inputs.values()))
        return {name: self._formula(node) for name, node in zip(self._inputs, found)}

    def _pulled(self, node: Node, inputs: list[Node]) -> list[Node]:
        if node.shape != ():
            raise ShapeError(
                "symbolic",
                rule="only a scalar is differentiated",
                got=str(self._formula(node).shape).replace("'", ""),
                fix="Reduce it with gl.sum or gl.mean.",
            )
        # A placeholder for the 1, since from a constant arrays of the stand-in sizes would be computed at once.
        seed = placeholder(node.tensor_type, "1")
        self._reader.know(seed, ONE)
        return pullback([node], inputs, [seed])[1]

    def _equations(self) -> list[tuple[str, str, Formula]]:
        """The left sides, as text and as LaTeX, and the formulas."""
        first = [(self.name, _typeset(self.name), self.value)]
        if self._output.shape == ():
            for name, formula in self.gradient.items():
                fraction = rf"\frac{{\partial {_typeset(self.name)}}}{{\partial {_typeset(name)}}}"
                first.append((f"∂{self.name}/∂{name}", fraction, formula))
        return first + [(name, _typeset(name), formula) for name, formula in self.definitions.items()]

    def __str__(self) -> str:
        lines = [f"{left} = {formula}" for left, _, formula in self._equations()]
        first = len(lines) - len(self.definitions)
        return "\n".join([*lines[:first], *(f"where {line}" for line in lines[first:])])

    __repr__ = __str__

    def latex(self) -> str:
        """The equations in LaTeX, one below the other."""
        lines = [f"{left} &= {formula.latex()}" for _, left, formula in self._equations()]
        return r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"


_PRIMES = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061, 1063, 1069)
"""What sizes are stood in for: numbers that nothing else is a multiple of, so that 1/1009 is known to be 1/m."""


def symbolic(
    f: Callable[..., Any],
    *names: str,
    distributions: Sequence[str] = (),
    let: Mapping[str, Callable[..., Any]] | None = None,
) -> Symbolic:
    """A function and its derivatives as formulas, simplified to what a person would write.

    The function is traced and its graph differentiated in reverse mode, by the same rules that ``gl.grad`` uses; then
    the nodes are read as formulas, in which like terms are collected, numbers are folded, and common factors taken
    out.

    For arrays the formula is one of matrices: products are matrix products, ∘ is the product element by element,
    functions and powers work element by element, 𝟏 is a vector of ones, and softmax, logsumexp and max go along the
    last axis.  Sums that no product of matrices expresses are written with indices.

    Formulas hold where the function is smooth: a derivative at a kink or at a tie is left out.  ``[x > 0]`` is 1 where
    the condition holds and 0 elsewhere.  Python's numbers outside the arguments are floats, and read as the nearest
    fractions: 0.1 as 1/10.

    Args:
        f: a function of primitives that have a formula: elementwise ones, sums, matrix products, softmax, extremes.
        names: a declaration for each argument: ``"x"`` for a scalar, ``"w[n]"`` for a vector, ``"X[m,n]"`` for a
            matrix, sizes being letters or numbers.  Without any the function's own names are taken, for scalars.
        distributions: arguments whose elements along the last axis add up to 1, such as one-hot targets.
        let: abbreviations: under a name, a function of some of the arguments (by their names); wherever its value
            occurs, the name is written.

    Returns:
        A :class:`Symbolic`: ``.value``, ``.derivative(*names)`` and ``.gradient`` are formulas; ``str``, ``.latex()``
        and Jupyter show them.

    Raises:
        UnsupportedError: a primitive has no formula (it is named), or the function is too deep for one.
        OptionError: a declaration is none, or does not fit the function.

    Source: the notes' worked example (∂a/∂f = 2 + 5g + 2fg + 2fg²); Laue, Mitterreiter, Giesen, "Computing higher
    order derivatives of matrix and tensor expressions" (2018), for derivatives in index notation.

    Example:
        >>> symbolic(lambda z: gl.sigmoid(z)).derivative("z")
        σ(z)(1 - σ(z))
    """
    declared = names or parameter_names(f, len(inspect.signature(f).parameters))
    return Symbolic(f, [Argument.of(n) for n in declared], distributions, let or {})


def _check_names(arguments: Sequence[Argument], distributions: Sequence[str], let: Mapping[str, Any]) -> None:
    names = [a.name for a in arguments]
    sizes = {s for a in arguments for s in a.sizes if not s.isdigit()}
    taken = [*names, *sizes, *let]
    twice = sorted({n for n in taken if taken.count(n) > 1})
    if twice:
        raise OptionError("symbolic", rule="arguments, sizes and abbreviations have different names", got=str(twice))
    if len(sizes) > len(_PRIMES):
        raise OptionError("symbolic", rule=f"at most {len(_PRIMES)} sizes are letters", got=str(len(sizes)))
    for name in distributions:
        if name not in names:
            raise unknown_name("symbolic", "argument", name, names)


def _function_name(f: Callable[..., Any], taken: set[str]) -> str:
    """The name of the function; a nameless one is called f, or y where f is an argument."""
    own = getattr(f, "__name__", "<lambda>")
    return own if own.isidentifier() and own not in taken else next(n for n in ("f", "y", "value") if n not in taken)


def _typeset(name: str) -> str:
    return write_latex(Notation("symbol", word=name))
