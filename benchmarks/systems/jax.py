"""JAX: a jitted step, or all steps of a run inside ``lax.scan``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.functions import logistic_loss, network_loss, recurrent_step
from benchmarks.systems.base import Job, System, derivatives, distance, predictions
from benchmarks.systems.jax_images import forward as image_logits
from benchmarks.work import LEARNING_RATE, Derivative, Images, Network, Product


class Jax(System):
    """Adam is written out, as JAX has none of its own; the carry is donated, so that it is updated in place."""

    def __init__(self, scan: bool = False) -> None:
        self.scan = scan

    def train(self, network: Network) -> Job:
        """One call a step or one a run; the data are JAX's own arrays."""
        return self._train(network, _parameters(network), _logits, lambda w: distance(network, w))

    def train_images(self, images: Images) -> Job:
        """The same for images."""
        parameters = [[jnp.array(a) for a in layer] for layer in images.parameters()]
        network = images.layers
        return self._train(images, parameters, lambda p, x: image_logits(network, iter(p), x), images.moved)

    def _train(
        self,
        work: Network | Images,
        parameters: Any,
        logits: Callable[[Any, Any], Any],
        moved: Callable[[np.ndarray], float],
    ) -> Job:
        x, y = (jnp.asarray(a) for a in work.data())
        # Each buffer is donated by itself, so no two may be one.
        zeros = [jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)]
        carry: Any = (parameters, *zeros, jnp.zeros(()))
        step = _adam(logits)
        whole = jax.jit(lambda carry, x, y: jax.lax.scan(step, carry, (x, y)), donate_argnums=0)
        single = jax.jit(step, donate_argnums=0)

        def steps() -> None:
            nonlocal carry
            if self.scan:
                carry, loss = whole(carry, x, y)
            else:
                for i in range(work.steps):
                    carry, loss = single(carry, (x[i], y[i]))
            jax.block_until_ready((carry, loss))

        return Job(steps, work.steps, lambda: moved(np.asarray(carry[0][0][0])))

    def predict(self, network: Network) -> Job:
        """The jitted forward pass."""
        parameters, forward = _parameters(network), jax.jit(_logits)
        return predictions(lambda row: np.asarray(forward(parameters, row)), network)

    def multiply(self, product: Product) -> Job:
        """A jitted loop over the left operands."""
        left, right = (jnp.asarray(a) for a in product.operands())
        result = jnp.zeros((product.rows, product.columns))

        @jax.jit
        def products(left: Any, right: Any, result: Any) -> Any:
            return jax.lax.scan(lambda _, x: (jnp.matmul(*product.turn(x, right)), None), result, left)[0]

        return Job(
            lambda: products(left, right, result).block_until_ready(),
            product.count,
            lambda: float(np.linalg.norm(np.asarray(products(left, right, result)))),
        )

    def differentiate(self, derivative: Derivative) -> Job:
        """The derivative jitted."""
        x, y = (jnp.asarray(a) for a in derivative.data())
        point, direction = (jax.tree.map(jnp.asarray, derivative.parameters(seed)) for seed in (1, 2))
        compiled = jax.jit(_DERIVATIVES[derivative.name])
        return derivatives(lambda: jax.tree.leaves(jax.block_until_ready(compiled(point, direction, x, y))), derivative)


def _loss(parameters: Any, x: Any, y: Any) -> Any:
    return network_loss(jnp, parameters, x, y)


def _through_a_loop(parameters: Any, x: Any, y: Any) -> Any:
    def body(state: Any, x: Any) -> Any:
        return recurrent_step(jnp, parameters, state, x), ()

    return jnp.mean((jax.lax.scan(body, jnp.zeros_like(y), x)[0] - y) ** 2)


_DERIVATIVES: dict[str, Callable[..., Any]] = {
    "gradient": lambda p, v, x, y: jax.grad(_loss)(p, x, y),
    "per example": lambda p, v, x, y: jax.vmap(jax.grad(_loss), (None, 0, 0))(p, x, y),
    "hessian": lambda p, v, x, y: jax.hessian(lambda p: logistic_loss(jnp, p, x, y))(p),
    "hessian vector": lambda p, v, x, y: jax.jvp(lambda p: jax.grad(_loss)(p, x, y), (p,), (v,))[1],
    "recurrent": lambda p, v, x, y: jax.grad(_through_a_loop)(p, x, y),
}


def _parameters(network: Network) -> Any:
    return [(jnp.array(w), jnp.array(b)) for w, b in network.weights()]


def _logits(parameters: Any, x: Any) -> Any:
    *hidden, (weight, bias) = parameters
    for w, b in hidden:
        x = jax.nn.relu(x @ w + b)
    return x @ weight + bias


def _adam(logits: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A step of Adam."""

    def step(carry: Any, batch: Any) -> Any:
        parameters, means, squares, t = carry

        def loss_of(parameters: Any) -> Any:
            x, y = batch
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits(parameters, x)), y[..., None], -1))

        loss, gradients = jax.value_and_grad(loss_of)(parameters)
        t = t + 1
        means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
        squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
        rate, unbias = LEARNING_RATE / (1 - 0.9**t), 1 / (1 - 0.999**t)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v * unbias) + 1e-8), parameters, means, squares
        )
        return (parameters, means, squares, t), loss

    return step
