"""Convolution layers against SciPy, the notes' example, and the definition of a transpose."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom import nn
from gradloom.errors import OptionError, ShapeError

RNG = np.random.default_rng(3)


def with_weight(layer: nn.Module, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What a layer without bias makes of x with this weight, in float64."""
    layer.initialize(x)
    assert layer.parameters()["weight"].shape == weight.shape
    return nn.apply(layer, {"weight": gl.tensor(weight)}, layer.state(), gl.tensor(x))[0].numpy()


def plane(values: object) -> np.ndarray:
    """One image with one channel."""
    return np.asarray(values, np.float64)[None, :, :, None]


def kernel(values: object) -> np.ndarray:
    return np.asarray(values, np.float64)[:, :, None, None]


@pytest.mark.parametrize(("mode", "name"), [("zero", "fill"), ("reflect", None), ("edge", None), ("circular", "wrap")])
@pytest.mark.parametrize("flip", [False, True])
def test_borders_are_scipys(mode: str, name: str | None, flip: bool) -> None:
    x, w = RNG.standard_normal((6, 7)), RNG.standard_normal((3, 5))
    found = with_weight(nn.Conv(1, (3, 5), padding_mode=mode, flip=flip, bias=False), plane(x), kernel(w))
    method = scipy.signal.convolve2d if flip else scipy.signal.correlate2d
    padded = np.pad(x, ((1, 1), (2, 2)), mode=mode) if name is None else x
    wanted = method(padded, w, "valid") if name is None else method(x, w, "same", name)
    np.testing.assert_allclose(found[0, :, :, 0], wanted, rtol=1e-12)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_series_is_correlated_as_numpy_does(data: st.DataObject) -> None:
    size, stride, dilation = (data.draw(st.integers(1, n), label) for n, label in ((5, "k"), (4, "s"), (3, "d")))
    before, after = data.draw(st.integers(0, 6), "before"), data.draw(st.integers(0, 6), "after")
    extent = dilation * (size - 1) + 1
    n = data.draw(st.integers(max(1, extent - before - after), 12), "n")
    x, w = RNG.standard_normal(n), RNG.standard_normal(size)
    layer = nn.Conv(1, size, strides=stride, dilation=dilation, padding=((before, after),), bias=False)
    found = with_weight(layer, x[None, :, None], w[:, None, None])[0, :, 0]
    spread = np.zeros(extent)
    spread[::dilation] = w
    wanted = np.correlate(np.pad(x, (before, after)), spread, "valid")[::stride]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    if before == after:
        assert len(wanted) == nn.output_size(n, size, stride=stride, padding=before, dilation=dilation, floor=True)


def test_groups_do_not_mix() -> None:
    x, w = RNG.standard_normal((1, 5, 5, 4)), RNG.standard_normal((2, 2, 2, 6))
    found = with_weight(nn.Conv(6, 2, groups=2, padding="valid", bias=False), x, w)
    halves = [
        with_weight(nn.Conv(3, 2, padding="valid", bias=False), x[..., 2 * g : 2 * g + 2], w[..., 3 * g : 3 * g + 3])
        for g in range(2)
    ]
    np.testing.assert_allclose(found, np.concatenate(halves, -1), rtol=1e-12)


def test_the_notes_fractional_stride() -> None:
    """Oracle O5: the map spread out by 3, padded by 1, cross-correlated with the kernel as it stands."""
    feature, weights = [[1, 1], [1, 0]], [[-1, 3, 1], [3, 5, -3], [-1, -3, 1]]
    wanted = [[5, 3, -3, 5], [3, -1, 1, 3], [-3, -1, 0, 0], [5, 3, 0, 0]]
    layer = nn.ConvTranspose(1, 3, strides=3, padding=1, flip=True, bias=False)
    np.testing.assert_array_equal(with_weight(layer, plane(feature), kernel(weights))[0, :, :, 0], wanted)
    turned = nn.ConvTranspose(1, 3, strides=3, padding=1, bias=False)
    found = with_weight(turned, plane(feature), kernel(np.asarray(weights)[::-1, ::-1]))
    np.testing.assert_array_equal(found[0, :, :, 0], wanted)
    assert nn.output_size(4, 3, padding=1) == 4


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_transposed_convolution_spreads_its_input_out(data: st.DataObject) -> None:
    size, stride, dilation = (data.draw(st.integers(1, n), label) for n, label in ((4, "k"), (4, "s"), (2, "d")))
    n, extent = data.draw(st.integers(1, 5), "n"), dilation * (size - 1) + 1
    x, w = RNG.standard_normal(n), RNG.standard_normal(size)
    layer = nn.ConvTranspose(1, size, strides=stride, dilation=dilation, padding="valid", bias=False)
    spread, wide = np.zeros((n - 1) * stride + 1), np.zeros(extent)
    spread[::stride], wide[::dilation] = x, w
    whole = np.convolve(spread, wide)
    found = with_weight(layer, x[None, :, None], w[:, None, None])[0, :, 0]
    np.testing.assert_allclose(found, whole, rtol=1e-12, atol=1e-12)
    same = nn.ConvTranspose(1, size, strides=stride, dilation=dilation, bias=False)
    found = with_weight(same, x[None, :, None], w[:, None, None])[0, :, 0]
    cut = max(extent - stride, 0) // 2
    np.testing.assert_allclose(found, np.pad(whole, (0, stride))[cut : cut + n * stride], rtol=1e-12, atol=1e-12)


def test_a_transposed_convolution_is_the_transpose() -> None:
    """⟨y, conv(x)⟩ = ⟨conv_transpose(y), x⟩ with one weight."""
    x, y = RNG.standard_normal((2, 9, 7, 3)), RNG.standard_normal((2, 5, 4, 2))
    w = RNG.standard_normal((3, 3, 3, 2))
    forward = with_weight(nn.Conv(2, 3, strides=2, padding=1, bias=False), x, w)
    back = with_weight(nn.ConvTranspose(3, 3, strides=2, padding=1, bias=False), y, w)
    assert np.vdot(y, forward) == pytest.approx(np.vdot(back, x), rel=1e-12)


def test_initial_variance_counts_what_goes_in() -> None:
    x = np.zeros((1, 8, 8, 64), np.float32)
    for layer in (nn.Conv(48, 3), nn.ConvTranspose(48, 3)):
        layer.initialize(x)
        assert layer.parameters()["weight"].numpy().var() == pytest.approx(2 / (9 * 64), rel=0.05)
        assert layer.parameters()["bias"].shape == (48,)


def test_output_size() -> None:
    assert nn.output_size(227, 11, stride=4) == 55
    assert nn.output_size(7, 3, dilation=2) == 3
    with pytest.raises(ShapeError) as caught:
        nn.output_size(10, 3, stride=2)
    assert str(caught.value) == (
        "output_size: the steps must end with the axis; got (10 - 3 + 2·0) / 2 + 1 = 4.5. "
        "Use an axis of 9 or 11 elements, or floor=True, which leaves the last 1 out."
    )
    assert nn.output_size(10, 3, stride=2, floor=True) == 4
    with pytest.raises(ShapeError, match="Pad by 2 more"):
        nn.output_size(2, 5)
    for wrong in ({"stride": 0}, {"padding": -1}, {"padding": "same"}, {"dilation": 0}, {"size": 10.5}, {"kernel": 0}):
        with pytest.raises(OptionError, match=f"{next(iter(wrong))} is a whole number from"):
            nn.output_size(**{"size": 10, "kernel": 3, **wrong})


def test_errors() -> None:
    x = np.zeros((1, 6, 6, 4), np.float32)
    layer = nn.Conv(2, 3)
    layer.initialize(x)
    with pytest.raises(ShapeError, match=r"expected 4 channels on the last axis; got 3 in float32\[1,6,6,3\]"):
        layer(x[..., :3])
    with pytest.raises(ShapeError, match="channels last"):
        nn.Conv(2, 3)(x[0, 0])
    with pytest.raises(ShapeError, match="the groups divide the channels"):
        nn.Conv(3, 3, groups=3)(x)
    with pytest.raises(ShapeError, match="the groups divide the filters"):
        nn.Conv(4, 3, groups=3)
    with pytest.raises(ShapeError, match=r"the input has channels; got float32\[1,6,6,0\]"):
        nn.Conv(4, 3)(x[..., :0])
    with pytest.raises(ShapeError, match="one number for each spatial axis"):
        nn.Conv(4, (3, 3, 3))(x)
    with pytest.raises(ShapeError, match="must fit"):
        nn.Conv(4, 7, padding="valid")(x)
    with pytest.raises(OptionError, match="no such padding"):
        nn.Conv(4, 7, padding="sane")
    with pytest.raises(OptionError, match="no such padding_mode"):
        nn.Conv(4, 7, padding_mode="mirror")
    with pytest.raises(ShapeError, match=r"expected \(N, \*spatial, C\) with 2 spatial axes; got float32\[1,6,4\]"):
        layer(x[:, 0])
    with pytest.raises(OptionError, match=r"a number or a pair \(before, after\); got \(1, 2, 3\)"):
        nn.Conv(4, 3, padding=((1, 2, 3), 1))
    with pytest.raises(OptionError, match="padding is a whole number from 0; got -1"):
        nn.Conv(4, 3, padding=((1, -1), 1))
    for kind in (nn.Conv, nn.ConvTranspose):
        with pytest.raises(OptionError, match="padding is one number or an entry for each of the 2 spatial axes"):
            kind(4, 3, padding=(1, 1, 1))(x)
        with pytest.raises(OptionError, match="strides is one number or one for each of the 2 spatial axes"):
            kind(4, 3, strides=(1, 1, 1))(x)
    for padding in (5, ((0, -2), (0, 0))):
        with pytest.raises(ShapeError, match="leaves something of the result, and adds less than a stride after it"):
            nn.ConvTranspose(4, 3, strides=2, padding=padding)(x[:, :3, :3])
    with pytest.raises(OptionError, match="strides is a whole number from 1"):
        nn.ConvTranspose(4, 7, strides=0)
