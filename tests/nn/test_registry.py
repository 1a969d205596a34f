"""Descriptions of networks: what is written, what is refused."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradloom import nn
from gradloom.errors import GradloomError, ModelFileError, OptionError
from gradloom.nn.registry import build, describe


class Branch(nn.Module):
    """x + f(x): a class of a user."""

    def __init__(self, inner: nn.Module, *, sizes: list[int], notes: dict[str, Any] | None = None) -> None:
        self.inner, self.sizes, self.notes = inner, sizes, notes

    def forward(self, x):
        return x + self.inner(x)


class Forgetful(nn.Module):
    """Does not keep its option."""

    def __init__(self, width: int) -> None:
        self.dense = nn.Dense(width)


def test_golden_description() -> None:
    model = nn.Sequential(nn.Dense(2, activation="relu", init=nn.init.normal(0.1)), nn.Dropout(0.2))
    assert describe(model) == {
        "type": "Sequential",
        "options": {
            "layers": [
                {
                    "type": "Dense",
                    "options": {
                        "units": 2,
                        "activation": {"type": "ReLU", "options": {"derivative_at_zero": 0}},
                        "bias": True,
                        "init": {"type": "Normal", "options": {"stddev": 0.1}},
                        "bias_init": "zeros",
                    },
                },
                {"type": "Dropout", "options": {"rate": 0.2, "mode": "inverted"}},
            ]
        },
    }


def test_own_classes_round_trip_when_passed() -> None:
    notes = {"type": "a word", "options": [1, 2.5, None, {"deep": True}]}
    model = nn.Sequential(Branch(nn.Dense(3), sizes=[1, 2], notes=notes), nn.Dense(1))
    text = json.dumps(describe(model))
    twin = build(json.loads(text), extra=[Branch])
    assert json.dumps(describe(twin)) == text
    assert isinstance(twin, nn.Sequential)
    assert isinstance(twin[0], Branch)
    assert twin[0].notes == notes
    with pytest.raises(ModelFileError, match=r"no class has this name; got 'Branch'.* must be passed when loading"):
        build(json.loads(text))


def test_a_description_before_and_after_building_is_the_same() -> None:
    model = nn.Sequential(nn.Dense(3), nn.BatchNorm(), nn.Embedding(3, 2))
    before = describe(nn.Sequential(*model.layers[:2]))
    nn.Sequential(*model.layers[:2]).initialize(np.ones((2, 2), np.float32))
    assert describe(nn.Sequential(*model.layers[:2])) == before


def test_tied_layers_stay_tied() -> None:
    tied = nn.Dense(4)
    model = nn.Sequential(tied, nn.Sequential(nn.ReLU(), tied), nn.Dense(4), tied)
    twin = build(json.loads(json.dumps(describe(model))))
    assert isinstance(twin, nn.Sequential)
    assert isinstance(twin[1], nn.Sequential)
    assert twin[0] is twin[1][1] is twin[3]
    assert twin[2] is not twin[0]
    x = np.ones((2, 4), np.float32)
    twin.initialize(x)
    model.initialize(x)
    assert set(twin.parameters()) == set(model.parameters()) == {"layers.0", "layers.2"}
    np.testing.assert_array_equal(twin(x).numpy(), model(x).numpy())


def dense(**options: Any) -> dict[str, Any]:
    return {"type": "Dense", "options": options}


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"type": "Dens", "options": {}}, r"no class has this name; got 'Dens'. Did you mean 'Dense'\?"),
        ({"type": "os.system", "options": {}}, "no class has this name; got 'os.system'"),
        (dense(), "Dense needs the option units; got no options"),
        (dense(unit=3), r"Dense has no such option; got 'unit'. Did you mean 'units'\?"),
        (dense(units=-3), "Dense: units is a whole number from 1; got -3"),
        (dense(units="3"), "Dense: units is a whole number from 1; got '3'"),
        (dense(units=True), "Dense: units is a whole number from 1; got True"),
        (dense(units=3, activation="exec"), "no activation has this name; got 'exec'"),
        (dense(units=3, self=1), "Dense has no such option; got 'self'"),
        ({"type": "Dropout", "options": {"rate": 10**400}}, "rate is a finite number"),
        ({"type": "Normal", "options": {}}, "a Normal stands where a Module belongs"),
        ({"type": "Sequential", "options": {"layers": [1]}}, "every layer is a module; got 1 at place 0"),
        ({"type": "Sequential", "options": {"layers": [{"shared": 0}]}}, "must occur before; got number 0"),
        ({"shared": -1}, "must occur before; got number -1"),
        ({"type": "Dense"}, "an object is a type and its options"),
        ({"type": ["Dense"], "options": {}}, "an object is a type and its options"),
        ({}, "an object is a type and its options"),
        ([], "a list stands where a Module belongs"),
        (None, "a NoneType stands where a Module belongs"),
    ],
)
def test_refused(description: object, said: str) -> None:
    with pytest.raises(ModelFileError, match=f"^model description: .*{said}"):
        build(description)


def test_deep_nesting_is_refused() -> None:
    description: object = dense(units=1)
    for _ in range(100_000):
        description = {"type": "Sequential", "options": {"layers": [description]}}
    with pytest.raises(ModelFileError, match="nested too deeply"):
        build(description)


_names = st.sampled_from(["Dense", "Sequential", "Dropout", "Softmax", "VarianceScaling", "dict", "nobody"])
_keys = st.sampled_from(["units", "layers", "rate", "groups", "activation", "init", "scale", "type", "options"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries({"type": _names | inner, "options": st.dictionaries(_keys, inner, max_size=3) | inner})
        | st.fixed_dictionaries({"shared": inner})
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@given(_json)
def test_any_json_is_built_or_refused_in_our_words(description: object) -> None:
    with contextlib.suppress(ModelFileError):
        assert isinstance(build(description), nn.Module)


def message(error: type[GradloomError], module: nn.Module) -> str:
    with pytest.raises(error) as caught:
        describe(module)
    return str(caught.value)


def test_what_cannot_be_written() -> None:
    assert message(OptionError, nn.Dense(2, init=lambda key, shape: nn.init.zeros(key, shape))).startswith(
        "Dense.init: an option in a model file is a number, a text, a module, or a list or dict of these; got <function"
    )
    assert message(OptionError, Forgetful(3)) == (
        "Forgetful: the arguments of __init__ are kept as attributes of the same names; got 'Forgetful' object has no "
        "attribute 'width'. Store them in __init__, or override config()."
    )
    taken = type("Dense", (nn.Module,), {})
    assert message(OptionError, taken()) == (
        "Dense: a model file tells classes apart by name; got two of this name. Give your class another name."
    )
    with pytest.raises(OptionError, match="the name of a layer cannot be taken; got Dense"):
        build(dense(units=1), extra=[taken])
