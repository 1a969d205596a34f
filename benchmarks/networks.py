"""Networks for images as plain data, so that every library builds the same one in its own terms.

A network is a tuple of layers.  Residual and Join hold further tuples.  Images have their channels last, kernels are
(height, width, channels in, channels out).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Conv:
    """A convolution with square windows, and zeros around the image."""

    filters: int
    size: int = 3
    stride: int = 1
    padding: int = 1
    bias: bool = False
    groups: int = 1


@dataclass(frozen=True)
class Up:
    """A transposed convolution without overlap: an image ``size`` times as large."""

    filters: int
    size: int = 2


@dataclass(frozen=True)
class Norm:
    """Batch normalisation, with scale and shift."""


@dataclass(frozen=True)
class Act:
    """ "relu" or "tanh"."""

    name: str = "relu"


@dataclass(frozen=True)
class Pool:
    """The largest ("max") or the mean ("avg") of each 2 by 2."""

    kind: str = "max"


@dataclass(frozen=True)
class Global:
    """The mean of each channel."""


@dataclass(frozen=True)
class Flatten:
    """All channels of all places as one row."""


@dataclass(frozen=True)
class Dense:
    """A dense layer with a bias."""

    width: int


@dataclass(frozen=True)
class Pad:
    """Every other place, and channels of zeros behind those there are."""

    channels: int


@dataclass(frozen=True)
class Residual:
    """The sum of what the body and the shortcut make; no shortcut is the input itself."""

    body: Layers
    shortcut: Layers = ()


@dataclass(frozen=True)
class Join:
    """The channels of the input, then those of what the body makes of it."""

    body: Layers


Layer = Conv | Up | Norm | Act | Pool | Global | Flatten | Dense | Pad | Residual | Join
Layers = tuple[Layer, ...]


def layers(name: str, classes: int) -> Layers:
    """The network of this name, as in ``gradloom.models``."""
    if name == "LeNet-5":
        first, second = Conv(6, 5, padding=2, bias=True), Conv(16, 5, padding=0, bias=True)
        tanh, mean = Act("tanh"), Pool("avg")
        return first, tanh, mean, second, tanh, mean, Flatten(), Dense(120), tanh, Dense(84), tanh, Dense(classes)
    if name == "SmallCNN":
        first, second = ((Conv(width, bias=True), Act(), Pool()) for width in (32, 64))
        return (*first, *second, Flatten(), Dense(128), Act(), Dense(classes))
    return {"ResNet-20": _resnet, "WRN-16-4": _wide_resnet, "UNet": _unet}[name](classes)


def _resnet(classes: int) -> Layers:
    def block(channels: int, stride: int) -> Layers:
        body = (Conv(channels, stride=stride), Norm(), Act(), Conv(channels), Norm())
        return Residual(body, (Pad(channels),) if stride == 2 else ()), Act()

    blocks = [block(c, 2 if c > 16 and not i else 1) for c in (16, 32, 64) for i in range(3)]
    return (Conv(16), Norm(), Act(), *(layer for b in blocks for layer in b), Global(), Dense(classes))


def _wide_resnet(classes: int) -> Layers:
    def block(channels: int, stride: int, changes: bool) -> Layers:
        body = (Conv(channels, stride=stride), Norm(), Act(), Conv(channels))
        if changes:
            return Norm(), Act(), Residual(body, (Conv(channels, 1, stride, 0),))
        return (Residual((Norm(), Act(), *body)),)

    blocks = [block(c, 2 if c > 64 and not i else 1, not i) for c in (64, 128, 256) for i in range(2)]
    return (Conv(16), *(layer for b in blocks for layer in b), Norm(), Act(), Global(), Dense(classes))


def _unet(classes: int) -> Layers:
    def double(channels: int) -> Layers:
        return (Conv(channels, bias=True), Act()) * 2

    level = double(128)
    for channels in (64, 32, 16):
        level = (*double(channels), Join((Pool(), *level, Up(channels))), *double(channels))
    return (*level, Conv(classes, 1, padding=0, bias=True))


def walk(network: Layers, shape: Shape) -> Iterator[tuple[Layer, Shape]]:
    """Every layer in the order of its parameters, with the shape (height, width, channels) of its input."""
    for layer in network:
        yield layer, shape
        if isinstance(layer, Residual):
            yield from walk(layer.body, shape)
            yield from walk(layer.shortcut, shape)
        elif isinstance(layer, Join):
            yield from walk(layer.body, shape)
        shape = result(layer, shape)


def result(layer: Layer, shape: Shape) -> Shape:
    """The shape of what a layer makes."""
    *sides, channels = shape
    match layer:
        case Conv(filters, size, stride, padding):
            return (*((n + 2 * padding - size) // stride + 1 for n in sides), filters)
        case Up(filters, size):
            return (*(n * size for n in sides), filters)
        case Pool():
            return (*(n // 2 for n in sides), channels)
        case Global():
            return (channels,)
        case Flatten():
            return (int(np.prod(shape)),)
        case Dense(width):
            return (width,)
        case Pad(wanted):
            return (*(-(-n // 2) for n in sides), wanted)
        case Residual(body):
            return _through(body, shape)
        case Join(body):
            inner = _through(body, shape)
            return (*sides, channels + inner[-1])
    return shape


def _through(network: Layers, shape: Shape) -> Shape:
    for layer in network:
        shape = result(layer, shape)
    return shape


def parameters(network: Layers, shape: Shape) -> list[list[np.ndarray]]:
    """What each layer that learns begins with, in the order of :func:`walk`: weight and bias, or scale and shift.

    The kernel of a transposed convolution is (height, width, channels out, channels in).
    """
    rng = np.random.default_rng(1)

    def drawn(inputs: int, *sizes: int) -> np.ndarray:
        return (rng.standard_normal(sizes) * (2 / inputs) ** 0.5).astype(np.float32)

    def zeros(count: int) -> np.ndarray:
        return np.zeros(count, np.float32)

    found: list[list[np.ndarray]] = []
    for layer, (*_, channels) in walk(network, shape):
        match layer:
            case Conv(filters, size, bias=bias, groups=groups):
                taken = channels // groups
                kernel = drawn(size * size * taken, size, size, taken, filters)
                found.append([kernel, zeros(filters)] if bias else [kernel])
            case Up(filters, size):
                found.append([drawn(channels, size, size, filters, channels), zeros(filters)])
            case Dense(width):
                found.append([drawn(channels, channels, width), zeros(width)])
            case Norm():
                found.append([np.ones(channels, np.float32), zeros(channels)])
    return found


def rebuilt(nested: Any, arrays: Iterator[Any]) -> Any:
    """Nested dicts of arrays with others in their place, in order, which must have the same shapes."""
    if isinstance(nested, dict):
        return {name: rebuilt(value, arrays) for name, value in nested.items()}
    array = next(arrays)
    if tuple(nested.shape) != tuple(array.shape):
        raise ValueError(f"a parameter has the shape {tuple(nested.shape)}, not {array.shape}")
    return array
