"""Predictions follow a model whatever of it is exchanged, and look it through only when something was."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradloom as gl
from gradloom import nn
from gradloom.train.measuring import Forward


class Sum(nn.Module):
    """What some layers give, added up; a list holds them."""

    def __init__(self) -> None:
        self.parts = [nn.Dense(2), nn.Dense(2)]

    def forward(self, x: Any) -> Any:
        return sum(part(x) for part in self.parts)


def test_every_exchange_is_noticed():
    model, x = Sum(), np.ones((1, 3), np.float32)
    model.initialize(x)
    first, second = model.parts
    third = nn.Dense(2)
    third.initialize(x, seed=1)
    forward = Forward(model, "reference")

    def expected() -> np.ndarray:
        return nn.apply(model, model.parameters(), model.state(), gl.tensor(x))[0].numpy()

    np.testing.assert_allclose(forward(x), expected(), rtol=1e-6)
    for exchange in (
        lambda: setattr(second, "weight", first.weight * 2),
        lambda: model.parts.__setitem__(0, third),
        lambda: model.parts.append(first),
        lambda: setattr(model, "parts", [first, third]),
        lambda: setattr(first, "bias", gl.ones(2)),
    ):
        before = forward(x)
        exchange()
        np.testing.assert_allclose(forward(x), expected(), rtol=1e-6)
        assert not np.allclose(forward(x), before)


def test_other_models_do_not_matter():
    model, other, x = nn.Dense(2), nn.Dense(2), np.ones((1, 3), np.float32)
    for each in (model, other):
        each.initialize(x)
    forward = Forward(model, "reference")
    first, ready = forward(x), forward._ready
    other.weight = other.weight * 2
    del other.bias
    np.testing.assert_array_equal(forward(x), first)
    assert forward._ready is ready
