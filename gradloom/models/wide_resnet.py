"""Wide residual networks: fewer layers, more channels."""

from __future__ import annotations

from gradloom import nn, options
from gradloom.errors import OptionError


def WideResNet(depth: int = 16, width: int = 4, classes: int = 10, *, dropout: float = 0.0) -> nn.Sequential:
    """WRN-depth-width for images of 32 by 32: three stages of (depth - 4) / 6 blocks with 16, 32, 64 times ``width``.

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
    channels = 16
    for stage, out in enumerate((16 * width, 32 * width, 64 * width)):
        for i in range(n):
            strides = 2 if stage and not i else 1
            blocks.append(_block(channels, out, strides, dropout))
            channels = out
    return nn.Sequential(
        nn.Conv(16, (3, 3), bias=False), *blocks, nn.BatchNorm(), nn.ReLU(), nn.GlobalAvgPool(), nn.Dense(classes)
    )


def _block(channels: int, out: int, strides: int, dropout: float) -> nn.Module:
    """Normalise, activate, convolve, twice; where the channels change the shortcut starts from the activated input."""
    body = [nn.Conv(out, 3, strides=strides, padding=1, bias=False), nn.BatchNorm(), nn.ReLU()]
    body += [nn.Dropout(dropout)] if dropout else []
    body += [nn.Conv(out, 3, bias=False)]
    before: list[nn.Module] = [nn.BatchNorm(), nn.ReLU()]
    if channels == out and strides == 1:
        return nn.Residual(nn.Sequential(*before, *body))
    projection = nn.Conv(out, 1, strides=strides, padding=0, bias=False)
    return nn.Sequential(*before, nn.Residual(nn.Sequential(*body), projection))
