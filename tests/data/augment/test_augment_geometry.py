"""Geometric augmentations against NumPy and scipy.ndimage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.interpolate import CubicHermiteSpline

import gradloom as gl
from gradloom.data import augment
from gradloom.data.augment import Augmentation, Compose
from gradloom.data.augment.elastic import interpolation
from gradloom.data.augment.geometry import Geometric, Points, grid
from gradloom.errors import ShapeError

KEY = gl.random.key(2)
MANY = 400
MODES = {"reflect": "mirror", "edge": "nearest"}
"""Our borders, and what SciPy calls them."""


def pictures(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def changed(change: Augmentation, images: np.ndarray, **more: Any) -> np.ndarray:
    return change(images, KEY, **more).numpy()


def test_a_flip_is_numpys_in_the_asked_share_of_examples():
    images = pictures(MANY, 3, 4, 2)
    for axis, number in (("vertical", 1), ("horizontal", 2)):
        found = changed(augment.Flip(axis, 0.3), images)
        mirrored = np.flip(images, number)
        flipped = (found == mirrored).all((1, 2, 3))
        np.testing.assert_array_equal(found, np.where(flipped[:, None, None, None], mirrored, images))
        assert flipped.mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / MANY))


def test_quarter_turns_are_numpys_and_equally_frequent():
    images = pictures(MANY, 3, 3, 2)
    turned = np.stack([np.rot90(images, k, (1, 2)) for k in range(4)])
    matches = (changed(augment.QuarterTurns(), images) == turned).all((2, 3, 4))
    np.testing.assert_array_equal(matches.sum(0), 1)
    assert matches.mean(1) == pytest.approx(0.25, abs=4 * math.sqrt(3 / 16 / MANY))


def test_oblong_images_make_half_turns():
    images = pictures(60, 2, 3, 1)
    found = changed(augment.QuarterTurns(), images)
    matches = np.stack([(found == np.rot90(images, k, (1, 2))).all((1, 2, 3)) for k in (0, 2)])
    np.testing.assert_array_equal(matches.sum(0), 1)
    assert matches.any(1).all()


@settings(max_examples=15, deadline=None)
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    padding=st.integers(0, 4),
    channels=st.integers(1, 3),
    border=st.sampled_from(["zero", "edge", "reflect"]),
    data=st.data(),
)
def test_a_crop_is_a_part_of_numpys_padding(
    size: tuple[int, int], padding: int, channels: int, border: str, data: st.DataObject
):
    side = data.draw(st.none() | st.integers(1, min(size) + 2 * padding))
    images = pictures(3, *size, channels)
    found = changed(augment.Crop(padding, side, border=border), images)
    mode: Any = {"zero": "constant"}.get(border, border)
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode)
    height, width = size if side is None else (side, side)
    assert found.shape == (3, height, width, channels)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (1, 2)).transpose(0, 1, 2, 4, 5, 3)
    for image, parts in zip(found, windows):
        assert (parts == image).all((2, 3, 4)).any()


def test_every_part_is_cropped_equally_often():
    marked = np.arange(9.0, dtype=np.float32).reshape(1, 3, 3, 1).repeat(900, 0)
    found = changed(augment.Crop(0, 1), marked).ravel()
    counts = np.bincount(found.astype(int), minlength=9)
    assert np.abs(counts - 100).max() < 45  # 4.5 standard deviations


def test_a_part_larger_than_the_image_is_refused():
    with pytest.raises(ShapeError, match=r"Crop: the part must not be larger .*9 x 9 of 4 x 5 with 2 around"):
        augment.Crop(2, 9)(pictures(1, 4, 5, 1), KEY)


def test_a_translation_is_a_shift_of_whole_pixels():
    images = pictures(60, 10, 20, 1)
    found = changed(augment.Translate(0.2, border="zero"), images)
    seen = set()
    for image, moved in zip(images, found):
        shifts = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-4, 5)
            if np.array_equal(ndimage.shift(image[..., 0], (down, right), order=0, mode="constant"), moved[..., 0])
        ]
        assert len(shifts) == 1
        seen.add(shifts[0])
    assert {down for down, _ in seen} == set(range(-2, 3))
    assert {right for _, right in seen} == set(range(-4, 5))


def matrix_of(change: Geometric, size: tuple[int, int]) -> np.ndarray:
    """The matrices of affine changes, fitted to where they say that pixels come from."""
    keys = gl.vmap(gl.random.fold_in, (None, 0))(KEY, gl.arange(6))
    places: Points = change.source(grid(size, 1), gl.random.fold_in(keys, 0), size)
    points = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1).reshape(-1, 2)
    known = np.c_[points, np.ones(len(points))]
    shape = (6, *size)
    wanted = np.stack([np.broadcast_to(p.numpy(), shape).reshape(6, -1) for p in (places.rows, places.columns)], -1)
    fitted = [np.linalg.lstsq(known, w, rcond=None) for w in wanted.astype(np.float64)]
    assert max(np.abs(known @ f[0] - w).max() for f, w in zip(fitted, wanted)) < 1e-4  # it is affine
    return np.stack([f[0].T for f in fitted])


@pytest.mark.parametrize("border", ["reflect", "edge", "zero"])
@pytest.mark.parametrize("kind", [augment.Rotate, augment.Scale, augment.Shear])
def test_affine_changes_are_scipys(kind: Any, border: str):
    size = (9, 12)
    change = kind(**{"degrees": 40} if kind is not augment.Scale else {"by": 0.4}, border=border)
    images, labels = pictures(6, *size, 2), np.random.default_rng(1).integers(1, 9, (6, *size))
    found, mask = (a.numpy() for a in change(images, KEY, mask=labels))
    for i, matrix in enumerate(matrix_of(change, size)):
        places = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1) @ matrix[:, :2].T + matrix[:, 2]
        near = np.abs(places + 0.5 - np.rint(places + 0.5)).min(-1) < 1e-3  # where rounding decides
        inside = ((places >= -0.5) & (places < np.array(size) - 0.5)).all(-1) if border == "zero" else np.array(True)
        how: Any = {"mode": MODES.get(border, "nearest")}
        for channel in range(2):
            wanted = ndimage.affine_transform(images[i, ..., channel], matrix[:, :2], matrix[:, 2], order=1, **how)
            np.testing.assert_allclose(found[i, ..., channel][~near], (wanted * inside)[~near], atol=2e-4)
        nearest = ndimage.affine_transform(labels[i], matrix[:, :2], matrix[:, 2], order=0, **how) * inside
        np.testing.assert_array_equal(mask[i][~near], nearest[~near])


def test_affine_changes_are_what_they_are_called():
    size = (9, 13)
    middle = np.array([4.0, 6.0])
    turns, scales, slants = (
        matrix_of(change, size) for change in (augment.Rotate(40), augment.Scale(0.4), augment.Shear(30))
    )
    for matrices in (turns, scales, slants):
        np.testing.assert_allclose(matrices[:, :, :2] @ middle + matrices[:, :, 2], np.tile(middle, (6, 1)), atol=1e-4)
    angles = np.degrees(np.arctan2(turns[:, 1, 0], turns[:, 0, 0]))
    assert (np.abs(angles) <= 40).all()
    assert np.ptp(angles) > 20
    np.testing.assert_allclose(
        turns[:, :, :2] @ turns[:, :, :2].transpose(0, 2, 1), np.tile(np.eye(2), (6, 1, 1)), atol=1e-5
    )
    factors = 1 / scales[:, 0, 0]
    assert ((factors >= 0.6) & (factors <= 1.4)).all()
    assert np.ptp(factors) > 0.3
    np.testing.assert_allclose(scales[:, :, :2], factors[:, None, None] ** -1 * np.eye(2), atol=1e-5)
    np.testing.assert_allclose(slants[:, 0], np.tile([1, 0, 0], (6, 1)), atol=1e-5)
    assert (np.abs(np.degrees(np.arctan(slants[:, 1, 0]))) <= 30).all()
    assert np.ptp(slants[:, 1, 0]) > 0.2


def displacements(change: augment.Elastic, size: tuple[int, int]) -> np.ndarray:
    keys = gl.vmap(gl.random.fold_in, (None, 0))(KEY, gl.arange(500))
    start = grid(size, 1)
    places = change.source(start, keys, size)
    moved = (places.rows - start.rows, places.columns - start.columns)
    return np.stack([np.broadcast_to(m.numpy(), (500, *size)) for m in moved], -1)


def test_elastic_interpolation_is_the_cubic_through_the_points():
    """Between points it is Hermite's cubic with the slopes of the neighbours' chords, the last point repeated."""
    values = np.random.default_rng(3).normal(size=5)
    ends = np.r_[values[0], values, values[-1]]
    spline = CubicHermiteSpline(np.arange(5), values, (ends[2:] - ends[:-2]) / 2)
    np.testing.assert_allclose(interpolation(33, 5) @ values, spline(np.linspace(0, 4, 33)), atol=1e-5)


def test_elastic_displacements_are_normal_at_the_points():
    found = displacements(augment.Elastic(0.05, 3), (21, 41))
    corners = found[:, ::10, ::20] / [0.05 * 21, 0.05 * 41]
    assert corners.std(0) == pytest.approx(1, abs=0.15)
    assert corners.mean(0) == pytest.approx(0, abs=0.2)
    across = corners.reshape(500, -1)
    correlations = np.corrcoef(across.T) - np.eye(across.shape[1])
    assert np.abs(correlations).max() < 0.2


def test_elastic_images_are_scipys_at_the_displaced_places():
    size = (16, 11)
    change = augment.Elastic(0.08, border="reflect")
    images = pictures(4, *size, 3)
    keys = gl.vmap(gl.random.fold_in, (None, 0))(KEY, gl.arange(4))
    places = change.source(grid(size, 1), gl.random.fold_in(keys, 0), size)
    found = changed(change, images)
    for i in range(4):
        at = [places.rows.numpy()[i], places.columns.numpy()[i]]
        for channel in range(3):
            wanted = ndimage.map_coordinates(images[i, ..., channel], at, order=1, mode="mirror")
            np.testing.assert_allclose(found[i, ..., channel], wanted, atol=1e-5)


@pytest.mark.parametrize("border", ["reflect", "edge", "zero"])
def test_a_chain_of_exact_changes_is_one_after_the_other(border: str):
    """What is composed on paper and read once equals what is read step by step, borders and all."""
    images = pictures(7, 6, 6, 2)
    steps = [
        augment.Crop(3, 8, border=border),
        augment.Flip(),
        augment.QuarterTurns(),
        augment.Translate(0.4, border=border),
    ]
    together = changed(Compose(*steps), images)
    keys = gl.vmap(gl.random.fold_in, (None, 0))(KEY, gl.arange(7))
    one_by_one = gl.tensor(images)
    for number, step in enumerate(steps):
        pictured = augment.Pictures(one_by_one)
        one_by_one = step.apply(pictured, [(step, gl.random.fold_in(keys, number))]).images
    np.testing.assert_array_equal(together, one_by_one.numpy())


def test_a_nested_chain_is_the_chain_of_all_its_parts():
    a, b, c = augment.Flip(), augment.Rotate(), augment.Noise()
    images = pictures(3, 5, 5, 1)
    np.testing.assert_array_equal(changed(Compose(a, Compose(b, c)), images), changed(Compose(a, b, c), images))


def test_two_smooth_changes_blur_once():
    """Read once, a picture of single pixels keeps the values of a single interpolation: weights that sum to 1."""
    images = np.zeros((20, 15, 15, 1), np.float32)
    images[:, 7, 7] = 1
    once = changed(Compose(augment.Rotate(20), augment.Scale(0.0), augment.Shear(0.0)), images)
    np.testing.assert_allclose(once, changed(augment.Rotate(20), images), atol=1e-5)


def test_an_elastic_change_can_stand_anywhere():
    images = pictures(4, 8, 8, 1)
    found = changed(Compose(augment.Elastic(0.0), augment.Flip(chance=1)), images)
    np.testing.assert_array_equal(found, images[:, :, ::-1])
