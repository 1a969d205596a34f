"""What a layer makes of an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom import executors, options
from gradloom.errors import ShapeError, unknown_name
from gradloom.ir.graph import Graph, Node
from gradloom.report import pixels
from gradloom.report.figure import Figure, Panel, grid
from gradloom.train.examples import as_inputs
from gradloom.train.inputs import check_inputs, only_input, two_examples
from gradloom.transforms import trace


def feature_maps(run: Any, image: Any, layer: str, *, count: int = 32) -> Figure:
    """The outputs of a layer for an image, one map a channel, each from its least (dark) to its largest (light).

    The layer is found in the graph of the model: nodes know in which layer they were made, and what a layer gives is
    what others use of it.

    Args:
        run: the trainer.
        image: one input, shape (H, W, channels), as the model takes them.
        layer: its path in the model, such as "layers.0" or "layers.3.body.layers.0".
        count: how many maps to show at most.

    Returns:
        A figure, ``data`` the outputs of the layer for the image, (height, width, channels).

    Raises:
        UnknownNameError: no layer has this path, or it only hands its input on.
        ShapeError: it gives no maps.
        DataError: the image is not as those of training.
        OptionError: the model has no parameters yet.
    """
    only_input(run.input_type, "feature_maps")
    x = as_inputs(np.asarray(image)[np.newaxis], "feature_maps", run.dtype)
    check_inputs(x, run.input_type, "feature_maps")
    graph = trace(run.model, two_examples(x.dtype, x.shape[1:]))
    given = _given_by(graph)
    if layer not in given:
        raise unknown_name("feature_maps", "layer", layer, given)
    node = given[layer]
    if node.tensor_type.rank != 4:
        got = f"{layer} gives {node.tensor_type}"
        raise ShapeError("feature_maps", rule="the layer must give (examples, height, width, channels)", got=got)
    program = executors.get(run.executor).compile(Graph(graph.inputs, (node,), f"feature_maps_{layer}"))
    maps = np.asarray(program([np.repeat(x, 2, 0)])[0])[0]
    shown = np.moveaxis(maps, -1, 0)[: options.whole("feature_maps", "count", count)]
    panels = [Panel(pixels.images("feature_maps", image_of(x))[0], ("input",))]
    panels += [Panel(pixels.colours.sequential(pixels.stretched(m)), (str(i),)) for i, m in enumerate(shown)]
    height, width, channels = maps.shape
    note = f"{channels} channels of {height} x {width}, from {maps.min():.3g} to {maps.max():.3g}"
    return Figure(maps, grid(f"Feature maps of {layer}", _alike(panels), columns=min(len(panels), 8), note=note))


def image_of(x: np.ndarray) -> np.ndarray:
    """A batch as images."""
    return x if x.ndim == 4 else x[..., np.newaxis]


def _given_by(graph: Graph) -> dict[str, Node]:
    """What each layer gives, by its path: of the nodes made in it, or in a layer inside it, the last used outside."""
    results = set(graph.outputs)
    found: dict[str, Node] = {}
    users: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for operand in node.inputs:
            users.setdefault(operand, []).append(node)
    for node in graph.nodes:
        parts = (node.scope or "").split("/")
        for depth in range(2, len(parts) + 1):
            inside = "/".join(parts[:depth])
            leaves = node in results or any(not _is_within(user, inside) for user in users.get(node, ()))
            if leaves:
                found[".".join(parts[1:depth])] = node
    return found


def _is_within(node: Node, scope: str) -> bool:
    return f"{node.scope}/".startswith(f"{scope}/")


def _alike(panels: list[Panel]) -> list[Panel]:
    """All images as large as the largest, by repeating pixels; maps of deep layers are small."""
    height, width = (max(p.pixels.shape[axis] for p in panels) for axis in (0, 1))
    found = []
    for panel in panels:
        rows = np.arange(height) * panel.pixels.shape[0] // height
        columns = np.arange(width) * panel.pixels.shape[1] // width
        found.append(Panel(panel.pixels[np.ix_(rows, columns)], panel.caption))
    return found
