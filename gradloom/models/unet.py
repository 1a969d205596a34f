"""The UNet, which gives every pixel a class."""

from __future__ import annotations

from gradloom import nn, options


def UNet(
    classes: int = 2,
    *,
    base: int = 64,
    depth: int = 4,
    padding: str = "same",
    norm: bool = False,
    dropout: float = 0.0,
) -> nn.Sequential:
    """A UNet: down ``depth`` times with twice the channels, up again, with what was seen on the way joined in.

    Args:
        classes: logits for every pixel.
        base: channels at full size.
        depth: how often the image is made half as large.
        padding: "same" keeps the size of the image, whose sides must divide by 2^depth; "valid" is the paper's: every
            convolution takes off the border, what is joined in is cropped, and the result is smaller (388 by 388 of
            572 by 572).
        norm: whether batches are normalised after every convolution (the paper has none).
        dropout: the rate at the bottom, where the paper has it.

    Returns:
        (N, H, W, C) to (N, H', W', classes).  UNet(2) of one channel has 31,030,658 parameters, as the paper's.

    Raises:
        OptionError: an option is out of its range.
        ShapeError: (when it is called) the image is too small, or with "same" its sides do not divide.

    Source: Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation" (2015).
    """
    options.choice("UNet", "padding", padding, ("same", "valid"))
    options.whole("UNet", "base", base)
    level = _double(base << options.whole("UNet", "depth", depth), padding, norm)
    level += [nn.Dropout(dropout)] if dropout else []
    for step in reversed(range(depth)):
        channels = base << step
        up = nn.ConvTranspose(channels, 2, strides=2, padding="valid")
        below = nn.Sequential(nn.MaxPool(2), *level, up)
        level = [
            *_double(channels, padding, norm),
            nn.Join(below, crop=padding == "valid"),
            *_double(channels, padding, norm),
        ]
    return nn.Sequential(*level, nn.Conv(classes, 1))


def _double(channels: int, padding: str, norm: bool) -> list[nn.Module]:
    """Two convolutions of 3 by 3."""

    def one() -> list[nn.Module]:
        if norm:
            return [nn.Conv(channels, 3, padding=padding, bias=False), nn.BatchNorm(), nn.ReLU()]
        return [nn.Conv(channels, 3, padding=padding, activation="relu")]

    return [*one(), *one()]
