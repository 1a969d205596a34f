"""NumPy by hand: forward, backward and Adam written out, every array made once and written in place."""

from __future__ import annotations

import numpy as np

from benchmarks.systems.base import Job, System, distance, predictions
from benchmarks.work import LEARNING_RATE, Network, Product


class ByHand(System):
    """What a careful programmer writes without a library."""

    def train(self, network: Network) -> Job:
        """A loop over the batches."""
        x, y = network.data()
        perceptron = Perceptron(network)

        def steps() -> None:
            for i in range(network.steps):
                perceptron.step(x[i], y[i])

        return Job(steps, network.steps, lambda: distance(network, perceptron.weights[0]))

    def predict(self, network: Network) -> Job:
        """A product, a sum and a maximum a layer."""
        *hidden, (weight, bias) = network.weights()

        def predict(row: np.ndarray) -> np.ndarray:
            for w, b in hidden:
                row = np.maximum(row @ w + b, 0)
            return row @ weight + bias

        return predictions(predict, network)

    def multiply(self, product: Product) -> Job:
        """``np.matmul`` into a result that is there already."""
        left, right = product.operands()
        pairs = [product.turn(x, right) for x in left]
        result = np.empty((product.rows, product.columns), np.float32)

        def products() -> None:
            for x, y in pairs:
                np.matmul(x, y, out=result)

        return Job(products, product.count, lambda: float(np.linalg.norm(result)))


class Perceptron:
    """Parameters, their gradients and moments, and the values of every layer."""

    def __init__(self, network: Network) -> None:
        given = network.weights()
        self.weights, self.biases = [w for w, _ in given], [b for _, b in given]
        self.parameters = [*self.weights, *self.biases]
        self.gradients = [np.empty_like(p) for p in self.parameters]
        self.means, self.squares = ([np.zeros_like(p) for p in self.parameters] for _ in range(2))
        self.scratch = [(np.empty_like(p), np.empty_like(p)) for p in self.parameters]
        self.values = [np.empty((network.batch, n), np.float32) for n in network.sizes[1:]]
        self.errors = [np.empty_like(v) for v in self.values]
        self.places = np.arange(network.batch)
        self.t = 0

    def step(self, x: np.ndarray, y: np.ndarray) -> None:
        """One update."""
        inputs = [x, *self.values[:-1]]
        last = len(self.values) - 1
        for i, (w, b, value) in enumerate(zip(self.weights, self.biases, self.values)):
            np.matmul(inputs[i], w, out=value)
            value += b
            if i < last:
                np.maximum(value, 0, out=value)
        self._derivative_of_loss(y)
        for i in range(last, -1, -1):
            error = self.errors[i]
            np.matmul(inputs[i].T, error, out=self.gradients[i])
            np.sum(error, axis=0, out=self.gradients[len(self.weights) + i])
            if i > 0:
                np.matmul(error, self.weights[i].T, out=self.errors[i - 1])
                self.errors[i - 1] *= inputs[i] > 0
        self._adam()

    def _derivative_of_loss(self, y: np.ndarray) -> None:
        """(softmax - label) / batch, the derivative of the mean cross-entropy by the logits."""
        logits, error = self.values[-1], self.errors[-1]
        np.subtract(logits, logits.max(axis=1, keepdims=True), out=error)
        np.exp(error, out=error)
        error /= error.sum(axis=1, keepdims=True)
        error[self.places, y] -= 1
        error /= len(y)

    def _adam(self) -> None:
        self.t += 1
        rate, unbias = LEARNING_RATE / (1 - 0.9**self.t), (1 - 0.999**self.t) ** -0.5
        for p, g, m, v, (a, b) in zip(self.parameters, self.gradients, self.means, self.squares, self.scratch):
            np.multiply(g, 0.1, out=a)
            m *= 0.9
            m += a
            np.multiply(g, g, out=a)
            a *= 0.001
            v *= 0.999
            v += a
            np.sqrt(v, out=a)
            a *= unbias
            a += 1e-8
            np.multiply(m, rate, out=b)
            b /= a
            p -= b
