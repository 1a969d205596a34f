"""Names of hyperparameters that belong to a part: ``lr.initial`` is ``initial`` of ``lr``, and ``lr`` its only value.

A part with a single number, such as a constant learning rate, leaves that number without a name of its own ("").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def named(part: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """Values of a part, with its name before theirs."""
    return {f"{part}.{name}" if name else part: value for name, value in values.items()}


def under(part: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """The values that belong to a part, without its name."""
    own = {name.removeprefix(f"{part}."): value for name, value in values.items() if name.startswith(f"{part}.")}
    return {**own, "": values[part]} if part in values else own
