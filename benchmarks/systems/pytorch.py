"""PyTorch: eager as it comes, with its best settings, or through torch.compile."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from benchmarks.systems.base import Job, System, distance, predictions
from benchmarks.work import LEARNING_RATE, Network, Product


class PyTorch(System):
    """``best``: the fused optimiser, and one thread where that is faster.  ``compiled``: forward pass and loss by
    torch.compile, and with them their gradients."""

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
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=self.best or None)

        def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return cross_entropy(model(x), y)

        loss = torch.compile(loss_of) if self.compiled else loss_of

        def steps() -> None:
            for i in range(network.steps):
                optimizer.zero_grad(set_to_none=True)
                loss(x[i], y[i]).backward()
                optimizer.step()

        return Job(steps, network.steps, lambda: distance(network, model[0].weight.detach().numpy().T))

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
