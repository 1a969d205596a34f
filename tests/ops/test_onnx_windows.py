"""Convolution and pooling against the operator vectors that ONNX publishes (channels first there, last here)."""

from __future__ import annotations

import io
import json
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from derivative_checks import run

from gradloom.ops.convolution import conv, conv_input_gradient
from gradloom.ops.window import window_argmax, window_max, window_sum

VECTORS = Path(__file__).resolve().parents[2] / "../shared/data/onnx-vectors/onnx-node-numpy.zip"
pytestmark = pytest.mark.skipif(not VECTORS.exists(), reason=f"ONNX operator vectors are not at {VECTORS}")


@cache
def cases() -> list[dict[str, Any]]:
    if not VECTORS.exists():
        return []
    with zipfile.ZipFile(VECTORS) as archive:
        return json.loads(archive.read("index.json"))


def of(op: str):
    chosen = [case for case in cases() if case["op"] == op]
    return pytest.mark.parametrize("case", chosen, ids=[case["name"] for case in chosen])


def read(case) -> tuple[list[np.ndarray], list[np.ndarray]]:
    with zipfile.ZipFile(VECTORS) as archive, np.load(io.BytesIO(archive.read(f"cases/{case['name']}.npz"))) as arrays:
        inputs = [arrays[f"input_{i}"] for i in range(len(case["inputs"]))]
        outputs = [arrays[f"output_{i}"] for i in range(len(case["outputs"]))]
    return inputs, outputs


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def channels_first(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, -1, 1)


def assert_onnx_close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(channels_first(found), wanted, rtol=1e-3, atol=1e-7)  # the tolerance of ONNX


class Options:
    """The attributes of an ONNX case, worked out for an input of these spatial sizes."""

    def __init__(self, attributes: dict[str, Any], spatial: tuple[int, ...], window: tuple[int, ...]) -> None:
        rank = len(spatial)
        self.strides = tuple(attributes.get("strides", [1] * rank))
        self.dilation = tuple(attributes.get("dilations", [1] * rank))
        self.extents = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, window))
        pads = attributes.get("pads", [0] * 2 * rank)
        self.pads = tuple(zip(pads[:rank], pads[rank:]))
        automatic = attributes.get("auto_pad", "NOTSET")
        if automatic.startswith("SAME"):
            needed = (max((-(-n // s) - 1) * s + e - n, 0) for n, s, e in zip(spatial, self.strides, self.extents))
            self.pads = tuple(halves(total, automatic) for total in needed)
        # ceil_mode: room after the end for a last window that begins inside the input or its first padding.
        self.room = tuple((0, 0) for _ in spatial)
        if attributes.get("ceil_mode"):
            self.room = tuple(
                (0, self.after_end(n + low + high, n + low, s, e))
                for n, (low, high), s, e in zip(spatial, self.pads, self.strides, self.extents)
            )

    @staticmethod
    def after_end(padded: int, last_start: int, stride: int, extent: int) -> int:
        count = -(-(padded - extent) // stride) + 1
        if (count - 1) * stride >= last_start:
            count -= 1
        return max((count - 1) * stride + extent - padded, 0)

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        return tuple((low, high + room) for (low, high), (_, room) in zip(self.pads, self.room))


def halves(total: int, automatic: str) -> tuple[int, int]:
    small, large = total // 2, total - total // 2
    return (small, large) if automatic == "SAME_UPPER" else (large, small)


@of("Conv")
def test_conv(case):
    (x, w), (wanted,) = read(case)
    options = Options(case["attributes"], x.shape[2:], w.shape[2:])
    found = run(
        lambda x, w: conv(
            x,
            w,
            strides=options.strides,
            padding=options.padding,
            dilation=options.dilation,
            groups=case["attributes"].get("group", 1),
        ),
        channels_last(x),
        np.moveaxis(w, (0, 1), (-1, -2)).copy(),
    )
    assert_onnx_close(found, wanted)


@of("ConvTranspose")
def test_transposed_convolution(case):
    (y, w), (wanted,) = read(case)
    attributes, rank = case["attributes"], y.ndim - 2
    plain = Options({**attributes, "auto_pad": "NOTSET"}, y.shape[2:], w.shape[2:])
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
        np.moveaxis(w, (0, 1), (-1, -2)).copy(),
    )
    assert_onnx_close(found, wanted)


@of("MaxPool")
def test_max_pooling(case):
    (x,), (wanted, *positions) = read(case)
    window = tuple(case["attributes"]["kernel_shape"])
    options = Options(case["attributes"], x.shape[2:], window)
    chosen = {"window": window, "strides": options.strides, "padding": options.padding, "dilation": options.dilation}
    image = channels_last(x)
    assert_onnx_close(run(lambda x: window_max(x, **chosen), image), wanted)
    if positions:
        assert x.shape[:2] == (1, 1)  # with several channels ONNX counts through all of them
        found = run(lambda x: window_argmax(x, **chosen), image)
        order = "F" if case["attributes"].get("storage_order") else "C"
        places = np.unravel_index(positions[0], x.shape[2:], order=order)
        np.testing.assert_array_equal(channels_first(found), np.ravel_multi_index(places, x.shape[2:]))


@of("AveragePool")
def test_average_pooling(case):
    (x,), (wanted,) = read(case)
    window = tuple(case["attributes"]["kernel_shape"])
    options = Options(case["attributes"], x.shape[2:], window)
    counted = np.pad(
        np.ones((1, *x.shape[2:], 1), x.dtype),
        ((0, 0), *options.pads, (0, 0)),
        constant_values=case["attributes"].get("count_include_pad", 0),
    )
    chosen = {"window": window, "strides": options.strides, "dilation": options.dilation}
    total = run(lambda x: window_sum(x, padding=options.padding, **chosen), channels_last(x))
    count = run(lambda x: window_sum(x, padding=options.room, **chosen), counted)
    assert_onnx_close(total / count, wanted)
