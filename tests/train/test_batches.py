"""Batches of an epoch: how many, and that each example is in one."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom.train.batches import Batches


@pytest.mark.parametrize("key", [None, gl.random.key(3)], ids=["in order", "shuffled"])
def test_a_thousand_examples_by_ten_are_a_hundred_updates(key: gl.Tensor | None) -> None:
    """Catalogue 102, O8; in order the batches begin with the examples 1, 11, ..., 991, counted from 1."""
    batches = Batches(1000, 10)
    rows = batches.rows(key, 0, len(batches)).numpy()
    assert rows.shape == (100, 10)
    np.testing.assert_array_equal(np.sort(rows.reshape(-1)), np.arange(1000))
    if key is None:
        np.testing.assert_array_equal(rows[:, 0] + 1, np.arange(1, 992, 10))
