"""Functions of functions, in one place: those that differentiate, compile, vectorise, and those that loop and branch.

Each traces the user's function into a graph once and gives that graph to a transformation of graphs.
"""

from gradloom.compiling import jit
from gradloom.custom import custom_derivative
from gradloom.derivatives import grad, hvp, jvp, value_and_grad, vjp
from gradloom.jacobians import hessian, jacobian
from gradloom.loops import checkpoint, cond, scan, while_loop
from gradloom.tracing import trace
from gradloom.vectorising import vmap

__all__ = [
    "checkpoint",
    "cond",
    "custom_derivative",
    "grad",
    "hessian",
    "hvp",
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
