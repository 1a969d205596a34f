"""The optimisers that ``train`` offers, each with the learning rate that it starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gradloom import optim
from gradloom.errors import unknown_name
from gradloom.optim.optimizers import NamedOptimizer


@dataclass(frozen=True)
class Offer:
    """An optimiser by name.

    Attributes:
        make: from a learning rate to the optimiser.
        learning_rate: for small networks on standardised tables.
    """

    make: Callable[[float], NamedOptimizer]
    learning_rate: float


OPTIMIZERS = {
    "adam": Offer(optim.Adam, 3e-3),
    "adamw": Offer(optim.AdamW, 3e-3),
    "sgd": Offer(optim.SGD, 0.1),
    "momentum": Offer(lambda lr: optim.SGD(lr, momentum=0.9), 0.03),
    "nesterov": Offer(lambda lr: optim.SGD(lr, momentum=0.9, nesterov=True), 0.03),
    "rmsprop": Offer(optim.RMSProp, 1e-3),
    "adagrad": Offer(optim.AdaGrad, 0.03),
    "adadelta": Offer(optim.AdaDelta, 1.0),
}


def build_optimizer(name: str, learning_rate: float | None, clip_norm: float | None = None) -> NamedOptimizer:
    """The optimiser of a name.

    Args:
        name: one of :data:`OPTIMIZERS`.
        learning_rate: its own if None.
        clip_norm: the largest norm of all gradients together; None sets no bound.

    Raises:
        UnknownNameError: there is none of this name.
        OptionError: the learning rate or the norm is out of range.
    """
    if name not in OPTIMIZERS:
        raise unknown_name("--optimizer", "optimizer", name, OPTIMIZERS)
    offer = OPTIMIZERS[name]
    made = offer.make(offer.learning_rate if learning_rate is None else learning_rate)
    return replace(made, clip_norm=clip_norm)
