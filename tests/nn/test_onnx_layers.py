"""The layers against the vectors of the ONNX operators that they are, computed at once and by each executor.

Left out are quantised and deformable convolutions, and the ways of resizing that :class:`gradloom.nn.Upsample` has
not: to sizes that are no multiples, cubic, by corners.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnx_vectors
from onnx_vectors import ONNX, PYTORCH, Case, Windows, assert_close, channels_first, channels_last, halves, kernel_last

import gradloom as gl
from gradloom import nn
from gradloom.nn.module import Tensors

of = partial(onnx_vectors.of, sources=(*ONNX, *PYTORCH))


def check(layer: nn.Module, x: np.ndarray, wanted: np.ndarray, *, training: bool = False, **tensors: Any) -> Any:
    """Hold a layer with these parameters and this state to what is wanted of it; return the state after the call."""
    layer.initialize(x)
    parameters, state = (
        {name: tensors.get(name, value) for name, value in found.items()}
        for found in (layer.parameters(), layer.state())
    )

    def run(p: Tensors, s: Tensors, x: gl.Tensor) -> Any:
        return nn.apply(layer, p, s, x, training=training)

    for call in (run, gl.jit(run, "reference"), gl.jit(run, "native")):
        y, after = call(parameters, state, gl.tensor(x))
        assert_close(channels_first(y.numpy()) if y.ndim > 2 else y.numpy(), wanted)
    return after


@of("Conv")
def test_conv(case: Case) -> None:
    (x, w, *bias), (wanted,) = case.read()
    how = Windows(case.attributes, x.shape[2:], w.shape[2:])
    layer = nn.Conv(
        w.shape[0],
        w.shape[2:],
        strides=how.strides,
        padding=how.padding,
        dilation=how.dilation,
        groups=case.attributes.get("group", 1),
        bias=bool(bias),
    )
    check(layer, channels_last(x), wanted, weight=kernel_last(w), **dict(zip(["bias"], bias)))


@of("ConvTranspose")
def test_conv_transpose(case: Case) -> None:
    """Sizes are given there by padding and output padding, or by themselves; here by padding alone."""
    (x, w, *bias), (wanted,) = case.read()
    attributes, automatic = case.attributes, case.attributes.get("auto_pad", "NOTSET")
    how = Windows({**attributes, "auto_pad": "NOTSET"}, x.shape[2:], w.shape[2:])
    extra = attributes.get("output_padding", [0] * (x.ndim - 2))
    padding: Any = tuple((low, high - more) for (low, high), more in zip(how.pads, extra))
    if automatic.startswith("SAME"):
        padding = "same"
    elif "output_shape" in attributes:
        whole = (s * (n - 1) + e for s, n, e in zip(how.strides, x.shape[2:], how.extents))
        cut = [n - m for n, m in zip(whole, attributes["output_shape"])]
        padding = tuple(halves(n, automatic) if n > 0 else (0, n) for n in cut)
    groups = attributes.get("group", 1)
    layer = nn.ConvTranspose(
        w.shape[1] * groups,
        w.shape[2:],
        strides=how.strides,
        padding=padding,
        dilation=how.dilation,
        groups=groups,
        bias=bool(bias),
    )
    check(layer, channels_last(x), wanted, weight=kernel_last(w), **dict(zip(["bias"], bias)))


def counts_room(case: Case) -> bool:
    """Only ONNX knows padding that counts beside room for a last window that does not."""
    return bool(case.attributes.get("count_include_pad") and case.attributes.get("ceil_mode"))


@of("MaxPool", "AveragePool", "LpPool", where=lambda case: not counts_room(case))
def test_pooling(case: Case) -> None:
    (x,), (wanted, *_) = case.read()
    attributes = case.attributes
    how = Windows(attributes, x.shape[2:], attributes["kernel_shape"])
    counted = bool(attributes.get("count_include_pad"))
    chosen: dict[str, Any] = {"strides": how.strides, "padding": how.padding, "dilation": how.dilation}
    size = tuple(attributes["kernel_shape"])
    if case.op == "MaxPool":
        check(nn.MaxPool(size, **chosen), channels_last(x), wanted)
    elif case.op == "AveragePool":
        check(nn.AvgPool(size, count_padding=counted, **chosen), channels_last(x), wanted)
    else:
        check(nn.LpPool(size, float(attributes.get("p", 2)), **chosen), channels_last(x), wanted)


@of("GlobalAveragePool", "GlobalMaxPool")
def test_global_pooling(case: Case) -> None:
    (x,), (wanted,) = case.read()
    layer = nn.GlobalAvgPool() if case.op == "GlobalAveragePool" else nn.GlobalMaxPool()
    check(layer, channels_last(x), wanted[:, :, 0, 0])


@of("BatchNormalization")
def test_batch_norm(case: Case) -> None:
    """There momentum is the weight of the old statistics, and the variance that is kept is the biased one."""
    (x, scale, shift, mean, var), (wanted, *running) = case.read()
    momentum, eps = case.attributes.get("momentum", 0.9), case.attributes.get("epsilon", 1e-5)
    layer = nn.BatchNorm(momentum=momentum, eps=eps, momentum_of="old")
    tensors = {"scale": scale, "shift": shift, "running_mean": mean, "running_var": var}
    after = check(layer, channels_last(x), wanted, training=bool(running), **tensors)
    for found, kept in zip((after["running_mean"], after["running_var"]), running):
        assert_close(found.numpy(), kept)


@of("GroupNormalization", "InstanceNormalization")
def test_group_norm(case: Case) -> None:
    (x, scale, shift), (wanted,) = case.read()
    layer = nn.GroupNorm(case.attributes.get("num_groups", x.shape[1]), eps=case.attributes.get("epsilon", 1e-5))
    check(layer, channels_last(x), wanted, scale=scale, shift=shift)


@of("LayerNormalization")
def test_layer_norm(case: Case) -> None:
    """Several last axes there are one here, and so are those before them."""
    (x, scale, shift), (wanted, *_) = case.read()
    axis = case.attributes.get("axis", -1) % x.ndim
    rows = (int(np.prod(x.shape[:axis])), -1)
    layer = nn.LayerNorm(eps=case.attributes.get("epsilon", 1e-5))
    check(layer, x.reshape(rows), wanted.reshape(rows), scale=scale.ravel(), shift=shift.ravel())


@of("MeanVarianceNormalization")
def test_mean_variance_norm(case: Case) -> None:
    """A training batch's normalisation, without γ and β."""
    (x,), (wanted,) = case.read()
    check(nn.BatchNorm(affine=False, eps=1e-9), channels_last(x), wanted, training=True)


@of("LRN")
def test_local_response_norm(case: Case) -> None:
    (x,), (wanted,) = case.read()
    options = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0, **case.attributes}
    layer = nn.LocalResponseNorm(options["size"], alpha=options["alpha"], beta=options["beta"], k=options["bias"])
    check(layer, channels_last(x), wanted)


UPSAMPLED = {
    "test_upsample_nearest": "nearest",
    "test_resize_upsample_scales_nearest": "nearest",
    "test_resize_upsample_scales_nearest_axes_2_3": "nearest",
    "test_resize_upsample_scales_nearest_axes_3_2": "nearest",
    "test_resize_upsample_sizes_nearest_not_smaller": "nearest",
    "test_resize_upsample_scales_linear": "linear",
}


@of("Upsample", "Resize", where=lambda case: case.name in UPSAMPLED)
def test_upsampling(case: Case) -> None:
    """Of the many ways in which ONNX resizes, those with whole factors whose elements keep their middles."""
    (x, *_), (wanted,) = case.read()
    layer = nn.Upsample(tuple(m // n for m, n in zip(wanted.shape[2:], x.shape[2:])), mode=UPSAMPLED[case.name])
    check(layer, channels_last(x), wanted)


BORDERS = {"reflect": "reflect", "edge": "edge", "wrap": "circular"}


@of("Pad", where=lambda case: case.attributes.get("mode") in BORDERS)
def test_what_lies_around_an_image(case: Case) -> None:
    """A convolution by 1 in each mode gives back what it found around its input."""
    (x, *given), (wanted,) = case.read()
    pads = given[0] if given else np.array(case.attributes["pads"])
    assert not pads[[0, 1, 4, 5]].any()
    padding = ((int(pads[2]), int(pads[6])), (int(pads[3]), int(pads[7])))
    channels = x.shape[1]
    layer = nn.Conv(
        channels, 1, groups=channels, padding=padding, padding_mode=BORDERS[case.attributes["mode"]], bias=False
    )
    image = channels_last(x).astype(np.float32)
    check(layer, image, wanted.astype(np.float32), weight=np.ones((1, 1, 1, channels), np.float32))
