"""Activations: values, derivatives at the special points, identities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

import gradloom as gl
from gradloom import nn
from gradloom.errors import OptionError, ShapeError, UnknownNameError

X = np.linspace(-6, 6, 49)

FORMULAS = {
    nn.Identity(): X,
    nn.ReLU(): np.maximum(0, X),
    nn.LeakyReLU(): np.maximum(0.01 * X, X),
    nn.LeakyReLU(0.3): np.maximum(X, 0) + 0.3 * np.minimum(X, 0),
    nn.ELU(0.5): np.where(X > 0, X, 0.5 * (np.exp(np.minimum(X, 0)) - 1)),
    nn.GELU(): X * special.ndtr(X),
    nn.GELU(form="sigmoid"): X / (1 + np.exp(-1.702 * X)),
    nn.GELU(form="tanh"): X * special.expit(np.sqrt(8 / np.pi) * (X + 0.044715 * X**3)),
    nn.SiLU(): X * special.expit(X),
    nn.Sigmoid(): special.expit(X),
    nn.Tanh(): 2 * special.expit(2 * X) - 1,
    nn.Softplus(): np.log(1 + np.exp(X)),
    nn.Softmax(): special.softmax(X),
    nn.Step(): np.where(X > 0, 1.0, 0.0),
    nn.Step(at_zero=0.5): np.heaviside(X, 0.5),
    nn.Sign(): np.where(X >= 0, 1.0, -1.0),
    nn.Sign(at_zero=0): np.sign(X),
}


@pytest.mark.parametrize(("layer", "expected"), FORMULAS.items(), ids=repr)
def test_formula(layer: nn.Module, expected: np.ndarray) -> None:
    y = layer(X)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("layer", "slope"),
    [
        (nn.ReLU(), 0.0),
        (nn.ReLU(derivative_at_zero=1), 1.0),
        (nn.LeakyReLU(), 1.0),
        (nn.LeakyReLU(0.25, derivative_at_zero="slope"), 0.25),
        (nn.ELU(), 1.0),
        (nn.GELU(), 0.5),
        (nn.SiLU(), 0.5),
        (nn.Sigmoid(), 0.25),
        (nn.Tanh(), 1.0),
        (nn.Softplus(), 0.5),
        (nn.Step(), 0.0),
        (nn.Sign(), 0.0),
    ],
    ids=repr,
)
def test_derivative_at_zero(layer: nn.Module, slope: float) -> None:
    assert gl.grad(layer)(gl.tensor(0.0)).item() == slope


@pytest.mark.parametrize("layer", FORMULAS, ids=repr)
def test_far_out_values_and_derivatives_are_finite(layer: nn.Module) -> None:
    x = gl.tensor([-1e4, -200.0, 0.0, 200.0, 1e4])
    value, gradient = gl.value_and_grad(lambda x: gl.sum(layer(x)))(x)
    assert np.isfinite(layer(x).numpy()).all()
    assert np.isfinite(value.item())
    assert np.isfinite(gradient.numpy()).all()


def test_most_activations_never_decrease() -> None:
    for name in ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "step", "sign", "identity"):
        assert (np.diff(nn.Activation(name)(X).numpy()) >= 0).all(), name


def test_softmax() -> None:
    x = np.random.default_rng(0).standard_normal((5, 7))
    y = nn.Softmax()(x).numpy()
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(nn.Softmax()(x + 100).numpy(), y, rtol=1e-12)
    grouped = nn.Softmax(groups=[3, 4])(x).numpy()
    np.testing.assert_allclose(grouped[:, :3], special.softmax(x[:, :3], axis=1), rtol=1e-12)
    np.testing.assert_allclose(grouped[:, 3:], special.softmax(x[:, 3:], axis=1), rtol=1e-12)


def test_errors() -> None:
    with pytest.raises(ShapeError, match=r"the groups must cover the last axis; got groups \(2, 2\) \(together 4\)"):
        nn.Softmax(groups=(2, 2))(np.ones((1, 5), np.float32))
    with pytest.raises(UnknownNameError, match=r"got 'sigmoit'. Did you mean 'sigmoid'\?"):
        nn.Activation("sigmoit")
    with pytest.raises(OptionError, match="the derivative at 0 is 0 or 1; got 2"):
        nn.ReLU(derivative_at_zero=2)
    with pytest.raises(OptionError, match="slope is a finite number; got nan"):
        nn.LeakyReLU(float("nan"))


@pytest.mark.parametrize(("make", "value"), [(nn.Step, -1), (nn.Sign, 0.5), (nn.Step, None)])
def test_only_values_between_the_others_stand_at_zero(make: type[nn.Module], value: object) -> None:
    with pytest.raises(OptionError, match="at_zero"):
        make(at_zero=value)
