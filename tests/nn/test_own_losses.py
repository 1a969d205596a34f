"""Losses as plain functions, and several softmaxes over one layer's outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

import gradloom as gl
from gradloom import nn, train
from gradloom.errors import ModelFileError, OptionError, ShapeError
from gradloom.nn import losses

RNG = np.random.default_rng(2)
OUTPUTS, TARGETS = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3))


def quartic(outputs: Any, targets: Any) -> gl.Tensor:
    return (outputs - targets) ** 4


def test_risk_is_the_weighted_mean_of_any_function() -> None:
    each = ((OUTPUTS - TARGETS) ** 4).mean(1)
    loss = losses.get(quartic)
    assert loss(OUTPUTS, TARGETS).item() == pytest.approx(each.mean())
    assert losses.Custom(quartic, reduction="sum")(OUTPUTS, TARGETS).item() == pytest.approx(each.sum())
    chances = RNG.dirichlet(np.ones(6))
    assert loss(OUTPUTS, TARGETS, chances).item() == pytest.approx(chances @ each)


def test_a_network_trains_on_a_function_and_is_saved(tmp_path: Path) -> None:
    x, y = RNG.normal(size=(40, 2)).astype(np.float32), RNG.normal(size=40).astype(np.float32)
    run = train.Trainer(nn.Dense(1), quartic, executor="reference")
    history = run.fit((x, y), epochs=5, progress="silent")
    assert history.column("loss")[-1] < history.column("loss")[0]
    run.save(tmp_path / "own.safetensors")
    again = train.load(tmp_path / "own.safetensors", loss=losses.get(quartic))
    assert again.evaluate((x, y)) == run.evaluate((x, y))
    with pytest.raises(ModelFileError, match="no class has this name; got 'Custom'"):
        train.load(tmp_path / "own.safetensors")


def test_functions_that_are_no_losses() -> None:
    with pytest.raises(ShapeError, match="the function gives a loss for each example"):
        losses.get(lambda outputs, targets: gl.mean(outputs - targets))(OUTPUTS, TARGETS)
    with pytest.raises(OptionError, match="the loss is a function of outputs and targets"):
        losses.Custom("quartic")  # type: ignore[arg-type]


LOGITS, CHOICES = RNG.normal(size=(7, 5)), np.stack([RNG.integers(0, 2, 7), RNG.integers(0, 3, 7)], 1)


def test_groups_are_a_cross_entropy_each() -> None:
    each = sum(
        -log_softmax(part, 1)[np.arange(7), choice] for part, choice in zip((LOGITS[:, :2], LOGITS[:, 2:]), CHOICES.T)
    )
    loss = losses.CrossEntropy(groups=[2, 3])
    assert loss(LOGITS, CHOICES).item() == pytest.approx(np.mean(each))
    rows = np.concatenate([np.eye(2)[CHOICES[:, 0]], np.eye(3)[CHOICES[:, 1]]], 1)
    assert loss(LOGITS, rows).item() == pytest.approx(np.mean(each))
    slope = gl.grad(lambda z: loss(z, CHOICES))(LOGITS).numpy()
    np.testing.assert_allclose(slope * 7, nn.Softmax(groups=(2, 3))(LOGITS).numpy() - rows, atol=1e-12)


def test_a_network_of_two_choices_trains() -> None:
    x = RNG.normal(size=(200, 2)).astype(np.float32)
    y = np.stack([x[:, 0] > 0, (x[:, 1] > -0.5).astype(int) + (x[:, 1] > 0.5)], 1).astype(int)
    run = train.Trainer(nn.Dense(5), losses.CrossEntropy(groups=(2, 3)), gl.optim.Adam(0.1), executor="reference")
    run.fit((x, y), epochs=30, batch_size=50, progress="silent")
    found = run.predict(x)
    right = (found[:, :2].argmax(1) == y[:, 0]) & (found[:, 2:].argmax(1) == y[:, 1])
    assert right.mean() > 0.9


def test_refusals_of_groups() -> None:
    loss = losses.CrossEntropy(groups=(2, 3))
    with pytest.raises(ShapeError, match=r"the groups must cover the last axis; got groups \(2, 3\)"):
        loss(LOGITS[:, :4], CHOICES)
    with pytest.raises(ShapeError, match="targets are one class index for each group"):
        loss(LOGITS, CHOICES[:, 0])
    model = nn.Sequential(nn.Dense(5), nn.Softmax(groups=(2, 3)))
    with pytest.raises(OptionError, match="the loss takes logits and applies the softmax itself"):
        gl.trace(lambda x: loss(model(x), CHOICES), np.ones((7, 2), np.float32))
    with pytest.raises(OptionError, match="a group is a whole number from 2"):
        losses.CrossEntropy(groups=(1, 3))
