"""PyTorch's networks for images, and its convolutions, which are oneDNN's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional as fn

from benchmarks import networks
from benchmarks.work import Convolution, Images

Given = Iterator[list[np.ndarray]]


def model(images: Images) -> nn.Module:
    """The network with its first parameters."""
    return _sequence(images.layers, iter(images.parameters()))


def first_kernel(network: nn.Module) -> np.ndarray:
    """The first kernel, (height, width, channels in, channels out)."""
    return next(network.parameters()).detach().numpy().transpose(2, 3, 1, 0)


def batches(images: Images, layout: torch.memory_format) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each step's images and labels."""
    x, y = images.data()
    return [(_image(a, layout), torch.from_numpy(b)) for a, b in zip(x, y)]


def _image(array: np.ndarray, layout: torch.memory_format = torch.channels_last) -> torch.Tensor:
    """An image whose channels lie last, as PyTorch names axes."""
    return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous(memory_format=layout)


def _kernel(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.transpose(3, 2, 0, 1).copy())


class _Flatten(nn.Module):
    """Rows of channels, which lie last in memory too where the layout is ``channels_last``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x


class _Global(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


class _Pad(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return fn.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.channels - x.shape[1]))


class _Residual(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


class _Join(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.body(x)], 1)


def _sequence(layers: networks.Layers, given: Given) -> nn.Sequential:
    return nn.Sequential(*(_module(layer, given) for layer in layers))


def _module(layer: networks.Layer, given: Given) -> nn.Module:
    """A layer as a module; those that learn take what they begin with."""
    match layer:
        case networks.Conv(filters, size, stride, padding, bias, groups):
            kernel, *rest = next(given)
            made = nn.Conv2d(kernel.shape[2] * groups, filters, size, stride, padding, bias=bias, groups=groups)
            return _filled(made, _kernel(kernel), *rest)
        case networks.Up(filters, size):
            kernel, bias = next(given)
            return _filled(nn.ConvTranspose2d(kernel.shape[3], filters, size, size), _kernel(kernel), bias)
        case networks.Dense(width):
            weight, bias = next(given)
            return _filled(nn.Linear(len(weight), width), torch.from_numpy(weight.T.copy()), bias)
        case networks.Norm():
            scale, shift = next(given)
            return _filled(nn.BatchNorm2d(len(scale)), torch.from_numpy(scale), shift)
        case networks.Act(name):
            return nn.ReLU() if name == "relu" else nn.Tanh()
        case networks.Pool(kind):
            return nn.MaxPool2d(2) if kind == "max" else nn.AvgPool2d(2)
        case networks.Pad(channels):
            return _Pad(channels)
        case networks.Residual(body, shortcut):
            return _Residual(_sequence(body, given), _sequence(shortcut, given))
        case networks.Join(body):
            return _Join(_sequence(body, given))
    return _Flatten() if isinstance(layer, networks.Flatten) else _Global()


def _filled(module: nn.Module, weight: torch.Tensor, bias: np.ndarray | None = None) -> nn.Module:
    state = {"weight": weight} | ({} if bias is None else {"bias": torch.from_numpy(bias)})
    module.load_state_dict(state, strict=False)
    return module


class Convolving:
    """Convolutions by ``conv2d``, ``conv_transpose2d`` and ``aten.convolution_backward``, channels last."""

    def __init__(self, c: Convolution) -> None:
        self.c = c
        large, small, kernel = c.arrays()
        self.kernel = _kernel(kernel).contiguous(memory_format=torch.channels_last)
        self.larges, self.smalls = ([_image(a) for a in arrays] for arrays in (large, small))
        self.result = torch.empty(0)

    def run(self) -> None:
        """All of them."""
        for large, small in zip(self.larges, self.smalls):
            self.result = self._one(*((small, large) if self.c.transposed else (large, small)))

    def _one(self, images: torch.Tensor, results: torch.Tensor) -> torch.Tensor:
        conv, transposed = self.c.conv, self.c.transposed
        if self.c.direction == "forward":
            if transposed:
                return fn.conv_transpose2d(images, self.kernel, None, conv.stride, conv.padding, 0, conv.groups)
            return fn.conv2d(images, self.kernel, None, conv.stride, conv.padding, 1, conv.groups)
        by_data = self.c.direction == "by data"
        one, none = [1, 1], [0, 0]
        strides, padding, wanted = [conv.stride] * 2, [conv.padding] * 2, [by_data, not by_data, False]
        found = torch.ops.aten.convolution_backward(
            results, images, self.kernel, None, strides, padding, one, transposed, none, conv.groups, wanted
        )
        return found[0 if by_data else 1]

    def size(self) -> float:
        """The norm of the first rows of the last result: of an image, or of a kernel."""
        first = self.result[:, :, :1] if self.c.direction == "by weights" else self.result[:1]
        return float(np.linalg.norm(first.numpy()))
