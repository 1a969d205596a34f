"""Shortcuts around layers."""

from __future__ import annotations

from typing import Any

from gradloom.errors import OptionError, ShapeError
from gradloom.nn import activations
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
