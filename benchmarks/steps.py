"""One training step of a network in each system: the same work, timed in a process of its own.

``python -m benchmarks.steps SYSTEM NETWORK`` prints the seconds of a step.  A step is forward, backward and Adam, in
float32, on data that lie in memory; every system takes the fastest way that its own documentation recommends.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

NETWORKS = {
    "tiny MLP 20-64-32-2, batch 32": ((20, 64, 32, 2), 32, 500),
    "MLP 784-256-128-10, batch 128": ((784, 256, 128, 10), 128, 100),
}
"""Layer sizes, batch size, steps a measurement."""

Sizes = tuple[int, ...]


def data_for(sizes: Sizes, batch: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Random batches, (steps, batch, features) and (steps, batch)."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((steps, batch, sizes[0])).astype(np.float32)
    return inputs, rng.integers(0, sizes[-1], (steps, batch))


def gradloom(sizes: Sizes, batch: int, steps: int, executor: str) -> Callable[[], None]:
    """All steps as one program on the native executor; one program a step on the reference executor."""
    import gradloom as gl
    from gradloom import nn, optim
    from gradloom.train.step import Recipe

    model = nn.Sequential(*(nn.Dense(n, activation="relu") for n in sizes[1:-1]), nn.Dense(sizes[-1]))
    x, y = data_for(sizes, batch, steps)
    model.initialize(x[0])
    recipe = Recipe(model, nn.losses.CrossEntropy(), optim.Adam(1e-3), [])
    parameters = model.parameters()
    carry = {
        "parameters": parameters,
        "state": model.state(),
        "optimizer": recipe.optimizer.init(parameters),
        "step": gl.tensor(0),
    }
    whole = gl.tensor(x.reshape(-1, sizes[0])), gl.tensor(y.reshape(-1)), gl.ones(steps * batch)
    rows = gl.tensor(np.arange(steps * batch).reshape(steps, batch))
    hyper = {name: gl.tensor(v, "float64") for name, v in recipe.hyperparameters(0.0, 0.0).items()}
    key = gl.random.key(0)
    run = gl.jit(recipe.train_many, executor)
    return lambda: run(carry, whole, rows, key, hyper)


def pytorch(sizes: Sizes, batch: int, steps: int, best: bool) -> Callable[[], None]:
    """Eager PyTorch; ``best`` with the fused optimiser."""
    import torch

    x, y = (torch.from_numpy(a) for a in data_for(sizes, batch, steps))
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), fused=True) if best else torch.optim.Adam(model.parameters())

    def run() -> None:
        for i in range(steps):
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(model(x[i]), y[i]).backward()
            optimizer.step()

    return run


def jax(sizes: Sizes, batch: int, steps: int, scan: bool) -> Callable[[], None]:
    """JAX with a jitted step, or with all steps inside ``lax.scan``."""
    import jax.numpy as jnp
    from jax import jit, nn, value_and_grad
    from jax.lax import scan as loop

    rng = np.random.default_rng(1)
    shapes = list(pairwise(sizes))
    parameters = [(jnp.asarray(rng.normal(0, a**-0.5, (a, b)), jnp.float32), jnp.zeros(b)) for a, b in shapes]

    def loss(p, x, y):
        for w, b in p[:-1]:
            x = nn.relu(x @ w + b)
        logits = nn.log_softmax(x @ p[-1][0] + p[-1][1])
        return -jnp.mean(jnp.take_along_axis(logits, y[:, None], 1))

    def mapped(f, *trees):
        return [tuple(f(*leaves) for leaves in zip(*pairs)) for pairs in zip(*trees)]

    def step(carry, batch_):
        p, m, v, t = carry
        value, g = value_and_grad(loss)(p, *batch_)
        t = t + 1
        m = mapped(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = mapped(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
        first, second = 1 - 0.9**t, 1 - 0.999**t
        p = mapped(lambda a, b, c: a - 1e-3 * (b / first) / (jnp.sqrt(c / second) + 1e-8), p, m, v)
        return (p, m, v, t), value

    zeros = mapped(jnp.zeros_like, parameters)
    start = (parameters, zeros, zeros, jnp.zeros(()))
    x, y = (jnp.asarray(a) for a in data_for(sizes, batch, steps))
    if scan:
        whole = jit(lambda c, x, y: loop(step, c, (x, y)))
        return lambda: whole(start, x, y)[1].block_until_ready()
    compiled = jit(step)

    def run() -> None:
        carry, value = start, None
        for i in range(steps):
            carry, value = compiled(carry, (x[i], y[i]))
        value.block_until_ready()

    return run


def scikit_learn(sizes: Sizes, batch: int, steps: int) -> Callable[[], None]:
    """One epoch of ``MLPClassifier.partial_fit``."""
    from sklearn.neural_network import MLPClassifier

    x, y = data_for(sizes, batch, steps)
    flat, labels = x.reshape(-1, sizes[0]), y.reshape(-1)
    model = MLPClassifier(sizes[1:-1], batch_size=batch, shuffle=False, alpha=0.0)
    classes = np.arange(sizes[-1])
    return lambda: model.partial_fit(flat, labels, classes=classes)


SYSTEMS: dict[str, Callable[[Sizes, int, int], Callable[[], None]]] = {
    "gradloom native": lambda *work: gradloom(*work, executor="native"),
    "gradloom reference": lambda *work: gradloom(*work, executor="reference"),
    "PyTorch eager": lambda *work: pytorch(*work, best=False),
    "PyTorch eager, fused Adam": lambda *work: pytorch(*work, best=True),
    "JAX, jitted step": lambda *work: jax(*work, scan=False),
    "JAX, steps in lax.scan": lambda *work: jax(*work, scan=True),
    "scikit-learn": scikit_learn,
}
"""How each system makes the work ready."""


def measure(system: str, network: str, rounds: int = 5) -> float:
    """Seconds a step: the median of some rounds after one that does not count."""
    sizes, batch, steps = NETWORKS[network]
    run = SYSTEMS[system](sizes, batch, steps)
    run()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times) / steps


if __name__ == "__main__":
    print(measure(sys.argv[1], sys.argv[2]))
