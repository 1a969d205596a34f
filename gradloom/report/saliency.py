"""Which pixels an output depends on: its gradient by the input."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom import functional as fn
from gradloom import nn, options
from gradloom.report import pixels
from gradloom.report.attribution import chosen_outputs, labelled
from gradloom.report.figure import Figure, Panel, grid
from gradloom.tensor import Tensor
from gradloom.train.examples import as_inputs
from gradloom.train.inputs import check_inputs, only_input
from gradloom.transforms import grad, jit


def saliency(run: Any, inputs: Any, *, of: Any = None, method: str = "gradient") -> Figure:
    """How much the output for a class would change with each pixel, beside the image.

    Args:
        run: the trainer.
        inputs: images (n, H, W, channels), as the model takes them.
        of: the class (or output) to explain, one for all images or one for each; by default that which the model
            chooses.
        method: "gradient" for max over the channels of |∂output/∂x|; "gradient_times_input" for max of |x ∂output/∂x|,
            how much of the output the pixel itself makes, to first order.

    Returns:
        A figure, ``data`` the maps (n, H, W).

    Raises:
        DataError: inputs are not as those of training, or a class is none of the model's.
        ShapeError: the inputs are no images, or the model does not give one row of outputs an example.
        OptionError: the model has no parameters yet.

    Source: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks" (2014).
    """
    options.choice("saliency", "method", method, ("gradient", "gradient_times_input"))
    only_input(run.input_type, "saliency")
    given = as_inputs(inputs, "saliency", run.dtype)
    check_inputs(given, run.input_type, "saliency")
    images = pixels.images("saliency", given)
    wanted = chosen_outputs(run, "saliency", given, of)
    x = given.astype(run.dtype)

    def output(x: Tensor, parameters: Any, state: Any, places: Tensor) -> Tensor:
        outputs, _ = nn.apply(run.model, parameters, state, x)
        rows = outputs.reshape(outputs.shape[0], -1)
        return fn.sum(fn.take_along_axis(rows, fn.expand_dims(places, 1)))

    slope = jit(grad(output), run.executor)(x, run.model.parameters(), run.model.state(), wanted).numpy()
    found = np.abs(slope * x if method == "gradient_times_input" else slope)
    maps = found.max(-1) if found.ndim == 4 else found
    panels = []
    for image, row, place in zip(images, maps, wanted):
        panels += [Panel(image, (labelled(run, int(place)),)), Panel(pixels.heat(row), (f"up to {row.max():.2g}",))]
    note = f"{method.replace('_', ' ')}, light is much"
    columns = min(2 * -(-len(images) // max(1, round(len(images) ** 0.5))), 8)
    return Figure(maps, grid("Saliency", panels, columns=columns, least=160, note=note))
