"""``describe()`` of what is made of parts, drawn at random or solved: evaluated by NumPy, it gives what is computed.

What a formula leaves open is given by other means: the parts of a container are its own layers, the mask of a random
layer is read from what it makes of an input that shows it, and the matrix of LBFGS is the textbook's, made in full.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_formulas import run

import gradloom as gl
from gradloom import nn, optim

RNG = np.random.default_rng(7)
X = RNG.normal(size=(6, 3))

# Containers ---------------------------------------------------------------------------------------------------------


def known(layer: nn.Module, x: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A layer with parameters, as a function of arrays."""
    layer.initialize(gl.tensor(x), seed=3)
    return lambda x: layer(gl.tensor(x)).numpy()


def test_layers_one_after_another() -> None:
    first, second = nn.Dense(4, activation="tanh"), nn.Dense(2)
    model = nn.Sequential(first, second)
    whole = known(model, X)
    parts = {"f_1": lambda x: first(gl.tensor(x)).numpy(), "f_2": lambda x: second(gl.tensor(x)).numpy()}
    np.testing.assert_allclose(run(model.describe(), x_0=X, **parts)["x_2"], whole(X), rtol=1e-12)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_a_residual_connection(activation: str | None) -> None:
    body = nn.Dense(3)
    model = nn.Residual(body, activation=activation)
    whole = known(model, X)
    found = run(model.describe(), x=X, body=lambda x: body(gl.tensor(x)).numpy())["y"]
    np.testing.assert_allclose(found, whole(X), rtol=1e-12)


def test_a_residual_connection_with_a_way_of_its_own() -> None:
    body, shortcut = nn.Dense(2), nn.Dense(2, bias=False)
    model = nn.Residual(body, shortcut=shortcut)
    whole = known(model, X)
    parts = {"body": lambda x: body(gl.tensor(x)).numpy(), "shortcut": lambda x: shortcut(gl.tensor(x)).numpy()}
    np.testing.assert_allclose(run(model.describe(), x=X, **parts)["y"], whole(X), rtol=1e-12)


def joined(*parts: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    return np.concatenate(parts, axis=-1)


def test_what_goes_in_beside_what_comes_out() -> None:
    body = nn.Dense(2)
    model = nn.Join(body)
    whole = known(model, X)
    found = run(model.describe(), x=X, join=joined, body=lambda x: body(gl.tensor(x)).numpy())["y"]
    np.testing.assert_allclose(found, whole(X), rtol=1e-12)


def test_branches_with_inputs_of_their_own() -> None:
    first, second = nn.Dense(4), nn.Flatten()
    model = nn.Branches(first, second, shapes=[(3,), (2, 2)])
    x = RNG.normal(size=(6, 7))
    whole = known(model, x)
    parts = {"x_1": x[:, :3], "x_2": x[:, 3:].reshape(6, 2, 2)}
    layers = {"f_1": lambda x: first(gl.tensor(x)).numpy(), "f_2": lambda x: x.reshape(6, 4)}
    np.testing.assert_allclose(run(model.describe(), join=joined, **parts, **layers)["y"], whole(x), rtol=1e-12)


@pytest.mark.parametrize(
    ("names", "remark"), [(("left", "right"), "the inputs left, right"), ((), "the inputs of a tuple")]
)
def test_branches_say_where_their_inputs_come_from(names: tuple[str, ...], remark: str) -> None:
    model = nn.Branches(nn.Dense(4), nn.Flatten(), names=names)
    assert f"x_1, ... are {remark}: f_1 Dense, f_2 Flatten" in model.describe().text


# Random layers ------------------------------------------------------------------------------------------------------


def drawing(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    """What a layer makes of x while training; the same key draws the same."""
    call = nn.apply(layer, layer.parameters(), layer.state(), gl.tensor(x), training=True, key=gl.random.key(11))
    return call[0].numpy()


@pytest.mark.parametrize("mode", ["inverted", "weight_scaled"])
@pytest.mark.parametrize("kind", [nn.Dropout, nn.SpatialDropout])
def test_dropout_with_the_mask_it_drew(kind: type[nn.Dropout], mode: str) -> None:
    layer, x = kind(0.4, mode=mode), RNG.normal(size=(5, 4, 3))
    mask = (drawing(layer, np.ones_like(x)) != 0).astype(float)
    assert 0 < mask.mean() < 1
    np.testing.assert_allclose(run(layer.describe(), x=x, m=mask)["y"], drawing(layer, x), rtol=1e-12)


def test_noise_with_the_numbers_it_drew() -> None:
    layer = nn.GaussianNoise(0.3)
    drawn = drawing(layer, np.zeros_like(X)) / 0.3
    np.testing.assert_allclose(run(layer.describe(), x=X, z=drawn)["y"], drawing(layer, X), rtol=1e-12)


@pytest.mark.parametrize("mode", ["inverted", "weight_scaled"])
def test_dropped_connections_with_the_mask_that_was_drawn(mode: str) -> None:
    layer = nn.DropConnect(4, 0.4, mode=mode)
    known(layer, X)
    weight, bias = (layer.parameters()[name].numpy() for name in ("weight", "bias"))
    mask = (drawing(layer, np.eye(3)) - bias != 0).astype(float)
    assert 0 < mask.mean() < 1
    found = run(layer.describe(), x=X, W=weight, b=bias, M=mask)["y"]
    np.testing.assert_allclose(found, drawing(layer, X), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("mode", ["inverted", "weight_scaled"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_predicting_by_moments_is_a_mean_over_normal_sums(mode: str, activation: str) -> None:
    """The mean by the trapezoidal rule on a fine grid, where the layer has a closed form or a few nodes."""
    layer = nn.DropConnect(4, 0.4, mode=mode, activation=activation, predict="moments")
    whole = known(layer, X)
    weight, bias = (layer.parameters()[name].numpy() for name in ("weight", "bias"))
    z = np.linspace(-9, 9, 18_001).reshape(-1, 1, 1)

    def mean(values: np.ndarray, at: np.ndarray) -> np.ndarray:
        return (values * np.exp(-(at**2) / 2)).sum(0) * (at[1] - at[0]) / np.sqrt(2 * np.pi)

    found = run(layer.describe(), x=X, W=weight, b=bias, M=1.0, z=z, mean=mean)["y_hat"]
    np.testing.assert_allclose(found, whole(X), rtol=1e-4 if activation == "tanh" else 1e-6)


@pytest.mark.parametrize("mode", ["inverted", "weight_scaled"])
def test_normal_sums_with_the_numbers_that_were_drawn(mode: str) -> None:
    """One input of 1 with weights of 1 shows z."""
    probe = nn.DropConnect(4, 0.4, mode=mode, mask="normal", init=nn.init.constant(1.0))
    ones = np.ones((len(X), 1))
    probe.initialize(ones)
    mean, deviation = (1, np.sqrt(0.4 / 0.6)) if mode == "inverted" else (0.6, np.sqrt(0.24))
    drawn = (drawing(probe, ones) - mean) / deviation
    layer = nn.DropConnect(4, 0.4, mode=mode, mask="normal")
    known(layer, X)
    weight, bias = (layer.parameters()[name].numpy() for name in ("weight", "bias"))
    found = run(layer.describe(), x=X, W=weight, b=bias, z=drawn)["y"]
    np.testing.assert_allclose(found, drawing(layer, X), rtol=1e-5, atol=1e-6)


def test_noise_on_weights_with_the_numbers_that_were_drawn() -> None:
    layer = nn.NoisyDense(4, 0.2)
    known(layer, X)
    weight, bias = (layer.parameters()[name].numpy() for name in ("weight", "bias"))
    drawn = (drawing(layer, np.eye(3)) - bias - weight) / 0.2
    found = run(layer.describe(), x=X, W=weight, b=bias, E=drawn)["y"]
    np.testing.assert_allclose(found, drawing(layer, X), rtol=1e-5, atol=1e-6)


# Second order -------------------------------------------------------------------------------------------------------

MATRIX = np.array([[3.0, 0.5, 0.2], [0.5, 2.0, -0.3], [0.2, -0.3, 1.5]])
START = np.array([1.0, -0.4, 2.0])


def loss(p: Any) -> Any:
    """½ wᵀAw + Σ cosh w, which is convex."""
    w = p["w"]
    return gl.dot(w, gl.tensor(MATRIX) @ w) / 2 + gl.sum(gl.exp(w) + gl.exp(-w)) / 2


def slope(w: np.ndarray) -> np.ndarray:
    return MATRIX @ w + np.sinh(w)


def curvature(w: np.ndarray) -> np.ndarray:
    return MATRIX + np.diag(np.cosh(w))


def points(optimizer: optim.Optimizer, steps: int) -> list[np.ndarray]:
    """Where an optimiser goes."""
    w = {"w": gl.tensor(START)}
    state, found = optimizer.init(w), [START]
    for _ in range(steps):
        w, state, _ = optimizer.step(lambda p: (loss(p), None), w, state)
        found.append(w["w"].numpy())
    return found


@pytest.mark.parametrize("damping", [0.0, 0.7])
def test_newton(damping: float) -> None:
    optimizer = optim.Newton(damping=damping)
    before, after = points(optimizer, 1)
    given = {"gradient": slope, "H": curvature(before), "inverse": np.linalg.inv, "I": np.eye(3)}
    found = run(optimizer.describe(), theta=before, **given)["theta"]
    np.testing.assert_allclose(after, found, rtol=1e-10)


def conjugate_gradients(matrix: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Nocedal and Wright, "Numerical optimization", algorithm 7.2, for m(p) = ½ pᵀHp - bᵀp."""
    p, r, d = np.zeros(len(b)), -b, b
    tolerance = min(0.5, np.sqrt(np.linalg.norm(b))) * np.linalg.norm(b)
    for _ in range(len(b)):
        bend = d @ matrix @ d
        longest = max(np.roots([d @ d, 2 * p @ d, p @ p - radius**2]).real)
        if bend <= 0 or np.linalg.norm(p + (r @ r) / bend * d) >= radius:
            return p + longest * d
        length = (r @ r) / bend
        p, before, r = p + length * d, r, r + length * matrix @ d
        if np.linalg.norm(r) <= tolerance:
            break
        d = (r @ r) / (before @ before) * d - r
    return p


@pytest.mark.parametrize("radius", [0.05, 0.6, 50.0])
def test_newton_by_conjugate_gradients(radius: float) -> None:
    """A region that the first direction leaves, one that a later one does, and one that none does."""
    optimizer = optim.Newton(method="cg", radius=radius)
    before, after = points(optimizer, 1)
    given = {"gradient": slope, "H": curvature(before), "cg": conjugate_gradients}
    found = run(optimizer.describe(), theta=before, **given)["theta"]
    np.testing.assert_allclose(after, found, rtol=1e-10)
    assert np.linalg.norm(after - before) <= radius * (1 + 1e-9)


def inverse_by_bfgs(places: list[np.ndarray]) -> np.ndarray:
    """H of the textbook: (I - ρsyᵀ) H (I - ρysᵀ) + ρssᵀ for each step, from (sᵀy / yᵀy) I of the last."""
    steps = np.diff(places, axis=0)
    changes = np.diff([slope(w) for w in places], axis=0)
    if not len(steps):
        return np.eye(3)
    made = np.eye(3) * (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y in zip(steps, changes):
        left = np.eye(3) - np.outer(s, y) / (s @ y)
        made = left @ made @ left.T + np.outer(s, s) / (s @ y)
    return made


@pytest.mark.parametrize("history", [2, 10])
def test_lbfgs(history: int) -> None:
    optimizer = optim.LBFGS(history=history)
    places = points(optimizer, 5)
    for k in range(5):
        made = inverse_by_bfgs(places[max(k - history, 0) : k + 1])
        known = {"theta": places[k], "gradient": slope, "H_k": made}
        direction = run(optimizer.describe(), a=1.0, **known)["d"]
        step = float((places[k + 1] - places[k]) @ direction / (direction @ direction))  # what the search took
        assert step > 0
        np.testing.assert_allclose(run(optimizer.describe(), a=step, **known)["theta"], places[k + 1], rtol=1e-6)
