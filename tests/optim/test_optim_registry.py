"""Optimisers by name and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gradloom import optim
from gradloom.errors import ModelFileError, OptionError, UnknownNameError
from gradloom.optim import registry, schedules


def test_names() -> None:
    assert optim.get("adam") == optim.Adam()
    assert optim.get("AdamW", 0.2) == optim.AdamW(0.2)
    assert optim.get("nesterov", schedules.Constant(0.2)) == optim.SGD(schedules.Constant(0.2), 0.9, True)
    assert {type(found) for found in optim.NAMES.values()} | {optim.Composed} == set(registry.OPTIMIZERS)


@pytest.mark.parametrize("name", ["adamm", "", 3, None])
def test_unknown_names(name: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"optim\.get: no optimizer has this name"):
        optim.get(name)
    with pytest.raises(OptionError, match="lr is a finite number not below 0"):
        optim.get("adam", -1.0)


def test_description_is_plain_and_stable() -> None:
    described = optim.describe(optim.SGD(schedules.StepDecay(0.1, 0.5, 10), 0.9, clip_norm=1.0))
    assert described == {
        "type": "SGD",
        "options": {
            "lr": {"type": "StepDecay", "options": {"initial": 0.1, "factor": 0.5, "every": 10}},
            "weight_decay": 0.0,
            "decay_bias": True,
            "clip_norm": 1.0,
            "clip_value": None,
            "momentum": 0.9,
            "nesterov": False,
            "momentum_form": "outside",
            "start": "zero",
        },
    }
    assert optim.SGD().config() == optim.describe(optim.SGD())["options"]


def test_missing_options_have_their_defaults() -> None:
    assert optim.build({"type": "Adam", "options": {"lr": 0.5}}) == optim.Adam(0.5)


def deep(levels: int) -> Any:
    inner: Any = {"type": "ClipByNorm", "options": {"clip_norm": 1.0}}
    for level in range(levels):
        inner = {"type": "Prefixed", "options": {"prefix": str(level), "piece": inner}}
    return {"type": "Composed", "options": {"piece": inner}}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (None, "a NoneType stands where an Optimizer belongs"),
        ([], "a tuple stands where an Optimizer belongs"),
        ("Adam", "a str stands where an Optimizer belongs"),
        ({}, "an object is a type and its options"),
        ({"type": "Adam"}, "an object is a type and its options"),
        ({"type": "Adam", "options": []}, "an object is a type and its options"),
        ({"type": ["Adam"], "options": {}}, "an object is a type and its options"),
        ({"type": "Adan", "options": {}}, "no class has this name; got 'Adan'. Did you mean 'Adam'?"),
        ({"type": "Adam", "options": {"lrr": 0.1}}, "Adam has no such option; got 'lrr'. Did you mean 'lr'?"),
        ({"type": "Adam", "options": {"lr": -0.1}}, "Adam: lr is a finite number not below 0; got lr=-0.1"),
        ({"type": "Adam", "options": {"lr": {"type": "Adam", "options": {}}}}, "Adam: lr is a finite number"),
        ({"type": "Adam", "options": {"eps_mode": [1]}}, "Adam: eps_mode is one of"),
        ({"type": "Composed", "options": {}}, "Composed needs the option piece; got no options"),
        ({"type": "Composed", "options": {"piece": 3}}, "Composed: it takes one piece"),
        ({"type": "Composed", "options": {"piece": {"type": "Chain", "options": {"pieces": 3}}}}, "of pieces; got 3"),
        (
            {"type": "Composed", "options": {"piece": {"type": "Chain", "options": {"pieces": [3]}}}},
            "of pieces; got .3,.",
        ),
        ({"type": "Constant", "options": {"value": 0.1}}, "a Constant stands where an Optimizer belongs"),
        (deep(100_000), "it is nested too deeply"),
    ],
)
def test_damaged_descriptions(description: Any, message: str) -> None:
    with pytest.raises(ModelFileError, match=message.replace("?", r"\?")):
        optim.build(description)


def test_nesting_that_we_write_is_read() -> None:
    optimizer = optim.build(deep(20))
    assert optim.build(json.loads(json.dumps(optim.describe(optimizer)))) == optimizer


def test_a_class_of_ones_own_cannot_take_a_name() -> None:
    own = type("Adam", (optim.SGD,), {})
    with pytest.raises(OptionError, match="two of this name"):
        optim.describe(own())
    assert type(optim.build({"type": "Adam", "options": {}}, extra=[own])) is optim.Adam
