"""gradloom's networks for images, and its convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gradloom as gl
from benchmarks import networks
from benchmarks.systems.base import Job
from benchmarks.work import Convolution, Images
from gradloom import models, nn

_MODELS: dict[str, Callable[[int], nn.Sequential]] = {
    "LeNet-5": models.LeNet5,
    "SmallCNN": models.SmallCNN,
    "ResNet-20": lambda classes: models.ResNet(20, classes),
    "WRN-16-4": lambda classes: models.WideResNet(16, 4, classes),
    "UNet": lambda classes: models.UNet(classes, base=16, depth=3),
}


def image_model(images: Images) -> nn.Sequential:
    """The model of the zoo, with its first parameters; it must have the peers' shapes."""
    model = _MODELS[images.name](images.classes)
    model.initialize(np.zeros((1, *images.image), np.float32))
    given = iter([gl.tensor(array) for layer in images.parameters() for array in layer])
    model.load(networks.rebuilt(model.parameters(), given), model.state())
    if next(given, None) is not None:
        raise ValueError(f"{images.name} has fewer parameters here than in benchmarks/networks.py")
    return model


def convolve(c: Convolution, executor: str) -> Job:
    """A loop over images; each result stays in the program's memory, but for the first of its rows."""
    large, small, kernel = c.arrays()
    options: dict[str, Any] = {"strides": c.conv.stride, "padding": c.conv.padding, "groups": c.conv.groups}
    by_weights = c.direction == "by weights"
    grows = c.transposed == (c.direction == "forward")

    def one(w: Any, *xs: Any) -> Any:
        if by_weights:
            return gl.vjp(lambda w: gl.conv(xs[0], w, **options), w)[1](xs[1])[0]
        return gl.conv_transpose(xs[0], w, spatial=c.large[1:-1], **options) if grows else gl.conv(xs[0], w, **options)

    def all_of(w: Any, *xs: Any) -> Any:
        shape = c.kernel if by_weights else c.large if grows else c.small
        return gl.scan(lambda _, x: (one(w, *x)[:1], ()), gl.zeros((1, *shape[1:])), xs)[0]

    compiled = gl.jit(all_of, executor)
    xs = (large, small) if by_weights else (small if grows else large,)
    given = gl.tensor(kernel), *(gl.tensor(a) for a in xs)
    return Job(lambda: compiled(*given), c.count, lambda: float(np.linalg.norm(compiled(*given).numpy())))
