"""A derivative explained: the paths along which a variable acts on a result, as text and as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from gradloom import options, tree
from gradloom.autodiff.formula.algebra import mul
from gradloom.autodiff.formula.expression import ONE
from gradloom.autodiff.paths import Network, Step
from gradloom.drawing.page import to_fragment, to_page
from gradloom.drawing.picture import Arrow, Box, Picture, shortened
from gradloom.drawing.svg import to_svg
from gradloom.errors import OptionError, ShapeError, unknown_name
from gradloom.ir.graph import CONSTANT, Graph, Node, constant, placeholder
from gradloom.naming import Names, written
from gradloom.records import dataclass
from gradloom.tracing import Arguments, Function, Results, parameter_names

_MOST_PATHS, _MOST_LINES, _MOST_BOXES = 40, 60, 300
_SHOWN_NUMBERS, _MOST_ELEMENTS = 6, 4096
"""Arrays with no more numbers are shown whole; the norm of a Jacobian with no more elements is worked out."""


@dataclass(frozen=True)
class Path:
    """One way from the result to the variable.

    Attributes:
        nodes: the names on the way.
        factors: the local derivative of each step: its formula if it is a number that has one, else its symbol.
        values: the same as numbers; None where the local derivative is a matrix.
        product: of all of them: a float, or an array in the variable's shape.
        formula: the product of the factors; empty where they have no formula.
    """

    nodes: tuple[str, ...]
    factors: tuple[str, ...]
    values: tuple[float | None, ...]
    product: Any
    formula: str


class Explanation:
    """Why a derivative is what it is; made by :func:`explain`.

    ``print`` shows it as text, Jupyter as a drawing with the text below; ``to_svg`` and ``to_html`` give the drawing.

    Attributes:
        result: the name of the result.
        variable: the name of the variable.
        value: of the result.
        derivative: of the result by the variable: a float, or an array in the variable's shape.
        count: how many paths there are; exact, however many.
        listed: whether the paths are listed, or only counted.
    """

    def __init__(self, graph: Graph, arrays: Sequence[np.ndarray], variable: Node, names: Names, most: int) -> None:
        self._graph, self._names = graph, names
        self._network = Network(graph, arrays, variable)
        self.result, self.variable = names.of(graph.outputs[0]), names.of(variable)
        self.value = _plain(self._network.values[graph.outputs[0]])
        self.derivative = _plain(self._network.derivative)
        self.count = self._network.count
        self.listed = self.count <= most

    @cached_property
    def paths(self) -> list[Path]:
        """All paths, from the result to the variable; none where they are only counted."""
        return [self._path(steps) for steps in self._network.paths()] if self.listed else []

    @property
    def adjoints(self) -> dict[str, Any]:
        """The derivative of the result by every value on a path, by name."""
        return {self._names.of(n): _plain(a) for n, a in self._network.adjoints.items()}

    def _path(self, steps: Sequence[Step]) -> Path:
        formulas = [self._names.local(s) for s in steps]
        known = [f for f in formulas if f is not None]
        return Path(
            (self.result, *(self._names.of(s.operand) for s in steps)),
            tuple(self._symbol(s) if f is None else _bracketed(written(f)) for s, f in zip(steps, formulas)),
            tuple(s.jacobian.item() if s.is_scalar else None for s in steps),
            _plain(self._network.product(steps)),
            written(mul(ONE, *known)) if len(known) == len(formulas) else "",
        )

    # As text ------------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        head = f"∂{self.result}/∂{self.variable}"
        lines = [*self._values(), ""]
        if not self.count:
            return "\n".join([*lines, f"{head} = 0: no path leads from {self.result} to {self.variable}"])
        if self.listed:
            lines += [f"{head} along {_counted(self.count)}", *self._listed()]
        else:
            lines += [
                f"{head} along {_counted(self.count)}, too many to list; layer by layer instead:",
                "each adjoint is the sum, over the users of a value, of the user's adjoint times the local derivative",
                *self._layers(),
            ]
        return "\n".join([*lines, f"{head} = {_shown(self.derivative)}"])

    __repr__ = __str__

    def _values(self) -> list[str]:
        """Every value, operands before users."""
        network, names = self._network, self._names
        given = [f"{names.of(x)} = {_shown(network.values[x])}" for x in self._graph.inputs]
        computed = [n for n in network.values if n not in self._graph.inputs and n.op is not CONSTANT]
        lines = [f"  {names.of(n)} = {names.meaning(n)} = {_shown(network.values[n])}" for n in computed]
        return [f"at {', '.join(given)}", *_cut(lines)]

    def _listed(self) -> list[str]:
        rows = []
        for path in self.paths:
            formula = " · ".join(path.factors) or "1"
            values = [v for v in path.values if v is not None]
            numbers = " · ".join(_bracketed(_shown(v)) for v in values) if len(values) == len(path.values) else ""
            said = dict.fromkeys(filter(None, (formula, numbers, _shown(path.product))))
            rows.append((" ← ".join(path.nodes), " = ".join(said)))
        width = max(len(way) for way, _ in rows)
        lines = [f"  {way.ljust(width)}   {said}" for way, said in rows]
        return lines + self._sum(width)

    def _sum(self, width: int) -> list[str]:
        """The sum of the products, and that with everything written in terms of the arguments."""
        formulas = [p.formula for p in self.paths]
        numbers = " + ".join(_bracketed(_shown(p.product)) for p in self.paths)
        lines = []
        if len(self.paths) > 1 and not np.ndim(self.derivative):
            said = [" + ".join(formulas), numbers] if all(formulas) else [numbers]
            lines.append(f"  {'their sum'.ljust(width)}   {' = '.join([*said, _shown(self.derivative)])}")
        substituted = self._names.derivative(self._graph.outputs[0], self._network.variable) if all(formulas) else ""
        return lines + ([f"  {'substituted'.ljust(width)}   {substituted}"] if substituted else [])

    def _layers(self) -> list[str]:
        """The adjoints, from the result to the variable."""
        network, lines = self._network, []
        top = f"∂{self.result}/∂"
        for node in reversed(network.nodes):
            name, users = self._names.of(node), network.users(node)
            terms = " + ".join(f"{top}{self._names.of(s.node)}·{self._factor(s)}" for s in users) or "1"
            numbers = " + ".join(self._numbers(s) for s in users) if all(s.is_scalar for s in users) else ""
            said = [terms, *([numbers] if numbers else []), _shown(network.adjoints[node])]
            lines.append(f"  {top}{name} = {' = '.join(dict.fromkeys(said))}")
        return _cut(lines)

    def _numbers(self, step: Step) -> str:
        numbers = _shown(self._network.adjoints[step.node]), _shown(step.jacobian.item())
        return "·".join(map(_bracketed, numbers))

    def _factor(self, step: Step) -> str:
        """A local derivative in the chain rule: its formula if it has one."""
        formula = self._names.local(step)
        return self._symbol(step) if formula is None else _bracketed(written(formula))

    def _symbol(self, step: Step) -> str:
        return f"∂{self._names.of(step.node)}/∂{self._names.of(step.operand)}"

    # As a drawing -------------------------------------------------------------------------------------------------

    def picture(self) -> Picture:
        """Boxes with values and adjoints; on the arrows the local derivative, and what it sends back."""
        network = self._network
        title = f"∂{self.result}/∂{self.variable} = {_shown(self.derivative)}"
        if len(network.nodes) > _MOST_BOXES:
            note = Box("note", (f"{len(network.nodes):,} values on {_counted(self.count)}:", "too many to draw"))
            return Picture("paths", title, [note], [])
        on_path = dict.fromkeys(network.nodes)
        operands = (x for n in network.nodes for x in n.inputs)
        others = dict.fromkeys(x for x in operands if x not in on_path and x.op is not CONSTANT and x in network.values)
        ids = {n: f"n{i}" for i, n in enumerate((*others, *network.nodes))}
        boxes, arrows = [self._box(n, ids[n], "quiet") for n in others], []
        for n in network.nodes:
            kind = "input" if n is network.variable else "output" if n is network.result else "operation"
            boxes.append(self._box(n, ids[n], kind))
            arrows += [Arrow(ids[x], ids[n], "quiet") for x in dict.fromkeys(n.inputs) if x in others]
            for i, step in enumerate(network.steps.get(n, ())):
                label = f"{ids[n]}-{i}"
                boxes.append(Box(label, self._on_arrow(step), "label mark"))
                arrows += [Arrow(ids[step.operand], label), Arrow(label, ids[n])]
        return Picture("paths", title, boxes, arrows)

    def _box(self, node: Node, name: str, kind: str) -> Box:
        network = self._network
        meaning = "" if node in self._graph.inputs else f" = {self._names.meaning(node)}"
        lines = [shortened(f"{self._names.of(node)}{meaning}", 40), _shown(network.values[node])]
        if node in network.adjoints and kind != "quiet":
            lines.append(f"∂{self.result}/∂{self._names.of(node)} = {_shown(network.adjoints[node])}")
        return Box(name, tuple(lines), kind)

    def _on_arrow(self, step: Step) -> tuple[str, ...]:
        """The local derivative, and the adjoint times it."""
        formula = self._names.local(step)
        number = _shown(step.jacobian.item()) if step.is_scalar else _size(step)
        symbol = [] if formula is None or written(formula) == number else [written(formula)]
        back = step.pull(self._network.adjoints[step.node])
        sent = f"sends back {self._numbers(step)} = {_shown(back)}" if step.is_scalar else f"sends back {_shown(back)}"
        return " = ".join([self._symbol(step), *symbol, number]), sent

    def to_svg(self) -> str:
        """The drawing in SVG."""
        return to_svg(self.picture())

    def to_html(self) -> str:
        """The drawing and the text as a page that needs no network."""
        return to_page(self.picture().title, [[self.picture()]], str(self))

    def _repr_html_(self) -> str:
        return to_fragment(self.picture(), str(self))


def explain(f: Function, args: Sequence[Any], wrt: int | str = 0, *, most: int = _MOST_PATHS) -> Explanation:
    """Explain a derivative by the paths of the graph: ∂y/∂x = Σ over paths of Π of the local derivatives.

    Every path from the result to the variable is listed with its local derivatives, as formulas and numbers, their
    product, and the sum of all.  There may be exponentially many paths: beyond ``most`` they are counted, exactly and
    without listing them, and the same derivative is shown layer by layer, as reverse mode works it out.

    Values are called by the names that the function gives them: local variables are read when it returns; others are
    v1, v2, ...  Where a value is an array, a local derivative is a matrix, of which its size and its Frobenius norm
    are shown, and the product along a path is an array in the variable's shape, or its norm where it is large.
    Python's numbers, and all floats, are taken as float64.

    Args:
        f: a function whose result is one number.
        args: its arguments.
        wrt: the variable: the number or the name of an argument; within nested arguments a name such as ``"p.w"``.
        most: how many paths are listed at most.

    Returns:
        An :class:`Explanation`: ``print`` it, or look at ``to_html()``; in Jupyter it is drawn.

    Raises:
        ShapeError: the result is no single number.
        OptionError: the variable is nested, or holds no floats.
        UnknownNameError: no argument has the name.

    Source: the notes' method of paths and their worked example (∂a/∂f = c + gc + gb = 60 at f = 4, g = 2).
    """
    exact = tree.map(lambda leaf: np.float64(leaf) if type(leaf) in (int, float) else leaf, tuple(args))
    arguments = Arguments("explain", exact)
    named = _argument_names(f, arguments)
    chosen = _chosen(named, arguments, wrt)
    nodes = [_widened(x, always=i == chosen) for i, x in enumerate(arguments.nodes)]
    inputs = [placeholder(x.tensor_type, name) for x, name in zip(nodes, named)]
    names = Names(f, inputs)
    with names.watching():
        found = Results.of(f(*arguments.rebuilt(inputs)), "explain").nodes
    if len(found) != 1 or found[0].shape != () or not found[0].tensor_type.is_float:
        raise ShapeError(
            "explain",
            rule="the function must return one float",
            got=", ".join(str(y.type) for y in found),
            fix="Reduce it with gl.sum or gl.mean.",
        )
    graph = Graph(tuple(inputs), tuple(found), names.function)
    names.settle(found[0], graph.nodes)
    return Explanation(graph, [np.asarray(x.value) for x in nodes], inputs[chosen], names, most)


def _argument_names(f: Function, arguments: Arguments) -> list[str]:
    """The name of every traced leaf of the arguments; one without a name of its own is called x and its number."""
    own = [f"x{n}" if n.isdigit() else n for n in parameter_names(f, len(arguments.args))]
    return [x.attrs["name"] for x in arguments.placeholders(own)]


def _chosen(names: Sequence[str], arguments: Arguments, wrt: int | str) -> int:
    """The place of the variable among the leaves of the arguments."""
    if not isinstance(wrt, str):
        (number,) = options.argument_numbers("explain", len(arguments.args), wrt)
        before = Arguments("explain", arguments.args[:number])
        of_argument = Arguments("explain", arguments.args[number : number + 1])
        if len(of_argument.nodes) != 1:
            inside = names[len(before.nodes) : len(before.nodes) + len(of_argument.nodes)]
            raise OptionError(
                "explain",
                rule="the variable is one array or number",
                got=f"argument {number}, which holds {len(inside)}",
                fix=f"Pass wrt as one of {', '.join(map(repr, inside[:5]))}." if inside else "",
            )
        return len(before.nodes)
    if wrt not in names:
        raise unknown_name("explain", "argument", wrt, names)
    return list(names).index(wrt)


def _widened(node: Node, *, always: bool) -> Node:
    """Floats as float64; where ``always``, whole numbers too."""
    assert node.value is not None, "inside a trace nothing has a value"
    return constant(node.value, np.float64) if node.tensor_type.is_float or always else node


# Writing numbers ----------------------------------------------------------------------------------------------------


def _plain(value: np.ndarray) -> Any:
    """A number as Python's, an array as it is."""
    return value if np.ndim(value) else np.asarray(value).item()


def _shown(value: Any) -> str:
    """A number to seven digits; an array if it is small, else its type and its norm."""
    if not np.ndim(value):
        return f"{np.asarray(value).item():.7g}"
    array = np.asarray(value) + 0.0  # which makes -0 a 0
    if array.size <= _SHOWN_NUMBERS:
        text = np.array2string(array, separator=", ", max_line_width=1000, formatter={"float_kind": _four_digits})
        return text.replace("\n", "")
    return f"{array.dtype.name}[{','.join(map(str, array.shape))}] of norm {np.linalg.norm(array):.4g}"


def _four_digits(x: Any) -> str:
    return f"{x:.4g}"


def _size(step: Step) -> str:
    """A local derivative that is a matrix: its size, and its norm where that costs little."""
    rows, columns = step.jacobian_shape
    norm = f" of norm {np.linalg.norm(step.jacobian):.4g}" if rows * columns <= _MOST_ELEMENTS else ""
    return f"{rows}x{columns} matrix{norm}"


def _bracketed(text: str) -> str:
    """A factor as it may stand in a product."""
    return f"({text})" if any(sign in text.lstrip("-") for sign in (" + ", " - ")) or text.startswith("-") else text


def _counted(number: int) -> str:
    return f"{number:,} path{'s' * (number != 1)}"


def _cut(lines: list[str]) -> list[str]:
    """Lines, without the middle where there are too many."""
    half = _MOST_LINES // 2
    if len(lines) <= _MOST_LINES:
        return lines
    return [*lines[:half], f"  ... {len(lines) - 2 * half:,} more", *lines[-half:]]
