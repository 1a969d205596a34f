"""Embedding: rows of a table, gradients that add up, indices outside."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn
from gradloom.errors import DTypeError, IndexRangeError


def test_rows_and_their_gradients() -> None:
    layer = nn.Embedding(4, 3)
    words = np.array([[2, 0], [2, 2]])
    y = layer(words)
    np.testing.assert_array_equal(y.numpy(), layer.weight.numpy()[words])
    gradient = gl.grad(lambda m: gl.sum(m(words)))(layer).parameters()["weight"]
    np.testing.assert_array_equal(gradient.numpy(), np.array([[1], [0], [3], [0]]) * np.ones(3))


@pytest.mark.parametrize("wrong", [4, -1])
def test_indices_outside_are_refused(wrong: int) -> None:
    layer = nn.Embedding(4, 3)
    layer(np.array([0]))
    for f in (layer, gl.jit(layer)):
        with pytest.raises(IndexRangeError, match=rf"positions along an axis of size 4 go from 0 to 3; got {wrong}"):
            f(np.array([1, wrong]))


def test_floats_are_refused() -> None:
    with pytest.raises(DTypeError, match=r"^in Embedding: indices are integers; got float32\[1\]"):
        nn.Embedding(4, 3)(np.ones(1, np.float32))
