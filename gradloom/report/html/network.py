"""The section of the model: its layers and its graph."""

from __future__ import annotations

from typing import Any

from gradloom import tree
from gradloom.drawing.svg import to_svg
from gradloom.errors import GradloomError
from gradloom.ir.picture import pictures
from gradloom.nn import apply
from gradloom.nn.summary import HEAD, layers
from gradloom.report.html.blocks import Block, Folded, Paragraph, Picture, Section, Table
from gradloom.train.inputs import one_example, stand_ins
from gradloom.transforms import trace

_MOST_PARTS = 40
"""A graph of more folded parts is shown as a whole only, or the page would grow too large."""


def network(run: Any) -> Section:
    """The table of layers and the graph.

    Args:
        run: a trainer whose model has parameters.
    """
    inputs = stand_ins(run.input_type)
    shapes = " and ".join(str(x.shape[1:]) for x in tree.leaves(inputs))
    rows, total, state = layers(run.model, one_example(run.input_type))
    cells = [list(row.cells) for row in rows if row.path]
    work = sum(row.multiply_adds for row in rows)
    facts = f"{total:,} parameters" + (f", {state:,} numbers of state" if state else "")
    facts += f", {work:,} multiply-adds for one example of shape {shapes}." if work else "."
    blocks: list[Block] = [
        Paragraph(facts),
        Table(HEAD, [*cells, ["", "", "total", f"{total:,}", f"{work:,}"]], texts=3),
    ]
    return Section("model", "Model", [*blocks, *_graph(run, inputs)])


def _graph(run: Any, inputs: Any) -> list[Block]:
    state = run.model.state()

    def model(x: Any, parameters: Any) -> Any:
        return apply(run.model, parameters, state, x)[0]

    try:
        graph = trace(model, inputs, run.model.parameters())
    except GradloomError:  # a model of one's own may take more than it is given here
        return []
    whole, *parts = pictures(graph, "graph")
    text = "The graph that is computed, inputs above; what is folded (▸) opens below."
    links = len(parts) <= _MOST_PARTS
    inside = [Folded(p.title, [Picture(to_svg(p, style=False), "", True)], p.name) for p in parts] if links else []
    return [Folded("The graph", [Paragraph(text), Picture(to_svg(whole, style=False), "", True), *inside])]
