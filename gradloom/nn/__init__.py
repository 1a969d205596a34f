"""Layers, networks, losses and metrics."""

from gradloom.equations import written_in
from gradloom.nn import init, losses, metrics, registry, regularizers
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
from gradloom.nn.branches import Branches
from gradloom.nn.containers import Sequential
from gradloom.nn.conv import Conv, ConvTranspose
from gradloom.nn.dense import Dense
from gradloom.nn.drop_connect import DropConnect
from gradloom.nn.dropout import Dropout, SpatialDropout
from gradloom.nn.embedding import Embedding
from gradloom.nn.flatten import Flatten
from gradloom.nn.geometry import output_size
from gradloom.nn.module import Call, Module, apply, current_call
from gradloom.nn.noise import GaussianNoise, NoisyDense
from gradloom.nn.normalization import BatchNorm, GroupNorm, LayerNorm
from gradloom.nn.normalize import Normalize
from gradloom.nn.pooling import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
    MedianPool,
)
from gradloom.nn.rescale import Rescale
from gradloom.nn.residual import Join, PadChannels, Residual
from gradloom.nn.response_norm import LocalResponseNorm
from gradloom.nn.summary import summary
from gradloom.nn.upsample import Upsample
from gradloom.nn.whitening import Whitening

written_in("gradloom.nn.formulas")

__all__ = [
    "ELU",
    "GELU",
    "Activation",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AvgPool",
    "BatchNorm",
    "Branches",
    "Call",
    "Conv",
    "ConvTranspose",
    "Dense",
    "DropConnect",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GroupNorm",
    "Identity",
    "Join",
    "LayerNorm",
    "LeakyReLU",
    "LocalResponseNorm",
    "LpPool",
    "MaxPool",
    "MedianPool",
    "Module",
    "NoisyDense",
    "Normalize",
    "PadChannels",
    "ReLU",
    "Rescale",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Sign",
    "Softmax",
    "Softplus",
    "SpatialDropout",
    "Step",
    "Tanh",
    "Upsample",
    "Whitening",
    "apply",
    "current_call",
    "init",
    "losses",
    "metrics",
    "output_size",
    "registry",
    "regularizers",
    "summary",
]
