"""Functions of functions, in one place: trace, jit, grad, jvp, vjp, jacobian, hessian, vmap, scan, while_loop, cond,
checkpoint, custom_derivative.

Each traces the user's function into a graph once and gives that graph to a transformation of graphs.
"""

from gradloom.compiling import jit
from gradloom.custom import custom_derivative
from gradloom.derivatives import grad, hessian, jacobian, jvp, value_and_grad, vjp
from gradloom.loops import checkpoint, cond, scan, while_loop
from gradloom.tracing import trace
from gradloom.vectorising import vmap

__all__ = [
    "checkpoint",
    "cond",
    "custom_derivative",
    "grad",
    "hessian",
    "jacobian",
    "jit",
    "jvp",
    "scan",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
