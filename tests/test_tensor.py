"""What a user holds: attributes, conversions, and the messages where a symbolic value is asked for its number."""
# ruff: noqa: E501
# Golden messages stand on one line, so that they can be searched for.

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradloom as gl
from gradloom.errors import DTypeError, ShapeError, SymbolicValueError


def nested(depth: int) -> Any:
    """A number in so many lists."""
    return [nested(depth - 1)] if depth else 1.0


def test_attributes():
    t = gl.tensor(np.arange(6.0).reshape(2, 3))
    assert (t.shape, t.ndim, t.size, len(t), t.dtype, t.is_symbolic) == ((2, 3), 2, 6, 2, np.float64, False)
    assert str(t.type) == "float64[2,3]"
    assert t.T.shape == (3, 2)
    assert [row.tolist() for row in t] == [[0, 1, 2], [3, 4, 5]]
    assert t.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_conversions():
    t = gl.tensor(3)
    assert (int(t), float(t), bool(t), t.item(), f"{gl.tensor(2.5):.2f}") == (3, 3.0, True, 3, "2.50")
    assert np.asarray(gl.tensor([1.0])).dtype == "float32"
    assert np.asarray(gl.tensor([1.0]), "float64").dtype == "float64"
    assert np.array(gl.tensor([1.0]), copy=True).flags.writeable


def test_text():
    assert repr(gl.tensor([1.0, 2.0])) == "Tensor([1., 2.], float32)"
    shown = []
    gl.jit(lambda x: shown.append(repr(x)) or x)(np.ones(2))
    assert shown == ["Tensor(float64[2], symbolic)"]


def test_tensors_of_tensors():
    parts = [gl.tensor(1.0), gl.tensor(2.0)]
    assert gl.tensor([parts, parts]).tolist() == [[1, 2], [1, 2]]
    assert gl.grad(lambda x: gl.sum(gl.tensor([x, 2 * x]) ** 2))(np.array(1.0)).item() == 10


def test_tensors_are_hashable_and_compare_by_element():
    t = gl.tensor([1, 2])
    assert {t: "found"}[t] == "found"
    assert (t == gl.tensor([1, 3])).tolist() == [True, False]
    assert (t == "text") is False


def test_methods():
    x = np.arange(6.0).reshape(2, 3)
    t = gl.tensor(x)
    assert t.reshape(3, -1).tolist() == t.reshape((3, 2)).tolist() == x.reshape(3, 2).tolist()
    assert t.transpose(1, 0).tolist() == t.transpose((1, 0)).tolist() == x.T.tolist()
    assert t.astype("int32").dtype == np.int32
    assert (t.sum().item(), t.mean(0).tolist(), t.max(1).tolist(), t.min().item()) == (15, [1.5, 2.5, 3.5], [2, 5], 0)


SYMBOLIC = "the value is not known while the function is traced; got a symbolic float64[2]."


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: 1 if x else 2, f"bool: {SYMBOLIC} Use gl.where(condition, a, b) for values or gl.cond for whole branches."),
        (lambda x: float(x), f"float: {SYMBOLIC} Keep it a tensor: operators and gl functions take tensors."),
        (lambda x: int(x), f"int: {SYMBOLIC} Keep it a tensor; sizes and axes must be Python integers from shapes."),
        (lambda x: range(x), f"index: {SYMBOLIC} Use gl.take(x, i), or make the number an argument that is not traced."),
        (lambda x: np.asarray(x), f"np.asarray: {SYMBOLIC} Use the gl function of the same name instead of NumPy's."),
        (lambda x: np.sum(np.array(x)), f"np.asarray: {SYMBOLIC} Use the gl function of the same name instead of NumPy's."),
        (lambda x: x.numpy(), f"numpy(): {SYMBOLIC} Compute with gl functions inside the traced function, and convert its result."),
        (lambda x: x.tolist(), f"numpy(): {SYMBOLIC} Compute with gl functions inside the traced function, and convert its result."),
        (lambda x: x.item(), f"item(): {SYMBOLIC} Return the tensor from the traced function, and ask for its number there."),
        (lambda x: x[x > 0], "index: a boolean index must be known while tracing, for the shape of the result depends on it; got bool[2]. Use gl.where(mask, x, 0), which keeps the shape."),
        (lambda x: list(x[x > 0]), "index: a boolean index must be known while tracing, for the shape of the result depends on it; got bool[2]. Use gl.where(mask, x, 0), which keeps the shape."),
    ],
    ids=range(11),
)  # fmt: skip
@pytest.mark.parametrize(
    "transform", [gl.jit, lambda f: gl.grad(lambda x: gl.sum(f(x))), lambda f: lambda x: gl.vmap(f)(np.stack([x]))]
)
def test_symbolic_misuse_names_the_remedy(use, message: str, transform):
    with pytest.raises(SymbolicValueError) as caught:
        transform(use)(np.ones(2))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("use", "kind", "message"),
    [
        (lambda: gl.zeros(2).item(), ShapeError, "item(): the tensor must have one element; got float32[2]"),
        (lambda: len(gl.zeros(())), ShapeError, "len: a scalar has no length; got float32[]"),
        (lambda: range(gl.tensor(1.5)), DTypeError, "index: an index is an integer; got float32[]"),
        (lambda: gl.zeros(2) ** "a", DTypeError, "power: a tensor holds numbers or booleans; got the type <U1. Convert it to one of: bool, uint8, uint32, int32, int64, float16, bfloat16, float32, float64."),
        (lambda: gl.tensor([[1, 2], [3]]), DTypeError, "tensor: a tensor is made of numbers in rows of equal length; got a row of length 2 beside a row of length 1. Fill up the short rows, or make several tensors."),
        (lambda: gl.tensor([1, [3]]), DTypeError, "tensor: a tensor is made of numbers in rows of equal length; got a single value beside a row of length 1. Fill up the short rows, or make several tensors."),
        (lambda: gl.tensor([[[1, 2], [3]], [[4], [5]]]), DTypeError, "tensor: a tensor is made of numbers in rows of equal length; got a row of length 2 beside a row of length 1. Fill up the short rows, or make several tensors."),
        (lambda: gl.tensor([np.ones(2), np.ones((3, 1))]), DTypeError, "tensor: a tensor is made of numbers in rows of equal length; got a row of length 2 beside a row of length 3. Fill up the short rows, or make several tensors."),
        (lambda: gl.tensor(nested(70)), DTypeError, "tensor: a tensor is made of numbers in rows of equal length; got lists nested too deep. Fill up the short rows, or make several tensors."),
    ],
    ids=range(9),
)  # fmt: skip
def test_golden_messages(use, kind, message: str):
    with pytest.raises(kind) as caught:
        use()
    assert str(caught.value) == message


def test_unknown_operands_are_left_to_python():
    with pytest.raises(TypeError, match="unsupported operand"):
        gl.zeros(2) + object()
