"""Whole trainings without peers: what is kept of them, what the page says, and learning rates written twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradloom as gl
from benchmarks.accuracy import sets
from benchmarks.accuracy.gradloom import Run, first_model, in_order
from benchmarks.accuracy.page import keep, page
from benchmarks.accuracy.recipes import RECIPES, rate_at
from gradloom import models


def rows(*scores: float) -> list[dict[str, object]]:
    """What a training prints."""
    first: dict[str, object] = {"source": "a set", "count": 10_000}
    rest = [{"epoch": i, "seconds": 2.0 * i, "loss": 1.0, "score": s, "scores": {}} for i, s in enumerate(scores, 1)]
    return [first, *rest]


def test_systems_can_be_trained_one_by_one(tmp_path: Path):
    recipe = replace(RECIPES["cifar-speedrun"], wanted=0.8)
    keep(tmp_path, "cifar-speedrun", recipe, 0, "PyTorch", rows(0.5, 0.7))
    keep(tmp_path, "cifar-speedrun", recipe, 0, "gradloom", rows(0.5, 0.9))
    said = (tmp_path / "ACCURACY.md").read_text()
    assert "gradloom after 4 s, PyTorch never" in said
    assert "gradloom 0.9000 ± 0.0030, PyTorch 0.7000 ± 0.0046; they differ by 0.2000" in said
    keep(tmp_path, "cifar-speedrun", replace(recipe, epochs=1), 0, "gradloom", rows(0.5))
    kept = json.loads((tmp_path / "accuracy.json").read_text())
    assert list(kept["cifar-speedrun"]["found"]) == ["gradloom"]
    assert "PyTorch never" not in page(kept)


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_speedruns_rate_is_that_of_its_recipe(epochs: int):
    recipe = RECIPES["cifar-speedrun"]
    count = 20 * recipe.batch
    optimizer: Any = models.speedrun_recipe(count, epochs=epochs, batch_size=recipe.batch).optimizer
    weights = {"weight": gl.zeros((1,))}
    state, rates, velocity = optimizer.init(weights), [], 0.0
    for _ in range(epochs * 20):
        found, state = optimizer.update({"weight": gl.ones((1,))}, state, weights)  # from zeros again: no decay
        velocity = 0.85 * velocity + 1
        rates.append(-found["weight"].item() / (1 + 0.85 * velocity))
    assert rates == pytest.approx([rate_at(recipe, step, epochs * 20) for step in range(epochs * 20)], rel=1e-4)


def test_a_recipe_trains_from_the_same_parameters_each_time():
    recipe = replace(RECIPES["cifar-speedrun"], width=2, epochs=1, batch=8)
    rng = np.random.default_rng(0)
    first = sets.Part(rng.standard_normal((16, 32, 32, 3)).astype(np.float32), rng.integers(0, 10, 16))
    run, again = Run(recipe, first, 0), first_model(recipe, first, 0)
    before = list(in_order(run.trainer.model.parameters()))
    assert all(np.array_equal(a, b) for a, b in zip(before, in_order(again.parameters()), strict=True))
    assert run.epoch() > 0
    assert any((a != b).any() for a, b in zip(before, run.parameters(), strict=True))
    assert run.predict(first.inputs).shape == (16, 10)


def test_tiles_are_put_together_again():
    images = np.arange(2 * 8 * 8).reshape(2, 8, 8)
    tiles = np.concatenate([images[:, i : i + 4, j : j + 4] for i in (0, 4) for j in (0, 4)])
    assert (sets.whole(tiles, 2) == images).all()
