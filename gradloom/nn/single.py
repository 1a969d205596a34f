"""float32 inside layers whose inputs may be bfloat16 or bytes, for what those are too short for: sums of squares."""

from __future__ import annotations

from gradloom.ir.tensortype import DEFAULT_FLOAT, is_bfloat16, is_float
from gradloom.tensor import Tensor


def in_single(x: Tensor) -> Tensor:
    """x in float32 if it is bfloat16 or no float at all, else as it is."""
    return x.astype(DEFAULT_FLOAT) if is_bfloat16(x.dtype) or not is_float(x.dtype) else x


def as_given(y: Tensor, x: Tensor) -> Tensor:
    """y, computed from :func:`in_single` of x, in bfloat16 if x is."""
    return y.astype(x.dtype) if is_bfloat16(x.dtype) else y
