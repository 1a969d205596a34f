"""Optimisers and schedules: pure functions of gradients, state, parameters and hyperparameters."""

from gradloom.optim import schedules
from gradloom.optim.optimizers import SGD, AdaDelta, AdaGrad, Adam, AdamW, Optimizer, RMSProp, exponential_average
from gradloom.optim.pieces import global_norm
from gradloom.optim.registry import build, describe, get

__all__ = [
    "SGD",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSProp",
    "build",
    "describe",
    "exponential_average",
    "get",
    "global_norm",
    "schedules",
]
