"""Keras 3 on JAX: ``fit``, or ``train_on_batch``."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"  # read when keras is imported

import keras

from benchmarks.systems.base import Job, System, distance, predictions
from benchmarks.work import LEARNING_RATE, Network


class Keras(System):
    """From NumPy arrays, which is what its methods take."""

    def __init__(self, by_batch: bool = False) -> None:
        self.by_batch = by_batch

    def train(self, network: Network) -> Job:
        """An epoch of ``fit`` without shuffling, or a call of ``train_on_batch`` for each batch."""
        x, y = network.data()
        flat = x.reshape(-1, network.sizes[0]), y.reshape(-1)
        model = _model(network)

        def steps() -> None:
            if self.by_batch:
                for i in range(network.steps):
                    model.train_on_batch(x[i], y[i])
            else:
                model.fit(*flat, batch_size=network.batch, epochs=1, shuffle=False, verbose=0)

        return Job(steps, network.steps, lambda: distance(network, model.get_weights()[0]))

    def predict(self, network: Network) -> Job:
        """``predict_on_batch``, the faster of its ways."""
        return predictions(_model(network).predict_on_batch, network)


def _model(network: Network) -> keras.Model:
    features, *hidden, classes = network.sizes
    layers = [keras.layers.Dense(width, activation="relu") for width in hidden]
    model = keras.Sequential([keras.Input((features,)), *layers, keras.layers.Dense(classes)])
    optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.set_weights([array for layer in network.weights() for array in layer])
    return model
