"""Pooling under its public names: windows laid out, and what is made of each.

Arrays are (N, *spatial, C), channels last, with one to three spatial axes; channels do not mix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradloom import options, semantics
from gradloom.arrangement import broadcast_to, sort, take_along_axis
from gradloom.creation import ones
from gradloom.errors import ShapeError
from gradloom.ir.graph import Node
from gradloom.ops import window
from gradloom.ops.geometry import Windows, check_channels_last
from gradloom.pointwise import abs as absolute
from gradloom.pointwise import isnan, power, where
from gradloom.tensor import Tensor, tensor, unwrap
from gradloom.windows import Padding, Sizes, conv, geometry, spread


def patches(x: Any, size: Sizes, *, strides: Sizes = 1, padding: Padding = "valid", dilation: Sizes = 1) -> Tensor:
    """The windows of ``x`` written out: (N, *out, elements of the window, C); padding is zeros."""
    node = semantics.to_node(unwrap(x), "patches")
    return Tensor(window.patches(node, **_options("patches", node, size, strides, padding, dilation)))


def _options(
    who: str, x: Node, size: Sizes, strides: Sizes | None, padding: Padding, dilation: Sizes
) -> dict[str, Any]:
    check_channels_last(who, x.tensor_type)
    sizes = spread(who, "size", size, len(x.shape) - 2)
    steps = sizes if strides is None else strides
    given = {"window": sizes, **geometry(who, x, sizes, steps, padding, dilation)}
    _laid_out(x, given).check(who)
    return given


def _laid_out(x: Node, given: Mapping[str, Any]) -> Windows:
    return Windows(x.shape[1:-1], given["window"], given["strides"], given["padding"], given["dilation"])


def max_pool(
    x: Any, size: Sizes, *, strides: Sizes | None = None, padding: Padding = "valid", dilation: Sizes = 1
) -> Tensor:
    """The largest element of each window; padding never wins.  ``strides`` are the window's size by default."""
    node = semantics.to_node(unwrap(x), "max_pool")
    return Tensor(window.window_max(node, **_options("max_pool", node, size, strides, padding, dilation)))


def sum_pool(
    x: Any, size: Sizes, *, strides: Sizes | None = None, padding: Padding = "valid", dilation: Sizes = 1
) -> Tensor:
    """The sum of each window.  ``strides`` are the window's size by default."""
    node = semantics.to_node(unwrap(x), "sum_pool")
    return Tensor(window.window_sum(node, **_options("sum_pool", node, size, strides, padding, dilation)))


def avg_pool(
    x: Any,
    size: Sizes,
    *,
    strides: Sizes | None = None,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    count_padding: bool = False,
) -> Tensor:
    """The mean of each window: over its elements inside ``x``, or with ``count_padding`` over all, padding being 0.

    Raises:
        ShapeError: a window holds nothing but padding, and padding does not count.
    """
    node = semantics.to_float(semantics.to_node(unwrap(x), "avg_pool"))
    given = _options("avg_pool", node, size, strides, padding, dilation)
    sums = Tensor(window.window_sum(node, **given))
    if options.flag("avg_pool", "count_padding", count_padding):
        return sums / math.prod(given["window"])
    return sums / _counts("avg_pool", _inside(node, given), given)[..., 0, :].astype(np.float64).astype(node.dtype)


def _inside(x: Node, given: Mapping[str, Any]) -> np.ndarray:
    """For every window which of its positions lie inside x: (1, *out, positions, 1); the geometry alone says so."""
    windows = _laid_out(x, given)
    padded = windows.pad(np.ones((1, *windows.spatial, 1), bool))
    return np.stack([padded[place] for _, place in windows.places()], axis=-2)


def _counts(who: str, inside: np.ndarray, given: Mapping[str, Any]) -> np.ndarray:
    """How many elements of x each window holds, or their weight, (1, *out, 1, 1); 0 has no mean and is refused."""
    counts = inside.sum(axis=-2, keepdims=True)
    if not counts.all():
        rule = "every window must hold an element of x" + ("" if inside.dtype == bool else ", and weights that count")
        got = f"padding {given['padding']} for windows of {given['window']}"
        raise ShapeError(who, rule=rule, got=got, fix="Use less padding.")
    return counts


def weighted_avg_pool(
    x: Any, weights: Any, *, strides: Sizes | None = None, padding: Padding = "valid", dilation: Sizes = 1
) -> Tensor:
    """The weighted mean of each window, y = Σ w x / Σ w, over its elements inside ``x``.

    Args:
        x: (N, *spatial, C).
        weights: one for each position of the window, (*window), the same for all channels.
        strides: the window's size by default.
        padding: as in ``conv``; it has no weight.
        dilation: steps between elements of a window.

    Raises:
        ShapeError: the weights have not one axis for each spatial axis, or those of a window's elements inside x,
            where the weights are known, sum up to 0.
    """
    image = tensor(x)
    image = Tensor(semantics.to_float(image.node))
    kernel = tensor(weights).astype(image.dtype)
    if kernel.ndim != image.ndim - 2:
        rule = "weights have one axis for each spatial axis"
        raise ShapeError("weighted_avg_pool", rule=rule, got=f"{kernel.type} for {image.type}")
    given = _options("weighted_avg_pool", image.node, kernel.shape, strides, padding, dilation)
    inside = _inside(image.node, given)
    _counts("weighted_avg_pool", inside if kernel.is_symbolic else inside * kernel.numpy().reshape(-1, 1), given)
    del given["window"]
    everywhere = ones((1, *image.shape[1:-1], 1), image.dtype)
    single = kernel.reshape(*kernel.shape, 1, 1)
    sums = conv(image, broadcast_to(single, (*kernel.shape, 1, image.shape[-1])), groups=image.shape[-1], **given)
    return sums / conv(everywhere, single, **given)


def lp_pool(
    x: Any,
    size: Sizes,
    p: float = 2.0,
    *,
    strides: Sizes | None = None,
    padding: Padding = "valid",
    dilation: Sizes = 1,
) -> Tensor:
    """The p-norm of each window, (Σ |x|ᵖ)^(1/p); where all its elements are 0 the gradient is 0.

    Args:
        x: (N, *spatial, C).
        size: of the window.
        p: from 1; 2 is the Euclidean norm.
        strides: the window's size by default.
        padding: adds zeros, which change nothing.
        dilation: steps between elements of a window.

    Source: Sermanet, Chintala and LeCun, "Convolutional neural networks applied to house numbers" (2012), without its
    Gaussian weights.
    """
    exponent = options.number("lp_pool", "p", p, low=1, fix="Use 2 for the Euclidean norm, max_pool for an infinite p.")
    image = absolute(x)
    powers = sum_pool(power(image, exponent), size, strides=strides, padding=padding, dilation=dilation)
    # The root has no derivative at 0: there another number takes its place, and the result is 0 again afterwards.
    is_zero = powers == 0
    return where(is_zero, 0, power(where(is_zero, 1, powers), 1 / exponent))


def median_pool(
    x: Any, size: Sizes, *, strides: Sizes | None = None, padding: Padding = "valid", dilation: Sizes = 1
) -> Tensor:
    """The median of each window, over its elements inside ``x``; of an even number the mean of the middle two.

    The gradient goes to the elements that are the median.  NaN in a window makes its median NaN.

    Raises:
        ShapeError: a window holds nothing but padding.
    """
    node = semantics.to_float(semantics.to_node(unwrap(x), "median_pool"))
    given = _options("median_pool", node, size, strides, padding, dilation)
    inside = _inside(node, given)
    counts = _counts("median_pool", inside, given)
    ordered = sort(where(inside, Tensor(window.patches(node, **given)), np.inf), axis=-2)
    wide = (*ordered.shape[:-2], 1, ordered.shape[-1])
    low, high = (
        take_along_axis(ordered, np.broadcast_to(place, wide), axis=-2)[..., 0, :]
        for place in ((counts - 1) // 2, counts // 2)
    )
    # NaN is sorted to the end.  Halves are taken first: a difference of infinities would be NaN.
    return where(isnan(ordered[..., -1, :]), np.nan, low / 2 + high / 2)
