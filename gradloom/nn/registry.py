"""Networks as plain JSON and back, through a closed table of layers."""

from __future__ import annotations

from collections.abc import Iterable

from gradloom import description
from gradloom.description import Description
from gradloom.errors import OptionError
from gradloom.nn import activations, init
from gradloom.nn.branches import Branches
from gradloom.nn.containers import Sequential
from gradloom.nn.conv import Conv, ConvTranspose
from gradloom.nn.dense import Dense
from gradloom.nn.drop_connect import DropConnect
from gradloom.nn.dropout import Dropout, SpatialDropout
from gradloom.nn.embedding import Embedding
from gradloom.nn.flatten import Flatten
from gradloom.nn.module import Module
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
from gradloom.nn.upsample import Upsample
from gradloom.nn.whitening import Whitening

LAYERS: tuple[type[Module], ...] = (
    *(Sequential, Residual, Join, Branches, PadChannels, Dense, Flatten, Dropout, Embedding, activations.Activation),
    *(Conv, ConvTranspose, MaxPool, AvgPool, MedianPool, LpPool, GlobalAvgPool, GlobalMaxPool),
    *(AdaptiveAvgPool, AdaptiveMaxPool, Upsample, BatchNorm, LayerNorm, GroupNorm, LocalResponseNorm, Normalize),
    *(Whitening, Rescale, SpatialDropout, DropConnect, GaussianNoise, NoisyDense),
    *(activations.Identity, activations.ReLU, activations.LeakyReLU, activations.ELU, activations.GELU),
    *(activations.SiLU, activations.Sigmoid, activations.Tanh, activations.Softplus, activations.Softmax),
    *(activations.Step, activations.Sign),
)
"""Every layer that a model file may name."""

INITIALIZERS = (init.Constant, init.Normal, init.Uniform, init.VarianceScaling, init.Orthogonal, init.Dirac)

_TABLE = description.table_of((*LAYERS, *INITIALIZERS))


def describe(module: Module) -> Description:
    """A network as JSON: ``{"type": ..., "options": {...}}`` with nested modules in the options.

    Parameters are not part of it.

    Raises:
        OptionError: an option cannot be written, e.g. a function.
    """
    return description.encode(module, _TABLE, tied=Module)


def build(described: object, extra: Iterable[type[Module]] = ()) -> Module:
    """The network of a description, its parameters not yet made.

    Args:
        described: what :func:`describe` gave.
        extra: module classes of your own that may occur in it.

    Raises:
        ModelFileError: the description is damaged, or names a layer or an option that is not known.
        OptionError: a class of your own has the name of a layer.
    """
    own = description.table_of(extra)
    for name, cls in own.items():
        if _TABLE.get(name, cls) is not cls:
            fix = "Rename your class."
            raise OptionError("registry.build", rule="the name of a layer cannot be taken", got=name, fix=fix)
    return description.decode(described, {**_TABLE, **own}, Module, tied=Module)
