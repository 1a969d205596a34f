"""Dense, Flatten, Sequential: what they compute and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from gradloom import nn
from gradloom.errors import GradloomError, OptionError, ShapeError, UnknownNameError

RNG = np.random.default_rng(0)


class Classifier(nn.Module):
    """A named model with a named layer that is inside another."""

    def __init__(self) -> None:
        self.hidden = nn.Dense(4, activation="relu")
        self.head = nn.Sequential(nn.Dense(3), nn.Dense(2))

    def forward(self, x):
        return self.head(self.hidden(x))


def test_dense_is_x_w_plus_b() -> None:
    layer = nn.Dense(3, bias_init=nn.init.normal(1.0))
    x = RNG.standard_normal((5, 4)).astype(np.float32)
    y = layer(x)
    w, b = (layer.parameters()[name].numpy() for name in ("weight", "bias"))
    assert w.shape == (4, 3)
    np.testing.assert_allclose(y.numpy(), x @ w + b, rtol=1e-5, atol=1e-6)
    images = RNG.standard_normal((2, 3, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(layer(images).numpy(), images @ w + b, rtol=1e-5, atol=1e-6)
    assert set(nn.Dense(2, bias=False).config()) == {"units", "activation", "bias", "init", "bias_init"}


def test_linear_layers_collapse_into_one() -> None:
    """Without an activation between them layers are one linear layer (catalogue 60)."""
    model = nn.Sequential(nn.Dense(6, bias_init="ones"), nn.Dense(2, bias_init="ones"))
    x = RNG.standard_normal((5, 4))
    y = model(x).numpy()
    first, second = ({k: v.numpy().astype(float) for k, v in model.parameters()[f"layers.{i}"].items()} for i in (0, 1))
    weight = first["weight"] @ second["weight"]
    np.testing.assert_allclose(y, x @ weight + (first["bias"] @ second["weight"] + second["bias"]), rtol=1e-12)


def test_flatten_runs_the_last_axis_fastest() -> None:
    images = RNG.standard_normal((2, 64, 64, 3))
    np.testing.assert_array_equal(nn.Flatten()(images).numpy(), images.reshape(2, 12288))
    assert nn.Flatten()(np.zeros((0, 2, 3))).shape == (0, 6)


def test_sequential_is_a_sequence() -> None:
    layers = [nn.Dense(2), nn.ReLU()]
    model = nn.Sequential(*layers)
    assert len(model) == 2
    assert list(model) == layers
    assert model[1] is layers[1]
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(nn.Sequential()(x).numpy(), x)
    assert repr(model) == (
        "Sequential(Dense(units=2, activation=None, bias=True, init='glorot_uniform', bias_init='zeros'), "
        "ReLU(derivative_at_zero=0))"
    )


def message(error: type[GradloomError], act) -> str:
    with pytest.raises(error) as caught:
        act()
    return str(caught.value)


def test_golden_shape_error_in_a_named_layer_of_a_named_model() -> None:
    model = Classifier()
    model(np.ones((2, 5), np.float32))
    assert message(ShapeError, lambda: model(np.ones((2, 6), np.float32))) == (
        "in Classifier > hidden (Dense): expected 5 features on the last axis; got 6 in float32[2,6]. "
        "The layer took its width from its first input: give inputs of that width, or make a new layer."
    )
    model.hidden = nn.Dense(7)
    assert message(ShapeError, lambda: model(np.ones((2, 5), np.float32))) == (
        "in Classifier > head (Sequential) > layers.0 (Dense): expected 4 features on the last axis; "
        "got 7 in float32[2,7]. "
        "The layer took its width from its first input: give inputs of that width, or make a new layer."
    )


def test_golden_errors() -> None:
    assert message(OptionError, lambda: nn.Dense(0)) == (
        "Dense: units is a whole number from 1; got 0. Use 1 or a larger whole number."
    )
    assert message(OptionError, lambda: nn.Dense(2.5)) == (  # type: ignore[arg-type]
        "Dense: units is a whole number from 1; got 2.5. Use 1 or a larger whole number."
    )
    assert message(OptionError, lambda: nn.Dense(2, bias=1)) == "Dense: bias is True or False; got 1"  # type: ignore[arg-type]
    assert message(ShapeError, lambda: nn.Dense(2)(np.float32(1).reshape(()))) == (
        "in Dense: the input needs an axis of features; got float32[]"
    )
    assert message(UnknownNameError, lambda: nn.Dense(2, activation="tahn")).startswith(
        "Activation: no activation has this name; got 'tahn'. Did you mean 'tanh'? Known: elu, gelu"
    )
    assert message(OptionError, lambda: nn.Sequential(nn.Dense(2), "relu")) == (  # type: ignore[arg-type]
        "Sequential: every layer is a module; got 'relu' at place 1. "
        "Pass layers as separate arguments, and activations as nn.ReLU() or nn.Activation('relu')."
    )
