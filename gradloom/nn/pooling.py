"""Pooling: windows of an image become one element each, channel by channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradloom import functional as fn
from gradloom import options, pooling
from gradloom.errors import OptionError, ShapeError
from gradloom.nn.geometry import Padding, Sizes, check_image, sizes, spread
from gradloom.nn.geometry import padding as checked_padding
from gradloom.nn.module import Module
from gradloom.tensor import Tensor


class _Pool(Module):
    """Options of windows.  x is (N, *spatial, C), the result (N, *out, C)."""

    def __init__(
        self, size: Sizes = 2, *, strides: Sizes | None = None, padding: Padding = "valid", dilation: Sizes = 1
    ) -> None:
        who = type(self).__name__
        self.size = sizes(who, "size", size)
        self.strides = None if strides is None else sizes(who, "strides", strides)
        self.padding, self.dilation = checked_padding(who, padding), sizes(who, "dilation", dilation)

    def _windows(self) -> dict[str, Any]:
        return {"strides": self.strides, "padding": self.padding, "dilation": self.dilation}


class MaxPool(_Pool):
    """The largest element of each window; the gradient goes to it (to the first, where several are).

    x is (N, *spatial, C) with one to three spatial axes, y (N, *out, C).

    Args:
        size: of the window, one number or one for each spatial axis.
        strides: steps from window to window; the window's size by default, less lets them overlap.
        padding: as in :class:`Conv`; padding never wins.
        dilation: steps between elements of a window.

    Raises:
        OptionError: an option is out of its range.
        ShapeError: (when called) the window does not fit, or holds nothing but padding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """One element a window."""
        return pooling.max_pool(x, self.size, **self._windows())


class MedianPool(_Pool):
    """The median of each window; the gradient goes to the element, or the two elements, that it is made of.

    x is (N, *spatial, C) with one to three spatial axes, y (N, *out, C).

    Args:
        size: of the window, one number or one for each spatial axis.
        strides: steps from window to window; the window's size by default.
        padding: as in :class:`Conv`; what lies outside the image does not count.
        dilation: steps between elements of a window.

    Raises:
        OptionError: an option is out of its range.
        ShapeError: (when called) the window does not fit, or holds nothing but padding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """One element a window."""
        return pooling.median_pool(x, self.size, **self._windows())


class LpPool(_Pool):
    """The p-norm of each window, (Σ |x|ᵖ)^(1/p), whose gradient is 0 where all its elements are 0.

    x is (N, *spatial, C) with one to three spatial axes, y (N, *out, C).

    Args:
        size: of the window, one number or one for each spatial axis.
        p: from 1; 2 is the Euclidean norm.
        strides: steps from window to window; the window's size by default.
        padding: as in :class:`Conv`; zeros change nothing.
        dilation: steps between elements of a window.

    Raises:
        OptionError: an option is out of its range.
        ShapeError: (when called) the window does not fit.
    """

    def __init__(
        self,
        size: Sizes = 2,
        p: float = 2.0,
        *,
        strides: Sizes | None = None,
        padding: Padding = "valid",
        dilation: Sizes = 1,
    ) -> None:
        super().__init__(size, strides=strides, padding=padding, dilation=dilation)
        self.p = options.number("LpPool", "p", p, low=1, fix="Use 2 for the Euclidean norm, MaxPool for an infinite p.")

    def forward(self, x: Tensor) -> Tensor:
        """One element a window."""
        return pooling.lp_pool(x, self.size, self.p, **self._windows())


class AvgPool(_Pool):
    """The mean of each window, or a weighted mean.

    x is (N, *spatial, C) with one to three spatial axes, y (N, *out, C).

    Args:
        size: of the window, one number or one for each spatial axis.
        strides: steps from window to window; the window's size by default.
        padding: as in :class:`Conv`.
        dilation: steps between elements of a window.
        count_padding: whether padding counts as zeros; otherwise means are over the elements inside.
        weights: nested lists of numbers, one for each position of the window: y = Σ w x / Σ w; what lies outside
            the image has none.

    Raises:
        OptionError: weights that are not numbers in the window's shape, or of sum 0, or with ``count_padding``.
        ShapeError: (when called) the window does not fit, or holds nothing but padding that does not count.
    """

    def __init__(
        self,
        size: Sizes = 2,
        *,
        strides: Sizes | None = None,
        padding: Padding = "valid",
        dilation: Sizes = 1,
        count_padding: bool = False,
        weights: Any = None,
    ) -> None:
        super().__init__(size, strides=strides, padding=padding, dilation=dilation)
        self.count_padding = options.flag("AvgPool", "count_padding", count_padding)
        self.weights = None if weights is None else self._checked(weights)

    def _checked(self, weights: Any) -> Any:
        try:
            found = np.asarray(weights, np.float64)
        except (TypeError, ValueError):
            found = np.asarray(np.nan)
        fits = found.ndim and found.shape == spread(self.size, found.ndim)
        if not fits or not np.isfinite(found).all() or found.sum() == 0 or self.count_padding:
            raise OptionError(
                "AvgPool",
                rule="weights are numbers in the shape of the window, whose sum is not 0, without count_padding",
                got=f"weights {weights!r} for a window of {self.size}, count_padding={self.count_padding}",
            )
        return found.tolist()

    def forward(self, x: Tensor) -> Tensor:
        """One element a window."""
        if self.weights is None:
            return pooling.avg_pool(x, self.size, count_padding=self.count_padding, **self._windows())
        return pooling.weighted_avg_pool(x, np.asarray(self.weights), **self._windows())


class GlobalAvgPool(Module):
    """The mean of each channel over the whole image: (N, *spatial, C) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """One element a channel."""
        return fn.mean(x, _spatial("GlobalAvgPool", x))


class GlobalMaxPool(Module):
    """The largest element of each channel: (N, *spatial, C) to (N, C).  Equal ones share the gradient."""

    def forward(self, x: Tensor) -> Tensor:
        """One element a channel."""
        return fn.max(x, _spatial("GlobalMaxPool", x))


def _spatial(who: str, x: Tensor) -> tuple[int, ...]:
    return tuple(range(1, 1 + check_image(who, x.shape, x.type)))


class _AdaptivePool(Module):
    """Pooling to a given size, whatever the input's: window i of O goes from ⌊iW/O⌋ to ⌈(i + 1)W/O⌉."""

    reduce: Callable[..., Tensor]

    def __init__(self, output: Sizes = 1) -> None:
        self.output = sizes(type(self).__name__, "output", output)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *output, C), axis after axis: a box's mean is that of its rows' means, and so is its maximum."""
        who = type(self).__name__
        wanted = spread(self.output, check_image(who, x.shape, x.type))
        if len(wanted) != x.ndim - 2 or any(o > n for o, n in zip(wanted, x.shape[1:])):
            rule = "the output has as many axes as the image, none of them longer"
            fix = "Ask for a smaller output, or make the image larger by nn.Upsample."
            raise ShapeError(who, rule=rule, got=f"output {self.output} of {x.type}", fix=fix)
        for axis, o in enumerate(wanted, 1):
            n = x.shape[axis]
            parts = [self._part(x, axis, i * n // o, -(-(i + 1) * n // o)) for i in range(o)]
            x = fn.concatenate(parts, axis)
        return x

    def _part(self, x: Tensor, axis: int, begin: int, end: int) -> Tensor:
        inside = (slice(None),) * axis + (slice(begin, end),)
        return type(self).reduce(x[inside], axis, keepdims=True)


class AdaptiveAvgPool(_AdaptivePool):
    """Means over as many windows as ``output`` says, whatever the size of the image: (N, *output, C).

    Args:
        output: sizes of the result, one number or one for each spatial axis; not larger than the image.

    Raises:
        ShapeError: (when called) the image is smaller than that, or has another number of axes.
    """

    reduce = staticmethod(fn.mean)


class AdaptiveMaxPool(_AdaptivePool):
    """Largest elements of as many windows as ``output`` says, whatever the size of the image: (N, *output, C).

    Equal ones share the gradient.

    Args:
        output: sizes of the result, one number or one for each spatial axis; not larger than the image.

    Raises:
        ShapeError: (when called) the image is smaller than that, or has another number of axes.
    """

    reduce = staticmethod(fn.max)
