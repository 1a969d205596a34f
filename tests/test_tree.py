"""Nested values apart and together."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradloom import tree
from gradloom.errors import ShapeError

LEAVES = st.integers() | st.text(max_size=2)
TREES = st.recursive(
    LEAVES | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)


class Pair(NamedTuple):
    first: object
    second: object


@given(TREES)
def test_apart_and_together_again(value):
    leaves, definition = tree.flatten(value)
    assert tree.unflatten(definition, leaves) == value
    assert len(leaves) == definition.leaves == len(tree.paths(definition))
    assert hash(definition) == hash(tree.flatten(value)[1])
    assert tree.map(lambda leaf: leaf, value) == value


def test_dicts_flatten_in_the_order_of_their_keys():
    first, second = {"b": 1, "a": 2}, {"a": 2, "b": 1}
    assert tree.flatten(first) == tree.flatten(second)
    assert tree.leaves(first) == [2, 1]


def test_paths_name_the_way_to_each_leaf():
    definition = tree.flatten({"layers": [{"w": 1, "b": 2}, 3], "pair": Pair(4, None)})[1]
    assert [".".join(p) for p in tree.paths(definition)] == ["layers.0.b", "layers.0.w", "layers.1", "pair.first"]


def test_named_tuples_keep_their_class():
    found = tree.map(lambda x: x + 1, Pair(1, (2, 3)))
    assert isinstance(found, Pair)
    assert found == Pair(2, (3, 4))


def test_none_has_no_leaves_and_structures_differ_by_class():
    assert tree.leaves([None, 1]) == [1]
    assert tree.flatten([1])[1] != tree.flatten((1,))[1]
    assert tree.flatten({"a": 1})[1] != tree.flatten({"b": 1})[1]


def test_other_classes_are_leaves():
    ordered = OrderedDict(a=1)
    assert tree.leaves([ordered]) == [ordered]


def test_registered_classes_come_apart_and_so_do_their_subclasses():
    class Box:
        def __init__(self, content, label):
            self.content, self.label = content, label

    class Crate(Box):
        pass

    tree.register(Box, lambda b: ([("content", b.content)], b.label), lambda label, parts: Box(parts[0], label))
    leaves, definition = tree.flatten({"box": Crate([1, 2], "red")})
    assert leaves == [1, 2]
    built = tree.unflatten(definition, [3, 4])["box"]
    assert (built.content, built.label) == ([3, 4], "red")


def test_map_over_several_trees():
    assert tree.map(lambda a, b, c: a + b * c, {"x": 1}, {"x": 2}, {"x": 3}) == {"x": 7}
    with pytest.raises(ShapeError) as caught:
        tree.map(lambda a, b: a, {"x": 1, "y": [2]}, {"x": 1})
    assert str(caught.value) == (
        "tree.map: all trees must have one structure; got {x, y.0} and {x}. "
        "Pass values nested alike: the same keys, the same lengths."
    )
