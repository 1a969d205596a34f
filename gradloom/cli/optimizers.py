"""The optimisers that ``train`` offers, each with the learning rate that it starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from gradloom import optim
from gradloom.cli.request import TrainOptions
from gradloom.cli.schedules import Length, build_schedule
from gradloom.errors import unknown_name
from gradloom.optim.optimizers import NamedOptimizer
from gradloom.records import dataclass


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


def build_optimizer(options: TrainOptions, length: Length, usual: Mapping[str, float] | None = None) -> NamedOptimizer:
    """The optimiser that was asked for, with its schedule.

    Args:
        options: what was asked for: the name is one of :data:`OPTIMIZERS`.
        length: of the run, which schedules span.
        usual: learning rates by name, where they are others than those of the offers.

    Raises:
        UnknownNameError: there is no optimiser or schedule of this name.
        OptionError: a number is out of range.
    """
    name = options.optimizer
    if name not in OPTIMIZERS:
        raise unknown_name("--optimizer", "optimizer", name, OPTIMIZERS)
    offer = OPTIMIZERS[name]
    rate = (usual or {}).get(name, offer.learning_rate) if options.learning_rate is None else options.learning_rate
    made = replace(offer.make(rate), clip_norm=options.clip_norm)  # which refuses a rate that is none
    if options.weight_decay is not None:
        made = replace(made, weight_decay=options.weight_decay)
    return replace(made, lr=build_schedule(options.schedule, rate, options.warmup, length))
