"""Runs on images with a sickness planted in each, and healthy ones; as in ``sick_runs``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from sick_runs import Patient, cut, digits, patient

from gradloom import nn, optim
from gradloom.nn.init import Constant, Normal

SICK_IMAGES: dict[str, Callable[[], Patient]] = {}
"""By sickness; the part of the key in front of a colon is the finding that must come first."""
HEALTHY_IMAGES: dict[str, Callable[[], Patient]] = {}


def sick(name: str) -> Callable[[Callable[[], Patient]], Callable[[], Patient]]:
    """Enter a run among the sick ones."""
    return lambda make: SICK_IMAGES.setdefault(name, make)


def healthy(make: Callable[[], Patient]) -> Callable[[], Patient]:
    """Enter a run among the healthy ones."""
    return HEALTHY_IMAGES.setdefault(make.__name__, make)


@cache
def signs(count: int = 900, side: int = 10, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Grey images in bytes: a cross, a ring or a bar somewhere in noise.  Neighbours in pixels know little of them."""
    draw = np.random.default_rng(seed)
    drawn = np.zeros((3, 5, 5))
    drawn[0, 2, :] = drawn[0, :, 2] = 1
    drawn[1, [0, -1], 1:-1] = drawn[1, 1:-1, [0, -1]] = 1
    drawn[2, :, 2] = 1
    labels = draw.integers(0, 3, count)
    images = draw.uniform(20, 70, (count, side, side, 1))
    for image, label, (y, x) in zip(images, labels, draw.integers(0, side - 5, (count, 2))):
        image[y : y + 5, x : x + 5, 0] += 120 * drawn[label]
    return images.astype(np.uint8), labels


@cache
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """The digits of 8 by 8 pixels, in bytes."""
    x, y = digits()
    return (x.reshape(-1, 8, 8, 1) * 255).astype(np.uint8), y


def convolutions(classes: int, **options: Any) -> nn.Sequential:
    """A small network for bytes."""
    return nn.Sequential(
        nn.Normalize([60.0], [60.0]),
        nn.Conv(8, 3, activation="relu", **options),
        nn.MaxPool(2),
        nn.Conv(16, 3, activation="relu", **options),
        nn.Flatten(),
        nn.Dense(classes),
    )


def trained(data: Any, classes: int, *, options: dict[str, Any] | None = None, **more: Any) -> Patient:
    """A network of convolutions on the first 600, validated on 150 of the rest, tested on what is left."""
    training, validation, test = cut(data, 600, 150)
    diagnosis = {"test": test, **more.pop("diagnosis", {})}
    settings = {"epochs": 15, "lr": 0.005, "batch_size": 50, "diagnosis": diagnosis, **more}
    return patient(convolutions(classes, **(options or {})), training, validation=validation, **settings)


# Sick -----------------------------------------------------------------------------------------------------------


@sick("dead_units_at_start")
def _() -> Patient:
    return trained(signs(), 3, options={"bias_init": Constant(-9.0)})


@sick("learning_rate_too_high")
def _() -> Patient:
    return trained(pictures(), 10, lr=1.0)


@sick("learning_rate_too_low")
def _() -> Patient:
    return trained(signs(), 3, lr=1e-5, epochs=5)


@sick("label_noise")
def _() -> Patient:
    x, y = pictures()
    draw = np.random.default_rng(2)
    return trained((x, np.where(draw.random(len(y)) < 0.3, draw.integers(0, 10, len(y)), y)), 10)


@sick("leaked_rows")
def _() -> Patient:
    x, y = signs()
    again = np.concatenate([np.arange(800), np.arange(100)])
    return trained((x[again], y[again]), 3)


@sick("shifted_test: brightness")
def _() -> Patient:
    x, y = signs()
    return trained((x, y), 3, diagnosis={"test": (x[750:] + np.uint8(6), y[750:])})


@sick("unscaled_inputs")
def _() -> Patient:
    (x, y), validation, _ = cut(signs(), 600, 150)
    model = nn.Sequential(nn.Conv(8, 3, activation="relu"), nn.Flatten(), nn.Dense(3))
    scaled = (validation[0] * np.float32(100), validation[1])
    data = (x * np.float32(100), y)
    return patient(model, data, validation=scaled, optimizer=optim.SGD(0.01), epochs=5)


@sick("linear_stack")
def _() -> Patient:
    (x, y), validation, _ = cut(signs(), 600, 150)
    model = nn.Sequential(nn.Normalize([60.0], [60.0]), nn.Conv(4, 3), nn.Flatten(), nn.Dense(3))
    return patient(model, (x, y), validation=validation, epochs=10, lr=0.005)


@sick("symmetric_units")
def _() -> Patient:
    return trained(signs(), 3, options={"init": "zeros"})


@sick("vanishing_signal")
def _() -> Patient:
    (x, y), validation, _ = cut(signs(), 600, 150)
    deep = [nn.Conv(8, 3, activation="relu", init=Normal(0.01)) for _ in range(4)]
    model = nn.Sequential(nn.Normalize([60.0], [60.0]), *deep, nn.Flatten(), nn.Dense(3))
    return patient(model, (x, y), validation=validation, optimizer=optim.SGD(0.05), epochs=5)


@sick("too_few_data")
def _() -> Patient:
    data, validation, _ = cut(signs(), 60, 300)
    return patient(convolutions(3), data, validation=validation, epochs=40, lr=0.005, batch_size=30)


@cache
def cells(count: int = 160, side: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Discs in noise, and masks of them."""
    draw = np.random.default_rng(1)
    y, x = np.mgrid[:side, :side]
    centres = draw.uniform(3, side - 3, (2, count, 1, 1))
    inside = (y - centres[0]) ** 2 + (x - centres[1]) ** 2 < 7
    return (inside * 120 + draw.uniform(20, 70, inside.shape)).astype(np.uint8)[..., None], inside.astype(np.int64)


def masks(data: Any, validation: Any, **more: Any) -> Patient:
    """A network that says a class for each pixel."""
    body = [nn.Conv(8, 3, activation="relu"), nn.Conv(8, 3, activation="relu"), nn.Conv(2, 1)]
    model = nn.Sequential(nn.Normalize([60.0], [60.0]), *body)
    settings = {"epochs": 12, "lr": 0.01, "batch_size": 20, **more}
    return patient(model, data, validation=validation, **settings)


@sick("learning_rate_too_low: masks")
def _() -> Patient:
    return masks(*cut(cells(), 120), lr=1e-6, epochs=3)


@sick("leaked_rows: masks")
def _() -> Patient:
    data, _ = cut(cells(), 120)
    return masks(data, (data[0][:40], data[1][:40]))


@sick("shifted_test: masks")
def _() -> Patient:
    data, validation, (x, y) = cut(cells(), 80, 40)
    return masks(data, validation, diagnosis={"test": (x + np.uint8(10), y)})


# Healthy --------------------------------------------------------------------------------------------------------


@healthy
def signs_by_convolutions() -> Patient:
    return trained(signs(), 3, epochs=25)


@healthy
def digits_in_bytes() -> Patient:
    return trained(pictures(), 10, epochs=25)


@healthy
def signs_with_norms() -> Patient:
    training, validation, test = cut(signs(), 600, 150)
    body = [nn.Conv(8, 3, bias=False), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2)]
    model = nn.Sequential(nn.Normalize([60.0], [60.0]), *body, nn.Flatten(), nn.Dense(3))
    return patient(model, training, validation=validation, epochs=25, lr=0.005, diagnosis={"test": test})


@healthy
def masks_of_cells() -> Patient:
    return masks(*cut(cells(), 120))
