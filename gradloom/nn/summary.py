"""A network as a table: what each layer is, what it gives, how many parameters it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradloom import tree
from gradloom.nn.module import Module

_HEAD = ("layer", "class", "output", "parameters")


@dataclass(frozen=True)
class Row:
    """One call of one module: the names on the way to it, its class, its output's shape, its own parameters."""

    path: tuple[str, ...]
    kind: str
    output: str
    parameters: int


def summary(module: Module, *examples: Any) -> str:
    """A table with one line for each call of a module, in the order in which they end, and the totals.

    Nothing is computed and the module stays as it is, built or not.

    Args:
        module: a network.
        examples: inputs; only shapes and data types count.
    """
    rows, total, state = layers(module, *examples)
    lines = [(".".join(r.path) or "(whole)", r.kind, r.output, f"{r.parameters:,}") for r in rows]
    given = [("(input)", "", _shape(x), "") for x in examples]
    notes = f"{total:,} parameters" + (f", {state:,} numbers of state" if state else "")
    return "\n".join([*_aligned([_HEAD, *given, *lines]), notes])


def layers(module: Module, *examples: Any) -> tuple[list[Row], int, int]:
    """The rows of the table, the number of parameters, and the size of the state."""
    twin: Module = tree.map(lambda leaf: leaf, module)  # a copy, whose calls can be watched
    rows: list[Row] = []
    _watch(twin, (), rows, {})
    twin.initialize(*examples, blank=True)
    return rows, _size(twin.parameters()), _size(twin.state())


def _watch(module: Module, path: tuple[str, ...], rows: list[Row], seen: dict[int, int]) -> None:
    """Let every call of the module and of those in it leave a row.  Shared parameters count where they occur first."""
    if id(module) in seen:
        return
    seen[id(module)] = len(seen)
    compute: Callable[..., Any] = module.forward

    def forward(*inputs: Any) -> Any:
        outputs = compute(*inputs)
        is_first = all(row.path != path for row in rows)
        own = sum(getattr(module, name).size for name in module._parameter_names) if is_first else 0
        rows.append(Row(path, type(module).__name__, _shape(outputs), own))
        return outputs

    module.forward = forward  # an attribute of this copy alone
    for name, child in module.children():
        _watch(child, (*path, name), rows, seen)


def _size(tensors: Any) -> int:
    return sum(leaf.size for leaf in tree.leaves(tensors))


def _shape(value: Any) -> str:
    leaves = [leaf for leaf in tree.leaves(value) if hasattr(leaf, "shape")]
    return " ".join(str(tuple(leaf.shape)) for leaf in leaves)


def _aligned(lines: list[tuple[str, ...]]) -> list[str]:
    """Columns padded to one width, the last one to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    rows = [[*(cell.ljust(w) for cell, w in zip(line[:-1], widths)), line[-1].rjust(widths[-1])] for line in lines]
    return ["  ".join(row).rstrip() for row in rows]
