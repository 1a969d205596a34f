"""Convolution and its two relatives against a loop over single numbers, SciPy, the notes and central differences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.signal
from derivative_checks import assert_derivatives, assert_maps, run

from gradloom.errors import DTypeError, GradloomError, OptionError, ShapeError
from gradloom.ir.graph import constant
from gradloom.ops.convolution import conv, conv_input_gradient, conv_kernel_gradient
from gradloom.ops.geometry import Windows

PLAIN = {"strides": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}

# spatial sizes, kernel sizes, input channels, output channels, options
CASES = {
    "plain": ((4, 5), (2, 3), 2, 3, PLAIN),
    "line": ((7,), (3,), 1, 2, {"strides": (2,), "padding": ((1, 2),), "dilation": (2,), "groups": 1}),
    "strided, a row left over": ((6, 5), (3, 2), 2, 2, {**PLAIN, "strides": (2, 2)}),
    "gaps between windows": ((8, 7), (2, 1), 1, 2, {**PLAIN, "strides": (3, 4)}),
    "padded unevenly": ((3, 4), (3, 3), 2, 2, {**PLAIN, "padding": ((2, 0), (1, 3))}),
    "windows of padding only": ((2, 2), (2, 2), 1, 1, {**PLAIN, "padding": ((3, 2), (0, 2))}),
    "dilated": ((7, 6), (3, 2), 1, 2, {**PLAIN, "dilation": (2, 3), "padding": ((1, 0), (0, 1))}),
    "groups": ((4, 4), (2, 2), 6, 4, {**PLAIN, "groups": 2, "strides": (1, 2)}),
    "depthwise": ((4, 4), (3, 3), 3, 6, {**PLAIN, "groups": 3, "padding": ((1, 1), (1, 1))}),
    "volume": (
        (3, 4, 3),
        (2, 2, 3),
        2,
        2,
        {"strides": (1, 2, 1), "padding": ((0, 1), (0, 0), (1, 1)), "dilation": (1, 1, 1), "groups": 2},
    ),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def arrays(case, count: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random input, kernel and output of a case."""
    spatial, kernel, channels, filters, options = case
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, *spatial, channels))
    w = rng.standard_normal((*kernel, channels // options["groups"], filters))
    padded = [n + sum(pair) for n, pair in zip(spatial, options["padding"])]
    extents = [d * (k - 1) + 1 for d, k in zip(options["dilation"], kernel)]
    out = [int(np.floor((n - e) / s)) + 1 for n, e, s in zip(padded, extents, options["strides"])]
    return x, w, rng.standard_normal((count, *out, filters))


def products(case, out: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Index of x (without the example), of w and of y for every product that the definition sums."""
    spatial, kernel, channels, filters, options = case
    per_group, filters_per_group = channels // options["groups"], filters // options["groups"]
    for q, p in itertools.product(np.ndindex(*out), np.ndindex(*kernel)):
        at = tuple(
            s * b + d * a - low
            for s, b, d, a, (low, _) in zip(options["strides"], q, options["dilation"], p, options["padding"])
        )
        if all(0 <= a < n for a, n in zip(at, spatial)):
            for i, o in itertools.product(range(per_group), range(filters)):
                yield (*at, o // filters_per_group * per_group + i), (*p, i, o), (*q, o)


# Values -----------------------------------------------------------------------------------------------------------


@cases
def test_conv_is_the_sum_of_its_products(case):
    x, w, y = arrays(case)
    wanted = np.zeros_like(y)
    for ix, iw, iy in products(case, y.shape[1:-1]):
        wanted[(slice(None), *iy)] += x[(slice(None), *ix)] * w[iw]
    found = run(lambda x, w: conv(x, w, **case[-1]), x, w)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@cases
def test_input_gradient_is_the_sum_of_its_products(case):
    x, w, y = arrays(case)
    wanted = np.zeros_like(x)
    for ix, iw, iy in products(case, y.shape[1:-1]):
        wanted[(slice(None), *ix)] += y[(slice(None), *iy)] * w[iw]
    found = run(lambda y, w: conv_input_gradient(y, w, spatial=case[0], **case[-1]), y, w)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@cases
def test_kernel_gradient_is_the_sum_of_its_products(case):
    x, w, y = arrays(case)
    wanted = np.zeros_like(w)
    for ix, iw, iy in products(case, y.shape[1:-1]):
        wanted[iw] += x[(slice(None), *ix)] @ y[(slice(None), *iy)]
    found = run(lambda x, y: conv_kernel_gradient(x, y, kernel=case[1], **case[-1]), x, y)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_one_channel_is_scipys_correlation():
    rng = np.random.default_rng(0)
    image, kernel = rng.standard_normal((9, 8)), rng.standard_normal((3, 4))
    found = run(lambda x, w: conv(x, w, **PLAIN), image[None, :, :, None], kernel[:, :, None, None])
    np.testing.assert_allclose(found[0, :, :, 0], scipy.signal.correlate2d(image, kernel, mode="valid"), rtol=1e-12)


def test_fractionally_strided_convolution_of_the_course_notes():
    """Stride 1/3: zeros between the elements, padding 1, cross-correlation with this kernel.

    A transposed convolution scatters the kernel, so it needs the kernel turned by 180 degrees.
    """
    feature_map = np.array([[1.0, 1], [1, 0]])[None, :, :, None]
    kernel = np.array([[-1.0, 3, 1], [3, 5, -3], [-1, -3, 1]])
    options = {**PLAIN, "strides": (3, 3), "padding": ((1, 1), (1, 1))}
    found = run(
        lambda y, w: conv_input_gradient(y, w, spatial=(4, 4), **options),
        feature_map,
        kernel[::-1, ::-1, None, None].copy(),
    )
    np.testing.assert_array_equal(found[0, :, :, 0], [[5, 3, -3, 5], [3, -1, 1, 3], [-3, -1, 0, 0], [5, 3, 0, 0]])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_data_type_is_kept_and_half_precision_is_summed_in_single(dtype):
    case = CASES["groups"]
    x, w, y = (a.astype(dtype) for a in arrays(case))
    options = case[-1]
    for function, a, b in (
        (lambda x, w: conv(x, w, **options), x, w),
        (lambda y, w: conv_input_gradient(y, w, spatial=case[0], **options), y, w),
        (lambda x, y: conv_kernel_gradient(x, y, kernel=case[1], **options), x, y),
    ):
        found = run(function, a, b)
        assert found.dtype == dtype
        exact = run(function, a.astype("float64"), b.astype("float64"))
        # One rounding of the result, and for float32 that of the sums.
        bound = (2 if dtype == "float16" else 32) * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(found, exact, rtol=bound, atol=bound)


def test_no_examples():
    x, w, y = arrays(CASES["plain"], count=0)
    assert run(lambda x, w: conv(x, w, **PLAIN), x, w).shape == y.shape
    assert not run(lambda x, y: conv_kernel_gradient(x, y, kernel=(2, 3), **PLAIN), x, y).any()


# Derivatives --------------------------------------------------------------------------------------------------------

some = pytest.mark.parametrize(
    "case",
    [CASES[name] for name in ("line", "padded unevenly", "groups", "volume")],
    ids=["line", "padded unevenly", "groups", "volume"],
)


@some
def test_derivatives_of_conv(case):
    x, w, _ = arrays(case)
    assert_derivatives(lambda x, w: conv(x, w, **case[-1]), x, w, order=2)


@some
def test_derivatives_of_input_gradient(case):
    _, w, y = arrays(case)
    assert_derivatives(lambda y, w: conv_input_gradient(y, w, spatial=case[0], **case[-1]), y, w, order=2)


@some
def test_derivatives_of_kernel_gradient(case):
    x, _, y = arrays(case)
    assert_derivatives(lambda x, y: conv_kernel_gradient(x, y, kernel=case[1], **case[-1]), x, y, order=2)


# vmap ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapped", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("name", ["line", "groups", "depthwise", "volume"])
def test_mapped_operands(name, mapped):
    case = CASES[name]
    options = case[-1]
    ones, many = arrays(case), [np.stack(same) for same in zip(*(arrays(case, seed=s) for s in (1, 2, 3)))]
    x, w, y = range(3)
    for function, a, b in (
        (lambda x, w: conv(x, w, **options), x, w),
        (lambda y, w: conv_input_gradient(y, w, spatial=case[0], **options), y, w),
        (lambda x, y: conv_kernel_gradient(x, y, kernel=case[1], **options), x, y),
    ):
        operands = [many[i] if is_mapped else ones[i] for i, is_mapped in zip((a, b), mapped)]
        assert_maps(function, *operands, mapped=mapped)


# Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "w", "options", "error", "message"),
    [
        ((1, 4, 4, 3), (2, 2, 2, 5), {}, ShapeError, "3 input channels .* and a kernel for 2 "),
        ((1, 4, 4, 4), (2, 2, 4, 6), {"groups": 2}, ShapeError, "4 input channels .* and a kernel for 8 "),
        ((1, 4, 4, 3), (2, 2, 1, 4), {"groups": 2}, ShapeError, "input channels; got 2 groups for 3"),
        ((1, 4, 4, 4), (2, 2, 2, 3), {"groups": 2}, ShapeError, "output channels; got 2 groups for 3"),
        ((1, 4, 4, 3), (5, 2, 3, 1), {}, ShapeError, "must fit into the padded input"),
        ((1, 4, 4, 3), (3, 3, 3, 1), {"dilation": (2, 1)}, ShapeError, r"covers \(5, 3\), on \(4, 4\)"),
        ((4, 4, 3), (2, 2, 3, 1), {}, ShapeError, "same number of spatial axes"),
        ((4, 3), (4, 3), {}, ShapeError, "1 to 3 spatial axes, channels last"),
        ((1, 4, 4, 3), (2, 2, 3, 1), {"padding": ((0, -1), (0, 0))}, OptionError, "neither of them negative"),
        ((1, 4, 4, 3), (2, 2, 3, 1), {"strides": (0, 1)}, OptionError, "strides must be at least 1"),
        ((1, 4, 4, 3), (2, 2, 3, 1), {"dilation": (1,)}, OptionError, "dilation needs one entry for each of the 2"),
        ((1, 4, 4, 3), (2, 2, 3, 1), {"groups": 0}, OptionError, "groups must be at least 1; got 0"),
        ((1, 4, 4, 3), (0, 2, 3, 1), {}, OptionError, "window must be at least 1"),
    ],
)
def test_refused_convolutions(x, w, options, error, message):
    with pytest.raises(error, match=message):
        conv(constant(np.ones(x)), constant(np.ones(w)), **{**PLAIN, **options})


def test_refused_data_types():
    x, w = np.ones((1, 4, 4, 3)), np.ones((2, 2, 3, 1))
    with pytest.raises(DTypeError, match="one data type"):
        conv(constant(x.astype("float32")), constant(w), **PLAIN)
    with pytest.raises(DTypeError, match="floating"):
        conv(constant(x.astype("int64")), constant(w.astype("int64")), **PLAIN)


@pytest.mark.parametrize(
    ("y", "w", "spatial", "message"),
    [
        ((1, 3, 3, 2), (2, 2, 3, 5), (4, 4), "2 channels .* and 5 "),
        ((1, 3, 3, 2), (2, 2, 3, 2), (5, 4), r"an output of \(4, 3\); got \(3, 3\)"),
        ((1, 3, 3, 2), (2, 2, 3, 2), (4,), "one entry for each of the 1 spatial axes"),
    ],
)
def test_refused_transposed_convolutions(y, w, spatial, message):
    with pytest.raises(GradloomError, match=message):
        conv_input_gradient(constant(np.ones(y)), constant(np.ones(w)), spatial=spatial, **PLAIN)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ((1, 4, 4, 2), (2, 3, 3, 2), "one number of examples"),
        ((1, 4, 4, 2), (1, 2, 3, 2), r"an output of \(3, 3\); got \(2, 3\)"),
    ],
)
def test_refused_kernel_gradients(x, y, message):
    with pytest.raises(ShapeError, match=message):
        conv_kernel_gradient(constant(np.ones(x)), constant(np.ones(y)), kernel=(2, 2), **PLAIN)


def test_number_of_windows_by_the_formula():
    windows = Windows(spatial=(32, 7), size=(5, 2), strides=(2, 3), padding=((2, 1), (0, 0)), dilation=(3, 1))
    assert windows.counts == ((32 + 2 + 1 - 3 * 4 - 1) // 2 + 1, (7 - 1 - 1) // 3 + 1)
