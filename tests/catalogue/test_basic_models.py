"""Section A5 of the catalogue: single units, what layers can represent, what depth gains."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn, optim, train

RNG = np.random.default_rng(4)


def test_82_a_single_relu_unit_learns_the_price_of_a_house() -> None:
    """price = max(0, 3·size - 1), one input, one unit, one output."""
    size = np.linspace(0, 2, 40, dtype=np.float32)[:, None]
    price = np.maximum(0, 3 * size - 1)
    unit = nn.Dense(1, activation="relu", init="ones", bias_init="zeros")
    run = train.Trainer(unit, "mse", optim.Adam(0.05), executor="reference")
    run.fit((size, price), epochs=400, batch_size=40, progress="silent")
    assert unit.parameters()["weight"].item() == pytest.approx(3, abs=0.01)
    assert unit.parameters()["bias"].item() == pytest.approx(-1, abs=0.01)


def test_83_logistic_regression_may_begin_at_zero() -> None:
    x = RNG.standard_normal((100, 2)).astype(np.float32)
    y = (x @ [1.0, -2.0] > 0.3).astype(int)
    model = nn.Dense(1, init="zeros")
    run = train.Trainer(model, "binary_cross_entropy", optim.SGD(1.0), ["accuracy"], executor="reference")
    history = run.fit((x, y[:, None]), epochs=100, batch_size=100, progress="silent")
    assert history.column("loss")[0] == pytest.approx(np.log(2), rel=1e-6)  # all answers are 1/2
    assert run.evaluate((x, y[:, None]))["accuracy"] > 0.98


def test_91_one_hidden_layer_computes_every_boolean_function() -> None:
    """A unit of steps for each row of the table that is true, and their sum; all 256 functions of 3 bits."""
    bits = np.array(list(itertools.product((0.0, 1.0), repeat=3)), np.float32)
    net = nn.Sequential(nn.Dense(8, activation="step"), nn.Dense(1))
    net.initialize(bits)
    corners = {"weight": gl.tensor(2 * bits.T - 1), "bias": gl.tensor(0.5 - bits.sum(1))}  # only its own row is above 0
    for truth in itertools.product((0.0, 1.0), repeat=8):
        column = gl.tensor(np.array(truth, np.float32)[:, None])
        net.load({"layers.0": corners, "layers.1": {"weight": column, "bias": gl.zeros(1)}}, {})
        np.testing.assert_array_equal(net(bits).numpy()[:, 0], truth)


@pytest.mark.parametrize("units", [4, 16, 64])
def test_91_one_hidden_layer_comes_as_near_to_a_continuous_function_as_one_likes(units: int) -> None:
    """Straight pieces through n + 1 points of sin on [0, π]: the error is at most h²/8, and so falls as 1/n²."""
    knots = np.linspace(0, np.pi, units + 1)
    slopes = np.diff(np.sin(knots)) / np.diff(knots)
    net = nn.Sequential(nn.Dense(units, activation="relu"), nn.Dense(1))
    x = np.linspace(0, np.pi, 2001)[:, None]
    net.initialize(x)
    first = {"weight": gl.ones((1, units), "float64"), "bias": gl.tensor(-knots[:-1])}
    last = {"weight": gl.tensor(np.diff(slopes, prepend=0.0)[:, None]), "bias": gl.zeros(1, "float64")}
    net.load({"layers.0": first, "layers.1": last}, {})
    error = np.abs(net(x).numpy() - np.sin(x)).max()
    bound = (np.pi / units) ** 2 / 8
    assert 0.8 * bound < error <= bound


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_92_depth_doubles_the_pieces_where_width_adds_one(depth: int) -> None:
    """A sawtooth: k layers of two ReLUs make 2ᵏ straight pieces; one layer of n ReLUs makes n + 1 at most."""
    deep = nn.Sequential(*(nn.Dense(2, activation="relu") for _ in range(depth)), nn.Dense(1))
    x = np.arange(1, 2048, 2)[:, None] / 2048  # between all corners
    deep.initialize(x)
    # tent(x) = 2 relu(x) - 4 relu(x - 1/2), from [0, 1] to [0, 1]; a layer takes the tent of what the one before gives.
    tent = np.array([[2.0], [-4.0]])
    parameters = {f"layers.{depth}": {"weight": gl.tensor(tent), "bias": gl.zeros(1, "float64")}}
    for i in range(depth):
        weight = np.ones((1, 2)) if i == 0 else tent @ np.ones((1, 2))
        parameters[f"layers.{i}"] = {"weight": gl.tensor(weight), "bias": gl.tensor([0.0, -0.5], "float64")}
    deep.load(parameters, {})
    slope = gl.grad(lambda x: gl.sum(deep(x)))(gl.tensor(x)).numpy()[:, 0]
    assert 1 + int((np.diff(slope) != 0).sum()) == 2**depth
    np.testing.assert_array_equal(np.abs(slope), 2.0**depth)

    wide = nn.Sequential(nn.Dense(2 * depth, activation="relu"), nn.Dense(1))
    wide.initialize(x)
    noise = {
        "layers.0": {
            "weight": gl.random.normal(gl.random.key(1), (1, 2 * depth), "float64"),
            "bias": gl.random.normal(gl.random.key(2), (2 * depth,), "float64"),
        },
        "layers.1": {
            "weight": gl.random.normal(gl.random.key(3), (2 * depth, 1), "float64"),
            "bias": gl.zeros(1, "float64"),
        },
    }
    wide.load(noise, {})
    slope = gl.grad(lambda x: gl.sum(wide(x)))(gl.tensor(x)).numpy()[:, 0]
    assert 1 + int((np.abs(np.diff(slope)) > 1e-9).sum()) <= 2 * depth + 1


def test_96_a_network_is_a_sum_of_networks_with_parts_of_its_units() -> None:
    x = RNG.standard_normal((6, 3))
    net = nn.Sequential(nn.Dense(8, activation="tanh"), nn.Dense(2))
    whole = net(x).numpy()
    parameters = net.parameters()
    parts = []
    for units in (slice(0, 3), slice(3, 8)):
        part = nn.Sequential(nn.Dense(units.stop - units.start, activation="tanh"), nn.Dense(2, bias=False))
        part.initialize(x)
        first, last = parameters["layers.0"], parameters["layers.1"]
        part.load(
            {
                "layers.0": {"weight": first["weight"][:, units], "bias": first["bias"][units]},
                "layers.1": {"weight": last["weight"][units]},
            },
            {},
        )
        parts.append(part(x).numpy())
    np.testing.assert_allclose(sum(parts) + parameters["layers.1"]["bias"].numpy(), whole, rtol=1e-5, atol=1e-6)
