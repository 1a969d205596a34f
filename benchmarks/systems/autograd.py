"""HIPS autograd: NumPy functions that record what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad, hessian, make_vjp

from benchmarks.functions import logistic_loss, network_loss, recurrent_step
from benchmarks.systems.base import Job, System, derivatives
from benchmarks.work import Derivative


class Autograd(System):
    """It differentiates, and does nothing else."""

    def differentiate(self, derivative: Derivative) -> Job:
        """As its users write it; examples one by one, for it has no vmap."""
        x, y = derivative.data()
        point, direction = (derivative.parameters(seed) for seed in (1, 2))
        compute = _DERIVATIVES[derivative.name]
        return derivatives(lambda: list(_leaves(compute(point, direction, x, y))), derivative)


def _leaves(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    else:
        for part in value:
            yield from _leaves(part)


def _loss(parameters: Any, x: np.ndarray, y: np.ndarray) -> Any:
    return network_loss(anp, parameters, x, y)


def _through_a_loop(parameters: Any, x: Iterable[np.ndarray], y: np.ndarray) -> Any:
    state = np.zeros_like(y)
    for inputs in x:
        state = recurrent_step(anp, parameters, state, inputs)
    return anp.mean((state - y) ** 2)


_DERIVATIVES: dict[str, Callable[..., Any]] = {
    "gradient": lambda p, v, x, y: grad(_loss)(p, x, y),
    "per example": lambda p, v, x, y: [grad(_loss)(p, a, b) for a, b in zip(x, y)],
    "hessian": lambda p, v, x, y: hessian(lambda p: logistic_loss(anp, p, x, y))(p),
    # The Hessian is symmetric, so its product with a vector is that of its transpose.
    "hessian vector": lambda p, v, x, y: make_vjp(lambda p: grad(_loss)(p, x, y))(p)[0](v),
    "recurrent": lambda p, v, x, y: grad(_through_a_loop)(p, x, y),
}
