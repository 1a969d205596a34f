"""A small data set and small networks, for runs that take milliseconds.

They run on the reference executor, which compiles nothing and takes one step a call, so that a test can interfere
before any of them; test_native_training.py has what is special about the native one.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

import gradloom as gl
from gradloom import nn, optim, train, tree

ROWS, FEATURES, CLASSES = 37, 4, 3  # 37 leaves a short last batch

_rng = np.random.default_rng(0)
X = _rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
Y = (X @ _rng.normal(size=(FEATURES, CLASSES))).argmax(1)
Z = (X @ _rng.normal(size=FEATURES)).astype(np.float32)


def network(*, deep: bool = False) -> nn.Sequential:
    """A classifier; ``deep`` with a layer of every kind that has state or draws."""
    hidden = [nn.Dense(6, activation="relu"), nn.BatchNorm(), nn.Dropout(0.3)] if deep else []
    return nn.Sequential(*hidden, nn.Dense(CLASSES))


def trainer(model: nn.Module | None = None, **options: Any) -> train.Trainer:
    """A trainer of the classifier, by default with SGD, which a reader can follow by hand."""
    return train.Trainer(
        network() if model is None else model, **{"optimizer": optim.SGD(0.1), "executor": "reference", **options}
    )


def load(path: str | Path) -> train.Trainer:
    """A saved run, to go on likewise."""
    return train.load(path, executor="reference")


def fit(run: train.Trainer, epochs: int = 1, data: Any = None, **options: Any) -> train.History:
    """Train without a word."""
    options = {"batch_size": 8, "progress": "silent", **options}
    return run.fit((X, Y) if data is None else data, epochs=epochs, **options)


def interrupt_at(run: train.Trainer, call: int, *, after: bool = False) -> None:
    """Let Ctrl-C come in front of a call to come, counted from 1, or right after it, before it is noted.

    The reference executor takes one step a call.
    """
    compiled, left = run._compiled, call

    class Interrupted:
        def prepare(self, *args: Any) -> Any:
            prepared = compiled.prepare(*args)

            def program(arrays: Any) -> Any:
                nonlocal left
                left -= 1
                found = prepared.program(arrays) if left or after else []
                if not left:
                    raise KeyboardInterrupt
                return found

            return dataclasses.replace(prepared, program=program)

    run._compiled = Interrupted()  # type: ignore[assignment]


def tensors(run: train.Trainer) -> list[np.ndarray]:
    """All that training changes."""
    return [leaf.numpy() for leaf in tree.leaves(run.snapshot())]


def same(first: train.Trainer, second: train.Trainer) -> bool:
    """Whether two runs have come to the same place, bit by bit."""
    alike = [a.tobytes() == b.tobytes() for a, b in zip(tensors(first), tensors(second), strict=True)]
    return all(alike) and (first.epoch, first.position) == (second.epoch, second.position)


def weight(run: train.Trainer) -> gl.Tensor:
    """The weights of a classifier of one layer."""
    return run.model.parameters()["layers.0"]["weight"]
