"""Overlapping tiles give what the whole image gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradloom import models, nn, train
from gradloom.errors import DataError, OptionError, ShapeError
from gradloom.train import predict_tiles

RNG = np.random.default_rng(4)


def ready(model: nn.Module, *shape: int, **options: Any) -> train.Trainer:
    """A trainer whose model has parameters, without a step of training."""
    run = train.Trainer(model, executor="reference", **options)
    model.initialize(np.zeros((1, *shape), np.float32))
    run.input_type = "float32", shape
    return run


class _Centred(nn.Module):
    """Each pixel less the mean of the image."""

    def forward(self, x: Any) -> Any:
        return x - x.mean(axis=(1, 2), keepdims=True)


def whole(run: train.Trainer, image: np.ndarray, margin: int = 0) -> np.ndarray:
    """The outputs for an image in one piece, mirrored by NumPy."""
    pads = [(margin, margin)] * (image.ndim - 1) + [(0, 0)]
    return np.asarray(run.model(np.pad(image, pads, mode="reflect")[None]))[0]


def test_valid_convolutions_give_the_whole_image() -> None:
    net = nn.Sequential(nn.Conv(3, 5, padding="valid", activation="relu"), nn.Conv(2, (3, 3), padding="valid"))
    run, image = ready(net, 11, 13, 2), RNG.standard_normal((29, 17, 2)).astype(np.float32)
    found = predict_tiles(run, image)
    assert found.shape == (29, 17, 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, whole(run, image, 3), atol=1e-5)
    np.testing.assert_allclose(predict_tiles(run, image, tile=(16, 9), batch=3), found, atol=1e-5)


def test_the_unet_of_the_paper_gives_the_whole_image() -> None:
    """Its tiles must begin on the grid of its pooling, or the pieces would not fit."""
    run = ready(models.UNet(2, base=2, depth=2, padding="valid"), 60, 60, 1)
    # 60 → 20 outputs; pieces of 20 are five steps of the grid, of 4.
    image = RNG.standard_normal((44, 36, 1)).astype(np.float32)
    expected = whole(run, image, 20)
    assert expected.shape == (44, 36, 2)
    np.testing.assert_allclose(predict_tiles(run, image[..., 0]), expected, atol=1e-5)
    # 62 is no size of this network, 72 gives 32.
    with pytest.raises(OptionError, match="a tile of 61x61 for Sequential: it "):
        predict_tiles(run, image, tile=61)
    np.testing.assert_allclose(predict_tiles(run, image, tile=72), expected, atol=1e-5)


def test_same_convolutions_give_the_inside_of_the_whole_image() -> None:
    run = ready(models.UNet(3, base=2, depth=1), 32, 32, 1)
    image = RNG.standard_normal((50, 70, 1)).astype(np.float32)
    sees = 10  # 2 before the pool, (1 + 2 + 1) pixels of twice the size, 2 behind: fewer than 11
    expected, found = whole(run, image), predict_tiles(run, image, overlap=sees)
    np.testing.assert_allclose(found[sees:-sees, sees:-sees], expected[sees:-sees, sees:-sees], atol=1e-5)
    # With less the seams are seen.
    seams = predict_tiles(run, image)
    assert np.abs(seams - expected)[sees:-sees, sees:-sees].max() > 1e-3
    # Mirrored far enough, the borders agree as well.
    far = whole(run, image, 20)[20:-20, 20:-20]
    np.testing.assert_allclose(found, far, atol=1e-5)


SEES = {
    "one convolution": (nn.Sequential(nn.Conv(2, 3, activation="relu")), 1),
    "two": (nn.Sequential(nn.Conv(2, 5, activation="relu"), nn.BatchNorm(), nn.Conv(1, (3, 1))), 3),
    "dilated": (nn.Sequential(nn.Conv(2, 3, dilation=4, activation="tanh")), 4),
    "valid": (nn.Sequential(nn.Conv(2, 5, padding="valid"), nn.Conv(1, 3, padding="valid")), 0),
    "unet": (models.UNet(2, base=2, depth=1), 8),  # as counted above, and a pixel of the grid
    "all of it": (nn.Sequential(_Centred()), 4),
}


@pytest.mark.parametrize("name", SEES)
def test_how_far_a_network_sees_is_measured(name: str) -> None:
    net, sees = SEES[name]
    found = train.tile_overlap(ready(net, 16, 16, 1))
    assert sees <= found <= sees + (1 if name == "unet" else 0)


def test_tiles_that_overlap_by_themselves_leave_no_seams() -> None:
    run = ready(models.UNet(3, base=2, depth=2), 8, 8, 1)
    image = RNG.standard_normal((150, 140, 1)).astype(np.float32)
    sees = train.tile_overlap(run)
    expected, found = whole(run, np.pad(image, [(0, 2), (0, 0), (0, 0)])), predict_tiles(run, image, overlap="auto")
    inside = slice(sees, 140 - sees)
    np.testing.assert_allclose(found[inside, inside], expected[inside, inside], atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 5, 1), (1, 40, 1), (8, 8, 1)])
def test_small_images_are_mirrored_many_times(shape: tuple[int, ...]) -> None:
    net = nn.Sequential(nn.Conv(2, 5, padding="valid"), nn.Conv(2, 5, padding="valid"))
    run, image = ready(net, 16, 16, 1), RNG.standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(predict_tiles(run, image), whole(run, image, 4), atol=1e-5)


def test_volumes_and_signals() -> None:
    run = ready(nn.Conv(2, (3, 3, 3), padding="valid"), 6, 6, 6, 1)
    volume = RNG.standard_normal((9, 7, 5, 1)).astype(np.float32)
    np.testing.assert_allclose(predict_tiles(run, volume), whole(run, volume, 1), atol=1e-5)
    run = ready(nn.Conv(2, (5,), padding="valid"), 12, 1)
    signal = RNG.standard_normal((40, 1)).astype(np.float32)
    np.testing.assert_allclose(predict_tiles(run, signal[:, 0]), whole(run, signal, 2), atol=1e-5)


def test_from_a_memory_map_into_another(tmp_path: Path) -> None:
    """No more than the tiles of a batch are read at a time."""
    image = np.lib.format.open_memmap(tmp_path / "image.npy", "w+", np.float32, (60, 45, 1))
    image[:] = RNG.standard_normal(image.shape)
    read: list[int] = []

    class Watched(np.memmap):
        def __getitem__(self, index: Any) -> Any:
            found = super().__getitem__(index)
            read.append(found.size)
            return found

    run = ready(nn.Conv(2, 3, padding="valid"), 10, 10, 1)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, (60, 45, 2))
    assert predict_tiles(run, image.view(Watched), out=out) is out
    assert max(read) <= 10 * 10
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), whole(run, np.asarray(image), 1), atol=1e-5)
    with pytest.raises(ShapeError, match=r"out has the shape of the outputs; got \(60, 45, 1\), not \(60, 45, 2\)"):
        predict_tiles(run, image, out=np.zeros((60, 45, 1)))


def test_float64_and_the_native_executor() -> None:
    net = nn.Conv(2, 3, padding="valid")
    run = train.Trainer(net, dtype="float64")
    image = RNG.standard_normal((2, 12, 12, 1))
    run.fit((image, RNG.integers(0, 2, (2, 10, 10))), epochs=1, progress="silent")
    found = predict_tiles(run, RNG.standard_normal((15, 30, 1)))
    assert (found.shape, found.dtype) == ((15, 30, 2), np.float64)


def test_refusals() -> None:
    image = np.zeros((20, 20, 1), np.float32)
    run = ready(nn.Sequential(nn.Conv(2, 3), nn.GlobalAvgPool()), 8, 8, 1)
    with pytest.raises(OptionError, match="the model must give an output for every pixel of a tile"):
        predict_tiles(run, image)
    with pytest.raises(OptionError, match="it gives 4x4"):
        predict_tiles(ready(nn.Conv(2, 3, strides=2), 8, 8, 1), image)
    run = ready(nn.Conv(2, 3), 8, 8, 1)
    with pytest.raises(OptionError, match="the overlap must leave something of a tile; got 4 to each side of 8x8"):
        predict_tiles(run, image, overlap=4, tile=8)
    with pytest.raises(OptionError, match="tile is one number, or 2"):
        predict_tiles(run, image, tile=(8, 8, 8))
    with pytest.raises(
        DataError, match=r"2 axes of space and then the channels of training, 1; got shape \(20, 20, 3\)"
    ):
        predict_tiles(run, np.zeros((20, 20, 3)))
    with pytest.raises(DataError, match="values must be finite"):
        predict_tiles(run, np.full((20, 20), np.nan))
    with pytest.raises(OptionError, match="the model must be trained or loaded first"):
        predict_tiles(train.Trainer(nn.Conv(2, 3)), image)
