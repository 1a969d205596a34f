"""A network and a recipe made for reaching a good accuracy on CIFAR-10 in the least time."""

from __future__ import annotations

from gradloom import nn, optim, options
from gradloom.optim import schedules
from gradloom.records import dataclass

_DIRAC = nn.init.Dirac(nn.init.VarianceScaling(1 / 3, "fan_in", "uniform"))
"""Filters that pass their input on, and where there are more of them, PyTorch's usual ones."""


def Speedrun(classes: int = 10, *, width: int = 64) -> nn.Sequential:
    """The network of the CIFAR-10 speedruns ("airbench94") for images of 32 by 32: (N, H, W, C) to (N, classes).

    A whitening of patches of 2 by 2 that is computed from images, then three blocks of two convolutions of 3 by 3 with
    ``width``, 4·width and 4·width channels, each with max-pooling after its first, and logits divided by 9.

    Give the whitening some thousands of training images before training: ``network[0].fit(images)``.

    Args:
        classes: number of logits.
        width: channels of the first block.

    Returns:
        A network with 1,971,352 trained parameters for 10 classes.

    Source: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024), after Page, "How to train your ResNet"
    (2019).  It differs in that the whitening's bias is trained to the end.
    """
    options.whole("Speedrun", "width", width)
    blocks = [layer for channels in (width, 4 * width, 4 * width) for layer in _block(channels)]
    head = [nn.MaxPool(3), nn.Flatten(), nn.Dense(classes, bias=False, init="lecun_uniform"), nn.Rescale(1 / 9)]
    return nn.Sequential(nn.Whitening(2), nn.GELU(), *blocks, *head)


def _block(channels: int) -> list[nn.Module]:
    def normed() -> list[nn.Module]:
        return [nn.BatchNorm(momentum=0.4, eps=1e-12, affine="shift"), nn.GELU()]

    first, second = (nn.Conv(channels, (3, 3), bias=False, init=_DIRAC) for _ in range(2))
    return [first, nn.MaxPool(2), *normed(), second, *normed()]


@dataclass(frozen=True)
class Recipe:
    """What :class:`gradloom.train.Trainer` and its ``fit`` are given: ``Trainer(network, r.loss, r.optimizer)``."""

    loss: nn.losses.Loss
    optimizer: optim.Optimizer
    epochs: int
    batch_size: int


def speedrun_recipe(examples: int, *, epochs: int = 10, batch_size: int = 1024) -> Recipe:
    """How :func:`Speedrun` was trained in the paper.

    Cross-entropy with labels smoothed by 0.2; Nesterov's momentum of 0.85; a learning rate that rises from 0.2 of its
    peak to the peak at 23% of the steps, and falls to 0.07 of it; 64 times that rate for the shifts of batch
    normalisation; decay that this factor leaves alone.  The paper's rates are for sums over examples, these for means
    (1.5 and 0.00133 for a batch of 1024).

    Images are standardised by channel, flipped, and moved by up to 2 pixels.  Left out of the paper's recipe are the
    average of weights ("lookahead"), half precision, and the first epochs' training of the whitening's bias alone.

    Args:
        examples: of the training set, which with the batch size gives the number of steps.
        epochs: the paper has 9.9.
        batch_size: rates are in proportion to it.
    """
    who = "speedrun_recipe"
    count = options.whole(who, "examples", examples)
    size = options.whole(who, "batch_size", batch_size)
    steps = options.whole(who, "epochs", epochs) * -(-count // size)
    momentum = 0.85
    peak = 11.5 * size / (1024 * (1 + 1 / (1 - momentum)))
    rising = max(1, round(0.23 * steps))
    falling = schedules.Linear(peak, 0.07 * peak, max(1, steps - rising))
    optimizer = optim.Composed(
        optim.chain(
            optim.ScaleByName("shift", 64.0),
            optim.AddDecayedWeights(0.0153 / 11.5),
            optim.ScaleByMomentum(momentum, nesterov=True),
            optim.ScaleByLearningRate(schedules.WarmUp(falling, rising, start=0.2 * peak)),
        )
    )
    return Recipe(nn.losses.CrossEntropy(label_smoothing=0.2), optimizer, epochs, size)
