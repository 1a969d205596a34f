"""Parts, distances, thinning, border weights and Rand scores, against SciPy, scikit-learn and definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from sklearn.metrics import rand_score as plain_rand
from sklearn.metrics.cluster import pair_confusion_matrix

from gradloom import masks
from gradloom.errors import DataError, OptionError, ShapeError

SIDES = st.tuples(st.integers(1, 13), st.integers(1, 13))
MASKS = arrays(np.bool_, SIDES, elements=st.booleans())
LABELS = arrays(np.int64, SIDES, elements=st.sampled_from([0, 0, 0, 1, 2, 5]))
RNG = np.random.default_rng(3)
FULL = np.ones((3, 3), int)


@settings(deadline=None, max_examples=60)
@given(MASKS, st.sampled_from([4, 8]))
def test_components_are_those_of_scipy(mask: np.ndarray, neighbours: int) -> None:
    found, count = masks.connected_components(mask, neighbours=neighbours)
    expected, number = ndimage.label(mask, FULL if neighbours == 8 else None)
    np.testing.assert_array_equal(found, expected)
    assert count == number


def test_components_of_a_spiral() -> None:
    """The longest path there is: each turn hangs on the one before."""
    spiral = np.zeros((41, 41), int)
    y = x = 0
    way, steps = (0, 1), [40, 40, 40, *[n for k in range(38, 1, -2) for n in (k, k)]]
    spiral[0, 0] = 1
    for n in steps:
        for _ in range(n):
            y, x = y + way[0], x + way[1]
            spiral[y, x] = 1
        way = (way[1], -way[0])
    assert masks.connected_components(spiral)[1] == 1
    np.testing.assert_array_equal(masks.connected_components(1 - spiral)[0], ndimage.label(1 - spiral)[0])


@settings(deadline=None, max_examples=60)
@given(MASKS)
def test_distances_are_those_of_scipy(mask: np.ndarray) -> None:
    found = masks.distance_transform(mask)
    if mask.all():
        assert np.isinf(found).all()
    else:
        np.testing.assert_allclose(found, ndimage.distance_transform_edt(mask), rtol=1e-15)


@settings(deadline=None, max_examples=60)
@given(LABELS, st.integers(1, 4))
def test_nearest_labels_by_trying_all(labels: np.ndarray, count: int) -> None:
    distances, names = masks.nearest_labels(labels, count)
    known = [n for n in (1, 2, 5) if (labels == n).any()]
    each = np.array([ndimage.distance_transform_edt(labels != n) for n in known]).reshape(-1, *labels.shape)
    expected = np.full((count, *labels.shape), np.inf)
    nearest = np.sort(each, 0)[:count]
    expected[: len(nearest)] = nearest
    np.testing.assert_allclose(distances, expected, rtol=1e-15)
    for place in range(count):
        for n, d in zip(known, each):
            chosen = names[place] == n
            np.testing.assert_allclose(distances[place][chosen], d[chosen], rtol=1e-15)
    assert ((names == 0) == np.isinf(expected)).all()
    for pixel in np.ndindex(labels.shape):
        found = [n for n in names[(slice(None), *pixel)] if n]
        assert len(set(found)) == len(found)


@pytest.mark.parametrize(("side", "labels", "within"), [(200, 3, math.inf), (200, 40, 12.5), (2, 2**12, math.inf)])
def test_nearest_labels_of_large_pictures(side: int, labels: int, within: float) -> None:
    """Several blocks of rows, entries of 64 bits, and labels of any size and sign."""
    picture = np.zeros((side, 2**13 // side), np.int64)
    places = RNG.choice(picture.size, labels, replace=False)
    picture.flat[places] = names = RNG.permutation(labels) * 10**12 - 10**13 + 1
    distances, found = masks.nearest_labels(picture, 2, within=within)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].reshape(2, -1, 1)
    chosen = RNG.choice(picture.size, 500, replace=False)
    y, x = np.divmod(places, picture.shape[1])
    squares = (rows[chosen] - y) ** 2 + (columns[chosen] - x) ** 2
    order = np.lexsort((np.broadcast_to(names, squares.shape), squares), axis=-1)[:, :2]
    nearest, theirs = np.sqrt(np.take_along_axis(squares, order, 1)), names[order]
    np.testing.assert_array_equal(distances.reshape(2, -1)[:, chosen].T, np.where(nearest > within, np.inf, nearest))
    np.testing.assert_array_equal(found.reshape(2, -1)[:, chosen].T, np.where(nearest > within, 0, theirs))


@settings(deadline=None, max_examples=80)
@given(MASKS, st.booleans())
def test_thinning_keeps_what_hangs_together(mask: np.ndarray, framed: bool) -> None:
    thinned = masks.thin(mask, framed=framed)
    assert not (thinned & ~mask).any()
    around, inside = (np.pad(~m, 1, constant_values=not framed) for m in (mask, thinned))
    assert ndimage.label(~inside, FULL)[1] == ndimage.label(~around, FULL)[1]
    before, cells = ndimage.label(around)
    after, count = ndimage.label(inside)
    assert count == cells
    # Each cell has only grown.
    pairs = {(a, b) for a, b in zip(before[around], after[around])}
    assert len(pairs) == cells
    np.testing.assert_array_equal(masks.thin(thinned, framed=framed), thinned)


def test_thinning_makes_lines() -> None:
    bar = np.zeros((9, 20), bool)
    bar[2:7, 2:18] = True
    thinned = masks.thin(bar)
    assert thinned.sum(0).max() == 1
    assert thinned.any(0).sum() >= 10


def test_border_weights_by_the_formula() -> None:
    cells = np.zeros((12, 17), int)
    cells[2:6, 1:6], cells[3:9, 8:12], cells[9:11, 2:8] = 1, 2, 3
    each = np.sort([ndimage.distance_transform_edt(cells != n) for n in (1, 2, 3)], 0)
    bump = 7 * np.exp(-((each[0] + each[1]) ** 2) / (2 * 3.0**2))
    inside = (cells > 0).mean()
    balance = np.where(cells > 0, 0.5 / inside, 0.5 / (1 - inside))
    assert balance.mean() == pytest.approx(1)
    found = masks.border_weights(cells, w0=7, sigma=3.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, balance + np.where(cells > 0, 0, bump), rtol=1e-6)
    np.testing.assert_allclose(masks.border_weights(cells, w0=7, sigma=3, cells_too=True), balance + bump, rtol=1e-6)
    # A mask of 0 and 1 has its connected parts as cells, one mask of a stack is as one alone.
    stack = np.stack([cells > 0, np.zeros_like(cells)])
    found = masks.border_weights(stack, w0=7, sigma=3, classes=(1, 2))
    np.testing.assert_allclose(found[0], np.where(cells > 0, 2, 1 + bump), rtol=1e-6)
    np.testing.assert_array_equal(found[1], np.ones(cells.shape))
    np.testing.assert_allclose(masks.border_weights(cells > 0, w0=0, classes=None), 1)
    # So has one of 0 and 255, as image files have it.
    as_file = masks.border_weights(255 * stack.astype(np.uint8), w0=7, sigma=3, classes=(1, 2))
    np.testing.assert_array_equal(as_file, found)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_rand_score_counts_pairs(height: int, width: int, data: st.DataObject) -> None:
    labels = arrays(np.int64, (height, width), elements=st.integers(0, 3))
    predicted, true = data.draw(labels), data.draw(labels)
    counts = true > 0
    if not counts.any():
        with pytest.raises(DataError, match="there must be a true cell"):
            masks.rand_score(predicted, true)
        return
    part, cell = predicted[counts], true[counts]
    part = np.where(part == 0, 10 + np.arange(len(part)), part)
    # Pairs with repetition, as the chances of two draws: both, one part, one cell.
    both = sum(((part == a) & (cell == b)).sum() ** 2 for a in np.unique(part) for b in np.unique(cell))
    one_part = sum((part == a).sum() ** 2 for a in np.unique(part))
    one_cell = sum((cell == b).sum() ** 2 for b in np.unique(cell))
    (_, merged), (apart, together) = pair_confusion_matrix(cell, part)
    assert (both, one_part) == (together + len(cell), together + merged + len(cell))
    found = masks.rand_score(predicted, true)
    assert found.split == pytest.approx(both / one_cell, rel=1e-12)
    assert found.merge == pytest.approx(both / one_part, rel=1e-12)
    assert found.score == pytest.approx(2 / (1 / found.split + 1 / found.merge), rel=1e-12)
    assert one_cell == together + apart + len(cell)
    assert (plain_rand(cell, part) == 1) == (found.error == pytest.approx(0, abs=1e-15))


def test_membranes_of_another_thickness_score_alike() -> None:
    true = np.zeros((40, 40), bool)
    true[13], true[:, 20], true[27, :20] = True, True, True
    thick = ndimage.binary_dilation(true, iterations=2)
    good = masks.membrane_rand_score(np.where(thick, 0.9, 0.05), true)
    assert good.best.score > 0.99
    gap = thick.copy()
    gap[8:20, 3:8] = False  # a hole in the membrane merges two cells
    holed = masks.membrane_rand_score(np.where(gap, 0.9, 0.05), true)
    assert holed.best.merge < 0.8
    assert holed.best.split > 0.98
    # A threshold between the two levels repairs it.
    repaired = masks.membrane_rand_score(np.where(gap, 0.9, np.where(thick, 0.4, 0.05)), true, thresholds=(0.2, 0.6))
    assert repaired.threshold == 0.2
    assert repaired.best.score == good.best.score
    assert repaired.scores[1] == holed.best


def test_refusals() -> None:
    with pytest.raises(ShapeError, match=r"thin: a mask is a picture \(height, width\); got shape \(2, 2, 2\)\. Call"):
        masks.thin(np.ones((2, 2, 2)))
    with pytest.raises(OptionError, match="neighbours are 4 or 8; got 6"):
        masks.connected_components(np.ones((2, 2)), neighbours=6)
    with pytest.raises(ShapeError, match=r"both are of one size; got \(2, 2\) and \(2, 3\)"):
        masks.rand_score(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(ShapeError, match="masks are whole numbers"):
        masks.border_weights(np.ones((2, 2)))
    with pytest.raises(OptionError, match="the weights outside and inside cells"):
        masks.border_weights(np.ones((2, 2), int), classes=(1, 2, 3))
    with pytest.raises(ShapeError, match="masks are whole numbers"):
        masks.border_weights(np.ones((2, 0, 3), int))
    with pytest.raises(OptionError, match="there must be a threshold"):
        masks.membrane_rand_score(np.zeros((2, 2)), np.eye(2), thresholds=())
    with pytest.raises(DataError, match="probabilities must be numbers; got NaN"):
        masks.membrane_rand_score(np.full((2, 2), np.nan), np.eye(2))
