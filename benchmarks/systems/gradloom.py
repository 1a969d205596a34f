"""gradloom: a run of steps as one program, or through its trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gradloom as gl
from benchmarks.functions import logistic_loss, network_loss, recurrent_step
from benchmarks.systems.base import Job, System, derivatives, distance, predictions
from benchmarks.systems.gradloom_images import convolve, image_model
from benchmarks.work import LEARNING_RATE, Convolution, Derivative, Images, Network, Product
from gradloom import nn, optim, train, tree
from gradloom.train.step import Recipe

_EPOCHS = 10
"""Of a fit; the trainer's default."""


class Gradloom(System):
    """One of its executors."""

    def __init__(self, executor: str) -> None:
        self.executor = executor

    def train(self, network: Network, rows: np.ndarray | None = None) -> Job:
        """A compiled loop as the trainer's, called directly: gather of each batch, step, sums of the loss.

        Args:
            network: what to train.
            rows: the order of the examples; None as they lie.
        """
        order = np.arange(network.steps * network.batch) if rows is None else rows
        return self._train(network, _model(network), order, lambda p: _distance(network, p))

    def train_images(self, images: Images) -> Job:
        """The same loop for images."""

        def moved(parameters: Any) -> float:
            return images.moved(next(iter(parameters.values()))["weight"].numpy())

        return self._train(images, image_model(images), np.arange(images.steps * images.batch), moved)

    def _train(self, work: Network | Images, model: nn.Module, order: np.ndarray, moved: Callable[[Any], float]) -> Job:
        recipe = Recipe(model, nn.losses.CrossEntropy(), optim.Adam(LEARNING_RATE), [])
        run = gl.jit(recipe.train_many, self.executor, flush_denormals=True)
        parameters = recipe.model.parameters()
        x, y = flat(work)
        data = gl.tensor(x), gl.tensor(y), gl.ones(len(x))
        chosen = gl.tensor(order.reshape(work.steps, work.batch))
        hyper = {name: gl.tensor(v, "float64") for name, v in recipe.hyperparameters(0.0, 0.0).items()}
        key = gl.random.key(0)
        carry: Any = {
            "parameters": parameters,
            "state": recipe.model.state(),
            "optimizer": recipe.optimizer.init(parameters),
            "step": gl.tensor(0),
        }

        def steps() -> None:
            nonlocal carry
            carry, _ = run(carry, data, chosen, key, hyper)

        return Job(steps, work.steps, lambda: moved(carry["parameters"]))

    def train_mixed(self, network: Network) -> Job:
        """The same loop, handed the examples in a random order, as often as ``fit`` goes through them."""
        job = self.train(network, np.random.default_rng(2).permutation(network.steps * network.batch))

        def epochs() -> None:
            for _ in range(_EPOCHS):
                job.run()

        return Job(epochs, _EPOCHS * network.steps)

    def fit(self, network: Network) -> Job:
        """``Trainer.fit`` as a user calls it: checks, shuffling, history and all."""
        run, data = self._trainer(network), flat(network)

        def epochs() -> None:
            run.fit(data, epochs=_EPOCHS, batch_size=network.batch, progress="silent")

        return Job(epochs, _EPOCHS * network.steps)

    def predict(self, network: Network) -> Job:
        """``Trainer.predict`` after a first epoch."""
        run = self._trainer(network, rate=0.0)
        run.fit(flat(network), epochs=1, batch_size=network.batch, progress="silent")
        return predictions(run.predict, network)

    def multiply(self, product: Product) -> Job:
        """A loop over the left operands as one program."""
        left, right = (gl.tensor(a) for a in product.operands())
        empty = gl.zeros((product.rows, product.columns))

        def products(left: Any, right: Any, result: Any) -> Any:
            return gl.scan(lambda _, x: (gl.matmul(*product.turn(x, right)), ()), result, left)[0]

        compiled = gl.jit(products, self.executor)
        return Job(
            lambda: compiled(left, right, empty),
            product.count,
            lambda: float(np.linalg.norm(compiled(left, right, empty).numpy())),
        )

    def differentiate(self, derivative: Derivative) -> Job:
        """The derivative as one program; gradients that vanish become 0, as they always do in JAX."""
        x, y = (gl.tensor(a) for a in derivative.data())
        point, direction = (tree.map(gl.tensor, derivative.parameters(seed)) for seed in (1, 2))
        compiled = gl.jit(_DERIVATIVES[derivative.name], self.executor, flush_denormals=True)
        return derivatives(lambda: [t.numpy() for t in tree.leaves(compiled(point, direction, x, y))], derivative)

    def convolve(self, convolution: Convolution) -> Job:
        """A loop over the images as one program."""
        return convolve(convolution, self.executor)

    def first_step(self, network: Network | Images) -> None:
        """A trainer, and ``fit`` on the batches there are."""
        self._trainer(network).fit(flat(network), epochs=1, batch_size=network.batch, progress="silent")

    def _trainer(self, work: Network | Images, rate: float = LEARNING_RATE) -> train.Trainer:
        return trainer(work, self.executor, rate)


def trainer(work: Network | Images, executor: str = "native", rate: float = LEARNING_RATE) -> train.Trainer:
    """A trainer of the network."""
    model = image_model(work) if isinstance(work, Images) else _model(work)
    return train.Trainer(model, "cross_entropy", optim.Adam(rate), executor=executor)


def _loss(parameters: Any, x: Any, y: Any) -> Any:
    return network_loss(gl, parameters, x, y)


def _through_a_loop(parameters: Any, x: Any, y: Any) -> Any:
    def body(state: Any, x: Any) -> Any:
        return recurrent_step(gl, parameters, state, x), ()

    return gl.mean((gl.scan(body, gl.zeros(y.shape), x)[0] - y) ** 2)


_DERIVATIVES: dict[str, Callable[..., Any]] = {
    "gradient": lambda p, v, x, y: gl.grad(_loss)(p, x, y),
    "per example": lambda p, v, x, y: gl.vmap(gl.grad(_loss), (None, 0, 0))(p, x, y),
    "hessian": lambda p, v, x, y: gl.hessian(lambda p: logistic_loss(gl, p, x, y))(p),
    "hessian vector": lambda p, v, x, y: gl.jvp(lambda p: gl.grad(_loss)(p, x, y), (p,), (v,))[1],
    "recurrent": lambda p, v, x, y: gl.grad(_through_a_loop)(p, x, y),
}


def _model(network: Network) -> nn.Sequential:
    *hidden, classes = network.sizes[1:]
    model = nn.Sequential(*(nn.Dense(width, activation="relu") for width in hidden), nn.Dense(classes))
    model.initialize(np.zeros((2, network.sizes[0]), np.float32))
    given = zip(model.parameters(), network.weights(), strict=True)
    model.load({name: {"weight": gl.tensor(w), "bias": gl.tensor(b)} for name, (w, b) in given}, model.state())
    return model


def flat(work: Network | Images) -> tuple[np.ndarray, np.ndarray]:
    """Examples in a row, as data sets come."""
    x, y = work.data()
    return x.reshape(-1, *x.shape[2:]), y.reshape(-1, *y.shape[2:])


def _distance(network: Network, parameters: Any) -> float:
    return distance(network, next(iter(parameters.values()))["weight"].numpy())
