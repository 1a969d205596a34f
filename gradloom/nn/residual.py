"""Shortcuts around layers."""

from __future__ import annotations

from typing import Any

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import OptionError, ShapeError
from gradloom.nn import activations
from gradloom.nn.geometry import check_image
from gradloom.nn.module import Module
from gradloom.tensor import Tensor


class Residual(Module):
    """g(body(x) + shortcut(x)): the body learns how the output differs from the input.

    The sum comes before the activation, and its gradient reaches x undiminished, which lets deep networks train.

    Args:
        body: a module whose output has the shape of its input, or of the shortcut's output.
        shortcut: a module for the other way, such as a convolution of size 1 where the channels change; None for x
            itself.
        activation: name or module of g; None for none (the second version of residual networks).

    Raises:
        ShapeError: the two ways give different shapes.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (2016) and "Identity mappings in
    deep residual networks" (2016).
    """

    def __init__(self, body: Module, shortcut: Module | None = None, *, activation: str | Module | None = None) -> None:
        for name, module in (("body", body), ("shortcut", shortcut)):
            if not isinstance(module, Module) and not (name == "shortcut" and module is None):
                raise OptionError("Residual", rule=f"{name} is a module", got=repr(module))
        self.body, self.shortcut = body, shortcut
        self.activation = None if activation is None else activations.get(activation)

    def forward(self, x: Any) -> Tensor:
        """g(body(x) + shortcut(x))."""
        y, other = self.body(x), x if self.shortcut is None else self.shortcut(x)
        if y.shape != other.shape:
            raise ShapeError(
                "Residual",
                rule="body and shortcut must give one shape",
                got=f"{y.type} and {other.type}",
                fix="Pass a shortcut with the body's strides and channels, such as nn.Conv(channels, 1, strides=2).",
            )
        return y + other if self.activation is None else self.activation(y + other)


class Join(Module):
    """The input and what the body makes of it, side by side: channels of x, then those of body(x).

    Args:
        body: a module whose output has the input's sizes, but for the channels.
        crop: whether the middle of x is taken where the body's output is smaller.

    Raises:
        ShapeError: the sizes differ, or without ``crop`` the body's are smaller.

    Source: the skip connections of Ronneberger, Fischer and Brox, "U-Net" (2015).
    """

    def __init__(self, body: Module, *, crop: bool = False) -> None:
        if not isinstance(body, Module):
            raise OptionError("Join", rule="body is a module", got=repr(body))
        self.body, self.crop = body, options.flag("Join", "crop", crop)

    def forward(self, x: Tensor) -> Tensor:
        """x and body(x) along the last axis."""
        y = self.body(x)
        if self.crop and x.ndim == y.ndim and all(a >= b for a, b in zip(x.shape[1:-1], y.shape[1:-1])):
            starts = [(a - b) // 2 for a, b in zip(x.shape[1:-1], y.shape[1:-1])]
            x = x[(slice(None), *(slice(s, s + n) for s, n in zip(starts, y.shape[1:-1])))]
        if x.shape[:-1] != y.shape[:-1]:
            raise ShapeError(
                "Join",
                rule="the body must give the sizes of its input",
                got=f"{x.type} and {y.type}",
                fix="Where the body halves the image and doubles it again, give it sizes that divide by 2 so often: by "
                "2^depth for a whole UNet, such as 16.",
            )
        return fn.concatenate([x, y], -1)


class PadChannels(Module):
    """Every ``strides``-th element, and channels of zeros after those of x: a shortcut without weights.

    x is (N, *spatial, C), y (N, *⌈spatial / strides⌉, channels).

    Args:
        channels: of the output.
        strides: along every spatial axis.

    Raises:
        ShapeError: x has more channels.

    Source: option A of He et al., "Deep residual learning for image recognition" (2016).
    """

    def __init__(self, channels: int, *, strides: int = 1) -> None:
        self.channels = options.whole("PadChannels", "channels", channels)
        self.strides = options.whole("PadChannels", "strides", strides)

    def forward(self, x: Tensor) -> Tensor:
        """The thinned x with channels of zeros."""
        rank = check_image("PadChannels", x.shape, x.type)
        more = self.channels - x.shape[-1]
        if more < 0:
            rule = f"the input has at most {self.channels} channels"
            raise ShapeError("PadChannels", rule=rule, got=str(x.type), fix="Use a convolution of size 1.")
        thinned = x[(slice(None), *(slice(None, None, self.strides),) * rank)]
        return fn.pad(thinned, [(0, 0)] * (rank + 1) + [(0, more)])
