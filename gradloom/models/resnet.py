"""Residual networks, for small and for large images."""

from __future__ import annotations

from gradloom import nn, options
from gradloom.errors import OptionError
from gradloom.models.blocks import normed, preactivated
from gradloom.records import dataclass

_LARGE = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}
"""Blocks of each stage, and whether they are bottlenecks."""


def ResNet(depth: int = 20, classes: int = 10, *, version: int = 1, shortcut: str = "pad") -> nn.Sequential:
    """A residual network: (N, H, W, C) to (N, classes).

    Depths 6n + 2 (20, 32, 44, 56, 110, ...) are the networks for images of 32 by 32: three stages of n blocks with 16,
    32 and 64 channels.  Depths 18, 34 and 50 are those for large images, with four stages from 64 channels on.  Each
    stage after the first begins by halving the image; smaller and odd sizes are rounded up.

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
    mappings in deep residual networks" (2016).  A bottleneck has its stride in the convolution of 3 by 3, as in
    torchvision ("v1.5"), rather than in the first one of 1 by 1, which takes 4.1 instead of 3.9 thousand million
    multiply-adds for ResNet-50.
    """
    options.choice("ResNet", "shortcut", shortcut, ("pad", "project"))
    if version not in (1, 2):
        raise OptionError("ResNet", rule="version is 1 or 2", got=repr(version), fix="Use 1 for the better known.")
    first, last = (normed(), []) if version == 1 else ([], normed())
    if depth in _LARGE:
        counts, bottleneck = _LARGE[depth]
        blocks = _Blocks(64, version, bottleneck, "project").stages(counts)
        stem = [nn.Conv(64, (7, 7), strides=2, padding=3, bias=False), *first, nn.MaxPool(3, strides=2, padding=1)]
    else:
        blocks = _Blocks(16, version, False, shortcut).stages((_blocks_a_stage(depth),) * 3)
        stem = [nn.Conv(16, (3, 3), bias=False), *first]
    return nn.Sequential(*stem, *blocks, *last, nn.GlobalAvgPool(), nn.Dense(classes))


def _blocks_a_stage(depth: int) -> int:
    n, left = divmod(options.whole("ResNet", "depth", depth, least=8) - 2, 6)
    if left:
        rule = "depth is 6n + 2 for small images, or 18, 34 or 50 for large ones"
        raise OptionError("ResNet", rule=rule, got=str(depth), fix=f"Nearest are {6 * n + 2} and {6 * n + 8}.")
    return n


@dataclass(frozen=True)
class _Blocks:
    """The blocks of a network.

    Attributes:
        channels: of the stem, and within the blocks of the first stage.
        version: of residual networks.
        bottleneck: whether a block is a convolution of 3 between two of 1, which make it narrow, or two of 3.
        shortcut: "pad" or "project", where the shape changes.
    """

    channels: int
    version: int
    bottleneck: bool
    shortcut: str

    def stages(self, counts: tuple[int, ...]) -> list[nn.Module]:
        """So many blocks for each stage, one after the other."""
        blocks, given = [], self.channels
        for stage, count in enumerate(counts):
            inside = self.channels << stage
            out = 4 * inside if self.bottleneck else inside
            for i in range(count):
                strides = 2 if stage and not i else 1
                other = None if given == out and strides == 1 else self._shortcut(out, strides)
                blocks.append(self._block(self._convolutions(inside, out, strides), other, begins=not i))
                given = out
        return blocks

    def _convolutions(self, inside: int, out: int, strides: int) -> list[nn.Module]:
        plan = [(inside, 3, strides), (out, 3, 1)]
        if self.bottleneck:
            plan = [(inside, 1, 1), (inside, 3, strides), (out, 1, 1)]
        return [nn.Conv(c, size, strides=s, padding=size // 2, bias=False) for c, size, s in plan]

    def _shortcut(self, channels: int, strides: int) -> nn.Module:
        if self.shortcut == "pad":
            return nn.PadChannels(channels, strides=strides)
        projection = nn.Conv(channels, 1, strides=strides, padding=0, bias=False)
        return nn.Sequential(projection, nn.BatchNorm()) if self.version == 1 else projection

    def _block(self, convolutions: list[nn.Module], other: nn.Module | None, *, begins: bool) -> nn.Module:
        if self.version == 2:
            return preactivated(convolutions, other, shared=begins)
        body = [layer for convolution in convolutions for layer in (convolution, *normed())][:-1]
        return nn.Residual(nn.Sequential(*body), other, activation="relu")
