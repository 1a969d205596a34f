"""The table of optimisers."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import X, Y, Z, fit, network, trainer

from gradloom import nn, optim, train
from gradloom.errors import OptionError, UnknownNameError


def test_optimisers_are_ranked_on_equal_terms() -> None:
    networks = {
        "shallow": network,
        "wide": lambda: nn.Sequential(nn.Dense(12, activation="relu"), nn.Dense(3)),
        "deep": lambda: nn.Sequential(nn.Dense(6, activation="tanh"), nn.Dense(6, activation="tanh"), nn.Dense(3)),
    }
    chosen = {"none": optim.SGD(0.0), "sgd": optim.SGD(0.1), "adam": optim.Adam(0.05), "mad": optim.SGD(1e30)}
    options = {"seeds": (1, 2), "epochs": 4, "batch_size": 8, "executor": "reference"}
    found = train.compare_optimizers(networks, (X, Y), chosen, **options)
    assert found.values.shape == (3, 4, 2)
    assert (found.ranks[:, 3] == 4).all()
    assert (found.ranks[:, 0] == 3).all()
    for i, make in enumerate(networks.values()):
        alone = trainer(make(), optimizer=chosen["adam"], seed=2)
        assert found.values[i, 2, 1] == min(fit(alone, 4).column("loss"))
        assert found.best(found.networks[i]) == found.optimizers[int(np.nanargmin(found.means[i]))]
    first, *lines = str(found).splitlines()
    assert first.split() == ["loss", "(rank)", *chosen]
    assert [line.split()[0] for line in lines] == list(networks)


def test_who_diverges_comes_last() -> None:
    chosen = {"mad": optim.SGD(1e30), "sgd": optim.SGD(0.1)}
    found = train.compare_optimizers(
        {"line": lambda: nn.Dense(1)}, (X, Z[:, None]), chosen, loss="mse", executor="reference", epochs=3
    )
    assert np.isnan(found.values[0, 0, 0])
    assert found.ranks.tolist() == [[2, 1]]
    assert str(found).splitlines()[1].split()[:2] == ["line", "diverged"]


def test_metrics_that_rise_are_ranked_so() -> None:
    found = train.compare_optimizers(
        {"one": network},
        (X, Y),
        {"none": optim.SGD(0.0), "adam": optim.Adam(0.1)},
        monitor="val_accuracy",
        validation=(X, Y),
        metrics=["accuracy"],
        executor="reference",
    )
    assert found.best("one") == "adam"
    assert not found.falls
    with pytest.raises(OptionError, match="at least one of the networks; got none"):
        train.compare_optimizers({}, (X, Y))
    with pytest.raises(UnknownNameError, match="Did you mean 'adam'"):
        train.compare_optimizers({"one": network}, (X, Y), ["adamm"])
