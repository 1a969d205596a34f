"""The networks of the literature: as many parameters as published, the right shapes, and gradients everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import gradloom as gl
from gradloom import models, nn, optim, train, tree
from gradloom.errors import OptionError, ShapeError
from gradloom.nn.module import Tensors
from gradloom.nn.summary import layers

SMALL, LARGE = (2, 32, 32, 3), (1, 224, 224, 3)


@dataclass(frozen=True)
class Published:
    """A network, an input, the output's shape, parameters, and multiply-adds for one image, in millions."""

    make: Callable[[], nn.Module]
    x: tuple[int, ...]
    y: tuple[int, ...]
    parameters: int
    multiply_adds: float | None = None


PUBLISHED = {
    "LeNet-5": Published(models.LeNet5, (2, 28, 28, 1), (2, 10), 61_706, 0.41652),
    "SmallCNN": Published(models.SmallCNN, (2, 28, 28, 1), (2, 10), 421_642, 4.24115),
    "AlexNetSmall": Published(models.AlexNetSmall, SMALL, (2, 10), 1_387_786, 29.2351),
    "ResNet-20": Published(models.ResNet, SMALL, (2, 10), 269_722, 40.55),
    "ResNet-20, projected": Published(lambda: models.ResNet(20, shortcut="project"), SMALL, (2, 10), 272_474, 40.81),
    "ResNet-20, version 2": Published(lambda: models.ResNet(20, version=2), SMALL, (2, 10), 269_722, 40.55),
    "ResNet-32": Published(lambda: models.ResNet(32), SMALL, (2, 10), 464_154, 68.86),
    "ResNet-44": Published(lambda: models.ResNet(44), SMALL, (2, 10), 658_586, 97.17),
    "ResNet-56": Published(lambda: models.ResNet(56), SMALL, (2, 10), 853_018, 125.49),
    "ResNet-110": Published(lambda: models.ResNet(110), SMALL, (2, 10), 1_727_962, 252.89),
    "ResNet-18": Published(lambda: models.ResNet(18, 1000), LARGE, (1, 1000), 11_689_512, 1814),
    "ResNet-34": Published(lambda: models.ResNet(34, 1000), LARGE, (1, 1000), 21_797_672, 3664),
    "ResNet-50": Published(lambda: models.ResNet(50, 1000), LARGE, (1, 1000), 25_557_032, 4089),
    "WRN-16-4": Published(models.WideResNet, SMALL, (2, 10), 2_748_890, 392.612),
    "WRN-28-10": Published(lambda: models.WideResNet(28, 10), SMALL, (2, 10), 36_479_194, 5243),
    "WRN-40-4": Published(lambda: models.WideResNet(40, 4, dropout=0.3), SMALL, (2, 10), 8_949_210),
    "Speedrun": Published(models.Speedrun, SMALL, (2, 10), 1_971_352, 118.147),
    "UNet": Published(models.UNet, (1, 64, 48, 1), (1, 64, 48, 2), 31_030_658),
    "UNet of the paper": Published(
        lambda: models.UNet(padding="valid"), (1, 572, 572, 1), (1, 388, 388, 2), 31_030_658
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_work_and_shapes_are_the_published(name: str) -> None:
    """Counts after the papers and torchvision; those of SmallCNN, AlexNetSmall and Speedrun are sums by hand."""
    network = PUBLISHED[name]
    rows, parameters, _ = layers(network.make(), np.zeros(network.x, np.float32))
    assert parameters == network.parameters
    assert rows[-1].output == str(network.y)
    if network.multiply_adds is not None:
        work = sum(row.multiply_adds for row in rows) / network.x[0]
        assert work == pytest.approx(1e6 * network.multiply_adds, rel=3e-4)


def test_the_work_of_the_papers_unet() -> None:
    """Side after each convolution as the paper's figure shows it, its channels in and out, its kernel."""
    figure = [(570, 1, 64, 3), (568, 64, 64, 3), (282, 64, 128, 3), (280, 128, 128, 3), (138, 128, 256, 3)]
    figure += [(136, 256, 256, 3), (66, 256, 512, 3), (64, 512, 512, 3), (30, 512, 1024, 3), (28, 1024, 1024, 3)]
    figure += [(54, 1024, 512, 3), (52, 512, 512, 3), (102, 512, 256, 3), (100, 256, 256, 3), (198, 256, 128, 3)]
    figure += [(196, 128, 128, 3), (390, 128, 64, 3), (388, 64, 64, 3), (388, 64, 2, 1)]
    ups = [(28, 1024, 512), (52, 512, 256), (100, 256, 128), (196, 128, 64)]  # 2 by 2 for every element below
    wanted = sum(n * n * a * b * k * k for n, a, b, k in figure) + sum(4 * n * n * a * b for n, a, b in ups)
    rows, _, _ = layers(models.UNet(padding="valid"), np.zeros((1, 572, 572, 1), np.float32))
    assert sum(row.multiply_adds for row in rows) == wanted


@pytest.mark.parametrize("shortcut", ["pad", "project"])
def test_both_ways_of_a_stages_first_block_start_from_its_first_activation(shortcut: str) -> None:
    """As in the code of the second version's paper; in the other blocks the shortcut is the bare input."""
    before, *blocks = list(models.ResNet(14, version=2, shortcut=shortcut))[:7]
    assert isinstance(before, nn.Conv)
    for place, block in enumerate(blocks):
        if place % 2:
            assert isinstance(block, nn.Residual)
            assert isinstance(block.body, nn.Sequential)
            assert [type(layer).__name__ for layer in block.body] == 2 * ["BatchNorm", "ReLU", "Conv"]
        else:
            assert isinstance(block, nn.Sequential)
            norm, activation, residual = block
            assert [type(norm), type(activation), type(residual)] == [nn.BatchNorm, nn.ReLU, nn.Residual]


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: models.LeNet5(pool="max", activation="relu"), (2, 28, 28, 1)),
        (lambda: models.ResNet(8, version=2), SMALL),
        (lambda: models.WideResNet(10, 1, dropout=0.2), SMALL),
        (lambda: models.UNet(3, base=4, depth=2, norm=True, dropout=0.1), (2, 16, 12, 1)),
        (lambda: models.AlexNetSmall(width=4), SMALL),
        (lambda: models.Speedrun(width=2), SMALL),
    ],
)
def test_a_step_reaches_every_parameter(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    model, x = make(), np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    twin = nn.registry.build(json.loads(json.dumps(nn.registry.describe(model))))
    twin.initialize(x)

    def loss(parameters: Tensors) -> gl.Tensor:
        y, _ = nn.apply(twin, parameters, twin.state(), x, training=True, key=gl.random.key(1))
        return gl.mean(y * y)

    gradients = gl.grad(loss)(twin.parameters())
    assert all(np.isfinite(g.numpy()).all() and np.abs(g.numpy()).max() > 0 for g in tree.leaves(gradients))


def test_the_speedruns_updates_are_the_papers() -> None:
    """Against its code's formulas: rates of sums over examples, for shifts 64 times the rate, decay apart from both."""
    batch, momentum = 512, 0.85
    recipe = models.speedrun_recipe(10_000, epochs=3, batch_size=batch)
    steps = 3 * 20
    per_step = 1024 * (1 + 1 / (1 - momentum))
    lr, decay = 11.5 / per_step, 0.0153 * batch / per_step
    rng = np.random.default_rng(0)
    names = {"weight": lr, "shift": 64 * lr}
    theta = {name: rng.standard_normal(3) for name in names}
    velocity = {name: np.zeros(3) for name in names}
    found, state = {"layers.0": {name: gl.tensor(value) for name, value in theta.items()}}, None
    factors = []
    for _ in range(steps):
        gradients = {name: rng.standard_normal(3) for name in names}  # of the mean
        if state is None:
            state = recipe.optimizer.init(found)
        before = found
        found, state = recipe.optimizer.update({"layers.0": tree.map(gl.tensor, gradients)}, state, found)
        u = {}
        for name, rate in names.items():
            g = batch * gradients[name] + decay / rate * theta[name]
            velocity[name] = momentum * velocity[name] + g
            u[name] = rate * (g + momentum * velocity[name])
        moved = {name: (before["layers.0"][name] - found["layers.0"][name]).numpy() for name in names}
        factors.append(moved["weight"][0] / u["weight"][0])
        for name in names:
            np.testing.assert_allclose(moved[name], factors[-1] * u[name], rtol=1e-9)
            theta[name] = found["layers.0"][name].numpy()
    triangle = np.interp(np.arange(1 + steps), [0, int(0.23 * steps), steps], [0.2, 1, 0.07])
    np.testing.assert_allclose(factors, triangle[:-1], atol=0.07)
    assert max(factors) == pytest.approx(1)


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


@pytest.mark.parametrize(
    ("make", "least"),
    [
        (models.LeNet5, 12),
        (models.SmallCNN, 4),
        (models.AlexNetSmall, 7),
        (models.Speedrun, 25),
        (lambda: models.ResNet(8), 1),
        (lambda: models.WideResNet(10, 1), 1),
        (lambda: models.UNet(base=1, depth=1, padding="valid"), 18),
        (lambda: models.UNet(base=1, depth=2, padding="valid"), 44),
        (lambda: models.UNet(base=1, depth=3, padding="valid"), 92),
        (lambda: models.UNet(base=1, depth=4, padding="valid"), 188),
    ],
)
def test_the_smallest_images(make: Callable[[], nn.Module], least: int) -> None:
    """As docs/models.md says; one element less, and a window does not fit."""
    gl.trace(make(), gl.zeros((1, least, least, 3)))
    with pytest.raises(ShapeError, match="Use a larger input"):
        gl.trace(make(), gl.zeros((1, least, least - 1, 3)))


IMAGE_MODELS = [models.LeNet5, models.SmallCNN, models.AlexNetSmall, models.ResNet, models.WideResNet]


@pytest.mark.parametrize("make", [*IMAGE_MODELS, lambda: models.ResNet(18)])
def test_images_without_an_axis_of_channels_are_refused(make: Callable[[], nn.Module]) -> None:
    """They would pass for series, and be trained without a word."""
    with pytest.raises(ShapeError, match=r"layers.0 \(Conv\).*which has 1\. .*gl.expand_dims\(x, -1\)"):
        make()(np.zeros((2, 28, 28), np.float32))


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
    with pytest.raises(
        ShapeError, match=r"layers.3 \(AvgPool\).*a window of \(2, 2\).*on \(1, 1\).*Use a larger input"
    ):
        models.LeNet5()(np.zeros((1, 10, 10, 1), np.float32))
    with pytest.raises(ShapeError, match="at most 2 channels"):
        nn.PadChannels(2)(np.zeros((1, 4, 4, 3), np.float32))
