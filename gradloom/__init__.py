"""gradloom: a deep-learning system in which the whole training run is one program.

See README.md for the two commands to start with and docs/architecture.md for the plan of the house.
"""

# ruff: noqa: F405 (what the star brings is listed in full below)

import importlib as _importlib
from typing import Any as _Any

from gradloom import autodiff, debug, random
from gradloom.functional import *  # noqa: F403
from gradloom.inspecting import explain, profile
from gradloom.ir.tensortype import bfloat16 as _bfloat16
from gradloom.ir.tensortype import finfo
from gradloom.pooling import avg_pool, lp_pool, max_pool, median_pool, patches, sum_pool, weighted_avg_pool
from gradloom.tensor import Tensor, tensor
from gradloom.transforms import (
    checkpoint,
    cond,
    custom_derivative,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    scan,
    trace,
    value_and_grad,
    vjp,
    vmap,
    while_loop,
)
from gradloom.windows import conv, conv_transpose

_LATER = {
    "check_gradients": "gradloom.gradient_check",
    "explain": "gradloom.paths",
    "symbolic": "gradloom.symbolic",
}
"""What ``autodiff`` has from floors above it, and the modules; each is loaded when it is first asked for."""


def _later(name: str) -> _Any:
    if name not in _LATER:
        raise AttributeError(f"module 'gradloom.autodiff' has no attribute {name!r}")
    setattr(autodiff, name, getattr(_importlib.import_module(_LATER[name]), name))
    return getattr(autodiff, name)


autodiff.__getattr__ = _later


def __getattr__(name: str) -> _Any:
    """``bfloat16``, whose package is loaded when it is asked for."""
    if name == "bfloat16":
        return _bfloat16()
    raise AttributeError(f"module 'gradloom' has no attribute {name!r}")


__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "autodiff",
    "avg_pool",
    "broadcast_to",
    "cast",
    "ceil",
    "checkpoint",
    "cholesky",
    "clip",
    "concatenate",
    "cond",
    "conv",
    "conv_transpose",
    "cos",
    "cosh",
    "cumsum",
    "custom_derivative",
    "debug",
    "divide",
    "dot",
    "einsum",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "explain",
    "expm1",
    "eye",
    "finfo",
    "flip",
    "floor",
    "floor_divide",
    "full",
    "grad",
    "greater",
    "greater_equal",
    "hessian",
    "hvp",
    "isfinite",
    "isnan",
    "jacobian",
    "jit",
    "jvp",
    "less",
    "less_equal",
    "linspace",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "lp_pool",
    "matmul",
    "max",
    "max_pool",
    "maximum",
    "mean",
    "median_pool",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "negative",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "patches",
    "power",
    "prod",
    "profile",
    "random",
    "relu",
    "remainder",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "scan",
    "scatter_add",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "solve",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "subtract",
    "sum",
    "sum_pool",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensor",
    "top_k",
    "trace",
    "transpose",
    "triangular_solve",
    "tril",
    "value_and_grad",
    "var",
    "vjp",
    "vmap",
    "weighted_avg_pool",
    "where",
    "while_loop",
    "zeros",
    "zeros_like",
]
