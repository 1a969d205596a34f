"""Hunting numbers that are not finite: which primitive of which layer made the first one.

The graph is run once more by the NumPy meaning of each primitive, and every result is looked at.  Not every infinity
is a fault: masks are made of them.  So the hunt starts from the results that are not finite and follows, against the
direction of the graph, values that are not finite; what never reached a result is never blamed.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np

from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import is_float
from gradloom.ops import control
from gradloom.ops.custom import custom
from gradloom.records import dataclass
from gradloom.tracing import Arguments, Function, graph_and_results

STAGES = ("backward", "update")
"""Parts of a scope that say what a value belongs to; all others are forward."""


class State(enum.IntEnum):
    """How bad a value is."""

    FINITE = 0
    INFINITE = 1
    NAN = 2


@dataclass(frozen=True)
class Finding:
    """A value that is not finite, made from values that were (or given as such).

    Attributes:
        primitive: what made it; ``placeholder`` for an argument, ``constant`` for a value from outside the function.
        layer: the path of layers that it belongs to; for an argument its name.
        stage: ``forward``, ``backward`` (made by differentiation) or ``update`` (made by an optimiser).
        value: ``NaN`` or ``infinity``.
        place: index of the first such element.
        result: type of the value.
        operands: each operand's type and range.
        turns: the turns of the loops that it is in, outermost first.
    """

    primitive: str
    layer: str
    stage: str
    value: str
    place: tuple[int, ...]
    result: str
    operands: tuple[str, ...] = ()
    turns: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f" at {self.place}" if self.place else ""
        if self.primitive in ("placeholder", "constant"):
            kind = f"argument {self.layer}" if self.primitive == "placeholder" else "a constant"
            return f"{self.value} in {kind} ({self.result}){where}"
        layer = f"layer {self.layer}, " if self.layer else ""
        turns = "".join(f", turn {turn} of a loop" for turn in self.turns)
        given = f", from {' and '.join(self.operands)}" if self.operands else ""
        return f"{self.value} in {self.primitive} ({layer}{self.stage}{turns}), {self.result}{where}{given}"


@dataclass(frozen=True)
class Report:
    """What a hunt has found; true where anything is not finite.

    Attributes:
        first: where it began, be it with NaN or infinity.
        nan: where the first NaN was made, if there is one; it may come from an infinity.
    """

    first: Finding | None = None
    nan: Finding | None = None

    def __bool__(self) -> bool:
        return self.first is not None

    def __str__(self) -> str:
        if self.first is None:
            return "every result is finite"
        later = f"; the first NaN: {self.nan}" if self.nan is not None and self.nan != self.first else ""
        return f"{self.first}{later}"


def find_nonfinite(f: Function, *args: Any, infinities: bool = True) -> Report:
    """Where the first NaN or infinity among the results of ``f(*args)`` comes from; raises nothing of its own.

    Args:
        f: a function of tensors (or nested values of them), such as a model, a loss, or ``gl.grad`` of one.
        args: its arguments.
        infinities: whether infinite results count; without, only NaN does.

    Returns:
        A report, which is false where all is finite; ``print`` it.
    """
    arguments = Arguments("find_nonfinite", args)
    graph, _ = graph_and_results(f, arguments)
    return search(graph, [x.value for x in arguments.nodes], infinities=infinities)[0]


def search(graph: Graph, arrays: Sequence[Any], *, infinities: bool = True) -> tuple[Report, list[Any]]:
    """The same for a graph; gives its results as well.

    Args:
        graph: without values from outside.
        arrays: its inputs.
        infinities: whether infinite results count.
    """
    hunt = _Hunt(graph)
    results = hunt.run(arrays)
    least = State.INFINITE if infinities else State.NAN
    first, nan = hunt.origin(graph.outputs, least), hunt.origin(graph.outputs, State.NAN)
    return Report(first, nan), results


@dataclass
class _Hunt:
    """One run of a graph, and what is known of every value."""

    graph: Graph
    states: dict[Node, State] = field(default_factory=dict)
    findings: dict[Node, dict[State, Finding]] = field(default_factory=dict)

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """Compute every node, and note how bad it is; values go when they are no longer needed."""
        values: dict[Node, Any] = dict(zip(self.graph.inputs, arrays))
        last_use = {x: node for node in self.graph.nodes for x in node.inputs}
        kept = set(self.graph.outputs)
        for node in self.graph.nodes:
            if node.op is CONSTANT:
                values[node] = node.value
            elif node.op is not PLACEHOLDER:
                with np.errstate(all="ignore"):
                    values[node] = node.op.compute(*(values[x] for x in node.inputs), **node.attrs)
            self._note(node, values)
            for x in {x for x in node.inputs if last_use[x] is node and x not in kept}:
                del values[x]
        return [values[y] for y in self.graph.outputs]

    def origin(self, outputs: Iterable[Node], least: State) -> Finding | None:
        """The first finding on the ways along which bad values came to the outputs."""
        bad = {n for n, state in self.states.items() if state >= least}
        stack, reached = [y for y in outputs if y in bad], set()
        while stack:
            node = stack.pop()
            if node not in reached:
                reached.add(node)
                stack += [x for x in node.inputs if x in bad]
        for node in self.graph.nodes:
            if node in reached and least in self.findings.get(node, {}):
                return self.findings[node][least]
        return None

    def _note(self, node: Node, values: dict[Node, Any]) -> None:
        """How bad the value is; where it is worse than its operands, what it is."""
        value = values[node]
        state = self.states[node] = _state(value)
        before = max((self.states[x] for x in node.inputs), default=State.FINITE)
        for least in (State.INFINITE, State.NAN):
            if state >= least > before:
                self.findings.setdefault(node, {})[least] = self._finding(node, values, least)

    def _finding(self, node: Node, values: dict[Node, Any], least: State) -> Finding:
        operands = [values[x] for x in node.inputs]
        inner = _inside(node, operands, least)
        if inner is not None:
            return inner
        value = values[node]
        if isinstance(
            value, tuple
        ):  # a loop whose turns were all finite cannot be; a branch's result may be a constant
            value = next(v for v in value if _state(v) >= least)
        wrong = np.isnan(value) if _state(value) is State.NAN else np.isinf(value)
        is_argument = node.op is PLACEHOLDER
        layer, stage = (node.attrs["name"], "forward") if is_argument else _layer_and_stage(node.scope)
        return Finding(
            node.op.name,
            layer,
            stage,
            "NaN" if _state(value) is State.NAN else "infinity",
            tuple(int(i) for i in np.argwhere(wrong)[0]),
            f"{value.dtype}{list(value.shape)}",
            tuple(_range(a) for a in operands),
        )


def _inside(node: Node, operands: Sequence[Any], least: State) -> Finding | None:
    """Where in the graphs inside a node the value was made."""
    if node.op in (control.scan, control.while_loop):
        return _inside_loop(node, operands, least)
    if node.op is control.cond:
        side = node.attrs["on_true" if operands[0] else "on_false"]
        return search(side, operands[1:], infinities=least is State.INFINITE)[0].first
    if node.op in (control.checkpoint, custom):
        return search(node.attrs["body"], operands, infinities=least is State.INFINITE)[0].first
    return None


def _inside_loop(node: Node, operands: Sequence[Any], least: State) -> Finding | None:
    body, consts, carries = (node.attrs[name] for name in ("body", "consts", "carries"))
    fixed, carry, xs = operands[:consts], list(operands[consts : consts + carries]), operands[consts + carries :]
    for turn in _turns(node, fixed, carry):
        report, results = search(body, [*fixed, *carry, *(x[turn] for x in xs)], infinities=least is State.INFINITE)
        if report.first is not None:
            return replace(report.first, turns=(turn, *report.first.turns))
        carry[:] = results[:carries]
    return None


def _turns(node: Node, fixed: Sequence[Any], carry: Sequence[Any]) -> Iterable[int]:
    """The turns of a loop; where a condition decides, it is asked about the carry at each turn."""
    if node.op is control.scan:
        return control.turns_of(fixed, *(node.attrs.get(name, False) for name in ("length", "reverse", "bounded")))
    turns = itertools.count() if node.attrs["limit"] is None else range(node.attrs["limit"])
    return itertools.takewhile(lambda _: evaluate(node.attrs["condition"], [*fixed, *carry])[0], turns)


def _state(value: Any) -> State:
    if isinstance(value, tuple):
        return max(map(_state, value), default=State.FINITE)
    array = np.asarray(value)
    if not is_float(array.dtype) or np.isfinite(array).all():
        return State.FINITE
    return State.NAN if np.isnan(array).any() else State.INFINITE


def _layer_and_stage(scope: str) -> tuple[str, str]:
    parts = scope.split("/") if scope else []
    stage = next((name for name in reversed(STAGES) if name in parts), "forward")
    return "/".join(p for p in parts if p not in STAGES), stage


def _range(value: Any) -> str:
    """An operand in short."""
    array = np.asarray(value)
    kind = f"{array.dtype}{list(array.shape)}"
    if not array.size or array.dtype.kind == "b":
        return kind
    if array.size == 1:
        return f"{kind} {array.item():.4g}"
    return f"{kind} between {array.min():.4g} and {array.max():.4g}"
