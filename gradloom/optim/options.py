"""Options of optimisers, pieces and schedules: what they may be, and how they are written as JSON.

All three are frozen dataclasses.  The annotation of a field carries the check of its values, so that a class reads
like the list of its options: ``momentum: Fraction = 0.9``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_type_hints

import numpy as np

from gradloom.errors import OptionError, nearest_hint

Check = Callable[[str, str, object], Any]
Description = dict[str, Any]


class Options:
    """Base of frozen dataclasses whose fields are options."""

    def __post_init__(self) -> None:
        for name, check in _checks_of(type(self)).items():
            object.__setattr__(self, name, check(type(self).__name__, name, getattr(self, name)))

    def options(self) -> dict[str, Any]:
        """The options by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def numbers(self) -> dict[str, float]:
        """Those of them that are numbers; none changes a shape, so all are inputs of a compiled step."""
        return {name: float(value) for name, value in self.options().items() if type(value) in (int, float)}

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON."""
        return {name: _plain(value) for name, value in self.options().items()}


def described(value: Options) -> Description:
    """An object as JSON: ``{"type": "Adam", "options": {"lr": 0.001, ...}}``."""
    return {"type": type(value).__name__, "options": value.config()}


def _plain(value: Any) -> Any:
    if isinstance(value, Options):
        return described(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


@cache
def _checks_of(cls: type) -> dict[str, Check]:
    """The checks that the annotations of a class carry."""
    hints = get_type_hints(cls, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


# Checks ---------------------------------------------------------------------------------------------------------


def refusal(who: str, name: str, rule: str, value: object, fix: str = "") -> OptionError:
    """The error for an option out of its range."""
    return OptionError(who, rule=f"{name} {rule}", got=f"{name}={value!r}"[:120], fix=fix)


def number_where(holds: Callable[[float], bool], rule: str, fix: str) -> Check:
    """The check for a finite number with a property."""

    def check(who: str, name: str, value: object) -> float:
        is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        try:
            found = float(value) if is_number else math.nan  # type: ignore[arg-type]
        except OverflowError:  # a whole number beyond all floats
            found = math.nan
        if not math.isfinite(found) or not holds(found):
            raise refusal(who, name, rule, value, fix)
        return found

    return check


def optional(check: Check) -> Check:
    """The check of an option that may be None."""
    return lambda who, name, value: None if value is None else check(who, name, value)


def words(*choices: bool | str) -> Check:
    """The check for one of some words."""

    def check(who: str, name: str, value: object) -> bool | str:
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return choice
        fix = nearest_hint(value, [c for c in choices if isinstance(c, str)]) if isinstance(value, str) else ""
        raise refusal(who, name, f"is one of {', '.join(map(repr, choices))}", value, fix)

    return check


def whole(who: str, name: str, value: object) -> int:
    """The check for a whole number of steps; in a compiled step it is a float, which counts to 2⁵³."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or not 1 <= value <= 2**53:
        raise refusal(who, name, "is a whole number from 1 to 2⁵³", value)
    return int(value)


def flag(who: str, name: str, value: object) -> bool:
    """The check for True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise refusal(who, name, "is True or False", value)
    return bool(value)


positive = number_where(lambda x: x > 0, "is a finite number above 0", "Use a small positive number, such as 1e-8.")
not_negative = number_where(lambda x: x >= 0, "is a finite number not below 0", "Use 0 to do without it.")
rate = number_where(lambda x: x >= 0, "is a finite number not below 0", "The step is already taken downhill.")
fraction = number_where(lambda x: 0 <= x < 1, "lies in [0, 1)", "Usual are 0.9 and 0.999.")
share = number_where(lambda x: 0 < x <= 1, "lies in (0, 1]", "1 forgets nothing.")

Positive = Annotated[float, positive]
NotNegative = Annotated[float, not_negative]
Rate = Annotated[float, rate]
Fraction = Annotated[float, fraction]
Share = Annotated[float, share]
Steps = Annotated[int, whole]
Flag = Annotated[bool, flag]
MaybePositive = Annotated[float | None, optional(positive)]
MaybeFraction = Annotated[float | None, optional(fraction)]

_EpsMode = Literal["inside", "outside", "none"]
EpsMode = Annotated[_EpsMode, words(*get_args(_EpsMode))]
