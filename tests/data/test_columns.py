"""Examples as columns and as rows."""

from __future__ import annotations

import numpy as np
import pytest

from gradloom import data
from gradloom.errors import ShapeError


def test_columns_become_rows_and_back() -> None:
    x = np.arange(12.0).reshape(3, 4)
    y = np.array([[0, 1, 1, 0]])
    rows, labels = data.from_columns(x, y)
    assert rows.shape == (4, 3)
    assert rows[1].tolist() == [1.0, 5.0, 9.0]
    assert labels.tolist() == [0, 1, 1, 0]
    assert np.shares_memory(rows, x)
    np.testing.assert_array_equal(data.to_columns(rows), x)
    np.testing.assert_array_equal(data.to_columns(labels), y)


def test_images_of_the_notes() -> None:
    """a images of 64·64·3 become the columns of (12288, a), and rows of 12288 again (catalogue 2, O7)."""
    images = np.random.default_rng(0).normal(size=(5, 64, 64, 3))
    columns = data.to_columns(images.reshape(5, -1))
    assert columns.shape == (12288, 5)
    np.testing.assert_array_equal(columns, images.reshape(5, -1).T)
    np.testing.assert_array_equal(data.from_columns(columns), images.reshape(5, -1))


def test_several_targets_stay_rows() -> None:
    x, y = data.from_columns(np.ones((2, 4)), np.ones((3, 4)))
    assert (x.shape, y.shape) == ((4, 2), (4, 3))


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="one column for each example; got 4 and 3"):
        data.from_columns(np.ones((2, 4)), np.ones((1, 3)))
    with pytest.raises(ShapeError, match="there must be an axis of examples"):
        data.from_columns(3.0)
    with pytest.raises(ShapeError, match="there must be an axis of examples"):
        data.to_columns(3.0)
