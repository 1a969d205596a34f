"""Runs with a sickness planted in each, and healthy ones, on generated and bundled data; each takes far below a second.

Each function gives what ``train.diagnose`` takes: the trainer, its data, and more by name.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from sklearn import datasets as _datasets

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.errors import NonFiniteError
from gradloom.nn.init import Constant, Normal, VarianceScaling

datasets: Any = _datasets  # its stubs say little
Patient = tuple[train.Trainer, Any, dict[str, Any]]
SEED = 1
SICK: dict[str, Callable[[], Patient]] = {}
"""By sickness; the part of the key in front of a colon is the finding that must come first."""
HEALTHY: dict[str, Callable[[], Patient]] = {}


def sick(name: str) -> Callable[[Callable[[], Patient]], Callable[[], Patient]]:
    """Enter a run among the sick ones."""
    return lambda make: SICK.setdefault(name, make)


def healthy(make: Callable[[], Patient]) -> Callable[[], Patient]:
    """Enter a run among the healthy ones."""
    return HEALTHY.setdefault(make.__name__, make)


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 images of digits in 64 features from 0 to 1, in random order."""
    found = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    return (found.data[order] / 16).astype(np.float32), found.target[order]


@cache
def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A bundled table, standardised, in random order."""
    found = getattr(datasets, f"load_{name}")()
    order = np.random.default_rng(0).permutation(len(found.target))
    x = (found.data - found.data.mean(0)) / found.data.std(0)
    return x[order].astype(np.float32), found.target[order]


@cache
def rings(rows: int = 1200, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Two classes, one inside the other, which no line divides."""
    x, y = datasets.make_circles(rows, noise=noise, factor=0.4, random_state=0)
    return (2 * x).astype(np.float32), y


@cache
def blobs(rows: int = 1200, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Classes around centres in six dimensions, well apart."""
    centres = np.random.default_rng(5).normal(size=(classes, 6)) * 2
    x, y = datasets.make_blobs(rows, centers=centres, random_state=1)
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32), y


def cut(data: tuple[np.ndarray, np.ndarray], *counts: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Parts of so many rows, one after the other; the rest is the last."""
    places = [0, *np.cumsum(counts), len(data[0])]
    return [(data[0][a:b], data[1][a:b]) for a, b in itertools.pairwise(places)]


def network(outputs: int, *hidden: int, activation: str = "relu", **options: Any) -> nn.Sequential:
    """Dense layers."""
    layers = [nn.Dense(width, activation=activation, **options) for width in hidden]
    return nn.Sequential(*layers, nn.Dense(outputs, **{k: v for k, v in options.items() if k == "init"}))


def patient(
    model: nn.Module,
    data: Any,
    *,
    validation: Any = None,
    epochs: int = 30,
    lr: float = 0.01,
    optimizer: optim.Optimizer | None = None,
    batch_size: int | str = 64,
    loss: str = "cross_entropy",
    callbacks: Any = (),
    diagnosis: dict[str, Any] | None = None,
    **options: Any,
) -> Patient:
    """A trained run; numbers that leave their range end training, not the test."""
    run = train.Trainer(model, loss, optimizer or optim.Adam(lr), seed=SEED, **options)
    fitting = {"validation": validation, "epochs": epochs, "batch_size": batch_size, "callbacks": callbacks}
    with contextlib.suppress(NonFiniteError), warnings.catch_warnings():
        warnings.simplefilter("ignore", train.LinearStackWarning)  # a sickness that fit itself tells
        run.fit(data, progress="silent", **fitting)
    return run, data, {"validation": validation, **(diagnosis or {})}


# Sick -----------------------------------------------------------------------------------------------------------


@sick("too_small_network")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    return patient(network(10, 2, activation="tanh"), data, validation=validation, epochs=80)


@sick("too_few_data")
def _() -> Patient:
    data, validation = cut(digits(), 60)
    return patient(
        network(10, 32), data, validation=validation, batch_size=16, callbacks=[train.EarlyStopping(10)], epochs=60
    )


@sick("label_noise")
def _() -> Patient:
    x, y = digits()
    draw = np.random.default_rng(2)
    wrong = np.where(draw.random(len(y)) < 0.25, draw.integers(0, 10, len(y)), y)
    data, validation = cut((x, wrong), 1400)
    return patient(network(10, 64), data, validation=validation, epochs=40)


@sick("learning_rate_too_high")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    return patient(network(10, 32), data, validation=validation, lr=1.0)


@sick("learning_rate_too_high: SGD")
def _() -> Patient:
    data, validation = cut(blobs(), 900)
    return patient(network(4, 32), data, validation=validation, optimizer=optim.SGD(50.0))


@sick("learning_rate_too_low")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    return patient(network(10, 32), data, validation=validation, lr=1e-4 / 2, epochs=8)


@sick("dead_units_at_start")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    return patient(network(10, 32, 32, bias_init=Constant(-6.0)), data, validation=validation)


@sick("saturated_units_at_start")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    model = network(10, 32, 32, activation="tanh", init=Normal(4.0))
    return patient(model, data, validation=validation, lr=0.001)


@sick("unscaled_inputs")
def _() -> Patient:
    x, y = blobs()
    scaled = x * np.array([1, 1000, 1, 1e4, 1, 0.01], np.float32) + np.array([0, 5000, 0, 0, 0, 0], np.float32)
    data, validation = cut((scaled.astype(np.float32), y), 900)
    return patient(network(4, 16), data, validation=validation, optimizer=optim.SGD(0.01))


@sick("leaked_rows")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    leaked = np.concatenate([validation[0][:300], data[0][:100]]), np.concatenate([validation[1][:300], data[1][:100]])
    return patient(network(10, 32), data, validation=leaked)


@sick("shifted_test")
def _() -> Patient:
    data, validation, test = cut(blobs(), 600, 300)
    moved = (test[0] + np.float32(0.8), test[1])
    return patient(network(4, 32), data, validation=validation, diagnosis={"test": moved})


@sick("symmetric_units: zeros")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    return patient(network(10, 32, 32, init="zeros"), data, validation=validation)


@sick("symmetric_units: constant")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    return patient(network(10, 32, 32, activation="tanh", init=Constant(0.1)), data, validation=validation)


@sick("exploding_signal")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    model = network(10, *[32] * 10, init=VarianceScaling(20.0))
    return patient(model, data, validation=validation, optimizer=optim.SGD(0.01))


@sick("vanishing_signal")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    return patient(network(10, *[32] * 5, init=Normal(0.01)), data, validation=validation, optimizer=optim.SGD(0.05))


@sick("vanishing_gradient")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    model = network(10, *[32] * 8, activation="sigmoid")
    return patient(model, data, validation=validation, optimizer=optim.SGD(0.1))


@sick("linear_stack")
def _() -> Patient:
    data, validation = cut(rings(), 900)
    return patient(network(2, 32, 32, activation="identity"), data, validation=validation)


@sick("too_much_regularisation")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    return patient(network(10, 32), data, validation=validation, l2=0.5)


@sick("too_much_dropout")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    layers = [nn.Dense(12, activation="relu"), nn.Dropout(0.9), nn.Dense(12, activation="relu"), nn.Dropout(0.9)]
    return patient(nn.Sequential(*layers, nn.Dense(10)), data, validation=validation)


@sick("label_imbalance")
def _() -> Patient:
    x, y = datasets.make_classification(
        1500, 8, n_informative=4, weights=[0.96], class_sep=0.6, flip_y=0.0, random_state=3
    )
    data, validation = cut((x.astype(np.float32), y), 1000)
    return patient(network(2, 4), data, validation=validation, epochs=4, lr=0.003)


@sick("outliers")
def _() -> Patient:
    x, y = blobs()
    spoilt = x.copy()
    spoilt[np.random.default_rng(0).permutation(900)[:9], 2] = -999999
    data, validation = cut((spoilt, y), 900)
    return patient(network(4, 16), data, validation=validation, optimizer=optim.SGD(0.05))


@sick("overtraining")
def _() -> Patient:
    draw = np.random.default_rng(4)
    x = draw.normal(size=(900, 20)).astype(np.float32)
    y = (x[:, :3].sum(1) + 1.2 * draw.normal(size=900) > 0).astype(np.int64)
    data, validation = cut((x, y), 300)
    return patient(network(2, 64), data, validation=validation, epochs=80, diagnosis={"optimal_error": 0.2})


@sick("unrelated_targets")
def _() -> Patient:
    x, y = digits()
    data, validation = cut((x, np.random.default_rng(3).permutation(y)), 1400)
    return patient(network(10, 64), data, validation=validation)


class Cut(nn.Module):
    """A layer through which no gradient passes."""

    def forward(self, x: gl.Tensor) -> gl.Tensor:
        return gl.stop_gradient(x)


@sick("unreached_parameters")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    model = nn.Sequential(nn.Dense(8, activation="relu"), Cut(), nn.Dense(10))
    return patient(model, data, validation=validation)


@sick("training_too_short")
def _() -> Patient:
    data, validation = cut(digits(), 1400)
    return patient(network(10, 32), data, validation=validation, lr=0.003, epochs=2)


# Healthy --------------------------------------------------------------------------------------------------------


@healthy
def digits_by_a_network() -> Patient:
    data, validation, test = cut(digits(), 1100, 350)
    return patient(network(10, 64), data, validation=validation, epochs=20, diagnosis={"test": test})


@healthy
def digits_by_convolutions() -> Patient:
    x, y = digits()
    data, validation, test = cut((x.reshape(-1, 8, 8, 1), y), 1100, 350)
    model = nn.Sequential(nn.Conv(8, 3, activation="relu"), nn.MaxPool(2), nn.BatchNorm(), nn.Flatten(), nn.Dense(10))
    return patient(model, data, validation=validation, epochs=12, diagnosis={"test": test})


@healthy
def digits_as_they_are() -> Patient:
    x, y = digits()
    data, validation = cut((x * 16, y), 1400)
    return patient(network(10, 32), data, validation=validation, lr=0.003, epochs=25)


@healthy
def digits_with_dropout() -> Patient:
    data, validation = cut(digits(), 1400)
    model = nn.Sequential(nn.Dense(64, activation="relu"), nn.Dropout(0.3), nn.Dense(10))
    return patient(model, data, validation=validation, epochs=20, l2=1e-4)


@healthy
def rings_with_tanh() -> Patient:
    data, validation, test = cut(rings(), 700, 250)
    return patient(network(2, 16, activation="tanh"), data, validation=validation, epochs=25, diagnosis={"test": test})


@healthy
def blobs_by_descent() -> Patient:
    data, validation, test = cut(blobs(), 700, 250)
    return patient(network(4, 16), data, validation=validation, optimizer=optim.SGD(0.1, 0.9), diagnosis={"test": test})


@healthy
def deep_with_normalisation() -> Patient:
    data, validation = cut(digits(), 1400)
    layers = [m for _ in range(6) for m in (nn.Dense(32), nn.BatchNorm(), nn.ReLU())]
    return patient(nn.Sequential(*layers, nn.Dense(10)), data, validation=validation, epochs=12)


@healthy
def breast_cancer_by_logistic_regression() -> Patient:
    data, validation = cut(table("breast_cancer"), 400)
    binary = [(x, y[:, np.newaxis].astype(np.float32)) for x, y in (data, validation)]
    model = nn.Sequential(nn.Dense(1, init="zeros"))
    return patient(model, binary[0], validation=binary[1], loss="binary_cross_entropy", l2=1e-3, batch_size=32)


@healthy
def wine() -> Patient:
    data, validation = cut(table("wine"), 120)
    stopping = [train.EarlyStopping(10)]
    return patient(network(3, 16), data, validation=validation, batch_size=16, callbacks=stopping, epochs=40)


@healthy
def diabetes() -> Patient:
    x, y = table("diabetes")
    z = ((y - y.mean()) / y.std()).astype(np.float32)[:, np.newaxis]
    data, validation = cut((x, z), 330)
    return patient(
        network(1, 4),
        data,
        validation=validation,
        loss="squared_error",
        l2=0.03,
        lr=0.003,
        batch_size=32,
        callbacks=[train.EarlyStopping(10)],
        diagnosis={"optimal_error": 0.5},
    )


@healthy
def curve_by_regression() -> Patient:
    draw = np.random.default_rng(1)
    x = draw.uniform(-2, 2, size=(900, 1)).astype(np.float32)
    z = (np.sin(2 * x) + 0.05 * draw.normal(size=x.shape)).astype(np.float32)
    data, validation, test = cut((x, z), 500, 200)
    options = {"loss": "squared_error", "diagnosis": {"test": test}}
    return patient(network(1, 32, 16, activation="tanh"), data, validation=validation, epochs=60, **options)
