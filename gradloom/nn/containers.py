"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gradloom.errors import OptionError
from gradloom.nn.module import Module


class Sequential(Module):
    """Layers one after the other: ``Sequential(Dense(64, activation="relu"), Dense(10))``.

    Args:
        layers: modules of one input and one output each.

    Raises:
        OptionError: something else than a module is among them.
    """

    def __init__(self, *layers: Module) -> None:
        for place, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise OptionError(
                    "Sequential",
                    rule="every layer is a module",
                    got=f"{layer!r} at place {place}",
                    fix="Pass layers as separate arguments, and activations as nn.ReLU() or nn.Activation('relu').",
                )
        self.layers = layers

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    def __getitem__(self, place: int) -> Module:
        return self.layers[place]

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"

    def forward(self, x: Any) -> Any:
        """The last layer of ... of the first layer of x."""
        for layer in self.layers:
            x = layer(x)
        return x
