"""Residual networks, for small and for large images."""

from __future__ import annotations

from gradloom import nn, options
from gradloom.errors import OptionError

_LARGE = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}
"""Blocks of each stage, and whether they are bottlenecks."""


def ResNet(depth: int = 20, classes: int = 10, *, version: int = 1, shortcut: str = "pad") -> nn.Sequential:
    """A residual network.

    Depths 6n + 2 (20, 32, 44, 56, 110, ...) are the networks for images of 32 by 32: three stages of n blocks with 16,
    32 and 64 channels.  Depths 18, 34 and 50 are those for large images, with four stages from 64 channels on.

    Args:
        depth: as above.
        classes: number of logits.
        version: 1 activates after the addition, 2 normalises and activates before each convolution.
        shortcut: where a stage begins, "pad" takes every other element and fills new channels with zeros (option A of
            the paper), "project" is a convolution of size 1 (option B); networks for large images always project.

    Returns:
        A network; ResNet(20) has 269,722 parameters, ResNet(18, 1000) 11,689,512, ResNet(50, 1000) 25,557,032.

    Raises:
        OptionError: there is no network of this depth.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (2016); version 2 after "Identity
    mappings in deep residual networks" (2016).
    """
    options.choice("ResNet", "shortcut", shortcut, ("pad", "project"))
    if version not in (1, 2):
        raise OptionError("ResNet", rule="version is 1 or 2", got=repr(version))
    if depth in _LARGE:
        return _large(*_LARGE[depth], classes, version)
    n, left = divmod(options.whole("ResNet", "depth", depth, least=8) - 2, 6)
    if left:
        rule = "depth is 6n + 2 for small images, or 18, 34 or 50 for large ones"
        raise OptionError("ResNet", rule=rule, got=str(depth), fix=f"Nearest are {6 * n + 2} and {6 * n + 8}.")
    blocks = [
        _block(channels, 2 if stage and not i else 1, version, False, shortcut if stage and not i else "")
        for stage, channels in enumerate((16, 32, 64))
        for i in range(n)
    ]
    return nn.Sequential(*_stem(16, version), *blocks, *_head(classes, version))


def _large(counts: tuple[int, ...], bottleneck: bool, classes: int, version: int) -> nn.Sequential:
    blocks = []
    for stage, count in enumerate(counts):
        for i in range(count):
            changes = i == 0 and (stage > 0 or bottleneck)
            strides = 2 if stage and not i else 1
            blocks.append(_block(64 << stage, strides, version, bottleneck, "project" if changes else ""))
    stem: list[nn.Module] = [nn.Conv(64, (7, 7), strides=2, padding=3, bias=False)]
    stem += [*(_normed() if version == 1 else []), nn.MaxPool(3, strides=2, padding=1)]
    return nn.Sequential(*stem, *blocks, *_head(classes, version))


def _stem(channels: int, version: int) -> list[nn.Module]:
    return [nn.Conv(channels, (3, 3), bias=False), *(_normed() if version == 1 else [])]


def _head(classes: int, version: int) -> list[nn.Module]:
    return [*(_normed() if version == 2 else []), nn.GlobalAvgPool(), nn.Dense(classes)]


def _normed() -> list[nn.Module]:
    return [nn.BatchNorm(), nn.ReLU()]


def _block(channels: int, strides: int, version: int, bottleneck: bool, shortcut: str) -> nn.Residual:
    """One residual block: two convolutions of 3, or one of 3 between two of 1 that make it narrow."""
    out = 4 * channels if bottleneck else channels
    plan = [(channels, 3, strides), (channels, 3, 1)]
    if bottleneck:
        plan = [(channels, 1, 1), (channels, 3, strides), (out, 1, 1)]
    convolutions = [nn.Conv(c, size, strides=s, padding=size // 2, bias=False) for c, size, s in plan]
    other = _shortcut(shortcut, out, strides, version)
    if version == 2:
        return nn.Residual(nn.Sequential(*(m for conv in convolutions for m in (*_normed(), conv))), other)
    body = [m for conv in convolutions for m in (conv, *_normed())][:-1]
    return nn.Residual(nn.Sequential(*body), other, activation="relu")


def _shortcut(kind: str, channels: int, strides: int, version: int) -> nn.Module | None:
    if not kind:
        return None
    if kind == "pad":
        return nn.PadChannels(channels, strides=strides)
    projection = nn.Conv(channels, 1, strides=strides, padding=0, bias=False)
    return nn.Sequential(projection, nn.BatchNorm()) if version == 1 else projection
