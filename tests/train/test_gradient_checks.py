"""The gradient that a trainer follows, held against differences."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import X, Y, network, trainer

import gradloom as gl
from gradloom import nn, tree
from gradloom.errors import DataError, OptionError


def test_a_network_with_all_that_a_run_can_have_passes_at_first_and_later():
    run = trainer(network(deep=True), l1=1e-3, l2=1e-2, class_weight="balanced")
    for after in (0, 5):
        report = run.check_gradients((X, Y), examples=12, after=after)
        assert report.passed, report
        assert f"after {after} steps, 12 examples" in str(report)
    names = {row.name for row in report.rows}
    assert {"layers.0.weight", "layers.1.scale", "layers.3.bias"} <= names


def test_a_check_changes_nothing():
    checked, plain = (trainer(network(deep=True)) for _ in range(2))
    checked.check_gradients((X, Y), examples=4, after=2, elements=0, directions=1)
    for run in (checked, plain):
        run.fit((X, Y), epochs=2, progress="silent")
    for a, b in zip(tree.leaves(checked.snapshot()), tree.leaves(plain.snapshot()), strict=True):
        np.testing.assert_array_equal(a, b)
    later = checked.check_gradients((X, Y), examples=4)
    assert "after 2 steps" not in str(later)
    assert later.passed


def test_penalties_are_in():
    run = trainer(nn.Sequential(nn.Dense(2)), loss="mse", l2=0.5)
    report = run.check_gradients((np.zeros((3, 4), "float32"), np.zeros((3, 2), "float32")))
    weights = run.model.parameters()["layers.0"]["weight"].numpy().astype(np.float64)
    (row,) = (row for row in report.rows if row.name == "layers.0.weight")
    np.testing.assert_allclose([c.gradient for c in row.comparisons], 2 * 0.5 * weights.ravel(), rtol=1e-12)
    assert report.passed


def test_kinks_of_units_at_0_are_no_mistakes():
    inputs = X.copy()
    inputs[0] = 0  # with biases of 0 all units stand at their kink
    model = nn.Sequential(nn.Dense(6, activation="relu"), nn.Dense(3))
    report = trainer(model).check_gradients((inputs, Y), examples=5)
    assert report.passed, report
    (row,) = (row for row in report.rows if row.name == "layers.0.bias")
    assert len(row.of_kind("kink")) == 6


def test_a_layer_with_a_wrong_rule_is_named():
    halved = gl.custom_derivative(gl.tanh, backward=lambda ct, y, x: (ct * (1 - y**2) / 2,))

    class Wrong(nn.Module):
        def forward(self, x):
            return halved(x)

    report = trainer(nn.Sequential(nn.Dense(4), Wrong(), nn.Dense(3))).check_gradients((X, Y), examples=4)
    assert report.verdict == "fail"
    verdicts = {row.name: row.verdict for row in report.rows}
    assert verdicts["layers.0.weight"] == "fail"
    assert verdicts["layers.2.weight"] == "pass"
    assert report.worst(1)[0][0].startswith("layers.0")


def test_refusals():
    run = trainer()
    with pytest.raises(OptionError, match="after"):
        run.check_gradients((X, Y), after=-1)
    with pytest.raises(DataError, match="shape"):
        run.check_gradients((X[:, :2], Y))
