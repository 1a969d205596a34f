"""A run whose numbers blow up says where that began, if it is asked to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_runs import X, Y, Z, fit, trainer

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.errors import NonFiniteError
from gradloom.nn.module import current_call


class Root(nn.Module):
    """√x², whose derivative at 0 is 0/0."""

    def forward(self, x: Any) -> Any:
        return gl.sqrt(x * x)


class Late(nn.Module):
    """The logarithm of 37 less the examples so far, which it counts in its state."""

    def build(self, x: Any) -> None:
        self.add_state("seen", 0.0)

    def forward(self, x: Any) -> Any:
        if current_call().training:
            self.seen = self.seen + 8
        return x * gl.log(37.0 - self.seen)


def message_of(run: train.Trainer, **options: Any) -> str:
    with pytest.raises(NonFiniteError) as caught:
        fit(run, **options)
    return str(caught.value)


EXECUTORS = ["reference", "native"]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_forward(executor: str):
    """The logarithm is of -3 in the fifth batch."""
    run = trainer(nn.Sequential(nn.Dense(3), Late()), executor=executor, debug_nans=True)
    found = message_of(run, batch_size=8)
    assert found.startswith("fit: the loss must stay finite; got NaN or infinity in batch 5 of 5 of epoch 1; it began")
    assert "NaN in log (layer Sequential/layers.1, forward), float32[]" in found
    assert "(step 5, batch 5)" in found


@pytest.mark.parametrize("executor", EXECUTORS)
def test_backward(executor: str):
    """All is finite but the gradient of the layer, for the inputs of one batch are 0."""
    model = nn.Sequential(nn.Dense(1, bias=False), Root())
    inputs = np.concatenate([np.ones((16, 4)), np.zeros((8, 4)), np.ones((8, 4))])
    run = trainer(model, loss="mse", executor=executor, debug_nans=True)
    found = message_of(run, data=(inputs, Z[:32]), shuffle=False)
    assert "layers.1, backward" in found
    assert "(step 3, batch 3)" in found


def test_update():
    run = trainer(loss="mse", optimizer=optim.SGD(3e38), debug_nans=True)
    found = message_of(run, data=(X, 100 * np.eye(3, dtype=np.float32)[Y]), batch_size=len(X))
    assert "every weight must stay finite" in found
    assert "update)" in found
    assert "(step 1, batch 1)" in found


def test_the_error_says_how_to_find_it():
    found = message_of(trainer(nn.Sequential(nn.Dense(3), Late())))
    assert found.endswith("Trainer(debug_nans=True) names the layer and the primitive where it began.")


def test_in_a_stream_the_chunk_is_named():
    run = trainer(nn.Sequential(nn.Dense(3), Late()), debug_nans=True)
    chunks = train.Stream([(X[:16], Y[:16]), (X[16:], Y[16:])])
    assert "batch 5 in chunk 1)" in message_of(run, data=chunks, shuffle=False)


def test_hunting_changes_no_bit():
    runs = [trainer(debug_nans=hunted) for hunted in (False, True)]
    assert fit(runs[0], 2).rows == fit(runs[1], 2).rows
