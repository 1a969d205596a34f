"""Making tensors: of one value, of numbers in order, or from another tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradloom import semantics
from gradloom.ir.graph import fill
from gradloom.ir.tensortype import DEFAULT_FLOAT, DEFAULT_INT, TensorType, as_dtype, is_float
from gradloom.semantics import to_node
from gradloom.tensor import Tensor, TensorLike, node_of, tensor


def full(shape: int | Sequence[int], value: bool | int | float, dtype: Any = None) -> Tensor:
    """A tensor with one value everywhere; takes no memory until it is written."""
    sizes = semantics.normal_shape("full", shape)
    kind = to_node(value, "full").dtype if dtype is None else as_dtype(dtype, "full")
    return Tensor(fill(TensorType(sizes, kind), value))


def zeros(shape: int | Sequence[int], dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """Zeros, float32 unless said otherwise."""
    return full(shape, 0, dtype)


def ones(shape: int | Sequence[int], dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """Ones, float32 unless said otherwise."""
    return full(shape, 1, dtype)


def zeros_like(x: TensorLike, dtype: Any = None) -> Tensor:
    """Zeros in the shape (and data type) of ``x``."""
    like = node_of(x, "zeros_like")
    return full(like.shape, 0, dtype or like.dtype)


def ones_like(x: TensorLike, dtype: Any = None) -> Tensor:
    """Ones in the shape (and data type) of ``x``."""
    like = node_of(x, "ones_like")
    return full(like.shape, 1, dtype or like.dtype)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """Numbers from ``start`` (0 if only one bound is given) to before ``stop`` in steps."""
    first, last = (0, start) if stop is None else (start, stop)
    numbers = np.arange(first, last, step)
    default = DEFAULT_FLOAT if is_float(numbers.dtype) else DEFAULT_INT
    return tensor(numbers, default if dtype is None else dtype)


def linspace(start: float, stop: float, num: int = 50, dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """``num`` numbers at equal distances from ``start`` to ``stop``, both included."""
    return tensor(np.linspace(start, stop, num), dtype)


def eye(n: int, m: int | None = None, dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """The identity matrix."""
    return tensor(np.eye(n, m), dtype)


def cast(x: TensorLike, dtype: Any) -> Tensor:
    """``x`` in another data type; floats are cut towards zero on the way to integers."""
    return Tensor(semantics.cast(node_of(x, "cast"), dtype))
