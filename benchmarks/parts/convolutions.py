"""How close do convolutions come to oneDNN's?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from benchmarks import networks
from benchmarks.measured import Found, Goal, ahead, at_least, median
from benchmarks.parts.vision import NETWORKS
from benchmarks.rounds import each, interleaved
from benchmarks.systems import NATIVE
from benchmarks.tables import number, table
from benchmarks.work import Convolution

TITLE = "Convolutions"
NOTE = """float32, channels last, images in memory that change from convolution to convolution. oneDNN's are PyTorch's
`conv2d`, `conv_transpose2d` and `aten.convolution_backward`, called from Python, each into a new result; gradloom loops
over the images inside a program. GFLOP/s count a multiply-add as two operations, those that meet zeros around the image
included. Of the networks above every shape is measured, a first layer by data too, though no training step asks for
that gradient."""

ONEDNN = "PyTorch eager"
DIRECTIONS = ("forward", "by data", "by weights")
SHARE = 0.9
"""Of oneDNN's speed, that is wanted."""
FLOPS = 2e9
"""Of a run, unless its images and results have more than ..."""
ELEMENTS = 2**23
"""... so many elements."""

MORE = {
    "depthwise": ((64, (32, 32, 64), (64, 3, 1, 1, 64)), (64, (32, 32, 64), (64, 3, 2, 1, 64))),
    "grouped": ((32, (32, 32, 64), (64, 3, 1, 1, 4)),),
    "1 channel": ((64, (64, 64, 1), (32, 7, 1, 3, 1)),),
    "3 channels": ((16, (128, 128, 3), (64, 7, 2, 3, 1)),),
    "odd channels": ((64, (32, 32, 17), (23, 3, 1, 1, 1)), (32, (27, 27, 50), (75, 3, 1, 1, 1))),
    "strided": ((32, (32, 32, 64), (128, 3, 2, 1, 1)), (32, (56, 56, 64), (128, 1, 2, 0, 1))),
}
"""Batch, image, and filters, size, stride, padding and groups."""
TRANSPOSED = (
    (4, (16, 16, 128), (64, 2, 2, 0, 1)),
    (4, (64, 64, 32), (16, 2, 2, 0, 1)),
    (16, (16, 16, 64), (32, 4, 2, 1, 1)),
    (16, (16, 16, 64), (32, 3, 1, 1, 1)),
)


def _of_networks() -> Iterator[tuple[int, networks.Shape, networks.Shape, bool]]:
    """Every convolution of the networks, as batch, image, layer and whether it is transposed."""
    for work in NETWORKS.values():
        for layer, image in networks.walk(work.layers, work.image):
            if isinstance(layer, networks.Conv):
                yield work.batch, image, (layer.filters, layer.size, layer.stride, layer.padding, layer.groups), False
            elif isinstance(layer, networks.Up):
                yield work.batch, image, (layer.filters, layer.size, layer.size, 0, 1), True


def _named() -> Iterator[tuple[str, Convolution]]:
    shapes = dict.fromkeys(_of_networks())
    named = [("", shape) for shape in shapes]
    named += [(kind, (*shape, False)) for kind, several in MORE.items() for shape in several]
    named += [("", (*shape, True)) for shape in TRANSPOSED if (*shape, True) not in shapes]
    for kind, (batch, image, layer, transposed) in named:
        for direction in DIRECTIONS:
            yield (
                _title(kind, batch, image, layer, transposed, direction),
                _work(batch, image, layer, transposed, direction),
            )


def _title(kind: str, batch: int, image: networks.Shape, layer: networks.Shape, transposed: bool, way: str) -> str:
    filters, size, stride, _, groups = layer
    text = f"{batch} x {'x'.join(map(str, image))} to {filters}, {size}x{size}"
    text += f" / {stride}" * (stride > 1) + " transposed" * transposed + f" in {groups} groups" * (groups > 1)
    return f"{kind + ': ' if kind else ''}{text}; {way}"


def _work(batch: int, image: networks.Shape, layer: networks.Shape, transposed: bool, direction: str) -> Convolution:
    """Enough convolutions for some milliseconds."""
    one = Convolution(batch, image, layer, direction, 1, transposed)
    affordable = ELEMENTS // max(math.prod(one.large), math.prod(one.small))
    return replace(one, count=max(1, min(int(FLOPS / one.flops) + 1, affordable)))


CONVOLUTIONS: Mapping[str, Convolution] = dict(_named())


def measure(
    rounds: int,
    convolutions: Mapping[str, Convolution] = CONVOLUTIONS,
    systems: tuple[str, ...] = (NATIVE, ONEDNN),
) -> Found:
    """All shapes in all directions."""
    return interleaved(convolutions, each("convolve", systems), rounds)


def show(found: Found) -> str:
    """A line for each shape, with a group of columns for each direction."""
    rows = []
    for shape in dict.fromkeys(title.rpartition("; ")[0] for title in found):
        cells = [cell for way in DIRECTIONS for cell in _cells(found, f"{shape}; {way}")]
        rows.append([shape, *cells])
    heads = [head for way in DIRECTIONS for head in (f"{way}, GFLOP/s", "oneDNN", "share")]
    shares = sorted((_share(found, title), title) for title in found)
    below = sum(share < SHARE for share, _ in shares)
    lowest = f"; the least is {shares[0][0]:.0%} ({shares[0][1]})" if shares else ""
    return table(("shape", *heads), rows) + f"\n\n{below} of {len(shares)} are below {SHARE:.0%}{lowest}."


def _cells(found: Found, title: str) -> list[str]:
    if title not in found or title not in CONVOLUTIONS:
        return ["", "", ""]
    flops = CONVOLUTIONS[title].flops / 1e9
    speeds = [number(flops / median(found, title, system)) for system in (NATIVE, ONEDNN)]
    share = _share(found, title)
    return [*speeds, f"{share:.0%}" if share >= SHARE else f"**{share:.0%}**"]


def _share(found: Found, title: str) -> float:
    """Our speed as a share of oneDNN's."""
    return ahead(found, title, NATIVE, ONEDNN)


def goals(found: Found) -> list[Goal]:
    """No shape far behind, and the strided and transposed ones ahead."""
    shares = {title: share for title in found if not math.isnan(share := _share(found, title))}
    ahead = {title: share for title, share in shares.items() if " / " in title or " transposed" in title}
    least, slowest = (min(values, key=lambda title: values[title], default="") for values in (shares, ahead))
    return [
        at_least(7, f"Convolutions: at least 90% of oneDNN everywhere ({least})", shares.get(least, math.nan), SHARE),
        at_least(7, f"Strided and transposed: faster than oneDNN ({slowest})", ahead.get(slowest, math.nan), 1.0),
    ]
