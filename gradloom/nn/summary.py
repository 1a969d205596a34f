"""A network as a table: what each layer is, what it gives, how many parameters it has, how much it computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from gradloom import tree
from gradloom.ir.graph import Node
from gradloom.nn.module import Module
from gradloom.records import dataclass
from gradloom.tensor import Tensor

HEAD = ("layer", "class", "output", "parameters", "multiply-adds")


@dataclass(frozen=True)
class Row:
    """One call of one module: the names on the way to it, its class, its output's shape, and what is its own alone.

    Attributes:
        path: names of attributes from the network to the module.
        kind: the module's class.
        output: the shape of what it gave.
        parameters: how many it has itself, counted at its first call.
        multiply_adds: of the products and convolutions that it computes itself.
    """

    path: tuple[str, ...]
    kind: str
    output: str
    parameters: int
    multiply_adds: int

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as texts under ``HEAD``."""
        work = f"{self.multiply_adds:,}" if self.multiply_adds else ""
        return ".".join(self.path) or "(whole)", self.kind, self.output, f"{self.parameters:,}", work


def summary(module: Module, *examples: Any) -> str:
    """A table with one line for each call of a module, in the order in which they end, and the totals.

    Multiply-adds are those of matrix products and convolutions for these examples, so give a batch of one to compare
    with papers, many of which call them "flops".  What is done element by element (activations, normalisation,
    pooling) is not counted.

    Nothing is computed and the module stays as it is, built or not.

    Args:
        module: a network.
        examples: inputs; only shapes and data types count.
    """
    rows, total, state = layers(module, *examples)
    given = [("(input)", "", _shape(x), "", "") for x in examples]
    notes = [f"{total:,} parameters"]
    notes += [f"{state:,} numbers of state"] if state else []
    work = sum(row.multiply_adds for row in rows)
    notes += [f"{work:,} multiply-adds for this input, of 2 flops each"] if work else []
    return "\n".join([*_aligned([HEAD, *given, *(row.cells for row in rows)]), ", ".join(notes)])


def layers(module: Module, *examples: Any) -> tuple[list[Row], int, int]:
    """The rows of the table, the number of parameters, and the size of the state."""
    twin: Module = tree.map(lambda leaf: leaf, module)  # a copy, whose calls can be watched
    watch = _Watch([], set())
    watch.over(twin, (), set())
    twin.initialize(*examples, blank=True)
    return watch.rows, _size(twin.parameters()), _size(twin.state())


@dataclass
class _Watch:
    """Lets every call of a module leave a row.

    Attributes:
        rows: what the calls left.
        counted: nodes of the graph that belong to a row.
    """

    rows: list[Row]
    counted: set[Node]

    def over(self, module: Module, path: tuple[str, ...], seen: set[int]) -> None:
        """Watch the module and those in it.  Shared parameters count where they occur first."""
        if id(module) in seen:
            return
        seen.add(id(module))
        compute: Callable[..., Any] = module.forward

        def forward(*inputs: Any) -> Any:
            outputs = compute(*inputs)
            is_first = all(row.path != path for row in self.rows)
            own = sum(getattr(module, name).size for name in module._parameter_names) if is_first else 0
            work = sum(map(_multiply_adds, self._made(_nodes(outputs), set(_nodes(inputs)))))
            self.rows.append(Row(path, type(module).__name__, _shape(outputs), own, work))
            return outputs

        module.forward = forward  # an attribute of this copy alone
        for name, child in module.children():
            self.over(child, (*path, name), seen)

    def _made(self, outputs: Iterable[Node], inputs: set[Node]) -> set[Node]:
        """The nodes between inputs and outputs that no call inside has counted before."""
        reached, stack = set(inputs), list(outputs)
        while stack:
            node = stack.pop()
            if node not in reached:
                reached.add(node)
                stack += node.inputs
        new = reached - inputs - self.counted
        self.counted |= new
        return new


def _multiply_adds(node: Node) -> int:
    """How many products a node adds up."""
    if node.op.name == "contract":
        x, (axes, _) = node.inputs[0], node.attrs["contract"]
        return math.prod(node.shape) * math.prod(x.shape[a] for a in axes)
    if node.op.name in ("conv", "conv_input_gradient"):
        # One for each element of the smaller image, the convolution's output, and each of a filter.
        image = node if node.op.name == "conv" else node.inputs[0]
        return math.prod(image.shape) * math.prod(node.inputs[1].shape[:-1])
    return 0


def _nodes(value: Any) -> list[Node]:
    return [leaf.node for leaf in tree.leaves(value) if isinstance(leaf, Tensor)]


def _size(tensors: Any) -> int:
    return sum(leaf.size for leaf in tree.leaves(tensors))


def _shape(value: Any) -> str:
    leaves = [leaf for leaf in tree.leaves(value) if hasattr(leaf, "shape")]
    return " ".join(str(tuple(leaf.shape)) for leaf in leaves)


def _aligned(lines: list[tuple[str, ...]]) -> list[str]:
    """Columns padded to one width, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    rows = [
        [cell.rjust(w) if title in HEAD[3:] else cell.ljust(w) for cell, w, title in zip(line, widths, HEAD)]
        for line in lines
    ]
    return ["  ".join(row).rstrip() for row in rows]
