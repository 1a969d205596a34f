"""Checks and shape arithmetic that the records of primitives share."""

from __future__ import annotations

from collections.abc import Sequence

from gradloom.errors import DTypeError, ShapeError
from gradloom.ir.tensortype import TensorType, kind_of

KIND_NAMES = {"f": "floating", "i": "signed integer", "u": "unsigned integer", "b": "boolean"}
NUMBERS = "fiu"
ANYTHING = "fiub"


def check_kind(who: str, type: TensorType, kinds: str) -> None:
    """Refuse operands whose data type is not of one of these NumPy kinds."""
    if kind_of(type.dtype) not in kinds:
        wanted = " or ".join(KIND_NAMES[k] for k in kinds)
        raise DTypeError(
            who,
            rule=f"operands must be of {wanted} type",
            got=str(type),
            fix="Convert with gl.cast(x, dtype).",
        )


def check_axis(who: str, type: TensorType, axis: int) -> None:
    """Refuse an axis that the operand does not have."""
    if not 0 <= axis < type.rank:
        raise ShapeError(
            who,
            rule="the axis must be one of the operand's",
            got=f"axis {axis} for {type}",
            fix=f"Use an axis from {-type.rank} to {type.rank - 1}." if type.rank else "A scalar has no axes.",
        )


def check_same(who: str, types: Sequence[TensorType]) -> None:
    """Refuse operands that differ in shape or data type."""
    first = types[0]
    for other in types[1:]:
        if other.shape != first.shape:
            raise ShapeError(who, rule="operands must have one shape", got=f"{first} and {other}")
        if other.dtype != first.dtype:
            raise DTypeError(who, rule="operands must have one data type", got=f"{first} and {other}")


def without_axes(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """A shape with some axes taken out."""
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def shifted(axes: Sequence[int]) -> tuple[int, ...]:
    """Axes of an operand after a mapped axis was put in front of it."""
    return tuple(a + 1 for a in axes)
