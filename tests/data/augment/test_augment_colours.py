"""Photometric augmentations and mixup against closed forms, colorsys and SciPy's distributions."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
from scipy import stats

import gradloom as gl
from gradloom.data import augment
from gradloom.errors import OptionError, ShapeError, UnknownNameError

KEY = gl.random.key(4)
IMAGES = np.random.default_rng(1).random((300, 4, 5, 3))


def changed(change: augment.Augmentation, images: np.ndarray = IMAGES) -> np.ndarray:
    return change(images, KEY).numpy()


def factors(found: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The factor between deviations of each image, which is one."""
    ratio = (found * given).sum((1, 2, 3)) / (given * given).sum((1, 2, 3))
    np.testing.assert_allclose(found, ratio[:, None, None, None] * given, atol=1e-6)
    return ratio


def check_uniform(drawn: np.ndarray, low: float, high: float) -> None:
    assert stats.kstest(drawn, stats.uniform(low, high - low).cdf).pvalue > 1e-3


def test_brightness():
    check_uniform(factors(changed(augment.Brightness(0.3)), IMAGES), 0.7, 1.3)


def grey(images: np.ndarray) -> np.ndarray:
    return (images @ [0.299, 0.587, 0.114])[..., np.newaxis]


def test_contrast():
    mean = grey(IMAGES).mean((1, 2), keepdims=True)
    check_uniform(factors(changed(augment.Contrast(0.3)) - mean, IMAGES - mean), 0.7, 1.3)


def test_contrast_without_colours():
    images = IMAGES[..., :2]
    mean = images.mean((1, 2, 3), keepdims=True)
    check_uniform(factors(changed(augment.Contrast(0.5), images) - mean, images - mean), 0.5, 1.5)


def test_saturation():
    found = changed(augment.Saturation(0.3))
    np.testing.assert_allclose(grey(found), grey(IMAGES), atol=1e-6)
    check_uniform(factors(found - grey(IMAGES), IMAGES - grey(IMAGES)), 0.7, 1.3)


def test_hue_is_colorsys():
    special = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
    images = np.concatenate([IMAGES[:50].reshape(50, 20, 3), np.tile(special, (50, 1, 1))], 1)[:, :, np.newaxis]
    found = changed(augment.Hue(0.5), images)
    turns = []
    for image, other in zip(images[:, :, 0], found[:, :, 0]):
        before, after = (np.array([colorsys.rgb_to_hsv(*pixel) for pixel in part]) for part in (image, other))
        turn = (after[0, 0] - before[0, 0]) % 1
        turns.append(turn)
        wanted = np.array([colorsys.hsv_to_rgb((h + turn) % 1, s, v) for h, s, v in before])
        np.testing.assert_allclose(other, wanted, atol=3e-6)
    check_uniform(np.array(turns), 0, 1)


def test_hue_and_contrast_commute_with_standardising():
    for change in (augment.Hue(0.3), augment.Contrast(), augment.Saturation()):
        np.testing.assert_allclose(changed(change, (IMAGES - 0.4) / 0.2), (changed(change) - 0.4) / 0.2, atol=1e-5)


@pytest.mark.parametrize("change", [augment.Hue(), augment.Saturation()])
def test_colours_need_three_channels(change: augment.Augmentation):
    with pytest.raises(ShapeError, match=rf"{type(change).__name__}: images must have the three channels"):
        change(IMAGES[..., :1], KEY)


def test_noise_is_normal():
    noise = (changed(augment.Noise(0.5)) - IMAGES) / 0.5
    assert stats.kstest(noise.ravel(), stats.norm.cdf).pvalue > 1e-3
    pairs = np.corrcoef(noise.reshape(300, -1)[:, :20].T) - np.eye(20)
    assert np.abs(pairs).max() < 0.3


def test_cutout_is_a_square_about_a_random_pixel():
    images = np.ones((500, 8, 12, 2), np.float32)
    found = changed(augment.Cutout(0.5, -1.0), images)
    assert set(np.unique(found)) == {-1.0, 1.0}
    seen = set()
    for image in found[..., 0] < 0:
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        np.testing.assert_array_equal(image, np.outer(image.any(1), image.any(0)))
        assert rows.size <= 4
        assert columns.size <= 4
        inner = [places for places, n in ((rows, 8), (columns, 12)) if places[0] > 0 and places[-1] < n - 1]
        assert all(places.size == 4 for places in inner)
        seen.add((rows[0], rows[-1], columns[0], columns[-1]))
    assert len(seen) > 70  # of 96


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 3.0])
def test_the_share_of_mixup_is_the_greater_of_a_beta(alpha: float):
    keys = gl.vmap(gl.random.fold_in, (None, 0))(KEY, gl.arange(3000))
    share = augment.Mixup(alpha).share(keys).numpy().astype(np.float64)
    assert share.min() >= 0.5
    assert share.max() <= 1
    beta = stats.beta(alpha, alpha)
    for bound in (0.55, 0.7, 0.9, 0.99, 0.9999):
        chance = beta.cdf(bound) - beta.cdf(1 - bound)
        assert (share < bound).mean() == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 3000)), bound


def test_mixup_mixes_with_the_next():
    found = augment.Mixup(1.0).change(IMAGES, KEY)
    assert found.mixture is not None
    share = found.mixture.share.numpy()[:, None, None, None]
    np.testing.assert_allclose(found.images.numpy(), share * IMAGES + (1 - share) * np.roll(IMAGES, -1, 0), atol=1e-6)
    labels = np.eye(3)[np.arange(300) % 3]
    mixed = found.mixture.of(gl.tensor(labels)).numpy()
    np.testing.assert_allclose(
        mixed, share[:, 0, 0] * labels + (1 - share[:, 0, 0]) * np.roll(labels, -1, 0), atol=1e-6
    )


def test_presets_by_name():
    assert augment.get("photo") is augment.PRESETS["photo"]
    assert not any(getattr(part, "axis", "") == "vertical" for part in augment.get("photo").parts)
    digits = augment.get("digits").parts
    assert not any(isinstance(part, (augment.Flip, augment.QuarterTurns)) for part in digits)
    assert {augment.QuarterTurns, augment.Elastic} <= {type(part) for part in augment.get("microscopy").parts}
    with pytest.raises(UnknownNameError, match=r"got 'digit'\. Did you mean 'digits'"):
        augment.get("digit")


def test_a_chain_takes_augmentations_alone():
    with pytest.raises(OptionError, match="Compose: it consists of augmentations; got 'photo'"):
        augment.Compose("photo")  # type: ignore[arg-type]


def test_hostile_options_are_refused():
    for wrong in (math.inf, True, None):
        with pytest.raises(OptionError, match="Brightness: by lies in"):
            augment.Brightness(wrong)  # type: ignore[arg-type]
