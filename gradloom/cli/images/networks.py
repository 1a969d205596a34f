"""The networks for images that ``train`` offers, and what images need beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from inspect import signature

from gradloom import models, nn
from gradloom.cli.networks import dropout_rate
from gradloom.data.images import Images
from gradloom.errors import DataError, OptionError, ShapeError, unknown_name
from gradloom.train.batches import choose_batch_size
from gradloom.train.inputs import two_examples

Builder = Callable[[int], nn.Module]

CLASSIFIERS: dict[str, Builder] = {
    "lenet5": partial(models.LeNet5, activation="relu", pool="max"),
    "smallcnn": models.SmallCNN,
    "alexnet": models.AlexNetSmall,
    **{f"resnet{depth}": partial(models.ResNet, depth) for depth in (18, 20, 32, 34, 44, 50, 56, 110)},
    "wrn16-4": partial(models.WideResNet, 16, 4),
    "wrn28-10": partial(models.WideResNet, 28, 10),
}
"""From the number of classes to a network that says one for each image."""

SEGMENTERS: dict[str, Builder] = {
    "unet": partial(models.UNet, base=16, norm=True),
    "unet-small": partial(models.UNet, base=8, depth=2, norm=True),
    "unet64": models.UNet,
}
"""From the number of classes to a network that says one for each pixel; unet64 is the paper's, which has no norms."""

USUAL, USUAL_WITH_MASKS = "resnet20", "unet"
LOSSES, LOSSES_WITH_MASKS = ("cross_entropy", "focal"), ("cross_entropy", "focal", "dice", "iou")
MOST_PIXELS = 2**19
"""In a batch of which no size was asked for; activations take some hundred times as much memory."""


def build_network(name: str, images: Images, dropout: float | None = None) -> nn.Sequential:
    """A network for a training set, which normalises by the set's own mean and deviation.

    Args:
        name: see :func:`network_name`.
        images: the training part.
        dropout: the rate, for networks that drop; None for that of the network.

    Raises:
        DataError: the images are smaller than what the network makes of them, or their sides do not divide.
        OptionError: the network has no dropout, or the rate is none.
    """
    make = partial(_with_dropout(name, dropout), len(images.classes))
    shape = images.inputs.shape[1:]
    fault = _fault(make(), shape)
    if fault:
        larger = next((size for size in _larger(shape) if not _fault(make(), (*size, shape[2]))), None)
        raise DataError(
            images.source,
            rule=f"{name} does not take images of {shape[0]} x {shape[1]} (height x width)",
            got=fault,
            fix=f"Say --size {larger[0]}x{larger[1]}, or choose another --model." if larger else "",
        )
    return nn.Sequential(nn.Normalize(*images.statistics()), make())


def _with_dropout(name: str, rate: float | None) -> Builder:
    offers: dict[str, Callable[..., nn.Module]] = dict(CLASSIFIERS if name in CLASSIFIERS else SEGMENTERS)
    if rate is None:
        return offers[name]
    dropping = [other for other, make in offers.items() if "dropout" in signature(make).parameters]
    if name not in dropping:
        fix = f"Leave --dropout out, or use --model {', '.join(dropping)}."
        raise OptionError("--dropout", rule=f"{name} has no dropout", got=str(rate), fix=fix)
    return partial(offers[name], dropout=dropout_rate(rate))


def network_name(asked: str, images: Images) -> str:
    """The name of the network for a training set.

    Args:
        asked: a name, or ``auto``.
        images: the training part.

    Raises:
        UnknownNameError: there is no such network.
        OptionError: it is for the other task.
    """
    offers, others = (SEGMENTERS, CLASSIFIERS) if images.levels else (CLASSIFIERS, SEGMENTERS)
    usual = USUAL_WITH_MASKS if images.levels else USUAL
    name = usual if asked == "auto" else asked
    if name in others:
        task = "one class for each image" if images.levels else "a class for each pixel"
        fix = (
            f"Leave --masks out, or use --model {usual}." if images.levels else f"Add --masks, or use --model {usual}."
        )
        raise OptionError("--model", rule=f"{name} is for {task}", got=f"images {_with(images)} masks", fix=fix)
    if name not in offers:
        raise unknown_name("--model", "network for images", name, ("auto", *offers))
    return name


def batch_size(asked: int | str, images: Images) -> int:
    """How many images an update takes: what was asked for, or what is usual and fits into memory.

    Args:
        asked: a number, or ``auto``.
        images: the training part.
    """
    if isinstance(asked, int):
        return asked
    height, width = images.inputs.shape[1:3]
    fitting = max(MOST_PIXELS // (height * width), 1)
    return min(choose_batch_size("auto", len(images)), 1 << (fitting.bit_length() - 1))


def check_loss(asked: str | None, images: Images) -> str:
    """The loss for classes of images or of pixels.

    Raises:
        UnknownNameError: there is no such loss for them.
    """
    losses = LOSSES_WITH_MASKS if images.levels else LOSSES
    if asked is not None and asked not in losses:
        raise unknown_name("--loss", f"loss for images {_with(images)} masks", asked, losses)
    return asked or losses[0]


def _fault(network: nn.Module, shape: tuple[int, ...]) -> str:
    """What a network has against images of a shape; empty if it takes them."""
    try:
        network.initialize(two_examples("float32", shape), blank=True)
    except ShapeError as error:
        return f"in {' > '.join(error.layers)}: {error.rule}"
    return ""


def _larger(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Sizes above that of an image whose sides can be halved once, twice, ..."""
    for unit in (2, 4, 8, 16, 32, 64):
        yield -(-shape[0] // unit) * unit, -(-shape[1] // unit) * unit


def _with(images: Images) -> str:
    return "with" if images.levels else "without"
