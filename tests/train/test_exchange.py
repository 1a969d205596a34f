"""Exchanging parts of a trainer: another optimiser trains on, everything else is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import fit, load, network, same, tensors, trainer, weight

from gradloom import nn, optim, tree
from gradloom.errors import OptionError


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_another_rate_takes_over_the_moments(executor: str):
    """A run whose rate falls by a schedule is one whose optimiser is exchanged at the same place."""
    steps = optim.schedules.StepDecay(0.1, factor=0.1, every=5)
    falling, exchanged = (trainer(optimizer=optim.Adam(rate), executor=executor) for rate in (steps, 0.1))
    fit(falling, 2)
    fit(exchanged)
    exchanged.optimizer = optim.Adam(0.01)
    fit(exchanged)
    for a, b in zip(tensors(falling), tensors(exchanged), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)


def test_an_optimiser_of_another_kind_begins_anew():
    run, other = (trainer(optimizer=optim.Adam(0.1)) for _ in range(2))
    for each in (run, other):
        fit(each)
    run.optimizer = optim.SGD(0.1, momentum=0.9)
    assert all(not leaf.numpy().any() for leaf in tree.leaves(run.optimizer_state))
    before = weight(run).numpy()
    fit(run)
    assert (weight(run).numpy() != before).any()
    fit(other)
    assert (weight(run).numpy() != weight(other).numpy()).any()


def test_it_may_be_exchanged_before_training_and_saved_right_after(tmp_path: Path):
    run, wanted = trainer(optimizer=optim.SGD(0.1)), trainer(optimizer=optim.SGD(0.1, momentum=0.9))
    run.optimizer = optim.SGD(0.1, momentum=0.9)
    for each in (run, wanted):
        fit(each)
    assert same(run, wanted)
    run.optimizer = optim.RMSProp(1e-3)
    run.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.optimizer == optim.RMSProp(1e-3)
    for each in (run, again):
        fit(each)
    assert same(run, again)


REFUSED: dict[str, Any] = {
    "model": network(),
    "loss": nn.losses.CrossEntropy(),
    "metrics": [],
    "executor": "native",
    "dtype": "float64",
    "optimizer": 0.1,
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str):
    with pytest.raises(OptionError, match=f"Trainer: {name} is "):
        setattr(trainer(), name, REFUSED[name])
