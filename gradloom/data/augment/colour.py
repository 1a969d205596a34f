"""Brightness, contrast, saturation and hue.

Factors are drawn within ``by`` of 1, as torchvision does; unlike there nothing is clipped to [0, 1], so that images in
any unit can be changed: contrast, saturation and hue do the same whether an image was standardised before or after.
Brightness multiplies, so it is meant for images whose 0 is black.
"""

from __future__ import annotations

from typing import Annotated

from gradloom import functional as gl
from gradloom.data.augment.base import Recolouring, around
from gradloom.errors import ShapeError
from gradloom.options import fraction, number_where
from gradloom.records import dataclass
from gradloom.tensor import Tensor

Change = Annotated[float, fraction]
Circle = Annotated[float, number_where(lambda x: 0 <= x <= 0.5, "lies in [0, 0.5]", "Usual is 0.05.")]

_GREY = (0.299, 0.587, 0.114)
"""Parts of red, green and blue in what the eye sees as grey (ITU-R BT.601)."""


@dataclass(frozen=True)
class Brightness(Recolouring):
    """f x for a factor f.

    Args:
        by: the factor lies within this of 1.
    """

    by: Change = 0.2

    def recolour(self, images: Tensor, keys: Tensor) -> Tensor:
        """f x."""
        return images * around(keys, 1.0, self.by).astype(images.dtype)


@dataclass(frozen=True)
class Contrast(Recolouring):
    """m + f (x - m) for a factor f and the mean m of the image's grey.

    Args:
        by: the factor lies within this of 1.
    """

    by: Change = 0.2

    def recolour(self, images: Tensor, keys: Tensor) -> Tensor:
        """x + (f - 1)(x - m)."""
        mean = gl.mean(_grey(images), (1, 2), keepdims=True)
        return images + (images - mean) * around(keys, 0.0, self.by).astype(images.dtype)


@dataclass(frozen=True)
class Saturation(Recolouring):
    """g + f (x - g) for a factor f and the grey g of each pixel.

    Args:
        by: the factor lies within this of 1.

    Raises:
        ShapeError: when applied: images do not have the three channels red, green and blue.
    """

    by: Change = 0.2

    def recolour(self, images: Tensor, keys: Tensor) -> Tensor:
        """x + (f - 1)(x - g)."""
        _check_colours("Saturation", images)
        return images + (images - _grey(images)) * around(keys, 0.0, self.by).astype(images.dtype)


@dataclass(frozen=True)
class Hue(Recolouring):
    """Every hue moved along the circle of hues by one share of it; saturation and value (of HSV) stay.

    Args:
        by: how far at most, in either direction, as a share of the circle.

    Raises:
        ShapeError: when applied: images do not have the three channels red, green and blue.
    """

    by: Circle = 0.05

    def recolour(self, images: Tensor, keys: Tensor) -> Tensor:
        """With the hue h in sixths of the circle, a channel is v - c max(0, min(k, 4 - k, 1)), k = (n + h) mod 6.

        Here v is the greatest of the three, c what the least lies below it, and n is 5, 3, 1 for red, green, blue.
        """
        _check_colours("Hue", images)
        if not self.by:
            return images
        red, green, blue = (images[..., i : i + 1] for i in range(3))
        value = gl.maximum(gl.maximum(red, green), blue)
        chroma = value - gl.minimum(gl.minimum(red, green), blue)
        unit = 1 / gl.where(chroma > 0, chroma, gl.ones((), images.dtype))
        from_green = gl.where(value == green, (blue - red) * unit + 2, (red - green) * unit + 4)
        hue = gl.where(value == red, (green - blue) * unit, from_green)
        turned = hue + around(keys, 0.0, 6 * self.by).astype(images.dtype)

        def channel(n: int) -> Tensor:
            k = turned + n
            k = k - 6 * gl.floor(k * (1 / 6))
            return value - chroma * gl.clip(gl.minimum(k, 4 - k), 0, 1)

        return gl.concatenate([channel(n) for n in (5, 3, 1)], -1)


def _grey(images: Tensor) -> Tensor:
    """What the eye sees as grey, shape (n, h, w, 1); the mean of channels that are not red, green and blue."""
    if images.shape[-1] != len(_GREY):
        return gl.mean(images, -1, keepdims=True)
    red, green, blue = (images[..., i : i + 1] * share for i, share in enumerate(_GREY))
    return red + green + blue


def _check_colours(who: str, images: Tensor) -> None:
    if images.shape[-1] != len(_GREY):
        raise ShapeError(
            who,
            rule="images must have the three channels red, green and blue",
            got=str(images.type),
            fix="Leave it out for images without colours.",
        )
