"""gradloom: a deep-learning system in which the whole training run is one program.

See README.md for the two commands to start with and docs/architecture.md for the plan of the house.
"""

from gradloom import random
from gradloom.functional import *  # noqa: F403
from gradloom.functional import __all__ as _functions
from gradloom.tensor import Tensor, tensor
from gradloom.transforms import cond, grad, hessian, jacobian, jit, jvp, scan, trace, value_and_grad, vjp, vmap
from gradloom.windows import avg_pool, conv, conv_transpose, max_pool, patches, sum_pool

__version__ = "0.1.0"

__all__ = [
    *_functions,
    "Tensor",
    "avg_pool",
    "cond",
    "conv",
    "conv_transpose",
    "grad",
    "hessian",
    "jacobian",
    "jit",
    "jvp",
    "max_pool",
    "patches",
    "random",
    "scan",
    "sum_pool",
    "tensor",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
]
