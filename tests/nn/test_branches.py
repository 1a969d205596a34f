"""Hybrid networks: inputs of several kinds (catalogue 95)."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.errors import DataError, OptionError, ShapeError

RNG = np.random.default_rng(2)


def test_each_kind_goes_through_its_own_network() -> None:
    images, table = RNG.standard_normal((5, 4, 4, 2)), RNG.standard_normal((5, 3))
    seeing, reading = nn.Sequential(nn.Conv(2, 3), nn.GlobalMaxPool()), nn.Dense(4, activation="tanh")
    hybrid = nn.Branches(seeing, reading, shapes=[(4, 4, 2), (3,)])
    found = hybrid(np.hstack([images.reshape(5, -1), table])).numpy()
    np.testing.assert_array_equal(found, np.hstack([seeing(images).numpy(), reading(table).numpy()]))
    np.testing.assert_array_equal(nn.Branches(reading, shapes=[(3,)])(table).numpy(), reading(table).numpy())


def test_inputs_go_to_branches_by_name_or_by_place() -> None:
    images, table = RNG.standard_normal((5, 4, 4, 2)), RNG.standard_normal((5, 3))
    seeing, reading = nn.Sequential(nn.Conv(2, 3), nn.GlobalMaxPool()), nn.Dense(4, activation="tanh")
    wanted = np.hstack([seeing(images).numpy(), reading(table).numpy()])
    named = nn.Branches(seeing, reading, names=["image", "table"])
    np.testing.assert_array_equal(named({"table": table, "image": images}).numpy(), wanted)
    np.testing.assert_array_equal(nn.Branches(seeing, reading)((images, table)).numpy(), wanted)
    again = nn.registry.build(nn.registry.describe(named))
    assert isinstance(again, nn.Branches)
    assert (again.names, again.shapes) == (("image", "table"), None)


def test_it_learns_what_neither_input_tells() -> None:
    """The sign in the table says whether a bright or a dark image is meant."""
    bright, flag = RNG.integers(0, 2, 200), RNG.integers(0, 2, 200)
    images = np.where(bright[:, None, None, None] == 1, 1.0, -1.0) + 0.1 * RNG.standard_normal((200, 3, 3, 1))
    table = np.where(flag[:, None] == 1, 1.0, -1.0)
    wanted = bright ^ flag
    rows = np.hstack([images.reshape(200, -1), table]).astype(np.float32)
    model = nn.Sequential(
        nn.Branches(nn.Sequential(nn.Conv(2, 3), nn.GlobalAvgPool()), nn.Identity(), shapes=[(3, 3, 1), (1,)]),
        nn.Dense(8, activation="tanh"),
        nn.Dense(2),
    )
    run = train.Trainer(model, "cross_entropy", optim.Adam(0.1), ["accuracy"], executor="reference")
    run.fit((rows[:150], wanted[:150]), epochs=8, batch_size=30, progress="silent")
    assert run.evaluate((rows[150:], wanted[150:]))["accuracy"] == 1
    for part in (images, table):  # each alone says nothing about the sign of the product
        assert abs(np.corrcoef(part.reshape(200, -1).mean(1), wanted)[0, 1]) < 0.2


def test_errors() -> None:
    with pytest.raises(OptionError, match="each branch needs the shape of its input; got 1 branches and 2 shapes"):
        nn.Branches(nn.Flatten(), shapes=[(1,), (2,)])
    with pytest.raises(OptionError, match="Branches: branches are modules"):
        nn.Branches(shapes=[])
    with pytest.raises(ShapeError, match=r"a row of 4 \+ 1 = 5 numbers; got float64\[2,4\]"):
        nn.Branches(nn.Flatten(), nn.Flatten(), shapes=[(2, 2), (1,)])(gl.zeros((2, 4), "float64"))
    with pytest.raises(ShapeError, match=r"a branch gives \(n, features\).*GlobalAvgPool"):
        nn.Branches(nn.Conv(1, 1), shapes=[(2, 2, 1)])(gl.zeros((2, 4)))
    with pytest.raises(OptionError, match=r"names are different texts; got \["):
        nn.Branches(nn.Flatten(), nn.Flatten(), names=["a", "a"])
    with pytest.raises(OptionError, match="each branch needs the name of its input; got 1 branches and 2 names"):
        nn.Branches(nn.Flatten(), names=["a", "b"])
    with pytest.raises(OptionError, match="names are for a dict of inputs, shapes for rows"):
        nn.Branches(nn.Flatten(), names=["a"], shapes=[(1,)])
    with pytest.raises(DataError, match=r"its inputs are a tuple of 2; got float32\[2,4\]"):
        nn.Branches(nn.Flatten(), nn.Flatten())(gl.zeros((2, 4)))
    with pytest.raises(DataError, match="the inputs are 'a', 'b'; got no 'b'"):
        nn.Branches(nn.Flatten(), nn.Flatten(), names=["a", "b"])({"a": gl.zeros((2, 4))})
