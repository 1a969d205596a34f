"""The table of layers, to the letter."""

from __future__ import annotations

import numpy as np

from gradloom import nn

X = np.zeros((2, 4, 4, 3), np.float32)


def test_golden_table() -> None:
    model = nn.Sequential(
        nn.Flatten(), nn.Dense(1000, activation="relu"), nn.BatchNorm(), nn.Dropout(0.5), nn.Dense(10)
    )
    table = nn.summary(model, X)
    assert table.splitlines() == [
        "layer                class       output        parameters",
        "(input)                          (2, 4, 4, 3)",
        "layers.0             Flatten     (2, 48)                0",
        "layers.1.activation  ReLU        (2, 1000)              0",
        "layers.1             Dense       (2, 1000)         49,000",
        "layers.2             BatchNorm   (2, 1000)          2,000",
        "layers.3             Dropout     (2, 1000)              0",
        "layers.4             Dense       (2, 10)           10,010",
        "(whole)              Sequential  (2, 10)                0",
        "61,010 parameters, 2,000 numbers of state",
    ]


def test_the_module_stays_as_it_is() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dense(3))
    nn.summary(model, X)
    assert model.parameters() == {}
    model.initialize(X)
    before = model.parameters()
    assert nn.summary(model, X).endswith("147 parameters")
    assert model.parameters()["layers.1"]["weight"] is before["layers.1"]["weight"]
    assert model(X).shape == (2, 3)


def test_shared_parameters_count_once() -> None:
    tied = nn.Dense(3)
    lines = nn.summary(nn.Sequential(tied, tied), X[0, 0]).splitlines()
    assert [line.split()[-1] for line in lines[2:4]] == ["12", "0"]
    assert lines[-1] == "12 parameters"
