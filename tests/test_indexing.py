"""Indexing against NumPy."""
# ruff: noqa: E501
# Golden messages stand on one line, so that they can be searched for.

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gradloom as gl
from gradloom.errors import DTypeError, IndexRangeError, ShapeError, SymbolicValueError

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)


def numbered(shape) -> np.ndarray:
    """An array whose elements are all different."""
    return np.arange(np.prod(shape)).reshape(shape)


def assert_same(key, x: np.ndarray) -> None:
    """The value, eager and traced, is NumPy's."""
    np.testing.assert_array_equal(gl.tensor(x)[key].numpy(), x[key])
    np.testing.assert_array_equal(gl.jit(lambda t: t[key])(x).numpy(), x[key])


@given(st.data())
def test_basic_indices(data):
    shape = data.draw(SHAPES)
    assert_same(data.draw(hnp.basic_indices(shape, allow_newaxis=True)), numbered(shape))


@given(st.data())
def test_integer_arrays(data):
    shape = data.draw(SHAPES)
    size = data.draw(st.integers(1, len(shape)))
    result = hnp.array_shapes(min_dims=0, max_dims=2, max_side=3)
    keys = data.draw(hnp.integer_array_indices(shape[:size], result_shape=result))
    assert_same(tuple(keys), numbered(shape))


@given(st.data())
def test_boolean_masks(data):
    shape = data.draw(SHAPES)
    rank = data.draw(st.integers(1, len(shape)))
    assert_same(data.draw(hnp.arrays(bool, shape[:rank])), numbered(shape))


@given(st.data())
def test_mixtures(data):
    """Integer arrays, masks, integers, slices and new axes in one key, also apart from each other."""
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=4))
    key = []
    for n in shape:
        part = st.one_of(
            st.slices(n),
            st.integers(-n, n - 1),
            st.lists(st.integers(-n, n - 1), min_size=2, max_size=2),
            st.integers(0, n - 1).map(lambda i, n=n: np.arange(n) == i),
        )
        key += [data.draw(part)] + data.draw(st.sampled_from([[], [None]]))
    at = data.draw(st.integers(0, len(key)))
    assert_same((*key[:at], ..., *key[at:]), numbered(shape))


@given(st.data())
def test_gradient_of_reading_is_writing(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    x = numbered(shape).astype(float)
    weights = np.random.default_rng(0).standard_normal(x[key].shape)
    wanted = np.zeros(shape)
    np.add.at(wanted, key, weights)
    np.testing.assert_array_equal(gl.grad(lambda t: gl.sum(t[key] * weights))(x).numpy(), wanted)


def test_gradient_of_repeated_positions_adds_up():
    grad = gl.grad(lambda x: gl.sum(x[[0, 2, 0], [1, 1, 1]] * np.array([1.0, 2.0, 4.0])))(np.zeros((3, 2)))
    assert grad.tolist() == [[0, 5], [0, 0], [0, 2]]


def test_symbolic_integer_index():
    read = gl.jit(lambda x, i: x[i])
    assert read(np.array([1.0, 2.0, 3.0]), -1).item() == 3
    assert read(np.array([1.0, 2.0, 3.0]), np.array([2, 0])).tolist() == [3, 1]


def test_empty_list_of_positions():
    assert gl.zeros((3, 2))[[]].shape == (0, 2)


def test_a_tensor_is_an_index_of_lists_and_slices():
    assert [10, 20, 30][gl.tensor(1)] == 20
    assert gl.arange(5)[gl.tensor(1) : gl.tensor(3)].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        (3, IndexRangeError, "index: positions along axis 0 of size 3 go from -3 to 2; got 3"),
        ((0, -3), IndexRangeError, "index: positions along axis 1 of size 2 go from -2 to 1; got -3"),
        ((0, 0, 0), IndexRangeError, "index: there may be at most one index for each axis; got 3 indices for float32[3,2]"),
        ([0, 3], IndexRangeError, "index: positions along an axis of size 3 go from -3 to 2; got values from 0 to 3"),
        ((..., ...), ShapeError, "index: at most one ... is allowed; got (Ellipsis, Ellipsis)"),
        (1.0, DTypeError, "index: an index is an integer, a slice, ..., None, or an array of integers or booleans; got float32[]"),
        (True, DTypeError, "index: an index is an integer, a slice, ..., None, or an array of integers or booleans; got bool[]"),
        ([True, False], IndexRangeError, "index: a boolean index must have the size of the axis it stands at; got 2 for axis 0 of float32[3,2]"),
        ((..., [True, False, False]), IndexRangeError, "index: a boolean index must have the size of the axis it stands at; got 3 for axis 1 of float32[3,2]"),
        (slice(None, None, 0), ShapeError, "index: the step of a slice must not be 0; got slice(None, None, 0)"),
        (slice(0.5), DTypeError, "index: the bounds of a slice must be integers; got slice(None, 0.5, None)"),
    ],
    ids=str,
)  # fmt: skip
def test_golden_messages(key, kind, message: str):
    with pytest.raises(kind) as caught:
        gl.zeros((3, 2))[key]
    assert str(caught.value) == message


def test_symbolic_positions_out_of_range_are_found_when_the_program_runs():
    with pytest.raises(IndexRangeError, match="axis of size 3"):
        gl.jit(lambda x, i: gl.take(x, i))(np.zeros(3), np.array([3]))


@pytest.mark.parametrize("place", [(0, 2), (0, -3), (3, 0), (-4, 0)])
def test_a_symbolic_position_outside_its_axis_is_not_read_from_the_next_row(place):
    read = gl.jit(lambda x, i, j: x[i, j])
    assert read(np.arange(6).reshape(3, 2), 2, -1).item() == 5
    with pytest.raises(IndexRangeError):
        read(np.arange(6).reshape(3, 2), *place)


def test_symbolic_mask_and_symbolic_bound_name_the_remedy():
    with pytest.raises(SymbolicValueError) as caught:
        gl.jit(lambda x: x[x > 0])(np.ones(3))
    assert str(caught.value) == (
        "index: a boolean index must be known while tracing, for the shape of the result depends on it; "
        "got bool[3]. Use gl.where(mask, x, 0), which keeps the shape."
    )
    with pytest.raises(SymbolicValueError, match="make the number an argument that is not traced"):
        gl.jit(lambda x, n: x[:n])(np.ones(3), 2)
