"""PyTorch: eager as it comes, with its best settings, or through torch.compile."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils._pytree import tree_leaves, tree_map

from benchmarks.functions import logistic_loss, network_loss, recurrent_step
from benchmarks.systems.base import Job, System, derivatives, distance, predictions
from benchmarks.systems.pytorch_images import Convolving, batches, first_kernel
from benchmarks.systems.pytorch_images import model as image_model
from benchmarks.work import LEARNING_RATE, Convolution, Derivative, Images, Network, Product


class PyTorch(System):
    """``best``: the fused optimiser, and one thread where that is faster; images with channels last.  ``compiled``:
    forward pass and loss by torch.compile, and with them their gradients."""

    def __init__(self, best: bool = False, compiled: bool = False) -> None:
        self.best, self.compiled = best, compiled

    def train(self, network: Network) -> Job:
        """Forward, ``backward``, ``step`` for each batch, a view of a tensor in memory."""
        if self.best and not self.compiled:
            _choose_threads(lambda: self._train(network).run())
        return self._train(network)

    def _train(self, network: Network) -> Job:
        x, y = (torch.from_numpy(a) for a in network.data())
        model = _model(network)
        steps = self._steps(model, list(zip(x, y)))
        return Job(steps, network.steps, lambda: distance(network, model[0].weight.detach().numpy().T))

    def train_images(self, images: Images) -> Job:
        """The same of a network for images; the best ways have the channels last in memory."""
        layout = torch.channels_last if self.best else torch.contiguous_format
        model = image_model(images).to(memory_format=layout)
        steps = self._steps(model, batches(images, layout))
        return Job(steps, images.steps, lambda: images.moved(first_kernel(model)))

    def _steps(self, model: torch.nn.Module, given: list[tuple[torch.Tensor, torch.Tensor]]) -> Callable[[], None]:
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=self.best or None)

        def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return cross_entropy(model(x), y)

        loss = torch.compile(loss_of) if self.compiled else loss_of

        def steps() -> None:
            for x, y in given:
                optimizer.zero_grad(set_to_none=True)
                loss(x, y).backward()
                optimizer.step()

        return steps

    def convolve(self, convolution: Convolution) -> Job:
        """oneDNN's convolutions, channels last, each into a new result."""
        made = Convolving(convolution)
        return Job(made.run, convolution.count, made.size)

    def predict(self, network: Network) -> Job:
        """The model in inference mode."""
        model = _model(network).eval()

        def predict(row: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return model(torch.from_numpy(row)).numpy()

        return predictions(predict, network)

    def multiply(self, product: Product) -> Job:
        """``torch.mm`` into a result that is there already."""
        left, right = (torch.from_numpy(a) for a in product.operands())
        pairs = [product.turn(x, right) for x in left]
        result = torch.empty(product.rows, product.columns)

        def products() -> None:
            for x, y in pairs:
                torch.mm(x, y, out=result)

        return Job(products, product.count, lambda: float(np.linalg.norm(result.numpy())))

    def differentiate(self, derivative: Derivative) -> Job:
        """``torch.func``'s transformations, with one thread where that is faster."""
        x, y = (torch.from_numpy(a) for a in derivative.data())
        point, direction = (tree_map(torch.from_numpy, derivative.parameters(seed)) for seed in (1, 2))
        compute = _DERIVATIVES[derivative.name]
        _choose_threads(lambda: compute(point, direction, x, y))
        return derivatives(lambda: [t.numpy() for t in tree_leaves(compute(point, direction, x, y))], derivative)


def _loss(parameters: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return network_loss(torch, parameters, x, y)


def _through_a_loop(parameters: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    state = torch.zeros_like(y)
    for inputs in x:
        state = recurrent_step(torch, parameters, state, inputs)
    return torch.mean((state - y) ** 2)


_DERIVATIVES: dict[str, Callable[..., Any]] = {
    "gradient": lambda p, v, x, y: torch.func.grad(_loss)(p, x, y),
    "per example": lambda p, v, x, y: torch.func.vmap(torch.func.grad(_loss), (None, 0, 0))(p, x, y),
    "hessian": lambda p, v, x, y: torch.func.hessian(lambda p: logistic_loss(torch, p, x, y))(p),
    "hessian vector": lambda p, v, x, y: torch.func.jvp(lambda p: torch.func.grad(_loss)(p, x, y), (p,), (v,))[1],
    "recurrent": lambda p, v, x, y: torch.func.grad(_through_a_loop)(p, x, y),
}


def _model(network: Network) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for (a, b), (weight, bias) in zip(pairwise(network.sizes), network.weights()):
        layer = torch.nn.Linear(a, b)
        layer.load_state_dict({"weight": torch.from_numpy(weight.T.copy()), "bias": torch.from_numpy(bias)})
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


_ALL_THREADS = torch.get_num_threads()


def _choose_threads(run: Callable[[], object]) -> None:
    """Set the number of threads with which a run is faster: one, or all."""
    spent = {}
    for threads in (1, _ALL_THREADS):
        torch.set_num_threads(threads)
        run()
        start = time.perf_counter()
        run()
        spent[threads] = time.perf_counter() - start
    torch.set_num_threads(min(spent, key=lambda threads: spent[threads]))
