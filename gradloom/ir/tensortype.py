"""What is known of a tensor before it has a value: its shape and its data type.

Promotion.  When two tensors meet in one operation the result has the later of their two types in this order,
with two exceptions (``uint32`` meeting ``int32`` gives ``int64``, and ``float16`` meeting ``bfloat16`` gives
``float32``, which hold both):

    bool < uint8 < uint32 < int32 < int64 < float16, bfloat16 < float32 < float64

So an integer tensor never widens a float one (``int64 + float32`` is ``float32``, as in PyTorch and JAX; NumPy
would give ``float64``).  Python numbers are weak: they take the type of the tensor they meet, except that a float
lifts integers and booleans to ``float32``, and an int lifts booleans to ``int64``.

``bfloat16`` is the upper half of a float32: its range, and 8 bits of significand.  NumPy has no such type; the package
ml_dtypes brings it, and is loaded when the type is first asked for.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np

from gradloom.errors import DTypeError, MissingPackageError
from gradloom.records import dataclass

ORDER = ("bool", "uint8", "uint32", "int32", "int64", "float16", "bfloat16", "float32", "float64")
_RANK = {name: rank for rank, name in enumerate(ORDER)}
_HOLDING_BOTH = {frozenset(("uint32", "int32")): "int64", frozenset(("float16", "bfloat16")): "float32"}

# NumPy types outside the list that are taken in without loss.
_WIDENED = {"int8": "int32", "int16": "int32", "uint16": "int32", "uint64": "int64"}

_NAMES = {np.dtype(name): name for name in ORDER if name != "bfloat16"}

DEFAULT_FLOAT = np.dtype("float32")
DEFAULT_INT = np.dtype("int64")


@dataclass(frozen=True)
class TensorType:
    """Shape and data type of one tensor; prints as ``float32[3,4]``."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def is_float(self) -> bool:
        """Whether a derivative with respect to such a tensor exists."""
        return is_float(self.dtype)

    def with_shape(self, shape: tuple[int, ...]) -> TensorType:
        """The same data type in another shape."""
        return TensorType(tuple(shape), self.dtype)

    def with_dtype(self, dtype: str | np.dtype) -> TensorType:
        """The same shape in another data type."""
        return TensorType(self.shape, np.dtype(dtype))

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype.char))  # the hash of a data type itself takes a microsecond

    def __str__(self) -> str:
        return f"{name_of(self.dtype)}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class TupleType:
    """The result of an operation with several results (loops and branches)."""

    parts: tuple[TensorType, ...]

    @property
    def nbytes(self) -> int:
        """Number of bytes of all."""
        return sum(part.nbytes for part in self.parts)

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.parts))})"


def kind_of(dtype: np.dtype) -> str:
    """What a data type holds, as NumPy's letter: "b" booleans, "u" and "i" integers, "f" floats.

    NumPy takes bfloat16, which is not its own, for raw bytes ("V"); so ask here, not for ``dtype.kind``.
    """
    return "f" if is_bfloat16(dtype) else dtype.kind


def is_float(dtype: np.dtype) -> bool:
    """Whether a data type holds floats."""
    return kind_of(dtype) == "f"


def is_bfloat16(dtype: np.dtype) -> bool:
    """Whether a data type is the upper half of a float32."""
    return dtype.kind == "V" and dtype.name == "bfloat16"


def bfloat16() -> np.dtype:
    """The data type bfloat16.

    Raises:
        MissingPackageError: ml_dtypes is not installed.
    """
    return np.dtype(_ml_dtypes().bfloat16)


def finfo(dtype: Any) -> Any:
    """The limits of a floating data type, as ``np.finfo`` has them: ``eps``, ``max``, ``tiny``, ...

    Args:
        dtype: bfloat16 or one of NumPy's.
    """
    wanted = as_dtype(dtype, "finfo")
    return _ml_dtypes().finfo(wanted) if is_bfloat16(wanted) else np.finfo(wanted)


def _ml_dtypes() -> ModuleType:
    try:
        import ml_dtypes  # noqa: PLC0415
    except ImportError:
        raise MissingPackageError(
            "bfloat16",
            rule="NumPy has no such type, so it needs the package ml_dtypes",
            fix="Run: pip install 'gradloom[bfloat16]'.",
        ) from None
    return ml_dtypes


def name_of(dtype: np.dtype) -> str:
    """The name of a supported data type; NumPy works its own out each time that it is asked, which takes a while."""
    return _NAMES.get(dtype) or dtype.name


def as_dtype(dtype: object, who: str = "dtype") -> np.dtype:
    """The supported data type that ``dtype`` names (a string, a NumPy type, or Python's bool, int, float).

    Python's ``float`` means float32 and ``int`` means int64, the defaults of this library.

    Raises:
        DTypeError: no tensor can have this type.
    """
    if isinstance(dtype, np.dtype) and dtype.isnative and name_of(dtype) in _RANK:
        return dtype
    if dtype is float:
        return DEFAULT_FLOAT
    if dtype is int:
        return DEFAULT_INT
    if isinstance(dtype, str) and dtype == "bfloat16":
        return bfloat16()
    try:
        found = np.dtype(dtype)  # type: ignore[call-overload]
    except TypeError:
        found = None
    if found is not None:
        found = np.dtype(_WIDENED.get(found.name, found.newbyteorder("=")))
        if found.name in _RANK:
            return found
    raise DTypeError(
        who,
        rule="a tensor holds numbers or booleans",
        got=f"the type {dtype}",
        fix=f"Convert it to one of: {', '.join(ORDER)}.",
    )


def promote(first: np.dtype, second: np.dtype) -> np.dtype:
    """The data type of the result when tensors of two types meet (the table in this file's head)."""
    if first == second:
        return first
    names = name_of(first), name_of(second)
    if names[0] != names[1] and (both := _HOLDING_BOTH.get(frozenset(names))):
        return np.dtype(both)
    return first if _RANK[names[0]] >= _RANK[names[1]] else second


def promote_scalar(dtype: np.dtype, scalar: bool | int | float) -> np.dtype:
    """The data type of the result when a tensor meets a Python number, which is weak."""
    if isinstance(scalar, bool) or is_float(dtype):
        return dtype
    if isinstance(scalar, int):
        return DEFAULT_INT if dtype.kind == "b" else dtype
    return DEFAULT_FLOAT
