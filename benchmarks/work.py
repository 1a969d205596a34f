"""The work that every system is given: the same shapes, data, initial weights, in float32."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks import networks

LEARNING_RATE = 1e-4
"""Of Adam, with β₁ = 0.9, β₂ = 0.999, ε = 1e-8 everywhere."""


@dataclass(frozen=True)
class Network:
    """Training a perceptron: ReLU between dense layers, cross-entropy of logits, Adam.

    Attributes:
        sizes: features, widths of the hidden layers, classes.
        batch: examples a step.
        steps: steps of a run; each has a batch of its own, which lies in memory.
    """

    sizes: tuple[int, ...]
    batch: int
    steps: int

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (steps, batch, features) in float32 and labels (steps, batch) in int64."""
        rng = np.random.default_rng(0)
        inputs = rng.standard_normal((self.steps, self.batch, self.sizes[0]), np.float32)
        return inputs, rng.integers(0, self.sizes[-1], (self.steps, self.batch))

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """A weight (inputs, outputs) and a bias for each layer, to begin with."""
        rng = np.random.default_rng(1)
        shapes = pairwise(self.sizes)
        return [
            ((rng.standard_normal((a, b)) * (2 / a) ** 0.5).astype(np.float32), np.zeros(b, np.float32))
            for a, b in shapes
        ]

    @property
    def flops(self) -> int:
        """Operations of a step's matrix products: forward, gradients of weights, gradients of hidden values."""
        products = [2 * self.batch * a * b for a, b in pairwise(self.sizes)]
        return 3 * sum(products) - products[0]


@dataclass(frozen=True)
class Product:
    """``count`` products of (rows, inner) by (inner, columns), one after the other: left operands differ.

    Attributes:
        turned: which operand lies in memory transposed: "left", "right" or "".
    """

    rows: int
    inner: int
    columns: int
    count: int
    turned: str = ""

    def operands(self) -> tuple[np.ndarray, np.ndarray]:
        """Left operands, (count, rows, inner), and the right one, (inner, columns), as they lie in memory."""
        rng = np.random.default_rng(0)
        left = (self.inner, self.rows) if self.turned == "left" else (self.rows, self.inner)
        right = (self.columns, self.inner) if self.turned == "right" else (self.inner, self.columns)
        return rng.standard_normal((self.count, *left), np.float32), rng.standard_normal(right, np.float32)

    def turn(self, left: Any, right: Any) -> tuple[Any, Any]:
        """One pair of operands as they are multiplied, from any kind of arrays that have ``T``."""
        return left.T if self.turned == "left" else left, right.T if self.turned == "right" else right

    @property
    def flops(self) -> int:
        """Operations of one product."""
        return 2 * self.rows * self.inner * self.columns


@dataclass(frozen=True)
class Derivative:
    """A derivative of one of the functions in functions.py.

    Attributes:
        name: "gradient" or "per example" or "hessian vector" (of a perceptron's loss), "hessian" (of logistic
            regression's), "recurrent" (the gradient through a loop of ``steps``).
        sizes: features, widths of the hidden layers, outputs; of a recurrent network features and width.
        batch: examples.
        steps: of the loop.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    steps: int = 1

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (batch, features), of a loop (steps, batch, features), and what they shall give."""
        rng = np.random.default_rng(0)
        shape = (self.batch, self.sizes[0])
        inputs = rng.standard_normal((self.steps, *shape) if self.name == "recurrent" else shape, np.float32)
        wanted = rng.standard_normal((self.batch, self.sizes[-1]), np.float32)
        return inputs, np.sign(wanted[:, 0]) if self.name == "hessian" else wanted

    def parameters(self, seed: int = 1) -> Any:
        """What is differentiated by; with another seed a direction."""
        rng = np.random.default_rng(seed)

        def matrix(*shape: int) -> np.ndarray:
            return (rng.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)

        if self.name == "hessian":
            return matrix(self.sizes[0])
        if self.name == "recurrent":
            features, width = self.sizes
            return matrix(width, width), matrix(features, width), np.zeros(width, np.float32)
        return [(matrix(a, b), np.zeros(b, np.float32)) for a, b in pairwise(self.sizes)]


@dataclass(frozen=True)
class Images:
    """Training a network of networks.py: cross-entropy of logits (of each pixel, for a UNet), Adam.

    Attributes:
        name: of the network.
        image: height, width, channels.
        classes: of an image, or of each pixel.
        batch: images a step.
        steps: steps of a run; each has a batch of its own.
    """

    name: str
    image: tuple[int, ...]
    classes: int
    batch: int
    steps: int

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Images (steps, batch, height, width, channels) in float32 and labels in int64."""
        rng = np.random.default_rng(0)
        images = rng.standard_normal((self.steps, self.batch, *self.image), np.float32)
        places = self.image[:-1] if self.name == "UNet" else ()
        return images, rng.integers(0, self.classes, (self.steps, self.batch, *places))

    @property
    def layers(self) -> networks.Layers:
        """The network."""
        return networks.layers(self.name, self.classes)

    def parameters(self) -> list[list[np.ndarray]]:
        """What training begins with, see :func:`networks.parameters`."""
        return networks.parameters(self.layers, self.image)

    def moved(self, first: Any) -> float:
        """How far the first kernel has come, in the order of :meth:`parameters`."""
        return float(np.linalg.norm(np.asarray(first, np.float64) - self.parameters()[0][0]))


@dataclass(frozen=True)
class Convolution:
    """``count`` convolutions in one direction, one after the other: images differ, the kernel stays.

    Attributes:
        batch: images.
        image: height, width, channels.
        layer: filters, size, stride, padding and groups, as in :class:`networks.Conv`.
        direction: "forward", "by data" (the gradient of the images) or "by weights" (of the kernel).
        count: how many.
        transposed: whether it is a transposed convolution, whose images grow.
    """

    batch: int
    image: tuple[int, ...]
    layer: tuple[int, ...]
    direction: str
    count: int
    transposed: bool = False

    @property
    def conv(self) -> networks.Conv:
        """The convolution; of a transposed one that whose gradient it is."""
        filters, size, stride, padding, groups = self.layer
        return networks.Conv(filters, size, stride, padding, groups=groups)

    @property
    def large(self) -> tuple[int, ...]:
        """Shape of the input of :attr:`conv`: of the images, or of what a transposed convolution makes of them."""
        if not self.transposed:
            return self.batch, *self.image
        c = self.conv
        return self.batch, *((n - 1) * c.stride + c.size - 2 * c.padding for n in self.image[:-1]), c.filters

    @property
    def small(self) -> tuple[int, ...]:
        """Shape of the output of :attr:`conv`."""
        return (self.batch, *(self.image if self.transposed else networks.result(self.conv, self.image)))

    @property
    def kernel(self) -> tuple[int, ...]:
        """(height, width, channels in, channels out) of :attr:`conv`."""
        c = self.conv
        return c.size, c.size, self.large[-1] // c.groups, self.small[-1]

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Large and small images, each (count, batch, height, width, channels), and the kernel."""
        rng = np.random.default_rng(0)
        large, small = (rng.standard_normal((self.count, *s), np.float32) for s in (self.large, self.small))
        return large, small, rng.standard_normal(self.kernel, np.float32)

    @property
    def flops(self) -> int:
        """Operations of one convolution, with those that meet zeros around the image."""
        return 2 * int(np.prod(self.small)) * int(np.prod(self.kernel[:-1]))


Work = Network | Product | Derivative | Images | Convolution
_KINDS: dict[str, type[Work]] = {k.__name__: k for k in (Network, Product, Derivative, Images, Convolution)}


def to_json(work: Work) -> dict[str, Any]:
    """For another process."""
    return {"kind": type(work).__name__, **asdict(work)}


def from_json(data: dict[str, Any]) -> Work:
    """What :func:`to_json` wrote."""
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items() if name != "kind"}
    return _KINDS[data["kind"]](**fields)
