"""Modules as users write them: parameters, state, arrays as inputs, calls that stay pure."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn, tree
from gradloom.errors import OptionError


class Counter(nn.Module):
    """Counts its training calls: state that a call assigns."""

    count: gl.Tensor

    def build(self, x):
        self.add_state("count", np.int64(0))

    def forward(self, x):
        if nn.current_call().training:
            self.count = self.count + 1
        return x * 2


class Branches(nn.Module):
    """Children in attributes, lists and dicts, one of them twice."""

    def __init__(self):
        self.first = nn.Dense(3)
        self.many = [nn.Dense(2), self.first]
        self.named = {"a": nn.Dense(1)}

    def forward(self, x):
        return self.named["a"](self.many[0](self.many[1](self.first(x))))


X = np.ones((2, 3), np.float32)


def test_apply_gives_the_new_state_and_leaves_the_module_alone() -> None:
    layer = Counter()
    layer.initialize(X)
    state = layer.state()
    for expected in (1, 2, 3):
        y, state = nn.apply(layer, {}, state, X, training=True)
        assert state["count"].item() == expected
    np.testing.assert_array_equal(y.numpy(), 2 * X)
    assert layer.count.item() == 0
    assert nn.apply(layer, {}, state, X)[1]["count"].item() == 3


def test_state_flows_through_jit() -> None:
    layer = Counter()
    layer.initialize(X)
    step = gl.jit(lambda s, x: nn.apply(layer, {}, s, x, training=True)[1])
    state = layer.state()
    for _ in range(4):
        state = step(state, X)
    assert state["count"].item() == 4
    assert len(step.programs) == 1


def test_parameters_are_named_by_their_place_and_shared_ones_occur_once() -> None:
    model = Branches()
    model.initialize(X)
    _, definition = tree.flatten(model.parameters())
    assert {".".join(path) for path in tree.paths(definition)} == {
        *("first.weight", "first.bias", "many.0.weight", "many.0.bias", "named.a.weight", "named.a.bias")
    }
    gradient = gl.grad(lambda m: gl.sum(m(X)))(model)
    w, b = model.first.weight, model.first.bias
    assert b is not None

    def by_hand(weight: gl.Tensor) -> gl.Tensor:
        hidden = (X @ weight + b) @ weight + b
        return gl.sum(model.named["a"](model.many[0](hidden)))

    np.testing.assert_allclose(gradient.first.weight.numpy(), gl.grad(by_hand)(w).numpy(), rtol=1e-5)


def test_arrays_are_taken_as_they_are() -> None:
    class Plain(nn.Module):
        def forward(self, x):
            return x.astype("float64").reshape(-1)

    assert Plain()(X).dtype == np.float64
    assert isinstance(nn.Identity()(X), gl.Tensor)


def test_lists_of_numbers_are_taken_and_others_left_alone() -> None:
    dense = nn.Dense(2)
    rows = [[1.0, 2.0], [3.0, 4.0]]
    np.testing.assert_array_equal(dense(rows).numpy(), dense(np.array(rows, np.float32)).numpy())

    class Sum(nn.Module):
        def forward(self, parts):
            assert isinstance(parts, list)
            return sum(parts[1:], parts[0])

    assert Sum()([gl.ones(2), gl.ones(2)]).tolist() == [2.0, 2.0]


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Empty must define forward"):
        type("Empty", (nn.Module,), {})()(X)


def test_no_module_is_inside_itself() -> None:
    outer = nn.Sequential(nn.Dense(2))
    outer.layers = (*outer.layers, nn.Sequential(outer))
    with pytest.raises(OptionError, match="data flow one way, so no module is inside itself; got Sequential in Seq"):
        outer(np.zeros((1, 2), np.float32))
    twice = nn.Dense(2)
    assert nn.Sequential(twice, nn.Sequential(twice))(np.zeros((1, 2), np.float32)).shape == (1, 2)


def test_repr_and_config_of_a_module_without_options() -> None:
    assert nn.Flatten().config() == {}
    assert repr(nn.Flatten()) == "Flatten()"
