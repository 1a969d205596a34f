"""Convolution under its public names, with the options people write: numbers for pairs, "same".

Images are channels last: inputs (N, *spatial, C), kernels (*kernel, C / groups, CO), one to three spatial axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradloom import options, semantics
from gradloom.arrangement import pad
from gradloom.errors import OptionError
from gradloom.ir.graph import Node
from gradloom.ops import convolution
from gradloom.tensor import Tensor, unwrap

Sizes = int | Sequence[int]
Padding = str | int | Sequence[int | tuple[int, int]]


def spread(who: str, name: str, value: Sizes, count: int) -> tuple[int, ...]:
    """One number for each spatial axis."""
    found = (value,) * count if isinstance(value, int) else tuple(value)
    if len(found) != count:
        raise OptionError(who, rule=f"{name} is one number or one for each of the {count} spatial axes", got=str(value))
    return found


def padding_pairs(
    who: str, padding: Padding, spatial: Sequence[int], size: Sizes, strides: Sequence[int], dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Padding before and after each spatial axis; "same" gives ⌈W / S⌉ windows, the odd element after the axis."""
    count = len(spatial)
    if padding == "valid":
        return ((0, 0),) * count
    if padding == "same":
        sizes = spread(who, "window", size, count)
        needed = (
            max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0) for n, k, s, d in zip(spatial, sizes, strides, dilation)
        )
        return tuple((total // 2, total - total // 2) for total in needed)
    if isinstance(padding, str):
        raise OptionError(
            who, rule="padding is 'same', 'valid', a number, or numbers or pairs for each axis", got=repr(padding)
        )
    listed = [padding] * count if isinstance(padding, int) else list(padding)
    if len(listed) != count:
        rule = f"padding is one number or an entry for each of the {count} spatial axes"
        raise OptionError(who, rule=rule, got=str(padding))
    return tuple((p, p) if isinstance(p, int) else (int(p[0]), int(p[1])) for p in listed)


def geometry(who: str, x: Node, size: Sizes, strides: Sizes, padding: Padding, dilation: Sizes) -> dict[str, Any]:
    """Options as the primitives take them."""
    spatial = x.shape[1:-1]
    steps, spacing = (spread(who, n, v, len(spatial)) for n, v in (("strides", strides), ("dilation", dilation)))
    return {
        "strides": steps,
        "padding": padding_pairs(who, padding, spatial, size, steps, spacing),
        "dilation": spacing,
    }


PADDING_MODES = {"zero": "constant", "reflect": "reflect", "edge": "edge", "circular": "wrap"}
"""What convolution may find around an image, and how :func:`gradloom.pad` calls it."""


def conv(
    x: Any,
    w: Any,
    *,
    strides: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    padding_mode: str = "zero",
) -> Tensor:
    """Cross-correlation y[q, o] = Σ x[stride·q + dilation·p - low, i] w[p, i, o].

    Args:
        x: (N, *spatial, C).
        w: (*kernel, C / groups, CO).
        strides: steps from one window to the next.
        padding: "valid", "same", a number for all sides, or a number or pair for each axis.
        dilation: steps between elements of a window.
        groups: groups of channels that do not mix.
        padding_mode: what lies around the image: "zero", "reflect" (mirrored, the outermost element once), "edge"
            (the outermost element repeated) or "circular" (the other end).

    Returns:
        (N, *out, CO) with out = ⌊(W + low + high - dilation(K - 1) - 1) / stride⌋ + 1.
    """
    image, kernel = semantics.promoted("conv", (unwrap(x), unwrap(w)))
    given = geometry("conv", image, kernel.shape[:-2], strides, padding, dilation)
    if options.choice("conv", "padding_mode", padding_mode, PADDING_MODES) != "zero":
        around = pad(Tensor(image), [(0, 0), *given["padding"], (0, 0)], mode=PADDING_MODES[padding_mode])
        image, given["padding"] = around.node, ((0, 0),) * len(given["padding"])
    return Tensor(convolution.conv(semantics.to_float(image), semantics.to_float(kernel), **given, groups=groups))


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
        spread("conv_transpose", n, v, len(sizes)) for n, v in (("strides", strides), ("dilation", dilation))
    )
    pairs = padding_pairs("conv_transpose", padding, sizes, kernel.shape[:-2], steps, spacing)
    floats = semantics.to_float(image), semantics.to_float(kernel)
    return Tensor(
        convolution.conv_input_gradient(
            *floats, spatial=sizes, strides=steps, padding=pairs, dilation=spacing, groups=groups
        )
    )
