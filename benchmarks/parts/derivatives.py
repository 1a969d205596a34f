"""How long do derivatives take that are not a training step's?"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.measured import Found, Goal, at_least, best
from benchmarks.rounds import each, interleaved
from benchmarks.systems import NATIVE
from benchmarks.tables import by_system
from benchmarks.work import Derivative

TITLE = "Derivatives"
NOTE = """float32. gradloom and JAX compile the derivative (`jit`), PyTorch computes it by `torch.func` (with one thread
where that is faster), autograd by its own functions; results are NumPy's arrays, which costs nobody a copy. autograd
has no `vmap` and takes example after example. Gradients that vanish through the loop become denormal numbers, which
gradloom (as asked to) and JAX (always) take for 0; PyTorch and autograd compute with them."""

PEERS = ("JAX, jitted step", "PyTorch eager", "HIPS autograd")
WORKS = {
    "gradient of a perceptron 64-128-128-128-128-10, batch 128": Derivative(
        "gradient", (64, 128, 128, 128, 128, 10), 128
    ),
    "Hessian of logistic regression, 200 features, 1000 examples": Derivative("hessian", (200, 1), 1000),
    "Hessian times a vector, perceptron 784-256-128-10, batch 128": Derivative(
        "hessian vector", (784, 256, 128, 10), 128
    ),
    "gradients of 256 examples, perceptron 64-64-10": Derivative("per example", (64, 64, 10), 256),
    "gradient through 1000 steps of a recurrent network, 32-64, batch 16": Derivative("recurrent", (32, 64), 16, 1000),
}


def measure(rounds: int, works: Mapping[str, Derivative] = WORKS, systems: tuple[str, ...] = (NATIVE, *PEERS)) -> Found:
    """All systems at all derivatives."""
    return interleaved(works, each("differentiate", systems), rounds)


def show(found: Found) -> str:
    """A table each."""
    return by_system(found, "µs", 1e6)


def goals(found: Found) -> list[Goal]:
    """As fast as the best of the peers."""
    result = []
    for title in WORKS:
        name, ratio = best(found, title, NATIVE, PEERS)
        result.append(at_least(9, f"{title}: as fast as the best peer ({name})", ratio, 1.0))
    return result
