"""Optimisers by name, and as plain JSON and back, through closed tables.

Reading a description looks classes up in a table; nothing is imported by name and no code in a file is run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from gradloom.errors import GradloomError, ModelFileError, OptionError, nearest_hint, unknown_name
from gradloom.optim import adaptive, schedules
from gradloom.optim.base import Optimizer
from gradloom.optim.chain import Chain, Prefixed
from gradloom.optim.clipping import ClipByNorm, ClipByValue
from gradloom.optim.decay import AddDecayedWeights
from gradloom.optim.learning_rate import ScaleByLearningRate
from gradloom.optim.momentum import ScaleByMomentum
from gradloom.optim.optimizers import SGD, AdaDelta, AdaGrad, Adam, AdamW, Composed, RMSProp
from gradloom.optim.options import Description, Options, described
from gradloom.optim.schedules import LearningRate

NAMES: dict[str, Optimizer] = {
    "sgd": SGD(),
    "momentum": SGD(momentum=0.9),
    "nesterov": SGD(momentum=0.9, nesterov=True),
    "adagrad": AdaGrad(),
    "adadelta": AdaDelta(),
    "rmsprop": RMSProp(),
    "adam": Adam(),
    "adamw": AdamW(),
}

OPTIMIZERS = (SGD, AdaGrad, AdaDelta, RMSProp, Adam, AdamW, Composed)

PIECES = (
    *(Chain, Prefixed, ClipByNorm, ClipByValue, AddDecayedWeights, ScaleByLearningRate, ScaleByMomentum),
    *(adaptive.ScaleByAdaGrad, adaptive.ScaleByRms, adaptive.ScaleByAdaDelta, adaptive.ScaleByAdam),
)

SCHEDULES = (
    *(schedules.Constant, schedules.StepDecay, schedules.Exponential, schedules.InverseTime, schedules.Linear),
    *(schedules.Cosine, schedules.WarmUp, schedules.Piecewise),
)

_TABLE: dict[str, type[Options]] = {cls.__name__: cls for cls in (*OPTIMIZERS, *PIECES, *SCHEDULES)}
_DEEPEST = 50  # a description nested deeper than this was not written by us


def get(name: str, lr: LearningRate | None = None) -> Any:
    """The optimiser of a name, such as "adam", with its defaults.

    Args:
        name: see NAMES; capital and small letters are one.
        lr: a learning rate or schedule in place of the default.

    Raises:
        UnknownNameError: no optimiser has this name; the message proposes the nearest.
        OptionError: the learning rate is negative.
    """
    found = NAMES.get(name.lower()) if isinstance(name, str) else None
    if found is None:
        raise unknown_name("optim.get", "optimizer", name, NAMES)
    return found if lr is None else dataclasses.replace(found, lr=lr)  # type: ignore[type-var]


def describe(optimizer: Optimizer) -> Description:
    """An optimiser as JSON: ``{"type": "Adam", "options": {"lr": 0.001, ...}}``, schedules and pieces nested.

    Raises:
        OptionError: a class of your own has the name of one of the library's.
    """
    name = type(optimizer).__name__
    if _TABLE.get(name, type(optimizer)) is not type(optimizer):
        fix = "Give your class another name."
        raise OptionError(name, rule="a model file tells optimisers apart by name", got="two of this name", fix=fix)
    return described(optimizer)


def build(description: object, extra: Iterable[type[Options]] = ()) -> Optimizer:
    """The optimiser of a description.

    Args:
        description: what :func:`describe` gave.
        extra: classes of your own that may occur in it; they cannot take the names of the library's.

    Raises:
        ModelFileError: the description is damaged, or names a class or an option that is not known.
    """
    found = _decode(description, {**{cls.__name__: cls for cls in extra}, **_TABLE}, 0)
    if not isinstance(found, Optimizer):
        raise _refusal("an optimiser is described", got=type(found).__name__)
    return found


def _decode(value: Any, table: Mapping[str, type[Options]], depth: int) -> Any:
    if depth > _DEEPEST:
        raise _refusal("it is nested too deeply")
    if isinstance(value, list):
        return tuple(_decode(item, table, depth + 1) for item in value)
    if not isinstance(value, dict):
        return value
    name, options = value.get("type"), value.get("options")
    if set(value) != {"type", "options"} or not isinstance(name, str) or not isinstance(options, dict):
        raise _refusal("an object is a type and its options", got=f"{value!r}"[:100])
    if name not in table:
        raise _refusal("no class has this name", got=repr(name), fix=nearest_hint(name, table))
    return _construct(table[name], {key: _decode(item, table, depth + 1) for key, item in options.items()})


def _construct(cls: type[Options], options: dict[str, Any]) -> Options:
    known = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in options:
        if key not in known:
            raise _refusal(f"{cls.__name__} has no such option", got=repr(key), fix=nearest_hint(key, known))
    for key, field in known.items():
        if key not in options and field.default is dataclasses.MISSING:
            raise _refusal(f"{cls.__name__} needs the option {key}", got=", ".join(options) or "no options")
    try:
        return cls(**options)
    except GradloomError as error:
        raise _refusal(f"{error.who}: {error.rule}", got=error.got, fix=error.fix) from None


def _refusal(rule: str, *, got: str = "", fix: str = "Save the model again, or use a whole copy.") -> ModelFileError:
    return ModelFileError("optimiser description", rule=rule, got=got, fix=fix)
