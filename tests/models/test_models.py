"""The networks of the literature: as many parameters as published, the right shapes, and gradients everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

import gradloom as gl
from gradloom import models, nn, optim, train, tree
from gradloom.errors import OptionError, ShapeError
from gradloom.nn.summary import layers

SMALL, LARGE = (2, 32, 32, 3), (1, 224, 224, 3)
PUBLISHED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...], int]] = {
    "LeNet-5": (models.LeNet5, (2, 28, 28, 1), (2, 10), 61_706),
    "SmallCNN": (models.SmallCNN, (2, 28, 28, 1), (2, 10), 421_642),
    "AlexNetSmall": (models.AlexNetSmall, SMALL, (2, 10), 1_387_786),
    "ResNet-20": (models.ResNet, SMALL, (2, 10), 269_722),
    "ResNet-20, projected": (lambda: models.ResNet(20, shortcut="project"), SMALL, (2, 10), 272_474),
    "ResNet-20, version 2": (lambda: models.ResNet(20, version=2), SMALL, (2, 10), 269_722),
    "ResNet-56": (lambda: models.ResNet(56), SMALL, (2, 10), 853_018),
    "ResNet-18": (lambda: models.ResNet(18, 1000), LARGE, (1, 1000), 11_689_512),
    "ResNet-34": (lambda: models.ResNet(34, 1000), LARGE, (1, 1000), 21_797_672),
    "ResNet-50": (lambda: models.ResNet(50, 1000), LARGE, (1, 1000), 25_557_032),
    "WRN-16-4": (models.WideResNet, SMALL, (2, 10), 2_748_890),
    "WRN-28-10": (lambda: models.WideResNet(28, 10), SMALL, (2, 10), 36_479_194),
    "WRN-40-4": (lambda: models.WideResNet(40, 4, dropout=0.3), SMALL, (2, 10), 8_949_210),
    "UNet": (models.UNet, (1, 64, 48, 1), (1, 64, 48, 2), 31_030_658),
    "UNet of the paper": (lambda: models.UNet(padding="valid"), (1, 572, 572, 1), (1, 388, 388, 2), 31_030_658),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_shapes_are_the_published(name: str) -> None:
    """Counts after the papers and torchvision; SmallCNN's and AlexNetSmall's are sums over their layers by hand."""
    make, given, wanted, count = PUBLISHED[name]
    rows, parameters, _ = layers(make(), np.zeros(given, np.float32))
    assert parameters == count
    assert rows[-1].output == str(wanted)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: models.LeNet5(pool="max", activation="relu"), (2, 28, 28, 1)),
        (lambda: models.ResNet(8, version=2), SMALL),
        (lambda: models.WideResNet(10, 1, dropout=0.2), SMALL),
        (lambda: models.UNet(3, base=4, depth=2, norm=True, dropout=0.1), (2, 16, 12, 1)),
        (lambda: models.AlexNetSmall(width=4), SMALL),
    ],
)
def test_a_step_reaches_every_parameter(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    model, x = make(), np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    twin = nn.registry.build(json.loads(json.dumps(nn.registry.describe(model))))
    twin.initialize(x)

    def loss(parameters: nn.module.Tensors) -> gl.Tensor:
        y, _ = nn.apply(twin, parameters, twin.state(), x, training=True, key=gl.random.key(1))
        return gl.mean(y * y)

    gradients = gl.grad(loss)(twin.parameters())
    assert all(np.isfinite(g.numpy()).all() and np.abs(g.numpy()).max() > 0 for g in tree.leaves(gradients))


def test_lenet_learns_where_a_square_lies() -> None:
    """Four classes, one for each corner; anything that is not fitted stays near a loss of log 4."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 256)
    images = 0.1 * rng.standard_normal((256, 28, 28, 1)).astype(np.float32)
    for image, label in zip(images, labels):
        row, column = (int(rng.integers(1, 6)) + 14 * int(half) for half in divmod(label, 2))
        image[row : row + 6, column : column + 6] += 1
    trainer = train.Trainer(models.LeNet5(4), "cross_entropy", optim.Adam(2e-3), metrics=["accuracy"])
    trainer.fit((images, labels), epochs=4, batch_size=32, progress="silent")
    assert trainer.evaluate((images, labels))["accuracy"] > 0.95


def test_errors() -> None:
    with pytest.raises(OptionError, match="Nearest are 20 and 26"):
        models.ResNet(21)
    with pytest.raises(OptionError, match="version is 1 or 2"):
        models.ResNet(20, version=3)
    with pytest.raises(OptionError, match="depth is 6n \\+ 4"):
        models.WideResNet(20)
    with pytest.raises(ShapeError, match="sizes that divide by 2"):
        models.UNet(base=2, depth=3)(np.zeros((1, 20, 20, 1), np.float32))
    with pytest.raises(OptionError, match="no such pool"):
        models.LeNet5(pool="median")
    with pytest.raises(ShapeError, match="at most 2 channels"):
        nn.PadChannels(2)(np.zeros((1, 4, 4, 3), np.float32))
