"""Windows laid out, summed and searched, against loops over single windows, SciPy and central differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.ndimage
from derivative_checks import assert_derivatives, assert_maps, run

from gradloom.errors import OptionError, ShapeError
from gradloom.ir.graph import constant
from gradloom.ops.window import fold_patches, patches, window_argmax, window_max, window_sum

PLAIN = {"window": (2, 3), "strides": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}

# spatial sizes and options
CASES = {
    "plain": ((4, 5), PLAIN),
    "line": ((8,), {"window": (3,), "strides": (2,), "padding": ((1, 2),), "dilation": (2,)}),
    "side by side": ((4, 6), {**PLAIN, "strides": (2, 3)}),
    "gaps between windows": ((7, 9), {**PLAIN, "strides": (3, 4)}),
    "padded unevenly": ((3, 4), {**PLAIN, "padding": ((1, 0), (1, 2))}),
    "volume": (
        (3, 4, 3),
        {"window": (2, 2, 2), "strides": (1, 2, 1), "padding": ((0, 1), (0, 0), (1, 1)), "dilation": (1, 1, 2)},
    ),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def image(spatial, *lead: int, channels: int = 2, seed: int = 0) -> np.ndarray:
    """Different random numbers at least 0.1 apart, so that small steps keep the order."""
    shape = (*(lead or (2,)), *spatial, channels)
    return np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) / 10.0 - 3


def elements(case):
    """For every window its index and a list of positions, None for padding."""
    spatial, options = case
    counts = [
        (n + sum(pair) - d * (k - 1) - 1) // s + 1
        for n, pair, d, k, s in zip(
            spatial, options["padding"], options["dilation"], options["window"], options["strides"]
        )
    ]
    for q in np.ndindex(*counts):
        axes = []
        for b, k, s, d, (low, _), n in zip(
            q, options["window"], options["strides"], options["dilation"], options["padding"], spatial
        ):
            along = [b * s + d * a - low for a in range(k)]
            axes.append([a if 0 <= a < n else None for a in along])
        yield q, [None if None in at else at for at in itertools.product(*axes)]


def by_window(case, x: np.ndarray, function) -> np.ndarray:
    """``function`` of the elements (values (n,) and flat positions (n,)) of each window, example and channel."""
    found = list(elements(case))
    counts = tuple(n + 1 for n in found[-1][0])
    out = np.zeros((x.shape[0], *counts, x.shape[-1]))
    for (q, places), example, channel in itertools.product(found, range(x.shape[0]), range(x.shape[-1])):
        real = [at for at in places if at is not None]
        values = np.array([x[(example, *at, channel)] for at in real])
        flat = np.array([np.ravel_multi_index(at, case[0]) for at in real])
        out[(example, *q, channel)] = function(values, flat)
    return out


# Values -----------------------------------------------------------------------------------------------------------


@cases
def test_patches_hold_each_window(case):
    x = image(case[0])
    found = run(lambda x: patches(x, **case[1]), x)
    for q, places in elements(case):
        for position, at in enumerate(places):
            wanted = np.zeros((2, 2)) if at is None else x[(slice(None), *at)]
            np.testing.assert_array_equal(found[(slice(None), *q, position)], wanted)


@cases
def test_folding_adds_up_overlaps(case):
    windows = list(elements(case))
    counts = tuple(n + 1 for n in windows[-1][0])
    p = image((*counts, len(windows[0][1])))
    wanted = np.zeros((2, *case[0], 2))
    for q, places in windows:
        for position, at in enumerate(places):
            if at is not None:
                wanted[(slice(None), *at)] += p[(slice(None), *q, position)]
    found = run(lambda p: fold_patches(p, spatial=case[0], **case[1]), p)
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-13)


@cases
def test_sum_max_and_argmax_of_each_window(case):
    x = image(case[0])
    total = run(lambda x: window_sum(x, **case[1]), x)
    np.testing.assert_allclose(total, by_window(case, x, lambda v, at: v.sum()), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(run(lambda x: window_max(x, **case[1]), x), by_window(case, x, lambda v, at: v.max()))
    where = run(lambda x: window_argmax(x, **case[1]), x)
    assert where.dtype == np.int64
    np.testing.assert_array_equal(where, by_window(case, x, lambda v, at: at[v.argmax()]))


def test_maximum_is_scipys_filter():
    x = image((7, 8), 1, channels=1)
    options = {"window": (3, 5), "strides": (1, 1), "padding": ((1, 1), (2, 2)), "dilation": (1, 1)}
    wanted = scipy.ndimage.maximum_filter(x[0, :, :, 0], size=(3, 5), mode="constant", cval=-np.inf)
    np.testing.assert_array_equal(run(lambda x: window_max(x, **options), x)[0, :, :, 0], wanted)


LINE = {"window": (3,), "strides": (1,), "padding": ((1, 1),), "dilation": (1,)}


def line(*values: float, dtype: str = "float64") -> np.ndarray:
    return np.array(values, dtype).reshape(1, -1, 1)


def test_the_first_of_equal_elements_is_found_and_padding_never_is():
    for lowest in (line(-np.inf, -np.inf, -np.inf), line(-128, -128, -128, dtype="int8")):
        np.testing.assert_array_equal(run(lambda x: window_argmax(x, **LINE), lowest).ravel(), [0, 0, 1])
        np.testing.assert_array_equal(run(lambda x: window_max(x, **LINE), lowest), lowest)


def test_nan_wins_over_everything():
    x = line(1, 2, np.nan, np.inf, np.nan, 0, 3)
    np.testing.assert_array_equal(
        run(lambda x: window_max(x, **LINE), x), line(2, np.nan, np.nan, np.nan, np.nan, np.nan, 3)
    )
    np.testing.assert_array_equal(run(lambda x: window_argmax(x, **LINE), x).ravel(), [1, 2, 2, 2, 4, 4, 6])


def test_dilated_windows_may_reach_over_an_input_of_their_padding():
    """Padding as large as the window is fine as long as each window holds some element."""
    options = {"window": (3,), "strides": (1,), "padding": ((4, 4),), "dilation": (4,)}
    np.testing.assert_array_equal(run(lambda x: window_max(x, **options), line(1, 2, 3)), line(1, 2, 3))


def test_half_precision_is_summed_in_single():
    x = np.full((1, 4096, 1), 1.0, "float16")
    options = {"window": (4096,), "strides": (1,), "padding": ((0, 0),), "dilation": (1,)}
    found = run(lambda x: window_sum(x, **options), x)
    assert found.dtype == np.float16
    assert found.item() == 4096  # float16 sums of ones stop at 2048


def test_integers_are_summed_and_compared_as_integers():
    x = line(3, 250, 4, dtype="uint8")
    assert run(lambda x: window_max(x, **LINE), x).dtype == np.uint8
    np.testing.assert_array_equal(run(lambda x: window_max(x, **LINE), x).ravel(), [250, 250, 250])
    np.testing.assert_array_equal(run(lambda x: window_sum(x, **LINE), line(1, 2, 3, dtype="int32")).ravel(), [3, 6, 5])


# Derivatives --------------------------------------------------------------------------------------------------------


@cases
def test_derivatives_of_linear_operations(case):
    spatial, options = case
    x = image(spatial)
    assert_derivatives(lambda x: patches(x, **options), x)
    assert_derivatives(lambda x: window_sum(x, **options), x)
    p = run(lambda x: patches(x, **options), x)
    assert_derivatives(lambda p: fold_patches(p, spatial=spatial, **options), p)


@cases
def test_derivatives_of_the_maximum(case):
    x = image(case[0])
    assert_derivatives(lambda x: window_max(x, **case[1]), x, order=2)


# vmap ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["line", "padded unevenly", "volume"])
def test_mapped_operands(name):
    spatial, options = CASES[name]
    x = image(spatial, 3, 2)
    for op in (patches, window_sum, window_max, window_argmax):
        assert_maps(lambda x, op=op: op(x, **options), x, mapped=(True,))
    p = np.stack([run(lambda x: patches(x, **options), one) for one in x])
    assert_maps(lambda p: fold_patches(p, spatial=spatial, **options), p, mapped=(True,))


# Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [window_max, window_argmax])
@pytest.mark.parametrize(
    "options",
    [
        {"window": (2,), "strides": (1,), "padding": ((2, 0),), "dilation": (1,)},
        {"window": (2,), "strides": (2,), "padding": ((1, 2),), "dilation": (1,)},
        {"window": (2,), "strides": (1,), "padding": ((2, 2),), "dilation": (4,)},
    ],
)
def test_windows_of_padding_only_have_no_largest_element(op, options):
    with pytest.raises(ShapeError, match="at least one element that is not padding"):
        op(constant(line(1, 2, 3)), **options)


@pytest.mark.parametrize("op", [patches, window_sum, window_max, window_argmax])
def test_refused_windows(op):
    x = constant(np.ones((1, 4, 4, 2)))
    with pytest.raises(ShapeError, match=r"must fit into the padded input; got a window of \(2, 5\)"):
        op(x, **{**PLAIN, "window": (2, 5)})
    with pytest.raises(OptionError, match="window needs one entry"):
        op(x, **{**PLAIN, "window": (2,)})
    with pytest.raises(OptionError, match="neither of them negative"):
        op(x, **{**PLAIN, "padding": ((0, 0), (-1, 0))})
    with pytest.raises(ShapeError, match="channels last"):
        op(constant(np.ones((4, 4))), **PLAIN)


def test_refused_folding():
    with pytest.raises(ShapeError, match=r"are float64\[1,3,2,6,1\]; got float64\[1,3,3,6,1\]"):
        fold_patches(constant(np.ones((1, 3, 3, 6, 1))), spatial=(4, 4), **PLAIN)
