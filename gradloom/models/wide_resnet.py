"""Wide residual networks: fewer layers, more channels."""

from __future__ import annotations

from gradloom import nn, options
from gradloom.errors import OptionError
from gradloom.models.blocks import normed, preactivated


def WideResNet(depth: int = 16, width: int = 4, classes: int = 10, *, dropout: float = 0.0) -> nn.Sequential:
    """WRN-depth-width for images of 32 by 32: three stages of (depth - 4) / 6 blocks with 16, 32, 64 times ``width``.

    (N, H, W, C) to (N, classes).  A block normalises, activates and convolves, twice; where its channels or sizes
    change, the shortcut is a convolution of size 1 and starts from the activated input too.

    Args:
        depth: 6n + 4.
        width: how many times as wide as a plain residual network.
        classes: number of logits.
        dropout: the rate between the two convolutions of a block.

    Returns:
        A network; WideResNet(16, 4) has 2.7 million parameters, WideResNet(28, 10) 36.5 million.

    Raises:
        OptionError: the depth is not 6n + 4.

    Source: Zagoruyko and Komodakis, "Wide residual networks" (2016).
    """
    n, left = divmod(options.whole("WideResNet", "depth", depth, least=10) - 4, 6)
    options.whole("WideResNet", "width", width)
    if left:
        fix = f"Nearest are {6 * n + 4} and {6 * n + 10}."
        raise OptionError("WideResNet", rule="depth is 6n + 4", got=str(depth), fix=fix)
    blocks: list[nn.Module] = []
    given = 16
    for stage, channels in enumerate((16 * width, 32 * width, 64 * width)):
        for i in range(n):
            strides = 2 if stage and not i else 1
            changes = given != channels or strides > 1
            convolutions = [nn.Conv(channels, 3, strides=strides, padding=1, bias=False)]
            convolutions += [nn.Conv(channels, 3, bias=False)]
            shortcut = nn.Conv(channels, 1, strides=strides, padding=0, bias=False) if changes else None
            blocks.append(preactivated(convolutions, shortcut, shared=changes, dropout=dropout))
            given = channels
    return nn.Sequential(nn.Conv(16, (3, 3), bias=False), *blocks, *normed(), nn.GlobalAvgPool(), nn.Dense(classes))
