"""Convolution and pooling under their public names, with the options people write: numbers for pairs, "same".

Images are channels last: inputs (N, *spatial, C), kernels (*kernel, C / groups, CO), one to three spatial axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradloom import semantics
from gradloom.errors import OptionError
from gradloom.ir.graph import Node
from gradloom.ops import convolution, window
from gradloom.tensor import Tensor, unwrap

Sizes = int | Sequence[int]
Padding = str | int | Sequence[int | tuple[int, int]]


def _spread(who: str, name: str, value: Sizes, count: int) -> tuple[int, ...]:
    """One number for each spatial axis."""
    found = (value,) * count if isinstance(value, int) else tuple(value)
    if len(found) != count:
        raise OptionError(who, rule=f"{name} is one number or one for each of the {count} spatial axes", got=str(value))
    return found


def _pairs(
    who: str, padding: Padding, spatial: Sequence[int], size: Sizes, strides: Sequence[int], dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Padding before and after each spatial axis; "same" gives ⌈W / S⌉ windows, the odd element after the axis."""
    count = len(spatial)
    if padding == "valid":
        return ((0, 0),) * count
    if padding == "same":
        sizes = _spread(who, "window", size, count)
        needed = (
            max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0) for n, k, s, d in zip(spatial, sizes, strides, dilation)
        )
        return tuple((total // 2, total - total // 2) for total in needed)
    if isinstance(padding, str):
        raise OptionError(
            who, rule="padding is 'same', 'valid', a number, or numbers or pairs for each axis", got=repr(padding)
        )
    listed = [padding] * count if isinstance(padding, int) else list(padding)
    return tuple((p, p) if isinstance(p, int) else (int(p[0]), int(p[1])) for p in listed)


def _geometry(who: str, x: Node, size: Sizes, strides: Sizes, padding: Padding, dilation: Sizes) -> dict[str, Any]:
    """Options as the primitives take them."""
    spatial = x.shape[1:-1]
    steps, spacing = (_spread(who, n, v, len(spatial)) for n, v in (("strides", strides), ("dilation", dilation)))
    return {
        "strides": steps,
        "padding": _pairs(who, padding, spatial, size, steps, spacing),
        "dilation": spacing,
    }


def conv(
    x: Any, w: Any, *, strides: Sizes = 1, padding: Padding = "valid", dilation: Sizes = 1, groups: int = 1
) -> Tensor:
    """Cross-correlation y[q, o] = Σ x[stride·q + dilation·p - low, i] w[p, i, o].

    Args:
        x: (N, *spatial, C).
        w: (*kernel, C / groups, CO).
        strides: steps from one window to the next.
        padding: "valid", "same", a number for all sides, or a number or pair for each axis.
        dilation: steps between elements of a window.
        groups: groups of channels that do not mix.

    Returns:
        (N, *out, CO) with out = ⌊(W + low + high - dilation(K - 1) - 1) / stride⌋ + 1.
    """
    image, kernel = semantics.promoted("conv", (unwrap(x), unwrap(w)))
    options = _geometry("conv", image, kernel.shape[:-2], strides, padding, dilation)
    return Tensor(convolution.conv(semantics.to_float(image), semantics.to_float(kernel), **options, groups=groups))


def conv_transpose(
    x: Any,
    w: Any,
    *,
    spatial: Sequence[int],
    strides: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The transpose of :func:`conv`: what maps cotangents of its result to cotangents of its input.

    Args:
        x: (N, *out, CO), of the shape that ``conv`` gives for an input of size ``spatial``.
        w: (*kernel, C / groups, CO), as ``conv`` takes it.
        spatial: sizes of the result.
        strides: as in ``conv``, so the result is larger than x.
        padding: as in ``conv``, so it is cut off.
        dilation: as in ``conv``.
        groups: as in ``conv``.

    Returns:
        (N, *spatial, C).
    """
    image, kernel = semantics.promoted("conv_transpose", (unwrap(x), unwrap(w)))
    sizes = tuple(spatial)
    steps, spacing = (
        _spread("conv_transpose", n, v, len(sizes)) for n, v in (("strides", strides), ("dilation", dilation))
    )
    pairs = _pairs("conv_transpose", padding, sizes, kernel.shape[:-2], steps, spacing)
    floats = semantics.to_float(image), semantics.to_float(kernel)
    return Tensor(
        convolution.conv_input_gradient(
            *floats, spatial=sizes, strides=steps, padding=pairs, dilation=spacing, groups=groups
        )
    )


def patches(x: Any, size: Sizes, *, strides: Sizes = 1, padding: Padding = "valid", dilation: Sizes = 1) -> Tensor:
    """The windows of ``x`` written out: (N, *out, elements of the window, C); padding is zeros."""
    node = semantics.to_node(unwrap(x), "patches")
    return Tensor(window.patches(node, **_pooling("patches", node, size, strides, padding, dilation)))


def _pooling(
    who: str, x: Node, size: Sizes, strides: Sizes | None, padding: Padding, dilation: Sizes
) -> dict[str, Any]:
    sizes = _spread(who, "size", size, len(x.shape) - 2)
    steps = sizes if strides is None else strides
    return {"window": sizes, **_geometry(who, x, sizes, steps, padding, dilation)}


def max_pool(
    x: Any, size: Sizes, *, strides: Sizes | None = None, padding: Padding = "valid", dilation: Sizes = 1
) -> Tensor:
    """The largest element of each window; padding never wins.  ``strides`` are the window's size by default."""
    node = semantics.to_node(unwrap(x), "max_pool")
    return Tensor(window.window_max(node, **_pooling("max_pool", node, size, strides, padding, dilation)))


def sum_pool(
    x: Any, size: Sizes, *, strides: Sizes | None = None, padding: Padding = "valid", dilation: Sizes = 1
) -> Tensor:
    """The sum of each window.  ``strides`` are the window's size by default."""
    node = semantics.to_node(unwrap(x), "sum_pool")
    return Tensor(window.window_sum(node, **_pooling("sum_pool", node, size, strides, padding, dilation)))


def avg_pool(
    x: Any, size: Sizes, *, strides: Sizes | None = None, padding: Padding = "valid", dilation: Sizes = 1
) -> Tensor:
    """The mean of each window, over its elements inside ``x`` (padding is not counted)."""
    node = semantics.to_float(semantics.to_node(unwrap(x), "avg_pool"))
    options = _pooling("avg_pool", node, size, strides, padding, dilation)
    ones = semantics.to_node(1.0, "avg_pool", node.dtype)
    single = semantics.broadcast_to(ones, (1, *node.shape[1:-1], 1))
    counts = Tensor(window.window_sum(single, **options))
    return Tensor(window.window_sum(node, **options)) / counts
