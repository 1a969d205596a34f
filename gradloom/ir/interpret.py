"""Evaluate a graph node by node in NumPy: the meaning that every executor is held to.

A value is dropped as soon as its last user has run, so a long graph needs no more memory than its widest cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph, Node


class Schedule:
    """The order in which a graph's nodes are computed, and when each value is last used."""

    def __init__(self, graph: Graph) -> None:
        assert not graph.free, f"the graph {graph.name} depends on values outside it: {graph.free}"
        slots = {node: i for i, node in enumerate(graph.nodes)}
        last_use = {slots[x]: step for step, node in enumerate(graph.nodes) for x in node.inputs}
        kept = {slots[x] for x in graph.outputs}
        self.size = len(slots)
        self.inputs = [slots[x] for x in graph.inputs]
        self.outputs = [slots[x] for x in graph.outputs]
        self.constants = [(slots[n], n.value) for n in graph.nodes if n.op is CONSTANT]
        self.steps: list[tuple[Node, int, list[int], list[int]]] = []
        for step, node in enumerate(graph.nodes):
            if node.op in (CONSTANT, PLACEHOLDER):
                continue
            operands = [slots[x] for x in node.inputs]
            dead = [i for i in set(operands) if last_use[i] == step and i not in kept]
            self.steps.append((node, slots[node], operands, dead))

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for these inputs."""
        values: list[Any] = [None] * self.size
        for slot, value in self.constants:
            values[slot] = value
        for slot, array in zip(self.inputs, arrays):
            values[slot] = array
        with np.errstate(all="ignore"):
            for node, slot, operands, dead in self.steps:
                values[slot] = node.op.compute(*[values[i] for i in operands], **node.attrs)
                for i in dead:
                    values[i] = None
        return [values[slot] for slot in self.outputs]


def evaluate(graph: Graph, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of ``graph`` for these inputs, by the NumPy meaning of each primitive."""
    return schedule_of(graph).run(arrays)


def schedule_of(graph: Graph) -> Schedule:
    """The schedule of a graph, made once and kept with it (the bodies of loops run many times)."""
    cached = graph.__dict__.get("schedule")
    if cached is None:
        cached = graph.__dict__["schedule"] = Schedule(graph)
    return cached
