"""The section of the model: its layers and its graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom.drawing.svg import to_svg
from gradloom.errors import GradloomError
from gradloom.ir.picture import pictures
from gradloom.nn import apply
from gradloom.nn.summary import HEAD, layers
from gradloom.report.html.blocks import Block, Folded, Paragraph, Picture, Section, Table
from gradloom.train.inputs import two_examples
from gradloom.transforms import trace

_MOST_PARTS = 40
"""A graph of more folded parts is shown as a whole only, or the page would grow too large."""


def network(run: Any) -> Section:
    """The table of layers and the graph.

    Args:
        run: a trainer whose model has parameters.
    """
    dtype, shape = run.input_type
    example = np.broadcast_to(np.zeros((), dtype), (1, *shape))
    rows, total, state = layers(run.model, example)
    cells = [list(row.cells) for row in rows if row.path]
    work = sum(row.multiply_adds for row in rows)
    facts = f"{total:,} parameters" + (f", {state:,} numbers of state" if state else "")
    facts += f", {work:,} multiply-adds for one example of shape {tuple(shape)}." if work else "."
    blocks: list[Block] = [
        Paragraph(facts),
        Table(HEAD, [*cells, ["", "", "total", f"{total:,}", f"{work:,}"]], texts=3),
    ]
    return Section("model", "Model", [*blocks, *_graph(run, dtype, shape)])


def _graph(run: Any, dtype: str, shape: tuple[int, ...]) -> list[Block]:
    state = run.model.state()

    def model(x: Any, parameters: Any) -> Any:
        return apply(run.model, parameters, state, x)[0]

    try:
        graph = trace(model, two_examples(dtype, shape), run.model.parameters())
    except GradloomError:  # a model of one's own may take more than it is given here
        return []
    whole, *parts = pictures(graph, "graph")
    text = "The graph that is computed, inputs above; what is folded (▸) opens below."
    links = len(parts) <= _MOST_PARTS
    inside = [Folded(p.title, [Picture(to_svg(p, style=False), "", True)], p.name) for p in parts] if links else []
    return [Folded("The graph", [Paragraph(text), Picture(to_svg(whole, style=False), "", True), *inside])]
