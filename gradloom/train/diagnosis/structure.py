"""Faults that can be read from the network itself: parameters out of reach, units that are copies, no non-linearity."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradloom import functional as gl
from gradloom import nn, tree
from gradloom.ir.graph import CONSTANT, Node, dependents
from gradloom.tensor import Tensor
from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.finding import SERIOUS, WARNING, Finding
from gradloom.train.diagnosis.flow import by_layer
from gradloom.train.diagnosis.images import are_images
from gradloom.train.inputs import two_examples
from gradloom.transforms import jvp, trace


def structure(case: Case) -> Iterator[Finding]:
    """``unreached_parameters``, ``symmetric_units``, ``linear_stack``."""
    yield from _unreached(case)
    yield from _symmetric(case)
    yield from _linear(case)


def _unreached(case: Case) -> Iterator[Finding]:
    """Parameters from which no path leads to the output on which every step has a derivative (a step, a sign)."""
    names, unreached = _paths_of(case), []
    parameters = case.now["parameters"]
    graph = trace(lambda p, s, x: nn.apply(case.run.model, p, s, x)[0], parameters, case.now["state"], _two(case))
    reached = _differentiable_from(graph.outputs)
    unreached = [name for name, node in zip(names, graph.inputs) if node not in reached]
    if unreached:
        shown = ", ".join(unreached[:4]) + (", ..." if len(unreached) > 4 else "")
        yield Finding(
            "unreached_parameters",
            SERIOUS if case.is_ill else WARNING,
            f"{len(unreached)} of {len(names)} parameters have a gradient of 0 whatever the data: {shown}.",
            "Every way from them to the output leads through a function without a slope, such as a step or a sign, or "
            "there is none; a gradient optimiser never moves them.",
            "Use an activation with a slope (sigmoid or tanh in place of step and sign, ReLU), or train that layer by "
            "another rule, such as the perceptron's.",
        )


def _differentiable_from(outputs: tuple[Node, ...]) -> set[Node]:
    """All nodes from which a derivative can flow to the outputs."""
    reached, stack = set(outputs), list(outputs)
    while stack:
        node = stack.pop()
        has_slope = node.op.derivative is not None or node.op.transpose is not None or node.op.nested is not None
        for x in node.inputs if has_slope else ():
            if x not in reached:
                reached.add(x)
                stack.append(x)
    return reached


def _symmetric(case: Case) -> Iterator[Finding]:
    """Layers whose units began as copies of each other, and still are: they will always be (catalogue 170)."""
    if case.start is None:
        return
    layers = case.layers_now.weights[:-1]  # those of the last layer learn from different targets
    names = [path.path for path in layers]
    same = [name for name in names if _is_one(case.start["parameters"], name) and _is_one(case.now["parameters"], name)]
    if not same:
        return
    zero = [name for name in same if not np.any(_leaf(case.start["parameters"], name))]
    yield Finding(
        "symmetric_units",
        SERIOUS,
        f"In {len(same)} of {len(names)} layers before the last all units began alike and still are: "
        + ", ".join(same[:4])
        + (f"; {len(zero)} of them began at 0." if zero else "."),
        "Units with the same weights get the same gradient, so they stay one unit, however many there are.",
        'Begin with random weights, such as init="he_normal" for ReLU or "glorot_uniform" for tanh; biases may be 0. '
        "(For a network of one layer zeros are fine.)",
    )


def _is_one(parameters: object, name: str) -> bool:
    """Whether all units of a layer have the same weights."""
    weights = _leaf(parameters, name)
    if weights.shape[-1] < 2:
        return False
    size = float(np.abs(weights).max())
    return bool(np.ptp(weights, axis=-1).max() <= 1e-5 * size)


def _leaf(parameters: object, name: str) -> np.ndarray:
    found = parameters
    for key in name.split("/"):
        found = found[key]  # type: ignore[index]
    assert isinstance(found, Tensor)
    return found.numpy()


def _linear(case: Case) -> Iterator[Finding]:
    """A function is affine where its derivative is the same everywhere: where the graph of it does not ask for x."""
    count = len(case.layers_now.weights)
    inputs = case.training.inputs
    is_number = np.issubdtype(inputs.dtype, np.floating) or are_images(inputs)  # others may be indices
    if count < 2 or not is_number or not _is_affine(case):
        return
    yield Finding(
        "linear_stack",
        SERIOUS if case.has_bias else WARNING,
        f"The derivative of the network by its inputs is the same everywhere, although it has {count} layers with "
        "weights.",
        "A stack of linear layers is one linear layer: it can draw nothing but straight boundaries.",
        "Put an activation between the layers, such as activation='relu'; or keep one layer, if linear is meant.",
        by_layer("Sizes of the weights", {w.path: w.size for w in case.layers_now.weights}),
    )


def _is_affine(case: Case) -> bool:
    model, now = case.run.model, case.now

    def slope(x: Tensor, direction: Tensor) -> Tensor:
        return jvp(lambda v: nn.apply(model, now["parameters"], now["state"], v)[0], (x,), (direction,))[1]

    example = two_examples(case.run.dtype, case.training.inputs.shape[1:])  # bytes of images have no derivative
    graph = trace(slope, example, gl.ones_like(example))
    outputs = [node for node in graph.outputs if node.op is not CONSTANT]
    return not any(node in dependents(graph.nodes, graph.inputs[:1]) for node in outputs)


def _two(case: Case) -> Tensor:
    inputs = case.training.inputs
    return two_examples(inputs.dtype, inputs.shape[1:])


def _paths_of(case: Case) -> list[str]:
    return ["/".join(map(str, path)) for path in tree.paths(tree.flatten(case.now["parameters"])[1])]
