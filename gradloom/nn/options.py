"""Checks of the options of layers, losses and metrics; each returns the value as a plain Python one.

Options travel through model files, so a wrong type must be refused here and not deep inside a computation.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TypeVar

import numpy as np

from gradloom.errors import OptionError, nearest_hint, unknown_name

Entry = TypeVar("Entry")


def whole(who: str, name: str, value: object, *, least: int = 1) -> int:
    """A whole number that is not below ``least``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        raise OptionError(who, rule=f"{name} is a whole number from {least}", got=repr(value))
    return int(value)


def number(who: str, name: str, value: object, *, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number from ``low`` to ``high``, both included."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    try:
        found = float(value) if is_number else math.nan  # type: ignore[arg-type]
    except OverflowError:  # a whole number beyond all floats
        found = math.nan
    if not math.isfinite(found) or not low <= found <= high:
        bounds = [f"from {low:g}"] * (low > -math.inf) + [f"to {high:g}"] * (high < math.inf)
        raise OptionError(who, rule=" ".join([f"{name} is a finite number", *bounds]), got=repr(value))
    return found


def positive(who: str, name: str, value: object) -> float:
    """A finite number above 0."""
    found = number(who, name, value)
    if found <= 0:
        raise OptionError(who, rule=f"{name} is above 0", got=repr(value))
    return found


def flag(who: str, name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise OptionError(who, rule=f"{name} is True or False", got=repr(value))
    return bool(value)


def choice(who: str, name: str, value: object, choices: Collection[str]) -> str:
    """One of some words."""
    if not isinstance(value, str) or value not in choices:
        raise OptionError(who, rule=f"no such {name}", got=repr(value), fix=nearest_hint(str(value), choices))
    return value


def named(who: str, kind: str, name: object, table: Mapping[str, Entry]) -> Entry:
    """The entry of ``table`` under a name.

    Raises:
        UnknownNameError: there is none; the message proposes the nearest.
    """
    if not isinstance(name, str) or name not in table:
        raise unknown_name(who, kind, name, table)
    return table[name]
