"""Where the windows of a convolution or a pooling lie on a grid, and the arrays that reach them.

Arrays are channels last, (N, *spatial, C).  A window of K positions, ``dilation`` apart, moves along an axis of W
elements in steps of S after ``low`` and ``high`` elements of padding were put at its ends:

    number of windows = ⌊(W + low + high - dilation (K - 1) - 1) / S⌋ + 1

All computations here visit the positions inside a window one after the other: those that all windows have at one
position are a regular slice of the padded array, so each visit is one array operation.

Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from gradloom.errors import OptionError, ShapeError
from gradloom.ir.tensortype import TensorType
from gradloom.records import dataclass

Sizes = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]
Place = tuple[slice, ...]


@dataclass(frozen=True)
class Windows:
    """All windows of one kind on a grid; every tuple has one entry a spatial axis.

    Args:
        spatial: sizes of the grid.
        size: sizes of the window.
        strides: steps from one window to the next.
        padding: elements added before and after the grid.
        dilation: steps from one element of a window to the next.
    """

    spatial: Sizes
    size: Sizes
    strides: Sizes
    padding: Padding
    dilation: Sizes

    def check(self, who: str) -> None:
        """Refuse options out of range, and a window larger than the padded grid.

        Raises:
            OptionError: a stride, dilation or padding is out of its range, or there are not as many as axes.
            ShapeError: the window does not fit into the grid.
        """
        options = {"strides": self.strides, "padding": self.padding, "dilation": self.dilation}
        for name, values in (("window", self.size), *options.items()):
            if len(values) != len(self.spatial):
                raise OptionError(
                    who,
                    rule=f"{name} needs one entry for each of the {len(self.spatial)} spatial axes",
                    got=f"{values} for a grid of {self.spatial}",
                )
        for name, values in (("window", self.size), ("strides", self.strides), ("dilation", self.dilation)):
            if any(n < 1 for n in values):
                raise OptionError(who, rule=f"{name} must be at least 1 along every axis", got=str(values))
        if any(len(pair) != 2 or min(pair) < 0 for pair in self.padding):
            raise OptionError(
                who,
                rule="padding is a pair (low, high) for every axis, neither of them negative",
                got=str(self.padding),
                fix="Use a slice to take elements away.",
            )
        if any(extent > n for extent, n in zip(self.extents, self.padded)):
            raise ShapeError(
                who,
                rule="the window must fit into the padded input",
                got=f"a window of {self.size} with dilation {self.dilation}, which covers {self.extents}, "
                f"on {self.spatial} with padding {self.padding}",
                fix="Use a larger input, a smaller window or dilation, or more padding.",
            )

    @cached_property
    def extents(self) -> Sizes:
        """How many elements a window covers, from its first to its last."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.size, self.dilation))

    @cached_property
    def padded(self) -> Sizes:
        """Sizes of the padded grid."""
        return tuple(n + low + high for n, (low, high) in zip(self.spatial, self.padding))

    @cached_property
    def counts(self) -> Sizes:
        """Numbers of windows."""
        return tuple((n - extent) // s + 1 for n, extent, s in zip(self.padded, self.extents, self.strides))

    def places(self) -> Iterator[tuple[Sizes, Place]]:
        """For each position inside a window: the position, and where all windows have it in a padded array."""
        for position in np.ndindex(*self.size):
            starts = (p * d for p, d in zip(position, self.dilation))
            along = (slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, self.counts, self.strides))
            yield position, (slice(None), *along)

    def pad(self, x: np.ndarray, value: float = 0) -> np.ndarray:
        """(N, *spatial, C) with the padding put around it."""
        return np.pad(x, ((0, 0), *self.padding, (0, 0)), constant_values=value)

    def crop(self, padded: np.ndarray) -> np.ndarray:
        """(N, *padded, C) without the padding."""
        inside = (slice(low, low + n) for n, (low, _) in zip(self.spatial, self.padding))
        return padded[(slice(None), *inside)]

    def padding_only(self) -> bool:
        """Whether some window holds nothing but padding."""
        for n, (low, _), k, d, s, count in zip(
            self.spatial, self.padding, self.size, self.dilation, self.strides, self.counts
        ):
            elements = np.arange(count)[:, None] * s + np.arange(k) * d - low
            if not ((elements >= 0) & (elements < n)).any(axis=1).all():
                return True
        return False


def check_channels_last(who: str, x: TensorType) -> None:
    """Refuse operands that are not (N, *spatial, C) with 1 to 3 spatial axes."""
    if not 3 <= x.rank <= 5:
        raise ShapeError(
            who,
            rule="the input has the axes (N, *spatial, C) with 1 to 3 spatial axes, channels last",
            got=str(x),
            fix="Add the missing axes with gl.expand_dims, or move the channels with gl.moveaxis.",
        )


def accumulator(dtype: np.dtype) -> np.dtype:
    """The data type in which sums over windows are formed: float32 for float16, else the type itself."""
    return np.dtype("float32") if dtype.name == "float16" else dtype
