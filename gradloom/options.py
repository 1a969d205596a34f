"""Options of constructors: what they may be.  Each check returns the value as a plain Python one.

Options travel through model files, so a wrong type must be refused here and not deep inside a computation.  A layer
calls a check in its constructor, ``options.whole("Dense", "units", units)``.  A frozen dataclass derives from
:class:`Options` and carries the checks in its annotations, so that it reads like the list of its options:
``momentum: Fraction = 0.9``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, TypeVar, get_type_hints

import numpy as np

from gradloom.equations import Described
from gradloom.errors import OptionError, nearest_hint, unknown_name

Entry = TypeVar("Entry")
Kind = TypeVar("Kind")
Check = Callable[[str, str, object], Kind]
"""Called with who asks, the name of the option and its value."""


# Checks ---------------------------------------------------------------------------------------------------------


def number_where(holds: Callable[[float], bool], rule: str, fix: str = "") -> Check[float]:
    """The check for a finite number with a property."""

    def check(who: str, name: str, value: object) -> float:
        is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        try:
            found = float(value) if is_number else math.nan  # type: ignore[arg-type]
        except OverflowError:  # a whole number beyond all floats
            found = math.nan
        if not math.isfinite(found) or not holds(found):
            raise _refusal(who, f"{name} {rule}", value, fix)
        return found

    return check


def number(
    who: str, name: str, value: object, *, low: float = -math.inf, high: float = math.inf, fix: str = ""
) -> float:
    """A finite number from ``low`` to ``high``, both included."""
    bounds = [f"from {low:g}"] * (low > -math.inf) + [f"to {high:g}"] * (high < math.inf)
    rule = " ".join(["is a finite number", *bounds])
    return number_where(lambda x: low <= x <= high, rule, fix)(who, name, value)


_ABOVE_0 = "is a finite number above 0"
_FROM_0 = "is a finite number not below 0"

positive = number_where(lambda x: x > 0, _ABOVE_0, "Use a positive number, such as 1.0.")
epsilon = number_where(lambda x: x > 0, _ABOVE_0, "Use a small positive number, such as 1e-8.")
not_negative = number_where(lambda x: x >= 0, _FROM_0, "Use 0 to do without it.")
rate = number_where(lambda x: x >= 0, _FROM_0, "Use a positive rate, e.g. 0.001.")
fraction = number_where(lambda x: 0 <= x < 1, "lies in [0, 1)", "Usual are 0.9 and 0.999.")
share = number_where(lambda x: 0 < x <= 1, "lies in (0, 1]", "Use a factor such as 0.9, or 1 for no decay.")


def whole_where(holds: Callable[[int], bool], rule: str, fix: str = "") -> Check[int]:
    """The check for a whole number with a property."""

    def check(who: str, name: str, value: object) -> int:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or not holds(int(value)):
            raise _refusal(who, f"{name} {rule}", value, fix)
        return int(value)

    return check


def whole(who: str, name: str, value: object, *, least: int = 1) -> int:
    """A whole number that is not below ``least``."""
    rule, fix = f"is a whole number from {least}", f"Use {least} or a larger whole number."
    return whole_where(lambda n: n >= least, rule, fix)(who, name, value)


# In a compiled step the number of steps is a float, which counts to 2⁵³.
steps = whole_where(lambda n: 1 <= n <= 2**53, "is a whole number from 1 to 2⁵³", "Use a number such as 1000.")


def flag(who: str, name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise _refusal(who, f"{name} is True or False", value)
    return bool(value)


def choice(who: str, name: str, value: object, choices: Collection[str]) -> str:
    """One of some words."""
    return _chosen(who, f"no such {name}", value, choices)


def words(*choices: bool | str) -> Check[Any]:
    """The check for one of some words, or True or False among them."""
    listed = ", ".join(map(repr, choices))
    return lambda who, name, value: _chosen(who, f"{name} is one of {listed}", value, choices)


def optional(check: Check[Kind]) -> Check[Kind | None]:
    """The check of an option that may be None."""
    return lambda who, name, value: None if value is None else check(who, name, value)


label = optional(whole_where(lambda n: abs(n) < 2**31, "is None or a class label", "Usual are 255 and -1."))


def argument_numbers(who: str, count: int, argnums: int | Sequence[int]) -> tuple[int, ...]:
    """Which of ``count`` arguments are meant, counted from the front."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in numbers:
        if not -count <= n < count:
            raise OptionError(who, rule=f"argnums counts the {count} arguments from 0", got=str(n))
    return tuple(n % count for n in numbers)


def named(who: str, kind: str, name: object, table: Mapping[str, Entry]) -> Entry:
    """The entry of ``table`` under a name.

    Raises:
        UnknownNameError: there is none; the message proposes the nearest.
    """
    if not isinstance(name, str) or name not in table:
        raise unknown_name(who, kind, name, table)
    return table[name]


def _chosen(who: str, rule: str, value: object, choices: Collection[Kind]) -> Kind:
    for choice in choices:
        if isinstance(value, type(choice)) and value == choice:  # 1 is not True
            return choice
    raise _refusal(who, rule, value, nearest_hint(str(value), [c for c in choices if isinstance(c, str)]))


def _refusal(who: str, rule: str, value: object, fix: str = "") -> OptionError:
    return OptionError(who, rule=rule, got=f"{value!r}"[:100], fix=fix)


# Options as fields ----------------------------------------------------------------------------------------------


Positive = Annotated[float, positive]
Epsilon = Annotated[float, epsilon]
NotNegative = Annotated[float, not_negative]
Rate = Annotated[float, rate]
Fraction = Annotated[float, fraction]
Share = Annotated[float, share]
Steps = Annotated[int, steps]
Flag = Annotated[bool, flag]
MaybePositive = Annotated[float | None, optional(positive)]
MaybeFraction = Annotated[float | None, optional(fraction)]


class Options(Described):
    """Base of frozen dataclasses whose fields are options."""

    def __post_init__(self) -> None:
        who = type(self).__name__
        for name, check in _checks_of(type(self)).items():
            try:
                value = check(who, name, getattr(self, name))
            except OptionError as error:
                raise OptionError(who, rule=error.rule, got=f"{name}={error.got}", fix=error.fix) from None
            object.__setattr__(self, name, value)

    def config(self) -> dict[str, Any]:
        """The options by name: the constructor's arguments."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def numbers(self) -> dict[str, float]:
        """Those of them that are numbers; none changes a shape, so all are inputs of a compiled step."""
        return {name: float(value) for name, value in self.config().items() if type(value) in (int, float)}


@cache
def _checks_of(cls: type) -> dict[str, Check[Any]]:
    """The checks that the annotations of a class carry."""
    hints = get_type_hints(cls, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}
