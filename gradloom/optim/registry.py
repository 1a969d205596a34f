"""Optimisers by name, and as JSON for model files: a closed table, nothing is imported by name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from gradloom.errors import ModelFileError, unknown_name
from gradloom.optim.optimizers import SGD, AdaDelta, AdaGrad, Adam, AdamW, Optimizer, RMSProp
from gradloom.optim.schedules import SCHEDULES, Schedule

OPTIMIZERS: dict[str, type[Optimizer]] = {cls.__name__: cls for cls in (SGD, AdaGrad, AdaDelta, RMSProp, Adam, AdamW)}
"""The optimisers by name."""


def get(name: str, lr: float | Schedule | None = None) -> Optimizer:
    """An optimiser with its defaults by name, in any case; ``lr`` sets the learning rate.

    Raises:
        UnknownNameError: there is none; the message proposes the nearest.
    """
    found = {known.lower(): cls for known, cls in OPTIMIZERS.items()}.get(name.lower())
    if found is None:
        raise unknown_name("optimizer", "optimizer", name, [known.lower() for known in OPTIMIZERS])
    return found() if lr is None else found(lr=lr)  # type: ignore[call-arg]


def describe(optimizer: Optimizer | Schedule) -> dict[str, Any]:
    """Class and options as JSON."""
    options = {f.name: getattr(optimizer, f.name) for f in fields(optimizer)}
    written = {name: describe(v) if isinstance(v, Schedule) else v for name, v in options.items()}
    return {"type": type(optimizer).__name__, "options": written}


def build(description: Any) -> Any:
    """The optimiser (or schedule) that :func:`describe` described.

    Raises:
        ModelFileError: the class or an option is unknown, or the description is damaged.
    """
    known: dict[str, type] = {**OPTIMIZERS, **SCHEDULES}
    try:
        cls, options = known[description["type"]], dict(description["options"])
    except (KeyError, TypeError, ValueError):
        raise ModelFileError(
            "optimizer", rule="the description names a known optimizer and its options", got=repr(description)[:80]
        ) from None
    unknown = set(options) - {f.name for f in fields(cls)}
    if unknown:
        raise ModelFileError(cls.__name__, rule="an option is unknown", got=", ".join(sorted(unknown)))
    return cls(**{name: build(v) if isinstance(v, dict) else v for name, v in options.items()})
