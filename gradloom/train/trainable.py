"""Can a gradient train this network?  Asked once, when its parameters have been made (catalogue 41, 60)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from gradloom import nn, tree
from gradloom.errors import OptionError
from gradloom.ir.graph import Node
from gradloom.ops import elementwise
from gradloom.transforms import trace

_FLAT = (nn.Step, nn.Sign)
_WEIGHTED = (nn.Dense, nn.Conv, nn.ConvTranspose)
_LINEAR = (
    nn.Identity,
    nn.Flatten,
    nn.Dropout,
    nn.GaussianNoise,
    nn.Rescale,
    nn.Normalize,
    nn.AvgPool,
    nn.GlobalAvgPool,
)
_FLAT_OPS = (elementwise.sign, elementwise.floor, elementwise.ceil, elementwise.round)


class LinearStackWarning(UserWarning):
    """A network of several layers computes no more than one layer could."""


def check_trainable(model: nn.Module, example: Any) -> None:
    """Refuse steps that no gradient passes, and warn of linear layers in a row.

    Args:
        model: whose parameters exist.
        example: inputs that it takes.

    Raises:
        OptionError: a step or sign cuts a parameter off from the loss.
    """
    _refuse_steps(model, example)
    if isinstance(model, nn.Sequential) and _is_one_linear_layer(model):
        warnings.warn(
            "All layers of this network are linear, so together they compute no more than a single linear layer: put "
            "an activation between them, such as nn.Dense(64, activation='relu').",
            LinearStackWarning,
            stacklevel=4,
        )


def _refuse_steps(model: nn.Module, example: Any) -> None:
    flat = [module for module in _modules(model) if isinstance(module, _FLAT)]
    if not flat:
        return
    parameters, state = model.parameters(), model.state()
    graph = trace(lambda p, x: nn.apply(model, p, state, x)[0], parameters, example)
    reached = set(_passed_by_gradients(graph.outputs))
    for path, node in zip(tree.paths(tree.flatten(parameters)[1]), graph.inputs):
        if node not in reached:
            names = " and ".join(sorted({type(module).__name__ for module in flat}))
            raise OptionError(
                "Trainer",
                rule="an optimiser needs gradients, and none reaches a parameter behind which there is a step: its "
                "derivative is 0 wherever it has one",
                got=f"{names} behind {'.'.join(map(str, path))}",
                fix="Use a smooth activation, 'sigmoid' for a step or 'tanh' for a sign, or estimators.Perceptron, "
                "which has a rule of its own.",
            )


def _passed_by_gradients(outputs: tuple[Node, ...]) -> Iterator[Node]:
    """All nodes on whose values the outputs depend with a derivative that is not 0 everywhere."""
    seen, waiting = set(outputs), list(outputs)
    while waiting:
        node = waiting.pop()
        yield node
        if node.op not in _FLAT_OPS:
            fresh = {x for x in node.inputs if getattr(x.type, "is_float", True)} - seen
            seen |= fresh
            waiting += fresh


def _is_one_linear_layer(model: nn.Sequential) -> bool:
    layers = list(_flattened(model))
    weighted = [layer for layer in layers if isinstance(layer, _WEIGHTED)]
    are_linear = all(isinstance(layer, _LINEAR) or _is_linear(layer) for layer in layers)
    return are_linear and len(weighted) > 1 and not _has_waist(weighted)


def _has_waist(weighted: Sequence[nn.Module]) -> bool:
    """Whether a layer is narrower than the last: then the product has a low rank, which a single layer has not."""
    *widths, last = (getattr(layer, "units", getattr(layer, "filters", 0)) for layer in weighted)
    return min(widths) < last


def _is_linear(layer: nn.Module) -> bool:
    activation = layer.activation if isinstance(layer, _WEIGHTED) else layer
    return activation is None or isinstance(activation, nn.Identity)


def _flattened(model: nn.Sequential) -> Iterator[nn.Module]:
    for layer in model:
        yield from _flattened(layer) if isinstance(layer, nn.Sequential) else (layer,)


def _modules(module: nn.Module) -> Iterator[nn.Module]:
    yield module
    for _, child in module.children():
        yield from _modules(child)
