"""Networks that no gradient can train, or that are simpler than they look."""

from __future__ import annotations

import pytest
from small_runs import fit, trainer

from gradloom import nn, train
from gradloom.errors import OptionError


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Dense(4, activation="step"), nn.Dense(3)),
        nn.Sequential(nn.Dense(4, activation="relu"), nn.Dense(3), nn.Sign()),
        nn.Sequential(nn.Sequential(nn.Dense(4), nn.Activation("sign")), nn.Dropout(0.5), nn.Dense(3)),
    ],
    ids=["hidden", "at the end", "nested"],
)
def test_steps_are_refused_with_the_reason(model: nn.Module) -> None:
    with pytest.raises(OptionError, match=r"an optimiser needs gradients, and none reaches .* behind layers\.0"):
        fit(trainer(model))


def test_a_step_that_cuts_nothing_off_is_fine() -> None:
    """On the inputs, or beside a way that gradients pass."""
    fit(trainer(nn.Sequential(nn.Step(), nn.Dense(3))))
    fit(trainer(nn.Sequential(nn.Residual(nn.Sequential(nn.Step())), nn.Dense(3))))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Dense(4), nn.Dense(3)),
        nn.Sequential(nn.Sequential(nn.Dense(4, activation="linear"), nn.Dropout(0.5)), nn.Dense(3)),
    ],
    ids=["plain", "nested"],
)
def test_all_linear_stacks_are_warned_of(model: nn.Module) -> None:
    with pytest.warns(train.LinearStackWarning, match="All layers of this network are linear"):
        fit(trainer(model))


def test_one_linear_layer_and_bent_stacks_pass() -> None:
    for model in (nn.Sequential(nn.Dropout(0.1), nn.Dense(3)), nn.Sequential(nn.Dense(4), nn.ReLU(), nn.Dense(3))):
        fit(trainer(model))
