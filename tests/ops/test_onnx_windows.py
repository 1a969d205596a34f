"""Convolution and pooling against the operator vectors that ONNX publishes (channels first there, last here)."""

from __future__ import annotations

import numpy as np
from derivative_checks import run
from onnx_vectors import Case, Windows, assert_close, channels_first, channels_last, halves, kernel_last, of

from gradloom.ops.convolution import conv, conv_input_gradient
from gradloom.ops.window import window_argmax, window_max, window_sum


@of("Conv")
def test_conv(case: Case):
    (x, w), (wanted,) = case.read()
    options = Windows(case.attributes, x.shape[2:], w.shape[2:])
    found = run(
        lambda x, w: conv(
            x,
            w,
            strides=options.strides,
            padding=options.padding,
            dilation=options.dilation,
            groups=case.attributes.get("group", 1),
        ),
        channels_last(x),
        kernel_last(w),
    )
    assert_close(channels_first(found), wanted)


@of("ConvTranspose")
def test_transposed_convolution(case: Case):
    (y, w), (wanted,) = case.read()
    attributes, rank = case.attributes, y.ndim - 2
    plain = Windows({**attributes, "auto_pad": "NOTSET"}, y.shape[2:], w.shape[2:])
    extra = attributes.get("output_padding", [0] * rank)
    whole = [s * (n - 1) + e + o for s, n, e, o in zip(plain.strides, y.shape[2:], plain.extents, extra)]
    sizes, automatic = attributes.get("output_shape"), attributes.get("auto_pad", "NOTSET")
    if automatic.startswith("SAME"):
        sizes = [n * s for n, s in zip(y.shape[2:], plain.strides)]
    if sizes is None:
        padding = plain.pads
        sizes = [n - low - high for n, (low, high) in zip(whole, padding)]
    else:
        padding = tuple(halves(max(n - m, 0), automatic) for n, m in zip(whole, sizes))
    found = run(
        lambda y, w: conv_input_gradient(
            y,
            w,
            spatial=tuple(sizes),
            strides=plain.strides,
            padding=padding,
            dilation=plain.dilation,
            groups=attributes.get("group", 1),
        ),
        channels_last(y),
        kernel_last(w),
    )
    assert_close(channels_first(found), wanted)


@of("MaxPool")
def test_max_pooling(case: Case):
    (x,), (wanted, *positions) = case.read()
    window = tuple(case.attributes["kernel_shape"])
    options = Windows(case.attributes, x.shape[2:], window)
    chosen = {"window": window, "strides": options.strides, "padding": options.padding, "dilation": options.dilation}
    image = channels_last(x)
    assert_close(channels_first(run(lambda x: window_max(x, **chosen), image)), wanted)
    if positions:
        assert x.shape[:2] == (1, 1)  # with several channels ONNX counts through all of them
        found = run(lambda x: window_argmax(x, **chosen), image)
        order = "F" if case.attributes.get("storage_order") else "C"
        places = np.unravel_index(positions[0], x.shape[2:], order=order)
        np.testing.assert_array_equal(channels_first(found), np.ravel_multi_index(places, x.shape[2:]))


@of("AveragePool")
def test_average_pooling(case: Case):
    (x,), (wanted,) = case.read()
    window = tuple(case.attributes["kernel_shape"])
    options = Windows(case.attributes, x.shape[2:], window)
    counted = np.pad(
        np.ones((1, *x.shape[2:], 1), x.dtype),
        ((0, 0), *options.pads, (0, 0)),
        constant_values=case.attributes.get("count_include_pad", 0),
    )
    chosen = {"window": window, "strides": options.strides, "dilation": options.dilation}
    total = run(lambda x: window_sum(x, padding=options.padding, **chosen), channels_last(x))
    count = run(lambda x: window_sum(x, padding=options.room, **chosen), counted)
    assert_close(channels_first(total / count), wanted)
