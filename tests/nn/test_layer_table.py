"""The table of layers, to the letter."""

from __future__ import annotations

import numpy as np

from gradloom import nn
from gradloom.nn.summary import layers

X = np.zeros((2, 4, 4, 3), np.float32)


def test_golden_table() -> None:
    model = nn.Sequential(
        nn.Flatten(), nn.Dense(1000, activation="relu"), nn.BatchNorm(), nn.Dropout(0.5), nn.Dense(10)
    )
    table = nn.summary(model, X)
    assert table.splitlines() == [
        "layer                class       output        parameters  multiply-adds",
        "(input)                          (2, 4, 4, 3)",
        "layers.0             Flatten     (2, 48)                0",
        "layers.1.activation  ReLU        (2, 1000)              0",
        "layers.1             Dense       (2, 1000)         49,000         96,000",
        "layers.2             BatchNorm   (2, 1000)          2,000",
        "layers.3             Dropout     (2, 1000)              0",
        "layers.4             Dense       (2, 10)           10,010         20,000",
        "(whole)              Sequential  (2, 10)                0",
        "61,010 parameters, 2,000 numbers of state, 116,000 multiply-adds for this input, of 2 flops each",
    ]


def test_the_module_stays_as_it_is() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dense(3))
    nn.summary(model, X)
    assert model.parameters() == {}
    model.initialize(X)
    before = model.parameters()
    assert "147 parameters, 288 multiply-adds" in nn.summary(model, X)
    assert model.parameters()["layers.1"]["weight"] is before["layers.1"]["weight"]
    assert model(X).shape == (2, 3)


def test_shared_parameters_count_once() -> None:
    tied = nn.Dense(3)
    lines = nn.summary(nn.Sequential(tied, tied), X[0, 0]).splitlines()
    assert [line.split()[-2:] for line in lines[2:4]] == [["12", "36"], ["0", "36"]]
    assert lines[-1].startswith("12 parameters, 72 multiply-adds")


def test_work_of_every_kind_of_product() -> None:
    """By hand: what each convolution and product sums over, at each of its outputs."""
    x = np.zeros((2, 6, 5, 4), np.float32)
    for layer, work in (
        (nn.Conv(8, 3), 2 * 30 * 8 * 9 * 4),
        (nn.Conv(8, (3, 2), strides=2, groups=2), 2 * 3 * 3 * 8 * 6 * 2),
        (nn.Conv(4, 3, groups=4, activation="relu"), 2 * 30 * 4 * 9),
        (nn.ConvTranspose(3, 2, strides=2, activation="gelu"), 2 * 30 * 4 * 3 * 4),
        (nn.Dense(7), 2 * 30 * 4 * 7),
        (nn.Residual(nn.Conv(4, 1), nn.Conv(4, 1), activation="relu"), 2 * 2 * 30 * 4 * 4),
        (nn.MaxPool(2), 0),
        (nn.BatchNorm(), 0),
    ):
        rows, _, _ = layers(layer, x)
        assert sum(row.multiply_adds for row in rows) == work
        assert rows[-1].multiply_adds == (0 if isinstance(layer, nn.Residual) else work)
