"""Gradients held against differences: is the derivative that the rules give the slope that the function has?

Small arrays are checked element by element; of large ones the projections on random directions are, and where these
disagree the elements at fault are found by halving.  A difference has an uncertainty of its own (autodiff/slopes.py),
and what it cannot resolve is not held against the gradient.  At a kink the gradient may be any number between the
slopes of the two sides.

The measure is that of the notes: ‖g - ĝ‖ / (‖g‖ + ‖ĝ‖) for the gradient g and the differences ĝ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from gradloom import executors, options, tree
from gradloom.autodiff.reverse import pullback
from gradloom.autodiff.slopes import Line, Slope, quick, sweep
from gradloom.errors import DTypeError
from gradloom.ir.graph import CONSTANT, Graph, Node, constant
from gradloom.ir.tensortype import is_float
from gradloom.records import dataclass
from gradloom.tensor import Tensor
from gradloom.tracing import Arguments, Function, Results, parameter_names

PASS, LOOK, WRONG = 1e-7, 1e-5, 1e-3
"""Where the notes' bands end: a ratio up to the first is right; up to the second wants a look; from the third on the
gradient is certainly wrong."""

_AGREES = 1e-9  # the relative difference down to which differences in float64 are told apart
_UNRESOLVED = 1e-3  # relative uncertainty from which a difference says nothing

Array = np.ndarray


# The report -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """One element of a gradient, or one projection of it, beside its difference.

    Attributes:
        index: the element; None for a projection.
        gradient: what the rules give.
        slope: what differences give.
        kind: "" where they agree, or "kink", "jump", "unresolved" (too small for differences), "unclear" (differences
            settle on no slope), "wrong".
        sides: the slopes of the left and the right side, where it is a kink or a jump.
    """

    index: tuple[int, ...] | None
    gradient: float
    slope: Slope
    kind: str = ""
    sides: tuple[float, float] | None = None

    @property
    def excess(self) -> float:
        """By how much they differ beyond the uncertainty of the difference."""
        if self.kind != "wrong":
            return 0.0
        gap = abs(self.gradient - self.slope.value) - self.slope.uncertainty
        return gap if math.isfinite(gap) else math.inf

    @property
    def ratio(self) -> float:
        """The excess over the sum of both."""
        return _ratio(self.excess, abs(self.gradient) + abs(self.slope.value))

    def __str__(self) -> str:
        place = "along a random direction" if self.index is None else f"at {list(self.index)}"
        if self.sides is not None:
            low, high = sorted(self.sides)
            return f"{place} the gradient is {self.gradient:.6g}, the slopes of the two sides {low:.6g} and {high:.6g}"
        doubt = f" ± {self.slope.uncertainty:.1g}"
        return f"{place} the gradient is {self.gradient:.8g}, the differences give {self.slope.value:.8g}{doubt}"


@dataclass(frozen=True)
class Row:
    """What was found of one array.

    Attributes:
        name: the argument, and the path inside it.
        shape: of the array.
        comparisons: its elements, or its projections.
        culprits: of an array that was projected, the elements found to be wrong.
    """

    name: str
    shape: tuple[int, ...]
    comparisons: list[Comparison] = field(repr=False)
    culprits: list[Comparison] = field(default_factory=list)

    @property
    def is_projected(self) -> bool:
        """Whether random directions were checked rather than every element."""
        return any(c.index is None for c in self.comparisons)

    @property
    def ratio(self) -> float:
        """The notes' ‖g - ĝ‖ / (‖g‖ + ‖ĝ‖), kinks left out."""
        used = [(c.gradient, c.slope.value) for c in self.comparisons if c.kind not in ("kink", "jump")]
        norms = [math.hypot(*values) for values in zip(*used)]
        return _ratio(math.hypot(*(g - d for g, d in used)), sum(norms))

    @property
    def norm(self) -> float:
        """‖g‖, of an array that was projected an estimate."""
        norm = math.hypot(*(c.gradient for c in self.comparisons))
        return norm / math.sqrt(len(self.comparisons)) if self.is_projected else norm

    @property
    def worst(self) -> Comparison | None:
        """The element that is off most, for its size; None where none is."""
        found = self.culprits or self.comparisons
        return max((c for c in found if c.kind == "wrong"), key=lambda c: (c.ratio, c.excess), default=None)

    @property
    def verdict(self) -> str:
        """ "pass", "look" or "fail", by the worst element."""
        if self.worst is None:
            return "look" if self.of_kind("unclear") else "pass"
        return "fail" if self.worst.ratio > LOOK else "look"

    def of_kind(self, *kinds: str) -> list[Comparison]:
        """The comparisons of these kinds."""
        return [c for c in self.comparisons if c.kind in kinds]

    def lines(self) -> list[str]:
        """The row as text."""
        size = "x".join(map(str, self.shape)) or "scalar"
        how = f"{len(self.comparisons)} random directions" if self.is_projected else "every element"
        vague = self.worst is None and self.ratio > PASS
        remark = ", all of it within what differences resolve" if vague else ""
        lines = [f"{self.verdict:4}  {self.name} ({size}), {how}: ratio {self.ratio:.1e}{remark}"]
        if self.worst is not None:
            lines.append(f"      worst: {self.worst}{_remark(self.worst)}")
        kinks, unresolved, unclear = self.of_kind("kink", "jump"), self.of_kind("unresolved"), self.of_kind("unclear")
        if kinks:
            name = "kink" if all(c.kind == "kink" for c in kinks) else "jump"
            lines.append(f"      {_count(len(kinks), name)}, which is no mistake: {kinks[0]}")
        if unresolved:
            lines.append(f"      {_count(len(unresolved), 'slope')} too small for differences to tell from rounding")
        if unclear:
            lines.append(f"      differences of all steps disagree: {unclear[0]}")
        return lines


def _remark(worst: Comparison) -> str:
    if worst.ratio > WRONG:
        return " (certainly wrong)"
    return " (equal to the precision of float32: a constant or a cast of that type?)" if worst.ratio <= PASS else ""


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("s" if n != 1 else "")


def _ratio(part: float, whole: float) -> float:
    if part == 0:
        return 0.0
    return part / whole if math.isfinite(part) and whole else math.inf


@dataclass(frozen=True)
class GradientReport:
    """The result of a gradient check; ``print`` it.

    Attributes:
        rows: one an array.
        notes: what else to know.
        title: what was checked.
    """

    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    title: str = "gradient check"

    @property
    def ratio(self) -> float:
        """The notes' ratio over all arrays, the worst of them."""
        return max((row.ratio for row in self.rows), default=0.0)

    @property
    def verdict(self) -> str:
        """The worst of the rows': "pass", "look" or "fail"."""
        found = {row.verdict for row in self.rows}
        return next((v for v in ("fail", "look") if v in found), "pass")

    @property
    def passed(self) -> bool:
        """Whether no mistake was found, nor anything that wants a look."""
        return self.verdict == "pass"

    def worst(self, count: int = 5) -> list[tuple[str, Comparison]]:
        """The elements that are off most, with the names of their arrays."""
        found = [(row.name, c) for row in self.rows for c in (row.culprits or row.comparisons) if c.kind == "wrong"]
        return sorted(found, key=lambda pair: (-pair[1].ratio, -pair[1].excess))[:count]

    def escape(self, size: float) -> float:
        """At most with which probability a mistake of this size passes unseen, in arrays that were projected.

        For an error e in the gradient g of one array, of relative size r = ‖e‖ / ‖gradient of all‖, its projection on
        a normal direction is normal with variance ‖e‖².  Where t is the least that is noticed, relative likewise, one
        direction misses it with a probability of at most √(2/π) t/r, and all K with the K-th power of that.

        Args:
            size: r, such as 1e-5.
        """
        whole = math.hypot(*(row.norm for row in self.rows))
        chances = [0.0]
        for row in (row for row in self.rows if row.is_projected):
            noticed = [_ratio(2 * _AGREES * row.norm + c.slope.uncertainty, whole) for c in row.comparisons]
            chances.append(math.prod(min(1.0, math.sqrt(2 / math.pi) * t / size) for t in noticed))
        return max(chances)

    def __str__(self) -> str:
        sizes = sum(math.prod(row.shape) for row in self.rows)
        head = f"{self.title}: {self.verdict} ({_count(len(self.rows), 'array')}, {_count(sizes, 'element')})"
        lines = [head, *(line for row in self.rows for line in row.lines())]
        if any(row.is_projected for row in self.rows):
            lines.append(
                f"Of arrays checked along random directions, a mistake of 1e-5 of the gradient's norm passes with a "
                f"probability of at most {self.escape(1e-5):.0e}."
            )
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__


# The check ------------------------------------------------------------------------------------------------------------


def check_gradients(
    f: Function,
    *args: Any,
    argnums: int | Sequence[int] | None = None,
    elements: int = 1000,
    directions: int = 5,
    seed: int = 0,
    executor: str = "reference",
) -> GradientReport:
    """Hold the gradient of ``f``, by reverse mode, against differences of its values.

    Everything is computed in float64, on copies of the arguments.  Each element, or each random direction, is
    differenced once at the step that suits a function of scale 1, and where that disagrees at steps from 0.1 down to
    1e-11, of which the place is taken where neighbours agree best.  An array passes up to a ratio of 1e-7 between
    ‖g - ĝ‖ and ‖g‖ + ‖ĝ‖ beyond what the differences can resolve, wants a look up to 1e-5, and fails from there.  A
    gradient between the slopes of the two sides of a kink is no mistake.

    Args:
        f: a function of tensors or nested values of them.  A result that is not one number is multiplied with random
            numbers and summed, so that every part of the Jacobian counts.
        args: where to check; only floats are differentiated by.
        argnums: which arguments to check; all that hold floats by default.
        elements: how many elements are checked one by one, of the smallest arrays first.
        directions: how many random directions are checked of each of the others.
        seed: determines the random numbers.
        executor: what computes values and gradient; the native one pays for large functions.

    Returns:
        A report: ``print`` it, or look at ``.passed`` and ``.rows``.

    Raises:
        DTypeError: no argument or no result is of floats.

    Source: the notes' rule for checking gradients; Press et al., "Numerical recipes" (2007), 5.7, for the plateau.  The
    notes have one ε of 1e-7; the sweep is ours, for at one ε rounding alone can exceed the band that passes.
    """
    options.whole("check_gradients", "elements", elements, least=0)
    options.whole("check_gradients", "directions", directions)
    numbers = range(len(args)) if argnums is None else options.argument_numbers("check_gradients", len(args), argnums)
    checked = _Checked.of(f, args, set(numbers), np.random.default_rng(seed), executor)
    order = sorted(range(len(checked.point)), key=lambda i: checked.point[i].size)
    rows, left = {}, elements
    for i in order:
        left -= checked.point[i].size
        rows[i] = checked.by_element(i) if left >= 0 else checked.by_projection(i, directions)
    return GradientReport([rows[i] for i in sorted(rows)], checked.notes)


def _in_float64(leaf: Any) -> Any:
    """Floats, whatever holds them, as float64 tensors; anything else as it is."""
    if isinstance(leaf, (float, np.ndarray, np.generic, Tensor)):
        array = np.asarray(leaf)
        return Tensor(constant(array.astype(np.float64))) if is_float(array.dtype) else leaf
    return leaf


@dataclass
class _Checked:
    """A function at a point: its values nearby, and its gradient there.

    Attributes:
        names: of the arrays that are checked.
        point: these arrays.
        weights: of the function's values.
        values: the function, from such arrays to one vector.
        gradient: that of Σ weights·values.
        doubt: how far rounding puts the gradient off.
        rng: draws directions.
        notes: for the report.
    """

    names: list[str]
    point: list[Array]
    weights: Array
    values: Callable[[Sequence[Array]], Array]
    gradient: list[Array]
    doubt: list[Array]
    rng: np.random.Generator
    notes: list[str]
    pull: Callable[[Sequence[Array]], list[Array]]

    @staticmethod
    def of(f: Function, args: tuple[Any, ...], numbers: set[int], rng: np.random.Generator, executor: str) -> _Checked:
        """Trace ``f`` and its gradient once."""
        arguments = Arguments("check_gradients", tree.map(_in_float64, args))
        paths = [p for p, traced in zip(tree.paths(arguments.definition), arguments.traced) if traced]
        chosen = [int(p[0]) in numbers and x.tensor_type.is_float for p, x in zip(paths, arguments.nodes)]
        stand_ins = arguments.placeholders(parameter_names(f, len(args)))
        inputs = [x for x, is_chosen in zip(stand_ins, chosen) if is_chosen]
        given = [p if is_chosen else x for p, x, is_chosen in zip(stand_ins, arguments.nodes, chosen)]
        found = Results.of(f(*arguments.rebuilt(given)), "check_gradients").nodes
        outputs = [y for y in found if y.tensor_type.is_float]
        _refuse_nothing("argument", inputs)
        _refuse_nothing("result", outputs)
        weights = [rng.standard_normal(y.shape) if y.shape or len(outputs) > 1 else np.ones(()) for y in outputs]
        _, back = pullback(outputs, inputs, [constant(w, y.dtype) for w, y in zip(weights, outputs)])
        run = [executors.get(executor).compile(Graph(tuple(inputs), tuple(nodes))) for nodes in (outputs, back)]
        point = [np.asarray(x.value) for x, is_chosen in zip(arguments.nodes, chosen) if is_chosen]

        def values(arrays: Sequence[Array]) -> Array:
            return np.concatenate([np.ravel(y).astype(np.float64) for y in run[0](arrays)])

        gradient = run[1](point)
        names = [x.attrs["name"] for x in inputs]
        notes = _narrow("The function", outputs) or _narrow("The gradient", back)
        flat = np.concatenate([w.ravel() for w in weights])
        doubt = _rounding(run[1], point, gradient, rng)
        return _Checked(names, point, flat, values, gradient, doubt, rng, notes, run[1])

    def by_element(self, i: int) -> Row:
        """Every element of the i-th array."""
        indices = np.ndindex(self.point[i].shape)
        return Row(self.names[i], self.point[i].shape, [self._element(i, index) for index in indices])

    def by_projection(self, i: int, directions: int) -> Row:
        """Random directions of the i-th array, and the elements where they disagree."""
        found = [self._projection(i, self.rng.standard_normal(self.point[i].shape)) for _ in range(directions)]
        culprits = []
        if any(c.kind == "wrong" for c in found):
            culprits = [c for c in (self._element(i, self._located(i)),) if c.kind == "wrong"]
        return Row(self.names[i], self.point[i].shape, found, culprits)

    def _element(self, i: int, index: tuple[int, ...]) -> Comparison:
        direction = np.zeros(self.point[i].shape)
        direction[index] = 1.0
        return self._compared(index, i, direction, self.gradient[i][index], self.doubt[i][index])

    def _compared(self, index: tuple[int, ...] | None, i: int, direction: Array, g: float, doubt: float) -> Comparison:
        """One number of the gradient beside its difference."""
        line, g = self._line(self.point, i, direction), float(g)
        moved = np.abs(self.point[i] if index is None else self.point[i][index])
        least = float(np.min(moved[moved > 0], initial=1.0))
        scale = 1.0 if index is None else max(1.0, float(moved))
        first = quick(line, self.weights, scale)
        if not math.isfinite(g):
            return Comparison(index, g, first, "wrong")
        if _agree(g, first) and not _is_vague(g, first):
            return Comparison(index, g, first)
        slopes = sweep(line, self.weights, scale, least)
        slope = Slope(slopes.both.value, 3 * slopes.both.uncertainty + doubt)
        sides = (slopes.left.value, slopes.right.value)
        if slopes.is_jump and slopes.brackets(g):
            return Comparison(index, g, slope, "jump", sides)
        if math.isinf(slope.uncertainty):
            return Comparison(index, g, slope, "unclear")
        if _agree(g, slope):
            return Comparison(index, g, slope, "unresolved" if _is_vague(g, slope) else "")
        # Of several kinks in one place the slopes need not lie on both sides; a random direction meets many.
        if slopes.is_kink and slopes.brackets(g):
            return Comparison(index, g, slope, "kink", sides)
        if (slopes.is_kink or index is None) and self._agrees_nearby(i, direction, doubt):
            return Comparison(index, g, slope, "kink", sides)
        return Comparison(index, g, slope, "wrong")

    def _agrees_nearby(self, i: int, direction: Array, doubt: float) -> bool:
        """Whether gradient and differences agree a little aside, where no kinks are."""
        nearby = [x + _NEARBY * self.rng.standard_normal(x.shape) * np.maximum(1.0, np.abs(x)) for x in self.point]
        slope = sweep(self._line(nearby, i, direction), self.weights, 1.0, 1.0).both
        return _agree(_along(self.pull(nearby)[i], direction), Slope(slope.value, 3 * slope.uncertainty + doubt))

    def _line(self, point: Sequence[Array], i: int, direction: Array) -> Line:
        """The function along a direction of the i-th array."""

        def values(distance: float) -> Array:
            moved = list(point)
            moved[i] = point[i] + distance * direction
            return self.values(moved)

        return values

    def _projection(self, i: int, direction: Array) -> Comparison:
        g, doubt = _along(self.gradient[i], direction), _along(self.doubt[i], np.abs(direction))
        return self._compared(None, i, direction, g, doubt)

    def _located(self, i: int) -> tuple[int, ...]:
        """The element of an array that disagrees most, found by halving what random directions run over."""
        shape, chosen = self.point[i].shape, np.arange(self.point[i].size)
        while len(chosen) > 1:
            halves = np.array_split(chosen, 2)
            chosen = halves[int(self._gap(i, halves[1]) > self._gap(i, halves[0]))]
        return tuple(int(n) for n in np.unravel_index(chosen[0], shape))

    def _gap(self, i: int, chosen: Array) -> float:
        """How much gradient and differences disagree over some elements, for two random directions together."""
        gaps = []
        for _ in range(2):
            direction = np.zeros(self.point[i].size)
            direction[chosen] = self.rng.standard_normal(len(chosen))
            gaps.append(self._projection_gap(i, direction.reshape(self.point[i].shape)))
        return max(gaps)

    def _projection_gap(self, i: int, direction: Array) -> float:
        slope = sweep(self._line(self.point, i, direction), self.weights, 1.0, 1.0).both
        gap = abs(_along(self.gradient[i], direction) - slope.value) - slope.uncertainty
        return gap if math.isfinite(gap) else math.inf


_NEARBY = 1e-4
"""How far from a point, for numbers of size 1, it is seen whether a disagreement is that of a kink."""


def _along(gradient: Array, direction: Array) -> float:
    return float(np.vdot(gradient, direction))


def _agree(g: float, slope: Slope) -> bool:
    return abs(g - slope.value) <= slope.uncertainty + _AGREES * (abs(g) + abs(slope.value))


def _is_vague(g: float, slope: Slope) -> bool:
    """Whether rounding hides whether there is a slope at all."""
    return g != 0 and slope.uncertainty > _UNRESOLVED * max(abs(g), abs(slope.value))


def _rounding(
    pull: Callable[[Sequence[Array]], list[Array]], point: list[Array], gradient: list[Array], rng: np.random.Generator
) -> list[Array]:
    """How far the rounding of its arguments moves the gradient; what moves it more than that is no rounding."""
    worst = [np.zeros(x.shape) for x in point]
    for _ in range(2):
        nudged = [x * (1 + rng.choice((-1, 1), x.shape) * np.finfo(np.float64).eps) for x in point]
        with np.errstate(all="ignore"):
            moved = [np.abs(a - b) for a, b in zip(pull(nudged), gradient)]
        worst = [np.fmax(w, m) for w, m in zip(worst, moved)]
    return [np.minimum(4 * w, 1e-6 * np.abs(g)) for w, g in zip(worst, gradient)]


def _narrow(what: str, outputs: Sequence[Node]) -> list[str]:
    """A note where something is computed in less than float64, which differences then see as noise."""
    for node in Graph((), tuple(outputs)).nodes:
        if node.op is not CONSTANT and getattr(node.type, "is_float", False) and node.dtype != np.float64:
            place = f" in {node.scope}" if node.scope else ""
            return [f"{what} computes in {node.dtype.name}{place} ({node.op.name}), so it is rough even in float64."]
    return []


def _refuse_nothing(what: str, nodes: Sequence[Node]) -> None:
    if not nodes:
        raise DTypeError(
            "check_gradients",
            rule=f"a derivative needs floats, and no {what} holds any",
            fix="Pass 2.0 rather than 2, and return floats.",
        )
