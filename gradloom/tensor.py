"""What a user holds: a tensor.

A tensor is a node of a graph under a face like NumPy's.  One whose node is a constant has a value; one made while a
function is traced (by ``jit``, ``grad``, ``vmap``) stands for a value that is not known yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gradloom import indexing, semantics
from gradloom.autodiff.dual import Dual
from gradloom.errors import DTypeError, ShapeError, SymbolicValueError
from gradloom.ir.graph import Node, Op
from gradloom.ir.tensortype import TensorType
from gradloom.ops import core, elementwise, reduce
from gradloom.semantics import Axis

TensorLike = Any  # what a public function takes for a tensor: a tensor, an array, a number, or nested lists of numbers


def unwrap(value: Any) -> Any:
    """The node of a tensor; any other value as it is."""
    return value.node if isinstance(value, Tensor) else value


def node_of(value: TensorLike, who: str) -> Node:
    """The node of a tensor, or a new one for any other value."""
    return semantics.to_node(unwrap(value), who)


class Tensor:
    """A multi-dimensional array of numbers or booleans: a value, or a stand-in for one while a function is traced.

    Make one with :func:`gradloom.tensor` or the functions of the package; operators and methods follow NumPy.
    """

    __slots__ = ("node",)
    __array_priority__ = 1000  # NumPy leaves ``array * tensor`` to us
    __array_ufunc__ = None
    __hash__ = object.__hash__

    def __init__(self, node: Node) -> None:
        self.node = node

    # What it is -------------------------------------------------------------------------------------------------

    @property
    def type(self) -> TensorType:
        """Shape and data type together."""
        return self.node.tensor_type

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of each axis."""
        return self.node.shape

    @property
    def dtype(self) -> np.dtype:
        """Data type of the elements."""
        return self.node.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.type.size

    @property
    def T(self) -> Tensor:
        """The tensor with its axes reversed."""
        return self.transpose()

    @property
    def is_symbolic(self) -> bool:
        """Whether the value is not known yet (the tensor was made while a function is traced)."""
        return self.node.value is None

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("len", rule="a scalar has no length", got=str(self.type))
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        if self.is_symbolic:
            return f"Tensor({self.type}, symbolic)"
        return f"Tensor({np.array2string(self.node.value, separator=', ', prefix='Tensor(')}, {self.dtype.name})"

    # Its value --------------------------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """The value as a (read-only) NumPy array.

        Raises:
            SymbolicValueError: the value is not known while a function is traced.
        """
        return self._value("numpy()", "Compute with gl functions inside the traced function, and convert its result.")

    def item(self) -> bool | int | float:
        """The only element as a Python number."""
        value = self._value("item()", "Return the tensor from the traced function, and ask for its number there.")
        if value.size != 1:
            raise ShapeError("item()", rule="the tensor must have one element", got=str(self.type))
        return value.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.numpy().tolist()

    def _value(self, who: str, fix: str) -> np.ndarray:
        if self.node.value is None:
            raise SymbolicValueError(
                who, rule="the value is not known while the function is traced", got=f"a symbolic {self.type}", fix=fix
            )
        return self.node.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value = self._value("np.asarray", "Use the gl function of the same name instead of NumPy's.")
        return np.array(value, dtype) if copy or dtype is not None else value

    def __bool__(self) -> bool:
        value = self._value("bool", "Use gl.where(condition, a, b) for values or gl.cond for whole branches.")
        if value.size != 1:
            raise ShapeError(
                "bool", rule="only one element is true or false", got=str(self.type), fix="Use gl.all or gl.any."
            )
        return bool(value)

    def __float__(self) -> float:
        self._value("float", "Keep it a tensor: operators and gl functions take tensors.")
        return float(self.item())

    def __int__(self) -> int:
        self._value("int", "Keep it a tensor; sizes and axes must be Python integers from shapes.")
        return int(self.item())

    def __index__(self) -> int:
        self._value("index", "Use gl.take(x, i), or make the number an argument that is not traced.")
        if self.dtype.kind not in "iu":
            raise DTypeError("index", rule="an index is an integer", got=str(self.type))
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.shape == () and not self.is_symbolic else repr(self)

    @staticmethod
    def __primitive__(op: Op, values: Sequence[Any]) -> Tensor:
        """An elementwise primitive on numbers among which there are tensors (see gradloom/autodiff/dual.py)."""
        return Tensor(semantics.apply(op, *(unwrap(v) for v in values)))

    # Operators --------------------------------------------------------------------------------------------------

    def _with(self, op: Any, other: Any, *, swap: bool = False, floats: bool = False) -> Any:
        if not isinstance(other, (Tensor, np.ndarray, np.generic, bool, int, float, list, tuple)):
            return NotImplemented
        pair = (unwrap(other), self.node) if swap else (self.node, unwrap(other))
        return Tensor((semantics.apply_float if floats else semantics.apply)(op, *pair))

    def __add__(self, other: Any) -> Tensor:
        return self._with(core.add, other)

    def __radd__(self, other: Any) -> Tensor:
        return self._with(core.add, other, swap=True)

    def __sub__(self, other: Any) -> Tensor:
        return self._with(elementwise.sub, other)

    def __rsub__(self, other: Any) -> Tensor:
        return self._with(elementwise.sub, other, swap=True)

    def __mul__(self, other: Any) -> Tensor:
        return self._with(elementwise.mul, other)

    def __rmul__(self, other: Any) -> Tensor:
        return self._with(elementwise.mul, other, swap=True)

    def __truediv__(self, other: Any) -> Tensor:
        return self._with(elementwise.div, other, floats=True)

    def __rtruediv__(self, other: Any) -> Tensor:
        return self._with(elementwise.div, other, swap=True, floats=True)

    def __floordiv__(self, other: Any) -> Tensor:
        return self._with(elementwise.floor_divide, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return self._with(elementwise.floor_divide, other, swap=True)

    def __mod__(self, other: Any) -> Tensor:
        return self._with(elementwise.remainder, other)

    def __rmod__(self, other: Any) -> Tensor:
        return self._with(elementwise.remainder, other, swap=True)

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, Dual):
            return NotImplemented
        return Tensor(semantics.power(self.node, unwrap(other)))

    def __rpow__(self, other: Any) -> Tensor:
        return Tensor(semantics.power(unwrap(other), self.node))

    def __matmul__(self, other: Any) -> Tensor:
        return Tensor(semantics.matmul(self.node, unwrap(other)))

    def __rmatmul__(self, other: Any) -> Tensor:
        return Tensor(semantics.matmul(unwrap(other), self.node))

    def __neg__(self) -> Tensor:
        return Tensor(elementwise.neg(self.node))

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return Tensor(elementwise.abs(self.node))

    def __invert__(self) -> Tensor:
        return Tensor(elementwise.logical_not(self.node))

    def __and__(self, other: Any) -> Tensor:
        return self._with(elementwise.logical_and, other)

    def __or__(self, other: Any) -> Tensor:
        return self._with(elementwise.logical_or, other)

    def __xor__(self, other: Any) -> Tensor:
        return self._with(elementwise.logical_xor, other)

    def __eq__(self, other: Any) -> Any:  # type: ignore[override]
        return self._with(elementwise.eq, other)

    def __ne__(self, other: Any) -> Any:  # type: ignore[override]
        return self._with(elementwise.ne, other)

    def __lt__(self, other: Any) -> Tensor:
        return self._with(elementwise.lt, other)

    def __le__(self, other: Any) -> Tensor:
        return self._with(elementwise.le, other)

    def __gt__(self, other: Any) -> Tensor:
        return self._with(elementwise.gt, other)

    def __ge__(self, other: Any) -> Tensor:
        return self._with(elementwise.ge, other)

    def __getitem__(self, key: Any) -> Tensor:
        parts = tuple(unwrap(p) for p in key) if isinstance(key, tuple) else unwrap(key)
        return Tensor(indexing.get(self.node, parts))

    # Methods ----------------------------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape; one size may be -1."""
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        return Tensor(semantics.reshape(self.node, sizes))

    def transpose(self, *axes: Any) -> Tensor:
        """Axes in another order; reversed when none are named."""
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        return Tensor(semantics.transpose(self.node, order or None))

    def astype(self, dtype: Any) -> Tensor:
        """The elements in another data type."""
        return Tensor(semantics.cast(self.node, dtype))

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The sum along axes (all by default)."""
        return Tensor(semantics.sum(self.node, axis, keepdims))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean along axes (all by default)."""
        return Tensor(semantics.mean(self.node, axis, keepdims))

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest element along axes (all by default)."""
        return Tensor(semantics.reduce(reduce.reduce_max, self.node, axis, keepdims))

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The smallest element along axes (all by default)."""
        return Tensor(semantics.reduce(reduce.reduce_min, self.node, axis, keepdims))


def tensor(value: Any, dtype: Any = None) -> Tensor:
    """A tensor of a number, of nested lists of numbers, or of a NumPy array (which is copied).

    Python floats become float32 and ints int64; NumPy arrays keep their data type.

    Raises:
        DTypeError: the values are not numbers, or not in rows of equal length.
    """
    if isinstance(value, Tensor):
        return value if dtype is None else value.astype(dtype)
    if isinstance(value, (list, tuple)) and any(isinstance(v, Tensor) for v in value):
        parts = [tensor(v, dtype).node for v in value]
        return Tensor(semantics.stack(parts, 0))
    return Tensor(semantics.to_node(value, "tensor", dtype))
