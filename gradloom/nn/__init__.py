"""Layers, networks, losses and metrics."""

from gradloom.nn import init, losses, metrics, registry
from gradloom.nn.activations import (
    ELU,
    GELU,
    Activation,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    Sign,
    SiLU,
    Softmax,
    Softplus,
    Step,
    Tanh,
)
from gradloom.nn.containers import Sequential
from gradloom.nn.dense import Dense
from gradloom.nn.dropout import Dropout
from gradloom.nn.embedding import Embedding
from gradloom.nn.flatten import Flatten
from gradloom.nn.module import Call, Module, apply, current_call
from gradloom.nn.normalization import BatchNorm
from gradloom.nn.summary import summary

__all__ = [
    "ELU",
    "GELU",
    "Activation",
    "BatchNorm",
    "Call",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Identity",
    "LeakyReLU",
    "Module",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Sign",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
    "apply",
    "current_call",
    "init",
    "losses",
    "metrics",
    "registry",
    "summary",
]
