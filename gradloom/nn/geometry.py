"""Sizes of windows as layers take them: one number, or one for each spatial axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradloom import options
from gradloom.errors import OptionError, ShapeError

Sizes = int | tuple[int, ...]
Padding = Any  # "same", "valid", a number, or numbers or pairs for each axis


def sizes(who: str, name: str, value: object, *, least: int = 1) -> Sizes:
    """A whole number, or one for each spatial axis."""
    if isinstance(value, (tuple, list)):
        if not 1 <= len(value) <= 3:
            rule = f"{name} is one number, or one for each of 1 to 3 spatial axes"
            raise OptionError(who, rule=rule, got=repr(value))
        return tuple(options.whole(who, name, n, least=least) for n in value)
    return options.whole(who, name, value, least=least)


def padding(who: str, value: object, *, signed: bool = False) -> Padding:
    """ "same", "valid", a number, or numbers or pairs (before, after) for each spatial axis.

    Args:
        who: the layer, for messages.
        value: the option.
        signed: whether the number after an axis may be negative.
    """
    if isinstance(value, str):
        return options.choice(who, "padding", value, ("same", "valid"))
    if not isinstance(value, (tuple, list)):
        return options.whole(who, "padding", value, least=0)
    return tuple(
        _pair(who, item, signed) if isinstance(item, (tuple, list)) else options.whole(who, "padding", item, least=0)
        for item in value
    )


_any_whole = options.whole_where(lambda _: True, "is a whole number")


def _pair(who: str, item: Sequence[object], signed: bool) -> tuple[int, int]:
    if len(item) != 2:
        fix = "Write ((1, 2), (1, 2)) for 1 before and 2 after each of two axes."
        raise OptionError(who, rule="padding of an axis is a number or a pair (before, after)", got=repr(item), fix=fix)
    before = options.whole(who, "padding", item[0], least=0)
    return before, _any_whole(who, "padding", item[1]) if signed else options.whole(who, "padding", item[1], least=0)


def spread(value: Sizes, rank: int) -> tuple[int, ...]:
    """One number for each of ``rank`` axes; the functions that windows are handed to check that there are as many."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def output_size(
    size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1, floor: bool = False
) -> int:
    """How many windows fit along an axis, O = (W - K + 2P) / S + 1.

    Args:
        size: W, of the axis.
        kernel: K, of the window; with a dilation d it covers d (K - 1) + 1 elements.
        stride: S.
        padding: P, at each end.
        dilation: d.
        floor: leave out what does not fill a last step, as layers do, rather than refuse it.

    Raises:
        OptionError: an argument is not a whole number, or below 1 (the padding: below 0).
        ShapeError: the window does not fit, or the steps do not end with the axis.

    Source: the notes' formula (catalogue row 228).
    """
    given = {"size": size, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    size, kernel, stride, padding, dilation = (
        options.whole("output_size", name, value, least=int(name != "padding")) for name, value in given.items()
    )
    left = size + 2 * padding - dilation * (kernel - 1) - 1
    rule = f"({size} - {dilation * (kernel - 1) + 1} + 2·{padding}) / {stride} + 1"
    if left < 0:
        raise ShapeError(
            "output_size",
            rule="the window must fit into the padded axis",
            got=f"{rule} < 1",
            fix=f"Pad by {(1 - left) // 2} more, or use a smaller kernel.",
        )
    if left % stride and not floor:
        raise ShapeError(
            "output_size",
            rule="the steps must end with the axis",
            got=f"{rule} = {left / stride + 1:g}",
            fix=f"Use an axis of {size - left % stride} or {size + stride - left % stride} elements, or floor=True, "
            f"which leaves the last {left % stride} out.",
        )
    return left // stride + 1


def check_image(who: str, shape: Sequence[int], described: object) -> int:
    """The number of spatial axes of an input (N, *spatial, C).

    Raises:
        ShapeError: it is not such an input.
    """
    if not 3 <= len(shape) <= 5:
        raise ShapeError(
            who,
            rule="the input is (N, *spatial, C) with 1 to 3 spatial axes, channels last",
            got=str(described),
            fix="Add the missing axes with gl.expand_dims, or move the channels with gl.moveaxis.",
        )
    if not shape[-1]:
        raise ShapeError(who, rule="the input has channels", got=str(described), fix="Give it at least one channel.")
    return len(shape) - 2
