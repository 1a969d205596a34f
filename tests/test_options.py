"""Checks of options: what they let through, as which type, and what they say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gradloom import options
from gradloom.errors import OptionError
from gradloom.options import Check, Flag, Fraction, MaybePositive, Options


@pytest.mark.parametrize(
    ("check", "value", "plain"),
    [
        (options.number, np.float32(0.5), 0.5),
        (options.number, 3, 3.0),
        (options.positive, np.int64(2), 2.0),
        (options.share, 1, 1.0),
        (options.fraction, 0, 0.0),
        (options.whole, np.int8(7), 7),
        (options.steps, 2**53, 2**53),
        (options.flag, np.True_, True),
        (options.words("inside", True), True, True),
        (options.words("inside", True), np.str_("inside"), "inside"),
        (options.optional(options.positive), None, None),
    ],
)
def test_values_become_plain(check: Check[Any], value: object, plain: object) -> None:
    found = check("Who", "name", value)
    assert found == plain
    assert type(found) is type(plain)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        *((options.number, value) for value in (True, np.True_, "1", None, math.nan, -math.inf, 10**400, [1.0])),
        *((options.positive, value) for value in (0, -1.0, math.inf)),
        *((options.share, value) for value in (0, 1.5)),
        *((options.fraction, value) for value in (-0.1, 1)),
        *((options.whole, value) for value in (0, 1.0, True, np.True_, "1")),
        *((options.steps, value) for value in (0, 2**53 + 1)),
        *((options.flag, value) for value in (0, 1, "yes", None)),
        *((options.words("inside", True), value) for value in (1, "True", ["inside"], np.ones(2))),
        *((options.optional(options.positive), value) for value in (0, False)),
    ],
)
def test_refused(check: Check[Any], value: object) -> None:
    with pytest.raises(OptionError, match=r"^Who: name "):
        check("Who", "name", value)


def test_messages() -> None:
    with pytest.raises(OptionError) as caught:
        options.number("Who", "share", 2, low=0, high=1, fix="Use 0.5.")
    assert str(caught.value) == "Who: share is a finite number from 0 to 1; got 2. Use 0.5."
    with pytest.raises(OptionError) as caught:
        options.whole("Who", "seed", -1, least=0)
    assert str(caught.value) == "Who: seed is a whole number from 0; got -1. Use 0 or a larger whole number."
    with pytest.raises(OptionError) as caught:
        options.choice("Who", "mode", "meen", ("mean", "sum"))
    assert str(caught.value) == "Who: no such mode; got 'meen'. Did you mean 'mean'? Known: mean, sum."


@dataclass(frozen=True)
class Rule(Options):
    """Options as fields."""

    decay: Fraction = 0.9
    nesterov: Flag = False
    bound: MaybePositive = None
    label: str = "free"


def test_fields_are_checked_by_their_annotations() -> None:
    rule = Rule(np.float64(0.5), np.True_, 2)  # type: ignore[arg-type]
    assert rule.config() == {"decay": 0.5, "nesterov": True, "bound": 2.0, "label": "free"}
    assert [type(value) for value in rule.config().values()] == [float, bool, float, str]
    assert rule.numbers() == {"decay": 0.5, "bound": 2.0}
    with pytest.raises(OptionError) as caught:
        Rule(1.0)
    assert str(caught.value) == "Rule: decay lies in [0, 1); got decay=1.0. Usual are 0.9 and 0.999."
