"""Promotion, weak numbers, broadcasting and conversion, against tables written out by hand."""
# ruff: noqa: E501
# Golden messages stand on one line, so that they can be searched for.

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gradloom as gl
from gradloom.errors import DTypeError, ShapeError
from gradloom.ir.tensortype import ORDER

# Rows and columns in the order bool, uint8, uint32, int32, int64, float16, bfloat16, float32, float64.
PROMOTION = """
bool     uint8    uint32   int32    int64    float16  bfloat16 float32  float64
uint8    uint8    uint32   int32    int64    float16  bfloat16 float32  float64
uint32   uint32   uint32   int64    int64    float16  bfloat16 float32  float64
int32    int32    int64    int32    int64    float16  bfloat16 float32  float64
int64    int64    int64    int64    int64    float16  bfloat16 float32  float64
float16  float16  float16  float16  float16  float16  float32  float32  float64
bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 float32  bfloat16 float32  float64
float32  float32  float32  float32  float32  float32  float32  float32  float64
float64  float64  float64  float64  float64  float64  float64  float64  float64
"""
NAMES = ("bool", "uint8", "uint32", "int32", "int64", "float16", "bfloat16", "float32", "float64")
TABLE = {
    (row, column): wanted
    for row, line in zip(NAMES, PROMOTION.split("\n")[1:])
    for column, wanted in zip(NAMES, line.split())
}

# What a tensor becomes when it meets True, 2 and 2.5.
WEAK = {
    "bool": ("bool", "int64", "float32"),
    "uint8": ("uint8", "uint8", "float32"),
    "uint32": ("uint32", "uint32", "float32"),
    "int32": ("int32", "int32", "float32"),
    "int64": ("int64", "int64", "float32"),
    "float16": ("float16", "float16", "float16"),
    "bfloat16": ("bfloat16", "bfloat16", "bfloat16"),
    "float32": ("float32", "float32", "float32"),
    "float64": ("float64", "float64", "float64"),
}


def test_the_tables_are_complete():
    assert set(NAMES) == set(ORDER) == set(WEAK)
    assert len(TABLE) == len(NAMES) ** 2


@pytest.mark.parametrize(("first", "second"), TABLE)
def test_promotion(first: str, second: str):
    x, y = gl.ones((2,), first), gl.ones((2,), second)
    assert gl.concatenate([x, y]).dtype == TABLE[first, second]
    assert gl.where(gl.tensor([True, False]), x, y).dtype == TABLE[first, second]
    if "bool" not in (first, second):
        assert (x + y).dtype == TABLE[first, second]


@pytest.mark.parametrize("dtype", WEAK)
def test_python_numbers_are_weak(dtype: str):
    x, mask = gl.ones((2,), dtype), gl.tensor([True, False])
    found = tuple(gl.where(mask, x, number).dtype.name for number in (True, 2, 2.5))
    assert found == WEAK[dtype]
    assert tuple(gl.where(mask, number, x).dtype.name for number in (True, 2, 2.5)) == WEAK[dtype]


def test_numpy_numbers_are_not_weak():
    assert (gl.ones((2,)) * np.float64(2)).dtype == "float64"
    assert (gl.ones((2,)) * 2.0).dtype == "float32"


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (True, "bool"), (1, "int64"), (1.5, "float32"), ([1, 2], "int64"), ([1, 2.5], "float32"), ([], "float32"),
        (np.int8(1), "int32"), (np.uint16(1), "int32"), (np.uint64(1), "int64"), (np.float16(1), "float16"),
        (np.zeros(2), "float64"), (np.zeros(2, ">f8"), "float64"),
    ],
)  # fmt: skip
def test_types_of_made_tensors(value, dtype: str):
    found = gl.tensor(value)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.numpy(), value)


def test_tensors_copy_their_array():
    array = np.zeros(2)
    made = gl.tensor(array)
    array[0] = 1
    assert made.tolist() == [0, 0]
    with pytest.raises(ValueError, match="read-only"):
        made.numpy()[0] = 1


@pytest.mark.parametrize("value", ["text", ["a"], 1j, object(), [[1], [1, 2]], None])
def test_things_that_are_no_tensors(value):
    with pytest.raises(DTypeError):
        gl.tensor(value)


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda: gl.tensor(300, "uint8"), "300"),
        (lambda: gl.tensor([1, -1], "uint32"), "-1"),
        (lambda: gl.tensor([1], "uint8") + 300, "300"),
        (lambda: gl.tensor(np.array([2**63], np.uint64)), str(2**63)),
        (lambda: gl.clip(gl.tensor([1], "uint8"), -1, 2), "-1"),
    ],
)
def test_whole_numbers_out_of_range_are_refused(make, got: str):
    with pytest.raises(DTypeError, match=rf"lies between .*; got {got}\. Use a wider data type"):
        make()


def test_large_floats_become_infinite_without_a_warning():
    assert (gl.ones((), "float32") * 1e300).item() == np.inf


def test_broadcasting_error_names_both_shapes_and_the_sizes():
    with pytest.raises(ShapeError) as caught:
        gl.zeros((2, 3)) + gl.zeros((4, 1, 2))
    assert str(caught.value) == (
        "add: shapes must agree from the last axis on, or have size 1; got float32[2,3] and float32[4,1,2]. "
        "Sizes 3 and 2 meet at axis -1; reshape one of the operands."
    )
    with pytest.raises(ShapeError) as caught:
        gl.where(gl.tensor([True, False]), gl.zeros((3, 1)), gl.zeros((4, 2)))
    assert str(caught.value) == (
        "where: shapes must agree from the last axis on, or have size 1; "
        "got bool[2] and float32[3,1] and float32[4,2]. Sizes 3 and 4 meet at axis -2; reshape one of the operands."
    )


def test_matmul_error_names_both_types():
    with pytest.raises(ShapeError) as caught:
        gl.zeros((2, 3)) @ gl.zeros((2, 3))
    assert str(caught.value) == (
        "matmul: the last size of the left operand must be the last but one of the right; "
        "got float32[2,3] @ float32[2,3]: 3 and 2"
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gl.sum(gl.zeros((2, 3)), 2), "sum: the axis must be one of the operand's; got axis 2 for float32[2,3]. Use an axis from -2 to 1."),
        (lambda: gl.sum(gl.zeros(()), 0), "sum: the axis must be one of the operand's; got axis 0 for float32[]. A scalar has no axes."),
        (lambda: gl.sum(gl.zeros((2, 3)), (0, -2)), "sum: each axis may be named once; got axes (0, -2) for float32[2,3]"),
        (lambda: gl.zeros((2, 3)).reshape(4), "reshape: the number of elements must stay the same; got float32[2,3] (6 elements) to shape (4,) (4 elements). Let one size be -1 to have it worked out."),
        (lambda: gl.zeros((2, 3)).reshape(4, -1), "reshape: the known sizes must divide the number of elements; got float32[2,3] (6 elements) to shape (4, -1)"),
        (lambda: gl.zeros((2, 3)).transpose(0, 0), "transpose: the axes must be a permutation of the operand's; got axes (0, 0) for float32[2,3]. Name each of the axes 0 to 1 once."),
        (lambda: gl.concatenate([]), "concatenate: at least one tensor is needed; got none"),
        (lambda: gl.concatenate([gl.zeros((2, 3)), gl.zeros((2, 2))]), "concatenate: all sizes but that of axis 0 must agree; got float32[2,3] and float32[2,2]. Join them along axis 1, or bring them to equal sizes by slicing or gl.pad."),
        (lambda: gl.concatenate([gl.zeros((2, 3, 1)), gl.zeros((2, 2, 2))]), "concatenate: all sizes but that of axis 0 must agree; got float32[2,3,1] and float32[2,2,2]. Bring them to equal sizes by slicing or gl.pad."),
        (lambda: gl.concatenate([gl.zeros((2, 3)), gl.zeros(3)]), "concatenate: all sizes but that of axis 0 must agree; got float32[2,3] and float32[3]. Give both the same number of axes, e.g. with gl.expand_dims."),
        (lambda: gl.split(gl.zeros(5), 2), "split: the number of pieces must divide the axis; got 2 pieces of 5"),
        (lambda: gl.max(gl.zeros((0, 2)), 0), "max: the reduced axes must not be empty; got float32[0,2] along axes (0,)"),
        (lambda: gl.zeros((2, -1)), "full: sizes are whole numbers from 0; got (2, -1)"),
        (lambda: gl.exp(gl.tensor([1.0])) & True, "logical_and: operands must be of boolean or signed integer or unsigned integer type; got float32[1]. Convert with gl.cast(x, dtype)."),
        (lambda: gl.where(gl.ones(2), 1, 2), "where: the condition must be boolean; got float32[2]. Compare it, as in x > 0."),
        (lambda: gl.einsum("ij,jk->ik", gl.zeros((2, 3)), gl.zeros((4, 2))), "einsum: the letter 'j' must stand for one size; got 3 and 4"),
        (lambda: gl.einsum("ij->ii", gl.zeros((2, 2))), "einsum: the spec needs one group of letters an operand, and every letter after -> once and from the left; got 'ij->ii' for 1 operands. Write it like \"ij,jk->ik\"."),
        (lambda: gl.take(gl.zeros(3), [3]), "take: positions along an axis of size 3 go from 0 to 2; got 3. Check the indices, or bring them into range with gl.clip."),
        (lambda: gl.tensor([1.0], "complex64"), "tensor: a tensor holds numbers or booleans; got the type complex64. Convert it to one of: bool, uint8, uint32, int32, int64, float16, bfloat16, float32, float64."),
        (lambda: gl.squeeze(gl.zeros((2, 1)), 0), "squeeze: only axes of size 1 can be taken out; got axes (0,) of float32[2,1]"),
        (lambda: gl.top_k(gl.zeros(3), 4), "top_k: k lies between 0 and the axis' size 3; got k = 4 for float32[3]"),
        (lambda: bool(gl.zeros(2)), "bool: only one element is true or false; got float32[2]. Use gl.all or gl.any."),
    ],
    ids=range(22),
)  # fmt: skip
def test_golden_messages(call, message: str):
    with pytest.raises(Exception) as caught:
        call()
    assert str(caught.value) == message


SHAPES = hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3)


@given(SHAPES)
def test_shapes_broadcast_as_numpy(shapes):
    x, y, z = (np.ones(s) for s in shapes.input_shapes)
    assert (gl.tensor(x) + y).shape == (x + y).shape
    assert gl.where(gl.tensor(x > 0), y, z).shape == shapes.result_shape


@given(hnp.array_shapes(min_dims=0, max_dims=3, max_side=3), hnp.array_shapes(min_dims=0, max_dims=3, max_side=3))
def test_shapes_that_do_not_broadcast_are_refused_as_by_numpy(a, b):
    try:
        wanted = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ShapeError):
            gl.zeros(a) + gl.zeros(b)
        return
    assert (gl.zeros(a) + gl.zeros(b)).shape == wanted


@given(st.sampled_from([np.int32, np.int64]), st.integers(-4, 4), st.integers(0, 9))
def test_whole_powers_of_integers_are_exact(dtype, base: int, exponent: int):
    found = gl.tensor(np.array([base], dtype)) ** exponent
    assert found.dtype == dtype
    assert found.tolist() == [base**exponent]
    assert gl.power(np.array([base], dtype), exponent).dtype == dtype
