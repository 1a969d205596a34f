"""What the first layer looks for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradloom import nn, options
from gradloom.errors import OptionError
from gradloom.report import pixels
from gradloom.report.figure import Figure, Panel, grid
from gradloom.train.inputs import only_input


def filters(run: Any, *, count: int = 64) -> Figure:
    """The weights of the first layer that sees the image, as images.

    Of three channels they are colours around grey; else blue is negative, red positive, white 0, and of several
    channels the mean is shown.  All have one scale.

    Args:
        run: the trainer; the layer is its first :class:`gradloom.nn.Conv`, or its first :class:`gradloom.nn.Dense` on
            images that were flattened.
        count: how many to show at most.

    Returns:
        A figure, ``data`` the weights (filters, height, width, channels).

    Raises:
        OptionError: the model has no parameters yet, or no such layer.
    """
    name, weights = _first(run.model, only_input(run.input_type, "filters")[1])
    shown = weights[: options.whole("filters", "count", count)]
    most = float(np.abs(shown).max())
    if shown.shape[-1] == 3:
        painted = (255 * pixels.stretched(shown, -most, most)).round().astype(np.uint8)
    else:
        painted = pixels.signed(shown.mean(-1), float(np.abs(shown.mean(-1)).max()))
    panels = [Panel(image, (str(i),)) for i, image in enumerate(painted)]
    note = f"{len(weights)} of {' x '.join(map(str, weights.shape[1:]))}, from -{most:.2g} to {most:.2g}"
    return Figure(weights, grid(f"Filters of {name}", panels, columns=_columns(len(panels)), note=note))


def _first(model: nn.Module, shape: tuple[int, ...]) -> tuple[str, np.ndarray]:
    """The name of the first layer with weights, and these as (filters, height, width, channels)."""
    for name, layer in _layers(model, type(model).__name__):
        if isinstance(layer, nn.Conv) and layer.weight.ndim == 4:
            return name, np.moveaxis(layer.weight.numpy(), -1, 0)
        if isinstance(layer, nn.Dense) and len(shape) > 1 and layer.weight.shape[0] == math.prod(shape):
            sides = shape if len(shape) == 3 else (*shape, 1)
            return name, layer.weight.numpy().T.reshape(-1, *sides)
    fix = "Look at feature_maps, which shows what any layer gives."
    raise OptionError("filters", rule="the model must begin with a layer on images", got=type(model).__name__, fix=fix)


def _layers(module: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    found = [(name, module)]
    for part, child in module.children():
        found += _layers(child, part)
    return found


def _columns(count: int) -> int:
    return min(count, 8 if count <= 32 else 16)
