"""scikit-learn: ``MLPClassifier.partial_fit``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.systems.base import Job, System, distance, predictions
from benchmarks.work import LEARNING_RATE, Network


class ScikitLearn(System):
    """Two classes are one logistic output here, a little less work than the softmax of the others."""

    def train(self, network: Network) -> Job:
        """A pass over all batches a call."""
        x, y = network.data()
        flat = x.reshape(-1, network.sizes[0]), y.reshape(-1)
        model = _model(network)
        comparable = network.sizes[-1] > 2
        check = (lambda: distance(network, model.coefs_[0])) if comparable else None
        return Job(lambda: model.partial_fit(*flat), network.steps, check)

    def predict(self, network: Network) -> Job:
        """``predict_proba``: a softmax more than the others."""
        return replace(predictions(_model(network).predict_proba, network), check=None)


def _model(network: Network) -> MLPClassifier:
    """A model with the given weights: a first call makes arrays and optimiser, which are then set back."""
    x, _ = network.data()
    model = MLPClassifier(
        network.sizes[1:-1], batch_size=network.batch, shuffle=False, alpha=0.0, learning_rate_init=LEARNING_RATE
    )
    classes = np.arange(network.sizes[-1])
    model.partial_fit(x[0], classes[np.arange(network.batch) % len(classes)], classes=classes)
    for place, bias, (weight, start) in zip(model.coefs_, model.intercepts_, network.weights()):
        logistic = place.shape != weight.shape
        place[...] = weight[:, 1:] - weight[:, :1] if logistic else weight
        bias[...] = start[: len(bias)]
    del model._optimizer
    return model
