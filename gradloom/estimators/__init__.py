"""Networks as scikit-learn's estimators: for its pipelines, searches and scores.

This room needs scikit-learn (``pip install 'gradloom[cli]'``); nothing below it does.
"""

from gradloom.estimators.classifier import NeuralClassifier
from gradloom.estimators.perceptron import Perceptron
from gradloom.estimators.regressor import NeuralRegressor
from gradloom.estimators.transformer import NeuralTransformer

__all__ = ["NeuralClassifier", "NeuralRegressor", "NeuralTransformer", "Perceptron"]
