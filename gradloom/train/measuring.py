"""The compiled model in predict mode: loss and metrics of a data set, and outputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from itertools import chain
from operator import is_
from typing import Any

import numpy as np

from gradloom import nn, tree
from gradloom.executors.base import Call
from gradloom.ir.graph import Graph
from gradloom.nn.metrics import Metric, WholeSetMetric
from gradloom.nn.module import assignments
from gradloom.tracing import Arguments, graph_and_results
from gradloom.train.examples import Examples, first_weights
from gradloom.train.inputs import Inputs, InputType, numbers_of_one, stand_ins
from gradloom.train.step import Place, Recipe
from gradloom.transforms import jit
from gradloom.tree import TreeDef

EVALUATION_BATCH = 1024
"""The most examples that a call takes."""
EVALUATION_ELEMENTS = 2**20
"""The most numbers that the inputs of a call have, so that the outputs of all layers fit into memory."""


def whole_batches(inputs: Inputs) -> Iterator[tuple[slice | np.ndarray, int]]:
    """Rows in batches of powers of two, so that a few programs serve data of every length.

    Args:
        inputs: the examples, shape (rows, ...); or several of them.

    Yields:
        The rows of a batch, and how many of them count: what is left over is filled up with the first.
    """
    rows, size_of_one = len(tree.leaves(inputs)[0]), max(numbers_of_one(inputs), 1)
    fitting = 1 << (max(EVALUATION_ELEMENTS // size_of_one, 1).bit_length() - 1)
    most = min(EVALUATION_BATCH, fitting)
    for start in range(0, rows, most):
        count = min(most, rows - start)
        size = 1 << (count - 1).bit_length()
        if size == count:
            yield slice(start, start + count), count
        else:
            yield np.concatenate([np.arange(start, start + count), np.resize(np.arange(rows), size - count)]), count


class Measure:
    """Loss and metrics of data sets.

    Args:
        recipe: the model, the loss and the metrics that are sums.
        metrics: all metrics, in the order of reports.
        executor: what runs the compiled step.
    """

    def __init__(self, recipe: Recipe, metrics: list[Metric], executor: str) -> None:
        self._recipe = recipe
        self._step: Callable[..., Any] = jit(recipe.measure, executor)
        self._whole = [m for m in metrics if isinstance(m, WholeSetMetric)]

    def __call__(self, parts: Iterable[Examples]) -> dict[str, Any]:
        """Loss and metrics, by name; the data set may come in parts."""
        model = self._recipe.model
        parameters, state = model.parameters(), model.state()
        place, kept = Place(()), []
        for examples in parts:
            for rows, count in whole_batches(examples.inputs):
                inputs, targets, weights = examples.take(rows)
                if count < len(weights):
                    weights = first_weights(weights, count)
                outputs, sums = self._step(parameters, state, (inputs, targets, weights))
                place = place.after((), [s.numpy()[np.newaxis] for s in sums])
                if self._whole:  # they need all of it at once, so it must fit into memory
                    kept.append([a[:count] for a in (outputs.numpy(), targets, weights)])
        row = self._recipe.finish(place.totals)
        if self._whole:
            outputs, targets, weights = map(np.concatenate, zip(*kept))
            row |= {m.name: m.compute(outputs, targets, weights) for m in self._whole}
        return row


class Forward:
    """The outputs of a model in predict mode.

    The way into a program is made ready once for each length of the inputs: the parameters are looked up again only
    when the model was changed since, so that a single row takes some tens of microseconds.

    Args:
        model: the network.
        executor: what runs it.
    """

    def __init__(self, model: nn.Module, executor: str) -> None:
        self._model = model
        self._outputs = lambda parameters, state, x: nn.apply(model, parameters, state, x)[0]
        self._forward = jit(self._outputs, executor)
        self._graphs: dict[Hashable, Graph] = {}
        self._watch: _Watch | None = None
        self._ready: dict[Any, Call] = {}

    def __call__(self, x: Inputs) -> np.ndarray:
        """The outputs for inputs of shape (n, ...)."""
        arrays, definition = tree.flatten(x)
        if len(arrays[0]) == 1:
            return self._batch(arrays, definition)
        batches = whole_batches(x)
        return np.concatenate([self._batch([a[rows] for a in arrays], definition)[:count] for rows, count in batches])

    def graph(self, kind: InputType) -> Graph:
        """The graph of the outputs for inputs of a type; traced, like programs, once for each."""
        arguments = Arguments("fit", (self._model.parameters(), self._model.state(), stand_ins(kind)))
        signature = arguments.signature
        if signature not in self._graphs:
            self._graphs[signature] = graph_and_results(self._outputs, arguments)[0]
        return self._graphs[signature]

    def _batch(self, arrays: Sequence[np.ndarray], definition: TreeDef) -> np.ndarray:
        if self._watch is None or self._watch.sees_changes():
            self._watch, self._ready = _Watch(self._model), {}
        kind = definition, *((x.shape, x.dtype.char) for x in arrays)  # the hash of a type takes a microsecond
        program = self._ready.get(kind)
        if program is None:
            inputs = tree.unflatten(definition, arrays)
            prepared = self._forward.prepare(self._model.parameters(), self._model.state(), inputs)
            program = self._ready[kind] = prepared.program.bound(prepared.arrays[: -len(arrays)])
        return program(arrays)[0]


class _Watch:
    """Notices that a module, or one inside it, was given another tensor or another module.

    Attributes are compared only if any were assigned since the last look.  What a list or a dict holds can change
    without, and is compared each time.
    """

    def __init__(self, module: nn.Module) -> None:
        self._attributes: list[Collection[Any]] = []  # of a dict what shows its values, whichever these are
        self._elements: list[Collection[Any]] = []
        self._look(module, set())
        self._assigned = assignments()
        self._seen = _held(self._attributes), _held(self._elements)

    def sees_changes(self) -> bool:
        """Whether any attribute is another object than at first."""
        attributes, elements = self._seen
        if self._elements and _differ(_held(self._elements), elements):
            return True
        assigned = assignments()
        if assigned == self._assigned:
            return False
        self._assigned = assigned  # perhaps to another module
        return _differ(_held(self._attributes), attributes)

    def _look(self, value: Any, met: set[int]) -> None:
        holder = vars(value) if isinstance(value, nn.Module) else value
        if not isinstance(holder, (dict, list, tuple)) or id(holder) in met:
            return
        met.add(id(holder))
        values = holder.values() if isinstance(holder, dict) else holder
        if not isinstance(holder, tuple):  # what cannot change need not be watched, unlike what is in it
            (self._attributes if isinstance(value, nn.Module) else self._elements).append(values)
        for inner in list(values):
            self._look(inner, met)


def _held(holders: list[Collection[Any]]) -> list[Any]:
    return list(chain.from_iterable(holders))


def _differ(now: list[Any], before: list[Any]) -> bool:
    """Whether any of some objects is another one."""
    return len(now) != len(before) or not all(map(is_, now, before))
