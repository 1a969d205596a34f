"""Optimisers by name, and as plain JSON and back, through a closed table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from gradloom import description
from gradloom.description import Description
from gradloom.errors import OptionError, unknown_name
from gradloom.later import Table
from gradloom.optim import adaptive, schedules
from gradloom.optim.base import Optimizer
from gradloom.optim.by_name import ScaleByName
from gradloom.optim.chain import Chain, Prefixed
from gradloom.optim.clipping import ClipByNorm, ClipByValue
from gradloom.optim.decay import AddDecayedWeights
from gradloom.optim.lbfgs import LBFGS
from gradloom.optim.learning_rate import ScaleByLearningRate
from gradloom.optim.momentum import ScaleByMomentum
from gradloom.optim.newton import Newton
from gradloom.optim.noise import AddNoise
from gradloom.optim.optimizers import SGD, AdaDelta, AdaGrad, Adam, AdamW, Composed, NamedOptimizer, RMSProp
from gradloom.optim.schedules import LearningRate
from gradloom.options import Options

NAMES: Mapping[str, Optimizer] = Table[Optimizer](
    {
        "sgd": SGD,
        "momentum": lambda: SGD(momentum=0.9),
        "nesterov": lambda: SGD(momentum=0.9, nesterov=True),
        "adagrad": AdaGrad,
        "adadelta": AdaDelta,
        "rmsprop": RMSProp,
        "adam": Adam,
        "adamw": AdamW,
        "newton": Newton,
        "lbfgs": LBFGS,
    }
)

OPTIMIZERS = (SGD, AdaGrad, AdaDelta, RMSProp, Adam, AdamW, Newton, LBFGS, Composed)

PIECES = (
    *(Chain, Prefixed, ClipByNorm, ClipByValue, AddDecayedWeights, ScaleByLearningRate, ScaleByMomentum, ScaleByName),
    AddNoise,
    *(adaptive.ScaleByAdaGrad, adaptive.ScaleByRms, adaptive.ScaleByAdaDelta, adaptive.ScaleByAdam),
)

SCHEDULES = (
    *(schedules.Constant, schedules.StepDecay, schedules.Exponential, schedules.InverseTime, schedules.Linear),
    *(schedules.Cosine, schedules.WarmUp, schedules.Piecewise, schedules.Polynomial, schedules.InverseSquareRoot),
    *(schedules.Cyclical, schedules.OneCycle),
)

_TABLE = description.table_of((*OPTIMIZERS, *PIECES, *SCHEDULES))


def get(name: str, lr: LearningRate | None = None) -> Any:
    """The optimiser of a name, such as "adam", with its defaults.

    Args:
        name: see NAMES; capital and small letters are one.
        lr: a learning rate or schedule in place of the default.

    Raises:
        UnknownNameError: no optimiser has this name; the message proposes the nearest.
        OptionError: the learning rate is negative, or the optimiser has none.
    """
    found = NAMES.get(name.lower()) if isinstance(name, str) else None
    if found is None:
        raise unknown_name("optim.get", "optimizer", name, NAMES)
    if lr is not None and not isinstance(found, NamedOptimizer):
        raise OptionError(
            "optim.get", rule=f"{name} has no learning rate", got=f"lr={lr!r}", fix="It finds its own: leave lr out."
        )
    return found if lr is None else dataclasses.replace(found, lr=lr)  # type: ignore[type-var]


def describe(optimizer: Optimizer) -> Description:
    """An optimiser as JSON: ``{"type": "Adam", "options": {"lr": 0.001, ...}}``, schedules and pieces nested.

    Raises:
        OptionError: an option cannot be written, or a class of your own has the name of one of the library's.
    """
    return description.encode(optimizer, _TABLE)


def build(described: object, extra: Iterable[type[Options]] = ()) -> Optimizer:
    """The optimiser of a description.

    Args:
        described: what :func:`describe` gave.
        extra: classes of your own that may occur in it; they cannot take the names of the library's.

    Raises:
        ModelFileError: the description is damaged, or names a class or an option that is not known.
    """
    table = {**description.table_of(extra), **_TABLE}
    return description.decode(described, table, Optimizer, who="optimiser description", sequence=tuple)
