"""Checks of what a trainer is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

import numpy as np

from gradloom import nn, options, random
from gradloom.errors import OptionError
from gradloom.nn.metrics import Metric
from gradloom.optim import Optimizer
from gradloom.tensor import Tensor

ClassWeight = str | Mapping[int, float] | None

Kind = TypeVar("Kind")


@lru_cache(64)
def key_of_run(seed: int, use: int) -> Tensor:
    """The random key for one use of randomness in the runs of a seed."""
    return random.fold_in(random.key(seed), use)


def of_kind(value: Any, kind: type[Kind], name: str, wanted: str) -> Kind:
    """A value that must be of a class.

    Raises:
        OptionError: it is not.
    """
    if not isinstance(value, kind):
        raise OptionError("Trainer", rule=f"{name} is {wanted}", got=repr(value)[:100])
    return value


def optimizer(value: Any) -> Optimizer:
    """What must be an optimiser.

    Raises:
        OptionError: it is not.
    """
    return of_kind(value, Optimizer, "optimizer", "an optimiser, such as optim.Adam(1e-3)")


def differ_in_numbers_alone(first: Any, second: Any) -> bool:
    """Whether two optimisers or regularisers are alike but for their hyperparameters, so one program serves both."""

    def fixed(value: Any) -> dict[str, Any]:
        numbers = value.hyperparameters()
        return {name: option for name, option in value.config().items() if name not in numbers}

    is_same_kind = type(first) is type(second) and first.hyperparameters().keys() == second.hyperparameters().keys()
    return is_same_kind and fixed(first) == fixed(second)


def refuse_to_change(name: str) -> NoReturn:
    """What the compiled steps of a trainer are made for cannot be exchanged.

    Raises:
        OptionError: always.
    """
    raise OptionError(
        "Trainer",
        rule=f"{name} is fixed once the trainer is made",
        got="another one",
        fix=f"Make another trainer, train.Trainer(run.model, {'...' if name == 'model' else f'{name}=...'}).",
    )


def metrics(asked: Sequence[str | Metric]) -> list[Metric]:
    """The metrics, which must differ in name.

    Raises:
        OptionError: two have one name, or there is no list.
        UnknownNameError: no metric has this name.
    """
    if isinstance(asked, (str, Metric)):
        raise OptionError("Trainer", rule="metrics is a list", got=repr(asked), fix="Put it in brackets.")
    found = [nn.metrics.get(metric) for metric in asked]
    names = [metric.name for metric in found]
    if len(set(names)) < len(names):
        raise OptionError("Trainer", rule="no two metrics can have the same name", got=", ".join(names))
    return found


def penalty(name: str, value: object) -> float:
    """The λ of a penalty.

    Raises:
        OptionError: it is no finite number, or negative.
    """
    found = options.number("Trainer", name, value)
    if found < 0:
        fix = "Use 0 for no penalty, or a small number such as 0.0001."
        raise OptionError("Trainer", rule=f"{name} must not be negative", got=str(value), fix=fix)
    return found


def check_class_weight(class_weight: ClassWeight) -> None:
    """Refuse what is neither None, "balanced", nor weights by label.

    Raises:
        OptionError: it is something else, or a weight is negative or not finite.
    """
    if class_weight is None or class_weight == "balanced":
        return
    if not isinstance(class_weight, Mapping):
        raise OptionError(
            "class_weight", rule="it is None, 'balanced' or a dict of a weight for each class", got=repr(class_weight)
        )
    for label, weight in class_weight.items():
        is_number = isinstance(weight, (int, float, np.integer, np.floating)) and not isinstance(weight, bool)
        if not is_number or not 0 <= weight < math.inf:
            raise OptionError(
                "class_weight", rule="weights are finite and not negative", got=f"{weight!r} for class {label!r}"
            )


def class_weight_as_json(class_weight: ClassWeight) -> Any:
    """A dict as pairs, for keys of JSON are text."""
    if class_weight is None or isinstance(class_weight, str):
        return class_weight
    return [[int(label), float(weight)] for label, weight in class_weight.items()]
